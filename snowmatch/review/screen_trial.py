"""The proof of a screening: how well the classifier in use, and one learned here, tell labelled photos apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.screened import PERSON, load_detections
from snowmatch.catalog.species import NOTHING, PEOPLE, species_key
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import cores
from snowmatch.core.notes import Note, unique
from snowmatch.core.plugins import settings
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.review.labels import SPECIES_COLUMN, grouped, notes_of_catalog, read_groups, read_labels
from snowmatch.review.screen_figures import Case, Kept, Told, measure_kept, measure_told, passages_of
from snowmatch.review.screen_folds import hold_out, learn_heads, learnable
from snowmatch.review.screen_looks import Progress, Seen, by_features, learned_from, look_at, network_of, tell_held_out
from snowmatch.screening.finders import choose_finders, without_classifier
from snowmatch.screening.head import Head
from snowmatch.screening.passages import KEEP, SHOWS, SPECIES

IN_USE, LEARNED = "in use", "learned"


@dataclass(frozen=True)
class Trial:
    """One classifier on the labelled photos. cases: of photos. kept: what `snowmatch screen` would keep of passages.

    heads: of the learned one, by fold; empty for the classifier in use.
    """

    name: str
    cases: tuple[Case, ...]
    photo: Told
    passage: Told
    kept: Kept | None
    heads: Mapping[int, Head] = field(repr=False)


@dataclass(frozen=True)
class Proof:
    """The result. by: what the folds hold together, "station" or "encounter"; "" if there is one fold only.

    classifier: its name and settings. labelled: number of photos of each kind. failed: path and reason of each photo.
    notes: the catalog's are last.
    people: the paths of photos of persons, by their labels, or by what a detector saw: they are shown to nobody.
    """

    catalog: Path
    classifier: Mapping[str, Any]
    labels: str
    labelled: Mapping[str, int]
    by: str
    folds: int
    trials: tuple[Trial, ...]
    failed: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]
    groups: Mapping[str, str]
    people: frozenset[str] = frozenset()


def prove(
    data: CatalogData,
    *,
    labels: str = SPECIES_COLUMN,
    groups: Path | None = None,
    species: str = SPECIES,
    keep: float = KEEP,
    threshold: float | None = None,
    workers: int | None = None,
    looking: Progress | None = None,
    telling: Progress | None = None,
) -> Proof:
    """Measure the classifier of the catalog's settings, and one that is learned here, on the labelled photos.

    labels: as of `read_labels`. groups: a table of species and their groups, which take their places. The learned one
    is a model on the features of the same network. It is cross-validated: each photo is told by a model that has
    learned from other stations, or from other encounters where there are too few stations. Photos of one content are
    never in two folds. species, keep, threshold: as for `screen_catalog`. looking, telling: functions that are called
    with (done, total) photos. Nothing is stored. Raises SnowmatchError if there is no classifier, if fewer than two
    kinds have labels, or if a value is wrong.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise SnowmatchError(f"the threshold is {threshold}, expected a probability from 0 to 1")
    if not 0 < keep < 1:
        raise SnowmatchError(f"the share to keep is {keep}, expected a number between 0 and 1, such as 0.99")
    notes: list[Note] = []
    group = {} if groups is None else read_groups(groups, notes)
    labelled = read_labels(data, labels, notes)
    shown = grouped(labelled, group, notes)
    if len(set(shown.values())) < 2:
        raise SnowmatchError(
            f"all labelled photos show {min(shown.values())!r}, expected two kinds or more, such as a species and "
            f"{NOTHING!r}"
        )
    classifier = choose_finders(data.settings.classifier).classifier
    if classifier is None:
        raise without_classifier(data.settings.classifier, "nothing can be measured without a classifier")
    network = network_of(classifier)
    if network is None:
        notes.append(Note("not-learnable", "no model is learned: the classifier in use has no features for one"))
    processes = min(cores() if workers is None else workers, len(shown))
    first = {a.path: a for a in reversed(data.annotations)}
    seen, failed = look_at(data.folder, list(shown), (classifier, network), processes, looking)
    photos = list(seen)
    if len({shown[path] for path in photos}) < 2:
        raise SnowmatchError(
            f"the labelled photos that can be read show fewer than two kinds; {counted(len(failed), 'photo')} cannot "
            f"be read: {some(sorted(failed))}"
        )
    kinds = [shown[path] for path in photos]
    by, folds = hold_out(photos, kinds, first, seen, notes)
    notes += _on_lessons(learned_from(classifier), {seen[path].sha256 for path in photos})
    known = {path: _merged(seen[path].classes, group) for path in photos}
    trials = [_trial(IN_USE, photos, kinds, first, folds, known, {}, kind_of(species, group), keep, threshold, notes)]
    if unknown := sorted(set(kinds) - set(known[photos[0]])):
        told = some([f"{kind} ({kinds.count(kind)})" for kind in unknown])
        text = (
            f"the classifier in use has no answer for {told}: such photos count against the kinds that it knows, and "
            "not in the share that is right"
        )
        notes.append(Note("kinds-not-known", text, {"kinds": unknown}))
    if network is not None:
        taught = learnable(photos, kinds, folds, notes)
        if taught:
            rows = [n for n, kind in enumerate(kinds) if kind in taught]
            heads = learn_heads(rows, photos, kinds, folds, seen, taught, settings(network)["name"])
            tasks = {photos[n]: int(folds[n]) for n in rows}
            answers: Mapping[str, Mapping[str, float]]
            if NOTHING in taught:
                answers = tell_held_out(data.folder, tasks, heads, processes, telling, failed)
            else:
                answers = {path: by_features(heads[fold], seen[path].features[0]) for path, fold in tasks.items()}
                text = (
                    f"no labelled photo shows {NOTHING}: the learned model is told by the part of each photo that is "
                    f"least likely {NOTHING}, and `--learn` needs such photos"
                )
                notes.append(Note("no-empty-photos", text))
            rows = [n for n in rows if photos[n] in answers]
            some_photos, some_kinds = [photos[n] for n in rows], [kinds[n] for n in rows]
            place = kind_of(species, group)
            trials.append(
                _trial(
                    LEARNED, some_photos, some_kinds, first, folds[rows], answers, heads, place, keep, threshold, notes
                )
            )
    return Proof(
        data.folder,
        settings(classifier),
        labels,
        dict(sorted(Counter(kinds).items())),
        by,
        len(set(folds.tolist())),
        tuple(trials),
        tuple(sorted(failed.items())),
        unique((*notes, *notes_of_catalog(data))),
        group,
        _of_people(data.folder, labelled, seen),
    )


def _on_lessons(taught: Collection[str] | None, photos: Collection[str]) -> list[Note]:
    """Return a note if the classifier in use has learned from labelled photos. taught: as `learned_from` returns them.

    photos: the sha256 of the labelled ones.
    """
    if taught is None:
        which = "the classifier's file does not tell its photos: if the labelled ones are among them,"
    elif lessons := len({*photos} & {*taught}):
        which = f"the classifier in use learned from {lessons} of {counted(len(photos), 'labelled photo')}:"
    else:
        return []
    return [
        Note("photos-learned-from", f"{which} its figures look better than they are", {"known": taught is not None})
    ]


def _of_people(folder: Path, labelled: Mapping[str, str], seen: Mapping[str, Seen]) -> frozenset[str]:
    """Return the photos of persons: by their own labels, which may be part of a group, or by an earlier screening."""
    detections = load_detections(folder)
    private = {s for s, found in detections.items() if any(d.label == PERSON and d.confidence >= SHOWS for d in found)}
    return frozenset(path for path, one in seen.items() if labelled[path].casefold() in PEOPLE or one.sha256 in private)


def kind_of(species: str, groups: Mapping[str, str]) -> str:
    """Return what counts as one kind with a species: its group, or the species as it is compared."""
    key = species_key(species)
    return groups.get(key, key)


def _merged(classes: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, float]:
    """Return the scores of groups: the highest of their species."""
    found: dict[str, float] = {}
    for name, score in classes.items():
        kind = kind_of(name, groups)
        found[kind] = max(found.get(kind, 0.0), score)
    return found


def _trial(
    name: str,
    photos: Sequence[str],
    kinds: Sequence[str],
    first: Mapping[str, Annotation],
    folds: np.ndarray,
    scores: Mapping[str, Mapping[str, float]],
    heads: Mapping[int, Head],
    species: str,
    keep: float,
    threshold: float | None,
    notes: list[Note],
) -> Trial:
    cases = tuple(
        Case(path, first[path].encounter, kind, int(fold), scores[path])
        for path, kind, fold in zip(photos, kinds, folds, strict=True)
    )
    passages, mixed = passages_of(cases)
    if mixed:
        text = f"{counted(len(mixed), 'passage')} with two species left out of the figures by passage: {some(mixed)}"
        notes.append(Note("passages-of-two-species", text, {"encounters": mixed}))
    kept = measure_kept(passages, species, keep, threshold)
    return Trial(name, cases, measure_told(cases), measure_told(passages), kept, heads)
