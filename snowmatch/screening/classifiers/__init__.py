"""Classifiers: which species a photo shows. One file is one classifier."""
