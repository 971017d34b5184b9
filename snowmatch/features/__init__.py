"""Features on disk: found by extractors, kept in HDF5 files, made by the index run."""
