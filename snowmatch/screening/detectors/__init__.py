"""Detectors: which objects a photo shows, with boxes. One file is one detector."""
