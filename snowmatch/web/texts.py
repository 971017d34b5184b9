"""The words of the pages, one file a language, and the choice of the language."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

LANGUAGES = {"en": "English", "ru": "Русский"}
DEFAULT = "en"

Words = Mapping[str, Any]
Translate = Callable[..., str]


@cache
def words_of(language: str) -> Words:
    """Return the words of a language, by key. A word that depends on a number has a text for each plural form."""
    text = files("snowmatch.web").joinpath("texts", f"{language}.json").read_text(encoding="utf-8")
    found: Words = json.loads(text)
    return found


def translator(language: str) -> Translate:
    """Return the function that gives the text of a key, with values filled in; `n` chooses the plural form.

    Raises KeyError for an unknown key: a mistake of a page.
    """
    words = words_of(language)

    def translate(key: str, **values: Any) -> str:
        word = words[key]
        if not isinstance(word, str):
            word = word[plural_form(language, int(values["n"]))]
        return word.format(**values) if values else word

    return translate


def figures(t: Translate, text: str) -> str:
    """Return a number that is written in figures with the decimal sign of the page's language."""
    return text.replace(".", t("base.decimal"))


def plural_form(language: str, n: int) -> str:
    """Return the plural form of a number. Source: CLDR plural rules of English and Russian, whole numbers."""
    if language != "ru":
        return "one" if n == 1 else "other"
    if n % 10 == 1 and n % 100 != 11:
        return "one"
    return "few" if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else "other"


def choose_language(asked: str | None, remembered: str | None, accepted: str) -> str:
    """Return the language of a page: the asked one, the remembered one, or the browser's wish.

    accepted: the header Accept-Language. Unknown languages are passed over; English is the last resort.
    """
    for name in (asked, remembered):
        if name in LANGUAGES:
            return str(name)
    wishes = []
    for number, part in enumerate(accepted.split(",")[:50]):
        name, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), number, name.split("-")[0].strip().lower()))
        except ValueError:
            continue
    return next((name for _, _, name in sorted(wishes) if name in LANGUAGES), DEFAULT)
