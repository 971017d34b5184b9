"""What `import snowmatch` offers: open a catalog, index it, ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from snowmatch.catalog.find import find_catalog
from snowmatch.catalog.load import CatalogData, load_catalog
from snowmatch.catalog.records import load_records
from snowmatch.catalog.settings import SettingsOptions
from snowmatch.confidence.score_table import save_table
from snowmatch.core.notes import Note
from snowmatch.core.plugins import make_plugin
from snowmatch.features.extractors import check_extractor
from snowmatch.features.indexing import IndexReport, index_catalog
from snowmatch.identify.answer import Answer
from snowmatch.identify.ask import ask
from snowmatch.identify.catalog_notes import catalog_notes
from snowmatch.identify.method import (
    DEFAULT_EXTRACTOR,
    DEFAULT_MATCHER,
    Method,
    MethodOptions,
    changed_settings,
    choose_method,
)
from snowmatch.identify.question import Photo, QuestionOptions, make_question
from snowmatch.identify.session import Galleries, Session, build_index, open_session
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.models.cache import add_weights
from snowmatch.models.download import download_weights
from snowmatch.models.registry import known_weights

if TYPE_CHECKING:
    from snowmatch.identify.calibrate import Calibrated
    from snowmatch.identify.evaluate import Evaluation

__all__ = ["DEFAULT_EXTRACTOR", "DEFAULT_MATCHER", "Catalog", "Geometry", "Session", "changed_settings", "open_catalog"]
__all__ += ["add_weights", "download_weights", "find_catalog", "known_weights", "save_table"]

Progress = Callable[[int, int], None]


def open_catalog(folder: str | Path, **settings: Unpack[SettingsOptions]) -> Catalog:
    """The catalog in `folder`; `settings` (see CatalogSettings) in place of those that it keeps. `index` keeps them."""
    return Catalog(load_catalog(Path(folder), load_records(Path(folder)), settings))


@dataclass(eq=False)
class Catalog:
    """What was on record in one folder when it was opened, or indexed; several threads may ask it at the same time.

    `method`, in all methods: extractor, matcher and options, as on the command line; without extractor those that the
    catalog is indexed with. `progress` is called with (done, total). SnowmatchError for what the user can mend.
    """

    data: CatalogData
    _galleries: Galleries = field(default_factory=Galleries, repr=False)

    @property
    def folder(self) -> Path:
        """Of the catalog."""
        return self.data.folder

    def index(
        self,
        extractor: str | None = None,
        options: Mapping[str, str] | None = None,
        *,
        workers: int | None = None,
        prune: bool = False,
        progress: Progress | None = None,
        mapping: Progress | None = None,
    ) -> IndexReport:
        """Extract what is missing or stale and build the search index; what was finished is kept, however it ends.

        `progress` counts annotations, then `mapping` the photos that are compared with others of their place. A photo
        that cannot be read does not stop the run: it is in the report's `failed`.
        """
        plugin = make_plugin("extractors", extractor or DEFAULT_EXTRACTOR, options)
        check_extractor(plugin)  # before the run: not a failure of each photo
        report = index_catalog(self.data, plugin, workers, prune=prune, progress=progress, mapping=mapping, again=True)
        self.data = report.catalog
        self._galleries.clear()
        if report.done or report.reused:
            build_index(self.data, plugin, self._galleries)
        return report

    def method(self, **method: Unpack[MethodOptions]) -> Method:
        """The extractors, matcher and geometric check to use here."""
        return choose_method(self.folder, **method)

    def session(self, **method: Unpack[MethodOptions]) -> Session:
        """What `query` needs of the catalog, looked up once for many queries."""
        return open_session(self.data, self.method(**method), self._galleries)

    def query(
        self,
        photos: Photo | Sequence[Photo],
        *,
        session: Session | None = None,
        extractor: str | Sequence[str] | None = None,
        matcher: str = DEFAULT_MATCHER,
        options: Mapping[str, str] | None = None,
        **asked: Unpack[QuestionOptions],
    ) -> Answer:
        """Who the animal in `photos` is: one photo or several of one encounter, as paths or (H, W, 3) uint8 RGB arrays.

        `asked`: body_part, locations, station, timestamp, bbox, mask, exclude_encounters and top, of several photos a
        bbox and a mask for each. An annotation of this catalog may be given as a photo. What is not given is taken from
        the catalog where it has the photo; its own encounter is never compared. `session` is in place of the method.
        """
        question = make_question(photos, **asked)
        return ask(session or self.session(extractor=extractor, matcher=matcher, options=options), question)

    def calibrate(
        self,
        *,
        levels: Sequence[float] | None = None,
        progress: Progress | None = None,
        **method: Unpack[MethodOptions],
    ) -> Calibrated:
        """Learn from this catalog's named encounters what scores mean, and keep it for all that is asked from now on.

        levels: the lowest probabilities of excellent, good and fair in this catalog. They stay until given again, also
        where nothing can be learned. `progress` counts queries.
        """
        from snowmatch.identify.calibrate import calibrate, set_levels  # scipy takes longer to load than a query takes

        if levels is not None:
            set_levels(self.folder, levels)
        return calibrate(self.data, self.method(**method), self._galleries, progress)

    def evaluate(
        self, protocol: str = "cross-encounter", *, progress: Progress | None = None, **method: Unpack[MethodOptions]
    ) -> Evaluation:
        """Ask about every identified annotation and measure how well the rest of the catalog answers.

        protocol: `cross-encounter`, `cross-station` or `split` (see `identify.evaluate`). `progress` counts queries.
        """
        from snowmatch.identify.evaluate import evaluate

        return evaluate(self.data, protocol, self.method(**method), self._galleries, progress)

    def notes(self) -> tuple[Note, ...]:
        """What was left out or changed in reading the catalog, boxes that were clipped, and photos without features."""
        return catalog_notes(self.data)
