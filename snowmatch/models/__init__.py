"""Weights of pretrained networks: which there are, where they are, how they are loaded."""
