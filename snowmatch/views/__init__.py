"""Answers for people and programs: text, JSON, pictures."""
