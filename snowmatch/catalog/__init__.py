"""The catalog: its table or folders, its encounters, and the stored records of its files."""
