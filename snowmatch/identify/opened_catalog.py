"""A catalog that is open: index it, query it, calibrate it and evaluate it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.opened import with_settings_now
from snowmatch.catalog.settings import SettingsOptions
from snowmatch.core.notes import Note
from snowmatch.core.plugins import make_plugin
from snowmatch.decisions.named import with_checked_names, with_decisions
from snowmatch.features.extractors import check_extractor
from snowmatch.features.indexing import IndexOptions, IndexReport, index_catalog
from snowmatch.identify.answer import Answer
from snowmatch.identify.ask import ask
from snowmatch.identify.catalog_notes import catalog_notes
from snowmatch.identify.compact import compact_catalog
from snowmatch.identify.method import DEFAULT_EXTRACTOR, DEFAULT_MATCHER, Method, MethodOptions, choose_method
from snowmatch.identify.question import Photo, QuestionOptions, make_question
from snowmatch.identify.session import Galleries, Session, build_index, open_session

if TYPE_CHECKING:
    from snowmatch.identify.calibrate import Calibrated
    from snowmatch.identify.evaluate import Evaluation

Progress = Callable[[int, int], None]


@dataclass(eq=False)
class Catalog:
    """The catalog of one folder when it was opened or indexed. Several threads may query it at the same time.

    given: settings in place of the stored ones. `method`: extractor (default: those of the index), matcher and options.
    `progress`: called with (done, total).
    """

    data: CatalogData
    decisions: Path | None = None
    given: SettingsOptions = field(default_factory=SettingsOptions)
    _galleries: Galleries = field(default_factory=Galleries, repr=False)

    @property
    def folder(self) -> Path:
        """The catalog's folder."""
        return self.data.folder

    def index(
        self,
        extractor: str | None = None,
        options: Mapping[str, str] | None = None,
        *,
        compact: bool = False,
        building: Progress | None = None,
        **run: Unpack[IndexOptions],
    ) -> IndexReport:
        """Extract missing and stale features and build the search index. If the run stops, finished work is kept.

        A photo that cannot be read does not stop the run: it is in the report's `failed`. `run`: see IndexOptions.
        compact: drop what can be made again, the index too. building: called with (done, total) descriptors of it.
        """
        plugin = make_plugin("extractors", extractor or DEFAULT_EXTRACTOR, options)
        check_extractor(plugin)  # before the run: not a failure of each photo
        if (now := with_settings_now(self.data, self.given)) is not self.data:
            self.data = with_decisions(now, self.decisions)

        def build(data: CatalogData) -> tuple[Note, ...]:  # no other run may change the index meanwhile
            self.data = with_decisions(data, self.decisions)
            self._galleries.clear()
            return build_index(self.data, plugin, self._galleries, building)

        finish = None if compact else build
        report = index_catalog(self.data, plugin, again=True, decisions=self.decisions, finish=finish, **run)
        self.data = with_decisions(report.catalog, self.decisions)
        self._galleries.clear()
        if compact:
            done = compact_catalog(self.folder)
            text = done.summary(len(self.data.annotations))
            return replace(report, compacted=text, notes=(*report.notes, *done.notes))
        return report

    def method(self, **method: Unpack[MethodOptions]) -> Method:
        """Return the extractors, the matcher and the geometric check for this catalog."""
        return choose_method(self.folder, **method)

    def session(self, **method: Unpack[MethodOptions]) -> Session:
        """Prepare the catalog for many queries: pass the returned session to `query`, without a method of its own."""
        return open_session(self.data, self.method(**method), self._galleries)

    def checked(self) -> Catalog:
        """Return the catalog with those names only that persons gave, as `calibrate` and `evaluate` take them."""
        return replace(self, data=with_checked_names(self.data))

    def query(
        self,
        photos: Photo | Sequence[Photo],
        *,
        session: Session | None = None,
        extractor: str | Sequence[str] | None = None,
        matcher: str | None = None,
        options: Mapping[str, str] | None = None,
        **asked: Unpack[QuestionOptions],
    ) -> Answer:
        """Identify the animal in `photos`: one photo, or several of one encounter, and return the answer.

        A photo is a path, a (H, W, 3) uint8 RGB array or an annotation of this catalog. `asked`: see `make_question`.
        Missing values come from the catalog if it has the photo. The photo's own encounter is never compared.
        """
        if session is not None and (extractor, matcher, options) != (None, None, None):
            raise ValueError("a session has its extractor, matcher and options: give them to Catalog.session alone")
        asking, matcher = make_question(photos, **asked), matcher or DEFAULT_MATCHER
        return ask(session or self.session(extractor=extractor, matcher=matcher, options=options), asking)

    def set_levels(self, levels: Sequence[float]) -> None:
        """Store the lowest probabilities of excellent, good and fair in this catalog. They stay until you set others.

        They hold for every calibration, also for the one that comes with snowmatch.
        """
        from snowmatch.identify.calibrate import set_levels

        set_levels(self.folder, levels)

    def calibrate(
        self,
        *,
        sample: int | None = None,
        progress: Progress | None = None,
        **method: Unpack[MethodOptions],
    ) -> Calibrated:
        """Learn the meaning of scores from this catalog's named encounters, and store it for all later queries.

        sample: most queries that are asked. `progress` counts queries.
        """
        from snowmatch.identify.calibrate import calibrate  # loads scipy, which takes longer than a query

        return calibrate(self.data, self.method(**method), self._galleries, progress, sample)

    def evaluate(
        self,
        protocol: str = "cross-encounter",
        *,
        sample: int | None = None,
        progress: Progress | None = None,
        **method: Unpack[MethodOptions],
    ) -> Evaluation:
        """Query every identified annotation and measure how often the rest of the catalog gives the right answer.

        protocol: `cross-encounter`, `cross-station` or `split`. sample: most queries asked. `progress` counts queries.
        """
        from snowmatch.identify.evaluate import evaluate

        return evaluate(self.data, protocol, self.method(**method), self._galleries, progress, sample)

    def notes(self) -> tuple[Note, ...]:
        """Return notes: what was skipped or changed in the catalog, clipped boxes, and photos without features."""
        return catalog_notes(self.data)
