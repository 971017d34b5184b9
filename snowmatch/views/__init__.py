"""Presentation of results: text, JSON, pictures and pages."""
