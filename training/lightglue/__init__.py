"""Train a LightGlue on one extractor's features: `python training lightglue --help`."""
