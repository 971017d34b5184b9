"""Nearest neighbours, geometric checks and scores."""
