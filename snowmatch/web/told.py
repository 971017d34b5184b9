"""Notes and errors in the language of the page. They are written in English; a language may have them by their code.

English has them, too, where the command line's words are not those of the pages: a picture of an animal is an
annotation there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snowmatch.core.notes import Note
from snowmatch.core.text import printable, some
from snowmatch.web.texts import plural_form, words_of


def told(language: str, text: str, code: str, data: Mapping[str, Any]) -> str:
    """Return a message in a language; its English `text` if the language has none for this code, or lacks a value.

    The plural form follows `count` in `data`, or else the length of the first list there.
    """
    word = words_of(language).get(f"told.{code}")
    if word is None:
        return text
    lists = [value for value in data.values() if isinstance(value, list | tuple)]
    count = data.get("count", len(lists[0]) if lists else None)
    values = {name: _shown(value) for name, value in data.items()}
    if isinstance(count, int):
        values["n"] = count
    try:
        return str(word if isinstance(word, str) else word[plural_form(language, values["n"])]).format(**values)
    except KeyError:  # the message was told without a value that the translation needs
        return text


def told_note(language: str, note: Note) -> str:
    """Return a note in a language, or in English."""
    return told(language, note.text, note.code, note.data)


def _shown(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return some([printable(str(each)) for each in value])
    return printable(value) if isinstance(value, str) else value
