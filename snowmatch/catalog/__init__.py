"""What is on record: a catalog's table or folders, its encounters, and what is known of its files."""
