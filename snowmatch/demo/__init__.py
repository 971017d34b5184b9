"""The drawn survey."""
