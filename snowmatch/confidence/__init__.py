"""Probabilities and levels: how they are learned, kept, used and measured."""
