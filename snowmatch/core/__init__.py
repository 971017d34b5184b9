"""The vocabulary: values, errors, text, files and plugins that all other packages use."""
