"""Weights of pretrained networks: the registry, the files on this computer, and the loading."""
