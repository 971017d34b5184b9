"""The identification of animals: the steps from query photos to an answer, calibration and evaluation."""
