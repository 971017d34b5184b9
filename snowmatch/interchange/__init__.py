"""Import from and export to other programs. One format is one file."""
