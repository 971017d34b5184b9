"""Copies: equal files and nearly equal pictures are never evidence for each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

from snowmatch.catalog.table import Fields
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.unions import Unions
from snowmatch.photos.facts import PhotoFacts
from snowmatch.photos.likeness import nearly_equal_pairs


def mark_passages(
    rows: Sequence[Fields],
    contents: Mapping[str, str],
    facts: Mapping[str, PhotoFacts],
    together: Sequence[tuple[str, str]] = (),
) -> list[Note]:
    """Write `passage` into each row: its encounter, or for encounters that share a picture, the name of the first one.

    contents: the sha256 of photos, by path, if known. facts: the same for facts. together: names of encounters that are
    one passage for another reason. Returns notes on pictures in several encounters, and on pictures with several
    individuals.
    """
    paths = sorted({fields["path"] for fields in rows})
    encounters = {fields["path"]: fields["encounter"] for fields in rows}
    individuals: dict[str, set[str]] = defaultdict(set)
    for fields in rows:
        if fields.get("individual") is not None:
            individuals[fields["path"]].add(fields["individual"])
    names = sorted(set(encounters.values()))
    number = {name: n for n, name in enumerate(names)}
    joined = Unions(len(names))
    for one, other in together:
        joined.join(number[one], number[other])
    pairs = _equal_files(paths, contents)
    for one, other in pairs:
        joined.join(number[encounters[one]], number[encounters[other]])
    # Of equal files with equal names, the first stands for all
    apart = {(contents.get(path) or path, frozenset(individuals[path])): path for path in reversed(paths)}
    known = [path for path in sorted(apart.values()) if path in facts and facts[path].likeness]
    exposed = {path: facts[path].exposed for path in known}
    passages = {path: joined.group_of(number[encounters[path]]) for path in known}
    nearly = _equal_pictures(known, facts, exposed, passages, individuals)
    for one, other in nearly:
        joined.join(number[encounters[one]], number[encounters[other]])
    # Frames of one encounter are different exposures, but show one animal if they look alike
    named = [path for path in known if individuals[path]]
    frames = _equal_pictures(named, facts, encounters, dict.fromkeys(named, 0), individuals)
    for fields in rows:
        fields["passage"] = names[joined.group_of(number[fields["encounter"]])]
    return _copy_notes(pairs + nearly + frames, encounters, individuals)


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


def _equal_pictures(
    paths: Sequence[str],
    facts: Mapping[str, PhotoFacts],
    moments: Mapping[str, Hashable | None],
    groups: Mapping[str, int],
    individuals: Mapping[str, set[str]],
) -> list[tuple[str, str]]:
    """Return pairs of paths with nearly equal pictures. See `nearly_equal_pairs`."""
    pairs = nearly_equal_pairs(
        [facts[path].likeness for path in paths],
        [moments[path] for path in paths],
        [groups[path] for path in paths],
        [frozenset(individuals[path]) or None for path in paths],
    )
    return [(paths[i], paths[j]) for i, j in pairs]


def _copy_notes(
    pairs: Sequence[tuple[str, str]], encounters: Mapping[str, str], individuals: Mapping[str, set[str]]
) -> list[Note]:
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
