"""What oslo.utils does not look at in a header and QEMU follows; a module each format.

Each function raises Unsafe with the reason, and reads a bounded part of the file.
"""
