"""The teaching of a classifier: from the catalog's column `species` to a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.screened import UNKNOWN
from snowmatch.catalog.settings import TAUGHT
from snowmatch.catalog.species import species_key
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import cores, in_order, open_pool
from snowmatch.core.files import file_sha256
from snowmatch.core.notes import Note, unique
from snowmatch.core.outputs import check_file
from snowmatch.core.plugins import Classifier, make_plugin
from snowmatch.core.text import choices, counted, share_text, some
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_small
from snowmatch.review.labels import notes_of_catalog, several_notes
from snowmatch.review.screen_folds import with_copies
from snowmatch.screening.augment import views_of
from snowmatch.screening.classifiers.learned import NETWORKS
from snowmatch.screening.finders import DEFAULT_CLASSIFIER
from snowmatch.screening.head import held_out_share, is_head, known_species, learn_head, save_head
from snowmatch.screening.scenes import LEAST


@dataclass(frozen=True)
class Taught:
    """The result. species: photos of each species. right: share of photos that are told right by a model learned from
    other places; NaN if there are too few. failed: the path and the reason of each photo that failed. places: what was
    held out: `stations`, `encounters` where photos have no station, or both in words. notes: the catalog's are last.
    """

    species: tuple[tuple[str, int], ...]
    right: float
    failed: tuple[tuple[str, str], ...]
    places: str
    notes: tuple[Note, ...]

    def summary(self) -> str:
        """Return the result as one line of text."""
        told = ", ".join(f"{name} {count}" for name, count in self.species)
        share = f"not known: too few {self.places}" if np.isnan(self.right) else share_text(self.right)
        where = f"{'at' if self.places == 'stations' else 'in'} {self.places}"
        return f"learned from {told} photos; told right {where} that were not learned from: {share}"


@dataclass(frozen=True)
class Describe:
    """The task to compute the features of one photo and its views. The result is the photo's sha256 and the features
    (V, F), or the reason of a failure."""

    photo: str

    def run(self, folder: Path, classifier: Classifier) -> tuple[str, np.ndarray] | Failure:
        """Compute the features. folder: the catalog's folder."""
        return or_failure(folder / self.photo, _describe, classifier)

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.photo


def _describe(path: Path, classifier: Classifier) -> tuple[str, np.ndarray]:
    content, views = file_sha256(path), views_of(read_small(path, LEAST))
    return content, np.array([classifier.classify(view).features for view in views])


def teach(
    data: CatalogData,
    out: Path,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    network: str = DEFAULT_CLASSIFIER,
    force: bool = False,
) -> Taught:
    """Learn the species of the catalog's column `species`, and write the classifier to `out`.

    A photo of several species, or of the species UNKNOWN, is skipped, with a note. network: the classifier whose
    features are used. progress: a function that is called with (done, total) photos. force: a file that snowmatch did
    not write is replaced too. Raises SnowmatchError if there are too few labelled photos, or if the file may not be
    written.
    """
    if out.suffix != TAUGHT:
        raise SnowmatchError(
            f"{out} does not end with {TAUGHT}, as a classifier does: choose another name", "choose-output"
        )
    check_file(out, data.folder, is_head, force=force)
    if network not in NETWORKS:
        raise SnowmatchError(f"no species can be learned on {network!r}, {choices(network, list(NETWORKS))}")
    named: dict[str, set[str]] = {}
    place: dict[str, str] = {}
    kinds: dict[str, str] = {}
    unknown: set[str] = set()
    for a in data.annotations:
        if (label := species_key(a.species)) == UNKNOWN:  # as an answer, it would say that no network has seen a photo
            unknown.add(a.path)
        elif label:
            named.setdefault(a.path, set()).add(label)
            place[a.path] = f"{a.location}/{a.station}" if a.station else a.encounter
            kinds[a.path] = "stations" if a.station else "encounters"
    photos = sorted(path for path, species in named.items() if len(species) == 1 and path not in unknown)
    known_species([next(iter(named[photo])) for photo in photos])  # too few labels are told before the photos are read
    classifier = make_plugin("classifiers", network)
    classifier.check()
    found: dict[str, np.ndarray] = {}
    contents: dict[str, str] = {}
    failed: dict[str, str] = {}
    with open_pool(min(cores() if workers is None else workers, len(photos)), (data.folder, classifier)) as pool:
        for done, (photo, result) in enumerate(in_order(pool, photos, Describe), start=1):
            if isinstance(result, Failure):
                failed[photo] = result
            else:
                contents[photo], found[photo] = result
            if progress is not None:
                progress(done, len(photos))
    labels = [next(iter(named[photo])) for photo in found]
    known_species(labels)  # photos that failed do not count
    features = np.array(list(found.values()), np.float64)
    save_head(out, replace(learn_head(features, labels), network=network, photos=frozenset(contents.values())))
    notes = unique((*several_notes(named), *_unknown_notes(unknown), *notes_of_catalog(data)))
    groups = with_copies([place[photo] for photo in found], [contents[photo] for photo in found])
    right = held_out_share(features, labels, groups)
    places = " and ".join(sorted({kinds[photo] for photo in found}, reverse=True))
    return Taught(tuple(sorted(Counter(labels).items())), right, tuple(sorted(failed.items())), places, notes)


def _unknown_notes(photos: Collection[str]) -> list[Note]:
    """Return a note on photos of an unknown species, which teach nothing; none without them."""
    if not photos:
        return []
    text = f"{counted(len(photos), 'photo')} of an {UNKNOWN} species left out: {some(sorted(photos))}"
    return [Note("species-unknown", text, {"photos": sorted(photos)})]
