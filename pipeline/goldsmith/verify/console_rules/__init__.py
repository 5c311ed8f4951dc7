"""What the lines of a serial console mean: the phases of a boot, and the signs that it goes wrong."""
