"""The one exception that a user can do something about."""

from __future__ import annotations

from typing import Any


class SnowmatchError(Exception):
    """A problem that the user can mend; its text holds the value, what was expected and the next step.

    `code` and `data` tell programs what is wrong. The text names no command: the command line adds the one to type, by
    the code; a page adds a link.
    """

    def __init__(self, text: str, code: str = "", **data: Any) -> None:
        super().__init__(text)
        self.code = code
        self.data = data
