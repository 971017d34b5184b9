"""Screening: the foreground of a photo, which separates the animal from the scenery."""
