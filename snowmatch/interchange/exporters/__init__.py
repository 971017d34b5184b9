"""Exporters: one file writes the format of one other program. The name of the file is the name of the format."""
