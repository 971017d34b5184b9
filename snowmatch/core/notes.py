"""Notes: remarks that an answer or a run returns beside its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Note:
    """One remark: a short stable `code` for programs, a `text` for people, and the `data` behind the text.

    The text names no command. The command line looks up the `code` and adds the command to type; a page adds a link.
    Two notes are equal if their codes and their texts are equal.
    """

    code: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return self.text


def unique(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return each different note once, in the order of first appearance. No notes give an empty tuple."""
    return tuple(dict.fromkeys(notes))
