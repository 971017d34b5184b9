"""Which matches between two photos agree on one placement of the animal."""
