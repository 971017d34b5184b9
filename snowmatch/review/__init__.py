"""Identities that persons make; many photos asked at once."""
