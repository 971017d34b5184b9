"""Train a network that turns a photo of an animal into one vector: `python training embedding --help`."""
