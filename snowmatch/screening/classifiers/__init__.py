"""Classifiers: which species a photo shows. One file is one classifier.

`core/plugins.py` describes what a classifier must have.
"""
