"""A catalog in as few bytes as possible: what can be made again is dropped, and answers stay the same."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.database import shrink
from snowmatch.catalog.disk import disk_sizes, told_sizes
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path, home_of, indexes_path
from snowmatch.core.notes import Note
from snowmatch.features.indexing import note_on_removed
from snowmatch.features.made_with import index_folder, indexes_of_others
from snowmatch.features.reader import list_features
from snowmatch.features.writer import FeatureWriter
from snowmatch.matching.search.shelf import drop_blocks


@dataclass(frozen=True)
class Compacted:
    """The bytes of each kind of kept files, by name, before and after. notes: on damaged features that were removed."""

    before: dict[str, int]
    after: dict[str, int]
    notes: tuple[Note, ...] = ()

    def summary(self, annotations: int) -> str:
        """Return the result as text."""
        before, after = (told_sizes(sizes, annotations) for sizes in (self.before, self.after))
        text = f"on disk before: {before}\non disk now: {after}"
        return text + "\nThe next query, or the next index run, makes the search index again, as it was."


def compact_catalog(folder: Path) -> Compacted:
    """Drop previews, search blocks and free space of the database, merge files of features, and return the sizes.

    Features, codebooks, foreground maps and answers of earlier batches stay. Search blocks that are made again with
    their codebook give the same answers. Raises SnowmatchError if the catalog is being indexed or cannot be written.
    """
    previews = home_of(folder) / "previews"
    if previews.is_symlink():
        raise SnowmatchError(f"{previews} is a link; snowmatch deletes only in real folders there: remove the link")
    before, notes = disk_sizes(folder), []
    for described in list_features(features_path(folder)):
        with FeatureWriter(features_path(folder), described) as writer:
            writer.compact()
            if writer.damaged_files or writer.lost:
                notes.append(note_on_removed(folder, described))
            own = index_folder(indexes_path(folder), writer.folder)
            drop_blocks(own)
            for other in indexes_of_others(own, writer.folder):
                shutil.rmtree(other, ignore_errors=True)
    shrink(folder)
    shutil.rmtree(previews, ignore_errors=True)  # on Windows, what a browser reads at this moment stays
    return Compacted(before, disk_sizes(folder), tuple(notes))
