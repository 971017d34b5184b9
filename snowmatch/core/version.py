"""The version number of snowmatch."""

__version__ = "0.3.0"
