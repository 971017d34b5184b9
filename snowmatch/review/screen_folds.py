"""What is held out together when a model is learned from labelled photos, and the model of each fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from snowmatch.catalog.species import NOTHING
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.core.unions import Unions
from snowmatch.review.screen_looks import Seen
from snowmatch.screening.folds import folds_of
from snowmatch.screening.head import FEWEST, Head, learn_head


def hold_out(
    photos: Sequence[str],
    kinds: Sequence[str],
    first: Mapping[str, Annotation],
    seen: Mapping[str, Seen],
    notes: list[Note],
) -> tuple[str, np.ndarray]:
    """Return what the folds hold together, and the fold of each photo."""
    station = [_station(first[path]) or first[path].encounter for path in photos]
    named = {_station(first[path]) for path in photos} - {""}
    contents = [seen[path].sha256 for path in photos]
    folds = folds_of(with_copies(station, contents), kinds)
    if len(named) > 1 and _enough(folds, kinds):
        if bare := sum(not _station(first[path]) for path in photos):
            text = f"{counted(bare, 'photo')} without a station: those of one encounter are held out together"
            notes.append(Note("no-station", text, {"count": bare}))
        return "station", folds
    by_encounter = folds_of(with_copies([first[path].encounter for path in photos], contents), kinds)
    few = f"{counted(len(named), 'station')}" if len(named) < 2 else "a kind is seen at too few stations"
    text = f"cross-validated by encounter, not by station ({few}): photos of one place may help each other"
    notes.append(Note("not-by-station", text, {"stations": len(named)}))
    return ("encounter" if by_encounter.max() else ""), by_encounter


def _station(a: Annotation) -> str:
    return f"{a.location}/{a.station}" if a.station else ""


def with_copies(groups: Sequence[str], contents: Sequence[str]) -> list[str]:
    """Return the groups of photos; those that share a photo of one content are one. contents: the photos' sha256."""
    names = sorted(set(groups))
    number = {name: n for n, name in enumerate(names)}
    together = Unions(len(names))
    first: dict[str, int] = {}
    for group, content in zip(groups, contents, strict=True):
        together.join(first.setdefault(content, number[group]), number[group])
    return [names[together.group_of(number[group])] for group in groups]


def _enough(folds: np.ndarray, kinds: Sequence[str]) -> bool:
    """Return whether without any fold each kind that can be learned has FEWEST photos or more."""
    counts = Counter(kinds)
    for fold in set(folds.tolist()):
        left = Counter(kind for kind, own in zip(kinds, folds, strict=True) if own != fold)
        if any(left[kind] < FEWEST for kind in counts if counts[kind] >= FEWEST):
            return False
    return True


def learnable(photos: Sequence[str], kinds: Sequence[str], folds: np.ndarray, notes: list[Note]) -> tuple[str, ...]:
    """Return the kinds with enough photos in the other folds of each fold, NOTHING last; none if fewer than two."""
    counts = Counter(kinds)
    few = []
    for kind in sorted(counts):
        of_fold = Counter(folds[[k == kind for k in kinds]].tolist())
        if counts[kind] - max(of_fold.values()) < FEWEST:
            few.append(kind)
    if few:
        told = some([f"{kind} ({counts[kind]})" for kind in few])
        text = f"no model learned, fewer than {FEWEST} photos outside one of the folds: {told}"
        notes.append(Note("kinds-not-learned", text, {"kinds": few}))
    names = sorted(set(kinds) - set(few), key=lambda kind: (kind == NOTHING, kind))
    return tuple(names) if len(names) > 1 else ()


def learn_heads(
    rows: Sequence[int],
    photos: Sequence[str],
    kinds: Sequence[str],
    folds: np.ndarray,
    seen: Mapping[str, Seen],
    names: tuple[str, ...],
    network: str,
) -> dict[int, Head]:
    """Return the model of each fold, learned from the photos of all others, their views included."""
    features = np.array([seen[photos[n]].features for n in rows], np.float64)
    labels, own = [kinds[n] for n in rows], folds[list(rows)]
    heads = {}
    for fold in sorted(set(own.tolist())):
        others = own != fold
        of = [label for label, other in zip(labels, others, strict=True) if other]
        heads[fold] = replace(learn_head(features[others], of, names), network=network)
    return heads
