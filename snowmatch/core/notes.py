"""What an answer or a run has to say beside its result, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Note:
    """One remark: a short stable `code` for programs, a `text` for people, and the `data` that the text tells of.

    The text names no command: the command line adds it by the code, a page adds a link. Two notes are equal where code
    and text are.
    """

    code: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return self.text


def unique(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Each note once, in the order of their first appearance; none stay none."""
    return tuple(dict.fromkeys(notes))
