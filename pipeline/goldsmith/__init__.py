"""goldsmith: golden images of OpenStack guests, built, booted, proven and published."""

__version__ = "0.1.0"
