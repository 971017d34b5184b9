"""Features: extractors find them, an index run stores them in HDF5 files."""
