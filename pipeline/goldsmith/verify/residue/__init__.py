"""Residue: what an image carries of the machine that made it.  The rules are data; one function searches a tree."""
