"""The one exception that a user can do something about."""


class SnowmatchError(Exception):
    """A problem the user can mend; its text holds the value, what was expected and the next step."""
