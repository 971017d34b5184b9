"""Copies: equal files and nearly equal pictures are never evidence for each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from snowmatch.catalog.table import Fields
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.unions import Unions
from snowmatch.photos.likeness import nearly_equal_pairs


def mark_passages(
    rows: Sequence[Fields],
    contents: Mapping[str, str],
    likenesses: Mapping[str, bytes],
    together: Sequence[tuple[str, str]] = (),
) -> list[Note]:
    """Write `passage` into each row: its encounter, or for encounters that share a picture, the name of the first one.

    contents: the sha256 of photos, by path, if known. likenesses: the same for likenesses. together: names of
    encounters that are one passage for another reason. Returns notes on pictures in several encounters, and on pictures
    with several individuals.
    """
    paths = sorted({fields["path"] for fields in rows})
    pairs = _equal_files(paths, contents) + _equal_pictures(paths, likenesses)
    encounters = {fields["path"]: fields["encounter"] for fields in rows}
    names = sorted(set(encounters.values()))
    number = {name: n for n, name in enumerate(names)}
    joined = Unions(len(names))
    for one, other in pairs:
        joined.join(number[encounters[one]], number[encounters[other]])
    for one, other in together:
        joined.join(number[one], number[other])
    for fields in rows:
        fields["passage"] = names[joined.group_of(number[fields["encounter"]])]
    return _copy_notes(rows, pairs, encounters)


def _equal_files(paths: Sequence[str], contents: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return pairs of paths with the same content, each with the first one."""
    first: dict[str, str] = {}
    pairs = []
    for path in paths:
        if content := contents.get(path, ""):
            one = first.setdefault(content, path)
            if one != path:
                pairs.append((one, path))
    return pairs


def _equal_pictures(paths: Sequence[str], likenesses: Mapping[str, bytes]) -> list[tuple[str, str]]:
    known = [path for path in paths if likenesses.get(path)]
    return [(known[i], known[j]) for i, j in nearly_equal_pairs([likenesses[path] for path in known])]


def _copy_notes(rows: Sequence[Fields], pairs: Sequence[tuple[str, str]], encounters: Mapping[str, str]) -> list[Note]:
    individuals: dict[str, set[str]] = defaultdict(set)
    for fields in rows:
        if fields.get("individual") is not None:
            individuals[fields["path"]].add(fields["individual"])
    across = sorted({pair for pair in pairs if encounters[pair[0]] != encounters[pair[1]]})
    notes = []
    if across:
        listed = some([f"{one} and {other}" for one, other in across])
        pairs_are = "pair of photos in different encounters is" if len(across) == 1 else "pairs of such photos are"
        text = f"{len(across)} {pairs_are} the same picture ({listed}): their encounters are no evidence for each other"
        notes.append(Note("copies", text, {"pairs": across}))
    named = [
        (one, other)
        for one, other in sorted(set(pairs))
        if individuals[one] and individuals[other] and individuals[one].isdisjoint(individuals[other])
    ]
    if named:
        listed = some(
            [
                f"{a} ({', '.join(sorted(individuals[a]))}) and {b} ({', '.join(sorted(individuals[b]))})"
                for a, b in named
            ]
        )
        text = (
            f"{counted(len(named), 'picture')} with the names of different individuals: {listed}: correct one of them"
        )
        notes.append(Note("copies-with-two-names", text, {"pairs": named}))
    return notes
