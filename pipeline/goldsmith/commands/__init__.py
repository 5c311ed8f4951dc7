"""The commands, one module each: NAME, SUMMARY, DESCRIPTION, ``configure(parser)`` and ``execute(args, context)``.

They are thin: what a command needs is imported when it runs, so that ``goldsmith doctor`` and ``--help`` are quick and
work where a library is missing.
"""
