"""The geometric check: which matches between two photos agree on one position of the animal."""
