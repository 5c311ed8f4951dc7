"""What goldsmith needs of the host: subprocesses, namespaces, files, progress."""
