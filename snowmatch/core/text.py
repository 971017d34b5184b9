"""Text for people: printable names, numbers, lists, tables, and suggestions for misspelt words."""

from __future__ import annotations

import difflib
import heapq
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

_SPELLINGS = (
    "а=a б=b в=v г=g д=d е=e ё=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=kh ц=ts ч=ch ш=sh "
    "щ=shch ъ= ы=y ь= э=e ю=yu я=ya ң=ng ө=o ү=u ә=a ғ=g қ=q ұ=u һ=h і=i ї=yi є=ye ґ=g"
)
_SOUNDS = dict(spelling.split("=") for spelling in _SPELLINGS.split())
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(\s[0-9]{3})+(\.[0-9]*)?")  # 1 250
_UNCLEAR = re.compile(r"[-+\N{MINUS SIGN}]?[1-9][0-9]{0,2},[0-9]{3}")
SHORT = 30  # words that an error lists; of more it tells the nearest ones
NEAR = 0.6  # share of letters in common, in the same order, from which a word is suggested; the default of difflib
ABOUT = 0.2  # further suggestions have a share that is smaller than that of the nearest word by this at most; chosen
COMPARED = 500  # words that are compared letter by letter, which takes up to 1 ms for each; chosen
JOINERS = "\u200c\u200d"  # invisible characters that join letters or keep them apart
_CYRILLIC = str.maketrans({**_SOUNDS, **{c.upper(): sound.capitalize() for c, sound in _SOUNDS.items()}})


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the known words that `word` may mean, the nearest first; [] if none is near.

    Of equally near words, the one whose length differs less is first, then the one that is first in `known`. Others
    than the nearest must be about as near. Of many words, only those with the most letters in common are compared.
    """
    matcher = difflib.SequenceMatcher(b=word)
    letters = Counter(word)
    shared: list[tuple[float, int, int, str]] = []
    for number, other in enumerate(dict.fromkeys(known)):
        total = (len(word) + len(other)) / 2
        if min(len(word), len(other)) >= NEAR * total > 0:
            common = sum(min(count, other.count(letter)) for letter, count in letters.items())
            if common >= NEAR * total:
                shared.append((-common / total, abs(len(other) - len(word)), number, other))
    found = []
    for _, apart, number, other in heapq.nsmallest(COMPARED, shared):
        matcher.set_seq1(other)
        if (ratio := matcher.ratio()) >= NEAR:
            found.append((-ratio, apart, number, other))
    best = heapq.nsmallest(3, found)
    return [other for ratio, *_, other in best if ratio - best[0][0] <= ABOUT]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a remark that suggests the known words nearest to `word`, at most three; "" if no known word is near."""
    near = [repr(other) for other in nearest(word, known)]
    if not near:
        return ""
    *first, last = near
    return f" (did you mean {', '.join(first)} or {last}?)" if first else f" (did you mean {last}?)"


def choices(word: str, known: Sequence[str]) -> str:
    """Return a text that lists the allowed words and suggests those nearest to `word`, at most three.

    Of more than 30 words, only the nearest are told, or the first ones if none is near.
    """
    near = did_you_mean(word, known)
    if len(known) <= SHORT:
        return f"expected one of {', '.join(known)}{near}"
    return f"expected one of {counted(len(known), 'name')}{near}" if near else f"expected one of {listed(known, SHORT)}"


def same_name(text: str) -> str:
    """Return a name in Unicode NFC, so that equal names compare equal.

    macOS stores an accented letter or the Cyrillic й as two characters; other systems store one.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def some(items: Sequence[Any]) -> str:
    """Return the first five items as text. "..." stands for the rest of a longer list."""
    return ", ".join(map(str, items[:5])) + (", ..." if len(items) > 5 else "")


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """Return the lines of a table for a terminal. Each column is as wide as its longest text.

    right: the names of the columns that are aligned to the right.
    """
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(map(_pad, row, widths, (name in right for name in head))) for row in (head, *rows)]


def _pad(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _width(text: str) -> int:
    """Return the width of `text` in terminal columns: 2 for a wide character or emoji, 0 for a combining accent."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text
    )


def listed(names: Iterable[str], most: int) -> str:
    """Return the first `most` names as printable text, and the number of the remaining names."""
    names = [printable(name) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shortened(text: str, most: int) -> str:
    """Return `text` with at most `most` characters: of a longer one, its beginning and its end."""
    head = (most - 1) // 2
    return text if len(text) <= most else f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def counted(number: int, word: str, several: str = "") -> str:
    """Return the number with its noun: "1 photo", "2 photos". several: the plural, if it is not the word with an s."""
    return f"{number} {word}" if number == 1 else f"{number} {several or word + 's'}"


def percent(probability: float | None, bounds: Sequence[float] = ()) -> str:
    """Return a probability (0 to 1) as percent. None gives "".

    Above 99 % and below 1 % the text has decimals, so that it never shows 100 % or 0 %. bounds: the lowest probability
    of each level; a probability below a bound is never shown as the bound, so that no "good 99 %" appears if excellent
    begins at 99 %.
    """
    if probability is None:
        return ""
    if probability < 0.001:
        return "below 0.1 %"
    decimals = 2 if probability > 0.99 else 0 if probability >= 0.01 else 1
    shown = _rounded(min(probability, 0.9999), decimals)
    while decimals < 4 and any(probability < bound <= shown for bound in bounds):
        decimals += 1
        shown = _rounded(probability, decimals)
    if any(probability < bound <= shown for bound in bounds):
        shown = math.floor(probability * 10**6) / 10**6
    return f"{100 * shown:.{decimals}f} %"


def share_text(share: float, decimals: int = 0) -> str:
    """Return a share (0 to 1) as percent, with more decimals where it would read 0 % or 100 % and is not."""
    while decimals < 4 and 0 < share < 1 and round(100 * share, decimals) in (0, 100):
        decimals += 1
    return f"{100 * share:.{decimals}f} %"


def _rounded(probability: float, decimals: int) -> float:
    return round(100 * probability, decimals) / 100


def printable(text: str) -> str:
    """Return `text` with control, direction and invisible characters as escapes: a name must not alter the output."""
    return "".join(c.encode("unicode_escape").decode() if _hidden(c) else c for c in text)


def _hidden(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def is_visible(name: str) -> bool:
    """Return whether the name of a person has visible characters only.

    The two joiners that words in Persian, Urdu or Hindi have are allowed, after an Arabic letter or a virama.
    """
    return all(c.isprintable() or (c in JOINERS and _joins(before)) for before, c in pairwise(f" {name}"))


def _joins(c: str) -> bool:
    return unicodedata.bidirectional(c) == "AL" or unicodedata.combining(c) == 9  # the class of all viramas


def printable_lines(text: str) -> str:
    """Return `text` as `printable` does, but keep its line breaks: everything that is printed goes through it."""
    return "\n".join(printable(line) for line in text.split("\n"))


def escaped_json(text: str) -> str:
    r"""Return JSON text with its control, direction and invisible characters as \uXXXX: the values stay the same."""
    return "".join(
        c if c == "\n" or not _hidden(c) else json.dumps(c)[1:-1] if ord(c) != 0x7F else "\\u007f" for c in text
    )


def number_in(text: str) -> str:
    """Return a text that is a number with a decimal point and without blanks, or "" if it is no number.

    A comma is a decimal point, and blanks may be between groups of three digits.
    """
    plain = text.strip().replace("\N{MINUS SIGN}", "-").replace(",", ".")
    plain = re.sub(r"\s", "", plain) if _GROUPED.fullmatch(plain) else plain
    return plain if _NUMBER.fullmatch(plain) else ""


def unclear_comma(text: str) -> bool:
    """Return whether the comma of a number may be a decimal point or separate thousands, as in 3,850."""
    return _UNCLEAR.fullmatch(text.strip()) is not None


def plain_cell(text: str) -> str:
    """Return a cell of a csv table as printable text that no spreadsheet takes for a formula.

    A text that begins with =, +, - or @ gets a quotation mark in front, unless it is a number. Source: OWASP, "CSV
    injection".
    """
    shown = printable(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) and not number_in(shown) else shown


def transliterated(text: str) -> str:
    """Return `text` in ASCII: Cyrillic letters by sound, other letters without accents, "?" for other characters."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).translate(_CYRILLIC))
    return "".join(c if c.isascii() else "?" for c in letters if not unicodedata.combining(c))


def file_part(text: str) -> str:
    """Return `text` as a part of a file name that all systems accept: letters, digits, `-` and `_`, at most 60."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", transliterated(text))[:60].strip("_")
