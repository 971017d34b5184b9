"""The previews of one index run: a photo is decoded once for its own map and for those of all its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snowmatch.core.executor import Cluster, Here, Pool, in_order
from snowmatch.screening.scenes import Companions, Finders, read_preview

KEPT_BYTES = 256 << 20  # of previews that wait for their maps: 6,000 of photos with sides of 4 : 3


class Previews:
    """Grey pixels (h, w) uint8 of previews, by the sha256 of their photos, as far as they fit into KEPT_BYTES."""

    def __init__(self) -> None:
        self._kept: dict[str, np.ndarray] = {}
        self._size = 0

    @property
    def full(self) -> bool:
        """Whether no more fit."""
        return self._size >= KEPT_BYTES

    def get(self, content: str) -> np.ndarray | None:
        """Return the preview of a photo; None if it is not kept."""
        return self._kept.get(content)

    def add(self, content: str, grey: np.ndarray) -> None:
        """Keep a preview, if it fits."""
        if not self.full and content not in self._kept:
            self._kept[content] = grey
            self._size += grey.nbytes

    def drop(self, content: str) -> None:
        """Forget a preview that is not needed any more."""
        if (grey := self._kept.pop(content, None)) is not None:
            self._size -= grey.nbytes


@dataclass(frozen=True)
class Decode:
    """The task to make the preview of a photo: (h, w) uint8; None if it cannot be read."""

    path: str
    content: str

    def run(self, folder: Path, finders: Finders) -> np.ndarray | None:
        """Decode the photo. folder: the catalog's folder."""
        preview = read_preview(folder / self.path, self.content)
        return None if preview is None else preview.grey.astype(np.uint8)


def decoded(
    pool: Here | Pool | Cluster, to_do: Mapping[str, Companions], previews: Previews
) -> Iterator[tuple[str, tuple[np.ndarray | None, ...]]]:
    """Yield each key of `to_do` with the previews of the photo and its companions, as soon as they are decoded.

    Each photo is decoded once, by any worker, some photos ahead. None for a photo that cannot be read, or whose preview
    does not fit: whoever looks at it reads it itself. A preview is dropped after its last use. On a cluster nothing is
    decoded here: workers read photos from the shared folder.
    """
    if isinstance(pool, Cluster):
        yield from ((key, ()) for key in to_do)
        return
    uses = Counter(content for seen in to_do.values() for _, content in seen.photos)
    paths = {content: path for seen in to_do.values() for path, content in seen.photos}
    wanted = [content for content in uses if previews.get(content) is None]
    coming, missing = in_order(pool, wanted, lambda content: _task(paths[content], content, previews)), set(wanted)
    for key, seen in to_do.items():
        for _, content in seen.photos:
            while content in missing:
                ready, grey = next(coming)
                missing.remove(ready)
                if grey is not None:
                    previews.add(ready, grey)
        yield key, tuple(previews.get(content) for _, content in seen.photos)
        uses.subtract(content for _, content in seen.photos)
        for _, content in seen.photos:
            if not uses[content]:
                previews.drop(content)


def _task(path: str, content: str, previews: Previews) -> Decode | None:
    return None if previews.full else Decode(path, content)
