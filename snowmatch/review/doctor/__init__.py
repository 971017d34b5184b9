"""What is wrong with a catalog, or likely wrong: one list, the worst first."""
