"""Identification of many photos in one run."""
