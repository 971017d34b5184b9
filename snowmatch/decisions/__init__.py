"""What persons decided about animals: the file of decisions, and who is who by them."""
