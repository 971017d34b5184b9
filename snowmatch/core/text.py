"""Text for people: names made printable, numbers, lists, tables, and the nearest word to one that is unknown."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any

_SPELLINGS = (
    "а=a б=b в=v г=g д=d е=e ё=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=kh ц=ts ч=ch ш=sh "
    "щ=shch ъ= ы=y ь= э=e ю=yu я=ya ң=ng ө=o ү=u ә=a ғ=g қ=q ұ=u һ=h і=i ї=yi є=ye ґ=g"
)
_SOUNDS = dict(spelling.split("=") for spelling in _SPELLINGS.split())
_CYRILLIC = str.maketrans({**_SOUNDS, **{c.upper(): sound.capitalize() for c, sound in _SOUNDS.items()}})


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A closing remark that names the known word nearest to `word`, or nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def choices(word: str, known: Sequence[str]) -> str:
    """What is allowed instead of `word`, and which of it is nearest."""
    return f"expected one of {', '.join(known)}{did_you_mean(word, known)}"


def same_name(text: str) -> str:
    """A name as it is compared: macOS stores accents and the Cyrillic й as two characters, others as one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def some(items: Sequence[Any]) -> str:
    """The first few items of a long list, as text."""
    return ", ".join(map(str, items[:5])) + (", ..." if len(items) > 5 else "")


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """The lines of a table, as wide as its texts take in a terminal; columns named in `right` are set to the right."""
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(map(_pad, row, widths, (name in right for name in head))) for row in (head, *rows)]


def _pad(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _width(text: str) -> int:
    """Terminal columns that `text` takes: two for wide characters and emoji, none for combining accents."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text
    )


def listed(names: Iterable[str], most: int) -> str:
    """The first `most` names, printable, and how many more there are."""
    names = [printable(name) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, word: str, several: str = "") -> str:
    """The number with its word: "1 photo", "2 photos"; `several` is the plural where it is not the word with an s."""
    return f"{number} {word}" if number == 1 else f"{number} {several or word + 's'}"


def percent(probability: float | None) -> str:
    """As whole percent; above 99 and below 1 with the digits that tell it from certainty; "" where there is none."""
    if probability is None:
        return ""
    if 0.01 <= probability <= 0.99:
        return f"{100 * probability:.0f} %"
    if probability < 0.001:
        return "below 0.1 %"
    return f"{100 * min(probability, 0.9999):.2f} %" if probability > 0.99 else f"{100 * probability:.1f} %"


def printable(text: str) -> str:
    """`text` with control, direction and invisible characters shown as escapes: names are data, not orders."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c
        for c in text
    )


def transliterated(text: str) -> str:
    """`text` in ASCII: Cyrillic letters by sound, other letters without accents, "?" for the rest."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).translate(_CYRILLIC))
    return "".join(c if c.isascii() else "?" for c in letters if not unicodedata.combining(c))
