"""Pixels in, chips out, coordinates back; what EXIF says."""
