"""Segmenters: the outline of the animal in a photo. One file is one segmenter."""
