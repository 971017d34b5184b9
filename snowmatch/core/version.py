"""The version number of snowmatch."""

__version__ = "0.2.0"
