"""The exception for problems that the user can fix."""

from __future__ import annotations

from typing import Any


class SnowmatchError(Exception):
    """A problem that the user can fix. The text contains the value, what was expected and the next step.

    `code` and `data` describe the problem for programs. The text names no command. The command line looks up the `code`
    and adds the command to type; a page adds a link.
    """

    def __init__(self, text: str, code: str = "", **data: Any) -> None:
        super().__init__(text)
        self.code = code
        self.data = data
