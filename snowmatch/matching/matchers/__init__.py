"""Matchers. One file is one matcher.

`core/plugins.py` describes what a matcher must have: `GalleryMatcher` compares one query photo with a whole gallery at
once, `PairMatcher` compares two photos at a time. `docs/contributing.md` has an example.
"""
