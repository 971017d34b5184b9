"""How far the screening of a catalog is: how many photos it looked at, and what it said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import load_records
from snowmatch.catalog.screened import KEPT, UNKNOWN, load_screened


@dataclass(frozen=True)
class ScreeningProgress:
    """The last screening of a catalog. photos: in the catalog. species: that was asked for.

    answers: photos by what the screening said; KEPT for those that may show the species.
    """

    photos: int
    species: str
    answers: Mapping[str, int]

    @property
    def screened(self) -> int:
        """Photos that have an answer, without those that are `unknown`."""
        return self.answered - self.answers.get(UNKNOWN, 0)

    @property
    def answered(self) -> int:
        """Photos that have any answer."""
        return sum(self.answers.values())

    @property
    def kept(self) -> int:
        """Photos that may show the species."""
        return self.answers.get(KEPT, 0)


def screening_progress(data: CatalogData) -> ScreeningProgress | None:
    """Return how far the screening of a catalog is; None if it was never screened.

    A photo that changed since it was screened may count as it was. Raises SnowmatchError if a newer version wrote the
    database.
    """
    found = load_screened(data.folder)
    if found is None:
        return None
    photos, known = {a.path for a in data.annotations}, load_records(data.folder).photos
    contents = (known[path].sha256 for path in sorted(photos) if path in known)
    answers = Counter(found.answers[content] for content in contents if content in found.answers)
    return ScreeningProgress(len(photos), found.species, dict(answers.most_common()))
