"""The synthetic survey: computer-drawn animals and photos."""
