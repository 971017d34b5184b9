"""Photo files: their formats, EXIF data and pixels, and the chips that extractors see."""
