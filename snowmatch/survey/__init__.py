"""Surveys: estimates of the number of animals, from the encounters of known individuals."""
