"""hloc: keypoints and descriptors of the catalog's index as HDF5, for hloc, LightGlue and glue-factory."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import ClassVar

from snowmatch.catalog.records import load_records
from snowmatch.catalog.states import annotation_states
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path
from snowmatch.core.notes import Note
from snowmatch.core.text import choices
from snowmatch.features.hloc import hloc_file
from snowmatch.features.reader import list_features, open_features
from snowmatch.identify.method import extractor_in_use, settings_text
from snowmatch.interchange.exporting import Export
from snowmatch.survey.tables import to_csv


@dataclass(frozen=True)
class Hloc:
    """Stored features of all photos that are indexed.

    extractor: name of one that the catalog is indexed with; "" if there is one only. Of several settings of it, those
    that queries use are exported.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"
    COUNTS: ClassVar[bool] = False

    extractor: str = ""

    def files(self, given: Export) -> Mapping[str, bytes | mmap]:
        """Return features.h5, with a group for each photo, and images.csv, which says what each group shows.

        hloc splits lists of pairs at blanks, so names of groups have "_" instead, and it takes "/" and "-" for the same
        in the names of pairs. Raises SnowmatchError if the catalog
        is not indexed.
        """
        data = given.survey.data
        folder = features_path(data.folder)
        known = [str(described["name"]) for described in list_features(folder)]
        if not known:
            raise SnowmatchError(
                f"{data.folder} has no features: index it first", "not-indexed", catalog=str(data.folder)
            )
        name = self.extractor or (known[0] if len(set(known)) == 1 else "")
        described = extractor_in_use(data.folder, name) if name else None
        if described is None:
            raise SnowmatchError(f"extractor {name!r}; {choices(name, sorted({*known}))} (-o extractor=NAME)")
        if known.count(name) > 1:
            used = settings_text(described)
            text = f"features of {name} in several settings or versions: those with {used} are written"
            given.notes.append(Note("several-settings", text))
        reader = open_features(folder, described)
        states = annotation_states(data.folder, data.annotations, load_records(data.folder), reader.keys)
        keys: dict[str, list[str]] = defaultdict(list)
        rows: list[Sequence[object]] = []
        groups: dict[str, str] = {}
        unread = 0
        for a, state in sorted(zip(data.annotations, states, strict=True), key=lambda pair: pair[0].path):
            if state.key is None:
                unread += 1
                continue
            group = re.sub(r"\s+", "_", a.path)
            pair = group.replace("/", "-")
            if groups.setdefault(pair, a.path) != a.path:
                raise SnowmatchError(f"{groups[pair]} and {a.path} are one name for hloc: rename one of them")
            keys[group].append(state.key)
            rows.append((group, a.path, a.individual, a.body_part))
        given.leave_out(unread, "annotation", f"it has no features of {name} that fit its photo")
        images = to_csv((("image", "path", "individual_id", "body_part"), rows))
        once = {group: tuple(dict.fromkeys(each)) for group, each in keys.items()}  # of animals without boxes, one key
        return {"features.h5": hloc_file(reader, once), "images.csv": images}


PLUGIN = Hloc
