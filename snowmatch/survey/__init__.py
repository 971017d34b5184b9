"""From identities to numbers: who was caught when, and how many animals there are."""
