"""The basic parts that all other packages use: data types, errors, text, files and plugins."""
