"""Importers: what other programs wrote, as rows of a catalog. One file is one format."""
