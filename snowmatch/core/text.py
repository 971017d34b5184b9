"""Text for people: names made printable, numbers, lists, tables, and the nearest word to one that is unknown."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from typing import Any


def did_you_mean(word: str, known: list[str]) -> str:
    """A closing remark that names the known word nearest to `word`, or nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def choices(word: str, known: Sequence[str]) -> str:
    """What is allowed instead of `word`, and which of it is nearest."""
    return f"expected one of {', '.join(known)}{did_you_mean(word, list(known))}"


def same_name(text: str) -> str:
    """A name as it is compared: macOS stores accents and the Cyrillic й as two characters, others as one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def some(items: Sequence[Any]) -> str:
    """The first few items of a long list, as text."""
    return ", ".join(map(str, items[:5])) + (", ..." if len(items) > 5 else "")
