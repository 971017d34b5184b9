"""Matchers, one file each."""
