"""Approximate nearest neighbours over the descriptors of a gallery."""
