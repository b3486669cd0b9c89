"""bitreid finds the same person across cameras with learned binary codes."""

__version__ = "0.1.0"
