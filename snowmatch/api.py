"""What `import snowmatch` offers: open a catalog, index it, ask it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import snowmatch
from snowmatch.catalog.encounters import ENCOUNTER_GAP
from snowmatch.catalog.load import CatalogData, check_body_part, check_locations, load_catalog
from snowmatch.catalog.records import exif_times, load_records
from snowmatch.confidence.file import Learned, load_calibrations, save_calibrations
from snowmatch.confidence.file import choose as choose_calibration
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.measures import measure
from snowmatch.confidence.model import ANY, ENOUGH_PAIRS, Calibration, Probabilities
from snowmatch.confidence.scoring import score_trial
from snowmatch.confidence.shipped import load_shipped
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import HOME
from snowmatch.core.plugins import make_plugin, parse_setting, plugin_class, settings, settings_key
from snowmatch.core.text import did_you_mean
from snowmatch.core.types import Annotation, BBox, Features, Subject, same_part
from snowmatch.features.extractors import check_extractor
from snowmatch.features.indexing import IndexReport, index_catalog
from snowmatch.features.reader import list_features, open_features
from snowmatch.features.states import AnnotationState, catalog_state
from snowmatch.identify.answer import Answer, QueryPhoto
from snowmatch.identify.asked import AskedPhoto, Mask, Photo, ask_about, common_part, find_foreground, one_box, one_each
from snowmatch.identify.candidates import Part, candidates, judge
from snowmatch.matching.fusion import fuse, scales
from snowmatch.matching.gallery import Gallery, make_gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import score_query, voter
from snowmatch.screening.foreground import foreground_weights
from snowmatch.screening.maps import load_maps, maps_stamp

if TYPE_CHECKING:
    from snowmatch.identify.calibration import Calibrated
    from snowmatch.identify.evaluation import Evaluation

DEFAULT_EXTRACTOR = "hesaff"
DEFAULT_MATCHER = "lnbnn"
GROWN = 1.5  # times the encounters it was calibrated on: then a note says that there is more to learn from
OUTLINED = ("mask", "box")  # evidence with which all that was extracted counts


def open_catalog(folder: str | Path) -> Catalog:
    """The catalog in `folder`, read from its `catalog.csv` or its nested folders; SnowmatchError if there is none."""
    folder = Path(folder)
    return Catalog(folder, load_catalog(folder, exif_times(folder)))


@dataclass(frozen=True)
class Session:
    """A method and all that it compares with, ready for many queries; the catalog as it was when this was made.

    states: of every annotation; galleries: one of each extractor; extractor_settings, matching: as answers tell them.
    """

    plugins: tuple[Any, ...]
    matcher: Any
    geometry: Geometry
    states: tuple[AnnotationState, ...]
    galleries: tuple[Gallery, ...]
    extractor_settings: dict[str, Any]
    matching: dict[str, Any]
    calibration: Calibration | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Catalog:
    """What is on record in one folder, at the moment it was opened."""

    folder: Path
    data: CatalogData
    _galleries: dict[str, tuple[tuple, Gallery]] = field(default_factory=dict, repr=False, compare=False)

    def index(
        self,
        extractor: str | None = None,
        options: Mapping[str, str] | None = None,
        *,
        workers: int | None = None,
        prune: bool = False,
        progress: Callable[[int, int], None] | None = None,
        mapping: Callable[[int, int], None] | None = None,
    ) -> IndexReport:
        """Extract what is missing or stale and build the search index; SnowmatchError where nothing can be written.

        `options` are the extractor's settings as on the command line. `progress` is called with (done, total)
        annotations, then `mapping` with (done, total) photos that are compared with others of their place. A photo that
        cannot be read does not stop the run: it is in the report's `failed`.
        """
        plugin = make_plugin("extractors", extractor or DEFAULT_EXTRACTOR, dict(options or {}))
        check_extractor(plugin)  # before the run: not a failure of each photo
        report = index_catalog(self.data, plugin, workers, prune=prune, progress=progress, mapping=mapping)
        self._galleries.clear()
        self.gallery(plugin).build_indexes(make_plugin("matchers", DEFAULT_MATCHER).backend)
        return report

    def gallery(self, plugin: Any, states: Sequence[AnnotationState] | None = None, *, part: bool = False) -> Gallery:
        """The annotations whose features were made with the extractor `plugin`, ready to be searched.

        `states` are their states now, looked up where not given; a gallery made before is used again while they and
        the foreground maps last. `part`: they leave out some that are indexed, which get a search index of their own.
        """
        described = settings(plugin)
        key = settings_key(described)
        name = f"{described['name']}-{key}" + ("-part" if part else "")
        keys = tuple(state.key for state in states or catalog_state(self.data, described))
        now = keys, maps_stamp(self.folder)
        held = self._galleries.get(name)
        if held is None or held[0] != now:
            reader = open_features(self.folder / HOME / "features", described)
            maps = load_maps(self.folder)
            index_folder = self.folder / HOME / "index" / name
            held = now, make_gallery(self.data.annotations, keys, reader, index_folder, key, maps)
            self._galleries[name] = held
        return held[1]

    def notes(self) -> tuple[str, ...]:
        """What was left out or changed in reading the catalog, boxes that were clipped, and photos without features."""
        known = load_records(self.folder).photos
        notes = list(self.data.notes)
        for described in list_features(self.folder / HOME / "features"):
            reader = open_features(self.folder / HOME / "features", described)
            empty = {key for key, count in zip(reader.keys, reader.counts, strict=True) if not count}
            if empty:
                states = zip(self.data.annotations, catalog_state(self.data, described), strict=True)
                bare = [a.path for a, state in states if state.key in empty]
                notes += [f"nothing to compare was found by {described['name']} in {_some(bare)}"] if bare else []
        clipped = []
        for a in self.data.annotations:
            size = known[a.path].image_size if a.path in known else None
            if a.bbox is not None and size is not None:
                x, y, width, height = a.bbox
                if x < 0 or y < 0 or x + width > size[0] or y + height > size[1]:
                    clipped.append(a.path)
        if clipped:
            notes.append(f"boxes that reach out of their photo were clipped: {_some(clipped)}")
        return tuple(notes)

    def query(
        self,
        photos: Photo | Sequence[Photo],
        *,
        body_part: str | None = None,
        locations: Sequence[str] = (),
        station: str | None = None,
        timestamp: datetime | None = None,
        bbox: BBox | Sequence[BBox | None] | None = None,
        mask: Mask | Sequence[Mask] = None,
        extractor: str | Sequence[str] | None = None,
        matcher: str = DEFAULT_MATCHER,
        options: Mapping[str, str] | None = None,
        exclude_encounters: Sequence[str] = (),
        top: int = 5,
        session: Session | None = None,
    ) -> Answer:
        """Who is the animal in `photos`: one photo or several of one encounter, as paths or (H, W, 3) uint8 RGB arrays.

        An annotation of this catalog may be given as well, which also chooses one animal among several in a photo.

        Settings and filters as on the command line; the scores of several extractors are fused; of several photos each
        has its own box and mask. The file of a photo that is in the catalog takes its row's box, mask and body part
        unless given, and its own encounter is never compared. `session` (see there) is in place of extractor, matcher
        and options, for many queries. SnowmatchError for what the user can mend.
        """
        given = [photos] if isinstance(photos, str | Path | np.ndarray | Annotation) else list(photos)
        if not given:
            raise SnowmatchError("no photo was given; give at least one")
        boxes = [bbox] if bbox is None or (len(bbox) and np.isscalar(bbox[0])) else list(bbox)
        boxes = one_each("boxes were", [one_box(box) for box in boxes], len(given))
        masks = one_each("masks were", list(mask) if isinstance(mask, list | tuple) else [mask], len(given))
        locations = (locations,) if isinstance(locations, str) else tuple(locations)
        exclude_encounters = (exclude_encounters,) if isinstance(exclude_encounters, str) else exclude_encounters
        if top < 1:
            raise SnowmatchError(f"top is {top}, expected at least 1")
        session = session or self.session(extractor=extractor, matcher=matcher, options=options)
        plugins, match_plugin, geometry = session.plugins, session.matcher, session.geometry
        states, galleries = session.states, session.galleries
        gallery = galleries[0]
        if body_part is not None:
            check_body_part(body_part)
        check_locations(self.data, locations)
        self._check_encounters(exclude_encounters)

        asked = [
            ask_about(
                photo,
                body_part,
                box,
                animal,
                catalog_folder=self.folder,
                rows_of=lambda content, photo: self.rows_of(content, photo, states),
                extractors=[(g.reader, plugin) for g, plugin in zip(galleries, plugins, strict=True)],
            )
            for photo, box, animal in zip(given, boxes, masks, strict=True)
        ]
        notes = [note for a in asked for note in a.notes]
        asked = _without_repeats(asked, notes)
        part = body_part or common_part([a.body_part for a in asked])
        excluded = set(exclude_encounters).union(*(a.encounters for a in asked))
        excluded |= self._same_passage(station, timestamp, [a.taken for a in asked], locations, notes)
        allowed = np.array(
            [
                same_part(a.body_part, part)
                and a.encounter not in excluded
                and (not locations or a.location in locations)
                for a in gallery.annotations
            ],
            bool,
        )
        if locations and (nowhere := sum(not a.location for a in gallery.annotations)):
            notes.append(f"{_count(nowhere, 'annotation')} without a location left out")
        notes += _state_notes(states)
        notes += [f"{a.photo.path or 'the photo'} has no features to compare" for a in asked if not a.photo.features]
        voting = [a for a in asked if a.photo.features]
        empty = [a.photo for a in asked if not a.photo.features] if voting else []  # would vote for nobody
        asked = voting or asked
        given_all = match_plugin.foreground == "given"
        photos = self._photos(asked, gallery, states, None if given_all else station, locations, excluded)
        if given_all:
            photos = [replace(p, evidence=_given(p.evidence), foreground=None) for p in photos]
        notes += _foreground_notes(photos)
        if not given_all:
            notes += gallery.evidence_notes(np.flatnonzero(allowed))
        answers, asked_with = [], []
        for number, each in enumerate(galleries):
            subjects = [_subject(a.features[number], p) for a, p in zip(asked, photos, strict=True)]
            answers.append(score_query(subjects, each, allowed, part, match_plugin, geometry))
            asked_with.append(subjects)
            notes += each.built
            each.built.clear()
        scores = fuse(answers)
        parts = [Part(*each) for each in zip(answers, asked_with, galleries, scales(answers), strict=True)]
        judged, levels = None, None
        notes += session.notes
        if session.calibration is not None and allowed.any() and voting:
            outlined, masked = (all(p.evidence in kinds for p in photos) for kinds in (OUTLINED, ("mask",)))
            group = session.calibration.group(outlined, masked, part)
            rich = float(np.mean([len(a.features[0]) for a in asked]))
            models = session.calibration.groups.get(group, ())
            judged = judge(scores, gallery, allowed, models, rich) if models else None
            levels = session.calibration.levels
            if group is None:
                notes.append("no probability: nothing is calibrated for such photos, here or in the package")
            elif group in session.calibration.shipped:
                notes.append(self._shipped_note())
        found = candidates(scores, parts, allowed, top, judged, levels)
        if given_all:
            found = tuple(replace(c, evidence=_given(c.evidence), foreground=None) for c in found)
        if unchecked := int(((scores.pre_scores > 0) & ~scores.checked).sum()):
            setting = "candidates" if match_plugin.PAIRWISE and match_plugin.candidates else "shortlist"
            notes.append(
                f"{_count(unchecked, 'annotation')} with too few votes not checked: -o {setting} sets how many are"
            )
        if not all(c.accepted for c in found):
            notes.append("candidates with 0 inliers have the score from before the geometric check: a scale of its own")
        return Answer(
            photos=(*photos, *empty),
            body_part=part,
            locations=locations,
            excluded_encounters=tuple(sorted(excluded)),
            catalog_path=str(self.folder),
            annotations=len(self.data.annotations),
            compared=int(allowed.sum()),
            individuals=len(np.unique(gallery.individual_numbers[allowed])),
            extractor=session.extractor_settings,
            matcher=session.matching,
            candidates=found,
            notes=tuple(dict.fromkeys(notes)),
            calibration=session.calibration.described() if session.calibration is not None else None,
            new_probability=judged.new if judged is not None else None,
            decision=("new" if judged.decision() < 0 else "individual") if judged is not None else None,
            decided=_decided(judged, gallery),
            probability=judged.best if judged is not None else None,
            level=levels.of(judged.best) if judged is not None else None,
        )

    def session(
        self,
        *,
        extractor: str | Sequence[str] | None = None,
        matcher: str = DEFAULT_MATCHER,
        options: Mapping[str, str] | None = None,
    ) -> Session:
        """What `query` needs of the catalog, looked up once for many; SnowmatchError where it is not indexed."""
        plugins, match_plugin, geometry = self.method(extractor, matcher, dict(options or {}))
        states, galleries = self._indexed(plugins)
        described, matching = _described(plugins), _matching(match_plugin, plugins, geometry)
        calibration, refused = choose_calibration(
            load_calibrations(self.folder), described, matching, snowmatch.__version__
        )
        notes = []
        if refused:
            notes.append(
                f"the calibration of this catalog is not used, {refused}: "
                f"make it anew with {self._calibrate_command(described, matching)}"
            )
        if calibration is None:
            notes.append("not calibrated: scores can be compared within this answer only")
        elif (known := len(_named_encounters(self.data.annotations))) >= GROWN * calibration.encounters and (
            calibration.source == "catalog"
        ):
            notes.append(
                f"calibrated on {calibration.encounters} encounters, {known} have names now: "
                f"{self._calibrate_command(described, matching)} learns from all"
            )
        return Session(
            plugins, match_plugin, geometry, states, tuple(galleries), described, matching, calibration, tuple(notes)
        )

    def _shipped_note(self) -> str:
        pairs = count_encounter_pairs(self.data.annotations)
        return (
            "not calibrated on this catalog: the probabilities are those of other photos, on the safe side; "
            f"it has {_count(pairs, 'pair')} of encounters of one animal, with {ENOUGH_PAIRS} of such photos "
            "snowmatch calibrate learns its own"
        )

    def _calibrate_command(self, described: Mapping[str, Any], matching: Mapping[str, Any]) -> str:
        return f"snowmatch calibrate {shlex.quote(str(self.folder))}{_as_options(described, matching)}"

    def calibrate(
        self,
        *,
        extractor: str | Sequence[str] | None = None,
        matcher: str = DEFAULT_MATCHER,
        options: Mapping[str, str] | None = None,
        levels: Sequence[float] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Calibrated:
        """Learn from this catalog's named encounters what scores mean, and keep it for all that is asked from now on.

        levels: the lowest probabilities that are called excellent, good and fair in this catalog; they stay until given
        again. `progress` is called with (done, total) queries. SnowmatchError where nothing is indexed, labels
        contradict, or there are too few pairs of encounters of one animal (the levels are kept even then).
        """
        from snowmatch.confidence.cases import check_labels, count_pairs, make_cases
        from snowmatch.confidence.learn import choose_groups, cross_validate, learn
        from snowmatch.confidence.quality import measure_quality
        from snowmatch.identify.calibration import Calibrated

        held = load_calibrations(self.folder)
        if levels is not None:
            held = replace(held, levels=Levels(*levels))
            save_calibrations(self.folder, held)
        check_labels(self.data.annotations)
        plugins, match_plugin, geometry = self.method(extractor, matcher, dict(options or {}))
        states, galleries = self._indexed(plugins)
        notes = _state_notes(states)
        pairs = count_encounter_pairs(self.data.annotations)
        kept = "" if levels is None else "the levels are kept; "
        if pairs < ENOUGH_PAIRS:
            raise SnowmatchError(
                f"{kept}{self.folder} has {_count(pairs, 'pair')} of encounters of one animal, calibration needs "
                f"{ENOUGH_PAIRS}: name the animals of more encounters; until then queries use the calibration that "
                "comes with snowmatch"
            )
        table = score_trial(
            make_trial(self.data.annotations, "cross-encounter"), galleries, match_plugin, geometry, progress
        )
        described, matching = _described(plugins), _matching(match_plugin, plugins, geometry)
        cases = make_cases(table, **self.facts(galleries[0]))
        shipped = load_shipped(described, matching)
        groups = choose_groups(cases, shipped)
        pairs = count_pairs(cases).get(ANY, 0)
        if not groups:
            raise SnowmatchError(
                f"{kept}{self.folder} has too few photos to tell right from wrong matches: {_count(pairs, 'pair')} of "
                f"encounters of one animal with features to compare, expected {ENOUGH_PAIRS} of boxed or of whole "
                "photos, and other animals of that kind; snowmatch show tells what is not indexed"
            )
        asked = table.queries[np.isfinite(table.scores).any(axis=1)]
        encounters = len(_named_encounters([self.data.annotations[row] for row in asked]))
        learned = Learned(described, matching, snowmatch.__version__, encounters, learn(cases, groups, shipped))
        save_calibrations(self.folder, held.put(learned))
        together = [case for case in cases if case.together]
        quality = measure_quality(together, cross_validate(cases, groups, shipped, together), held.levels)
        return Calibrated(
            str(self.folder), described, matching, encounters, pairs, groups, held.levels, quality, tuple(notes)
        )

    def facts(self, gallery: Gallery) -> dict[str, np.ndarray]:
        """What a calibration looks at beside scores, of all A annotations: see `calibration.make_cases`."""
        features = np.zeros(len(self.data.annotations))
        entries = range(len(gallery.annotations))
        features[[a.row for a in gallery.annotations]] = [gallery.feature_count(entry) for entry in entries]
        outlined = [a.bbox is not None or bool(a.mask) for a in self.data.annotations]
        masked = [bool(a.mask) for a in self.data.annotations]
        return {"features": features, "outlined": np.array(outlined, bool), "masked": np.array(masked, bool)}

    def evaluate(
        self,
        protocol: str = "cross-encounter",
        *,
        extractor: str | Sequence[str] | None = None,
        matcher: str = DEFAULT_MATCHER,
        options: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """Ask about every identified annotation and measure how well the rest of the catalog answers.

        protocol: `cross-encounter` (only other encounters answer), `cross-station` (only other stations), or `split`
        (`test` rows are asked about, `train` rows answer). The scores of several extractors are fused. `progress` is
        called with (done, total) queries. SnowmatchError where the catalog is not indexed or the protocol cannot be
        carried out.
        """
        plugins, match_plugin, geometry = self.method(extractor, matcher, dict(options or {}))
        from snowmatch.confidence.cases import make_cases
        from snowmatch.confidence.learn import choose_groups, cross_validate
        from snowmatch.confidence.quality import measure_quality
        from snowmatch.identify.evaluation import Evaluation

        trial = make_trial(self.data.annotations, protocol)
        states, galleries = self._indexed(plugins)
        table = score_trial(trial, galleries, match_plugin, geometry, progress)
        described, matching = _described(plugins), _matching(match_plugin, plugins, geometry)
        cases = make_cases(table, **self.facts(galleries[0]))
        shipped = load_shipped(described, matching)
        groups = choose_groups(cases, shipped)
        together = [case for case in cases if case.together]
        levels = load_calibrations(self.folder).levels
        quality = measure_quality(together, cross_validate(cases, groups, shipped, together), levels)
        notes = _state_notes(states)
        for each in galleries:
            notes += each.built
            each.built.clear()
        if match_plugin.foreground == "auto":
            notes += galleries[0].evidence_notes(np.arange(len(galleries[0].annotations)))
        if unnamed := sum(a.individual is None for a in self.data.annotations):
            notes.append(f"{_count(unnamed, 'unidentified annotation')} left out")
        asked = ~np.isnan(table.scores)
        if bare := int((asked.any(axis=1) & ~np.isfinite(table.scores).any(axis=1)).sum()):
            notes.append(f"{bare} of the queries have no features to compare: counted as wrong")
        return Evaluation(
            str(self.folder),
            protocol,
            described,
            matching,
            table,
            measure(table),
            tuple(notes),
            groups,
            levels,
            quality,
        )

    def method(
        self, extractor: str | Sequence[str] | None, matcher: str, options: dict[str, str]
    ) -> tuple[tuple[Any, ...], Any, Geometry]:
        """The extractors, matcher and geometry to use: `options` belong to whichever have a setting of that name.

        SnowmatchError where the matcher cannot match what an extractor finds.
        """
        own = {f.name for f in fields(plugin_class("matchers", matcher))}
        geometry_names = {f.name for f in fields(Geometry)}
        for_matcher = {k: v for k, v in options.items() if k in own}
        for_geometry = {k: v for k, v in options.items() if k in geometry_names}
        names = self._extractor_names(extractor)
        known = {name: {f.name for f in fields(plugin_class("extractors", name))} for name in names}
        everything = own.union(geometry_names, *known.values())
        for key in options:
            if key not in everything:
                raise SnowmatchError(
                    f"neither {' nor '.join(names)} nor the matcher has a setting {key!r}; they have: "
                    f"{', '.join(sorted(everything))}{did_you_mean(key, sorted(everything))}"
                )
        plugins = [self._extractor(n, {k: v for k, v in options.items() if k in known[n]}) for n in names]
        match_plugin = make_plugin("matchers", matcher, for_matcher)
        _check_fit(match_plugin, plugins)
        return tuple(plugins), match_plugin, make_geometry(for_geometry)

    def _extractor_names(self, asked: str | Sequence[str] | None) -> tuple[str, ...]:
        """Those that were asked for, or the one the catalog is indexed with."""
        if asked is not None:
            names = (asked,) if isinstance(asked, str) else tuple(asked)
            if not names or len(set(names)) < len(names):
                raise SnowmatchError(f"the extractors are {', '.join(names) or 'none'}, expected each name once")
            return names
        held = list_features(self.folder / HOME / "features")
        if not held:
            raise SnowmatchError(f"{self.folder} is not indexed: run snowmatch index {self.folder}")
        names = tuple(sorted({described["name"] for described in held}))
        if len(names) > 1 and DEFAULT_EXTRACTOR not in names:
            raise SnowmatchError(f"{self.folder} is indexed with {', '.join(names)}: choose with --extractor")
        return (DEFAULT_EXTRACTOR if DEFAULT_EXTRACTOR in names else names[0],)

    def _extractor(self, name: str, options: dict[str, str]) -> Any:
        """The extractor `name` with the settings that the catalog was indexed with, or those that were asked for."""
        held = list_features(self.folder / HOME / "features")
        plugin = make_plugin("extractors", name, options)
        same = [described for described in held if described["name"] == name]
        asked = set(options) & set(settings(plugin))  # the others say how to compute, not what
        if asked or not same or settings(plugin) in same:
            return plugin
        current = [described for described in same if described["revision"] == plugin.REVISION]
        if not current:
            raise SnowmatchError(
                f"{self.folder} was indexed with an older version of {name}: run snowmatch index {self.folder}"
                f" --extractor {name}"
            )
        if len(current) != 1:
            listed = "; ".join(options_text(described) for described in current)
            raise SnowmatchError(
                f"{self.folder} is indexed with {name} under other settings ({listed}): "
                f"choose them with -o, or run snowmatch index {self.folder} --extractor {name}"
            )
        return replace(plugin, **{k: v for k, v in current[0].items() if k not in ("name", "revision")})

    def _indexed(self, plugins: Sequence[Any]) -> tuple[tuple[AnnotationState, ...], list[Gallery]]:
        """The state of every annotation and the galleries of these extractors, all of the same annotations.

        What one extractor lacks takes no part. SnowmatchError where one has nothing.
        """
        apart = []
        for plugin in plugins:
            states = catalog_state(self.data, settings(plugin))
            self._check_indexed(states, settings(plugin))
            apart.append(states)
        worst = tuple(next((s for s in each if s.key is None), each[0]) for each in zip(*apart, strict=True))
        keys = [state.key for state in worst]
        lacking = [[state.key for state in states] != keys for states in apart]
        return worst, [self.gallery(p, worst, part=some) for p, some in zip(plugins, lacking, strict=True)]

    def _check_indexed(self, states: Sequence[AnnotationState], described: Mapping[str, Any]) -> None:
        if any(state.key is not None for state in states):
            return
        if all(state.state == "stale" for state in states):
            raise SnowmatchError(
                f"all {len(states)} photos in {self.folder} have other times or sizes than when they were indexed "
                f"(copied, perhaps): run snowmatch index {self.folder}; what has the same content is not done again"
            )
        changed = options_text(described).removeprefix("defaults")
        held = list_features(self.folder / HOME / "features")
        listed = "; ".join(f"{d['name']} ({options_text(d)})" for d in held) or "nothing"
        raise SnowmatchError(
            f"none of the {_count(len(states), 'annotation')} in {self.folder} is indexed with these settings: "
            f"run snowmatch index {self.folder} --extractor {described['name']} {changed}".rstrip()
            + f" (indexed are: {listed})"
        )

    def _check_encounters(self, names: Sequence[str]) -> None:
        known = sorted({a.encounter for a in self.data.annotations})
        for name in names:
            if name not in known:
                raise SnowmatchError(
                    f"no encounter {name!r} in {self.folder}{did_you_mean(name, known)}: "
                    f"snowmatch show {self.folder} lists them"
                )

    def rows_of(self, content: str, photo: Path, states: Sequence[AnnotationState]) -> list[Annotation]:
        """The catalog's annotations of a photo with this sha256; what is not on record is read where the size fits."""
        size = photo.stat().st_size
        rows = []
        for annotation, state in zip(self.data.annotations, states, strict=True):
            path, known = self.folder / annotation.path, state.photo_sha256
            if not known and path.is_file() and path.stat().st_size == size:
                known = file_sha256(path)
            if known == content:
                rows.append(annotation)
        return rows

    def _photos(
        self,
        asked: Sequence[AskedPhoto],
        gallery: Gallery,
        states: Sequence[AnnotationState],
        station: str | None,
        locations: Sequence[str],
        excluded: set[str],
    ) -> list[QueryPhoto]:
        """The query's photos with what tells their animals from the scenery at `station`."""
        there = [
            (a, state.photo_sha256)
            for a, state in zip(self.data.annotations, states, strict=True)
            if station is not None and a.station == station and a.encounter not in excluded
            if not locations or a.location in locations
        ]
        return find_foreground(asked, gallery.maps, [a for a, _ in there], [sha for _, sha in there], self.folder)

    def _same_passage(
        self,
        station: str | None,
        timestamp: datetime | None,
        taken: Sequence[datetime | None],
        locations: Sequence[str],
        notes: list[str],
    ) -> set[str]:
        """Encounters on record at `station` within the encounter gap of the photos: the same passage, no evidence."""
        if station is None:
            if timestamp is not None:
                notes.append("the time alone leaves nothing out: give the station too")
            return set()
        here = [a for a in self.data.annotations if a.station == station and (not locations or a.location in locations)]
        times = [timestamp] if timestamp is not None else [t for t in taken if t is not None]
        if not here:
            known = sorted({a.station for a in self.data.annotations if a.station})
            notes.append(f"no photo on record is from station {station!r}{did_you_mean(station, known)}")
        elif not times:
            notes.append(f"no time for station {station}, so nothing could be left out as the same passage")
        passing = {
            a.encounter for a in here if a.timestamp and any(abs(a.timestamp - t) <= ENCOUNTER_GAP for t in times)
        }
        if passing:
            notes.append(f"left out as the same passage at station {station}: {', '.join(sorted(passing))}")
        return passing


def _named_encounters(annotations: Sequence[Annotation]) -> set[tuple[str, str]]:
    """The encounters whose animal has a name, with that name."""
    return {(a.encounter, a.individual) for a in annotations if a.individual is not None}


def count_encounter_pairs(annotations: Sequence[Annotation]) -> int:
    """How many pairs of encounters show one individual from the same side (or from one that is not known)."""
    parts: dict[str, dict[str, set[str]]] = {}
    for a in annotations:
        if a.individual is not None:
            parts.setdefault(a.individual, {}).setdefault(a.encounter, set()).add(a.body_part)
    return sum(
        any(same_part(p, q) for p in one for q in other)
        for encounters in parts.values()
        for one, other in combinations(encounters.values(), 2)
    )


def _as_options(extractor: Mapping[str, Any], matching: Mapping[str, Any]) -> str:
    """The options that choose a method with these settings, as on the command line; "" for the default one."""
    each = extractor.get("fused", [extractor])
    names = [described["name"] for described in each]
    text = "".join(f" --extractor {name}" for name in names if names != [DEFAULT_EXTRACTOR])
    text += f" --matcher {matching['name']}" if matching["name"] != DEFAULT_MATCHER else ""
    changed = [options_text(described) for described in each]
    changed.append(options_text(matching, "matchers"))
    changed.append(_changed(matching["geometry"], {f.name: f.default for f in fields(Geometry)}))
    return text + "".join(f" {c}" for c in dict.fromkeys(changed) if c and c != "defaults")


def _changed(described: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The settings that are not the defaults, as on the command line."""
    return " ".join(f"-o {k}={v}" for k, v in described.items() if k in defaults and defaults[k] != v)


def _without_repeats(asked: Sequence[AskedPhoto], notes: list[str]) -> list[AskedPhoto]:
    """The photos without those given twice, which would vote twice."""
    seen: set[tuple] = set()
    kept = []
    for a in asked:
        what = (a.content, a.photo.bbox)
        if a.content and what in seen:
            notes.append(f"{a.photo.path} was given twice and votes once")
            continue
        seen.add(what)
        kept.append(a)
    return kept


def _subject(features: Features, photo: QueryPhoto) -> Subject:
    """A query photo with one extractor's features; where a mask tells, or all is given, all of them count."""
    box, weights = photo.bbox or (0, 0, *photo.image_size), None
    if photo.foreground is not None or photo.evidence not in (*OUTLINED, "given"):
        boxed = photo.bbox is not None
        weights = foreground_weights(features.keypoints, photo.image_size, photo.foreground, boxed=boxed)
    return Subject(features, box, weights)


def _decided(judged: Probabilities | None, gallery: Gallery) -> str | None:
    """Who was decided for, by name or by an unidentified animal's encounter; None for a new one and no decision."""
    if judged is None or judged.decision() < 0:
        return None
    name, encounter, _ = gallery.individuals[judged.decision()]
    return name if name is not None else f"unidentified ({encounter})"


def _given(evidence: str) -> str:
    """What tells the animal where other photos are not asked."""
    return evidence if evidence in OUTLINED else "given"


def _described(plugins: Sequence[Any]) -> dict[str, Any]:
    """The settings of an extractor, or of all that are fused."""
    each = [settings(plugin) for plugin in plugins]
    return each[0] if len(each) == 1 else {"name": " + ".join(d["name"] for d in each), "fused": each}


def _check_fit(matcher: Any, plugins: Sequence[Any]) -> list[str]:
    """What a matcher of pairs takes for each extractor's features; SnowmatchError where it cannot match them."""
    return [matcher.check(settings(plugin)) for plugin in plugins] if matcher.PAIRWISE else []


def _matching(matcher: Any, plugins: Sequence[Any], geometry: Geometry) -> dict[str, Any]:
    """How photos were compared: settings, who voted for the shortlist, which networks, and the geometric check."""
    described = settings(matcher)
    votes = voter(matcher)
    if votes is not None and votes is not matcher:
        described["shortlist"] = settings(votes)
    if used := [text for text in _check_fit(matcher, plugins) if text]:
        described["networks"] = used
    return {**described, "geometry": asdict(geometry)}


def _foreground_notes(photos: Sequence[QueryPhoto]) -> list[str]:
    """What told the animal from the scenery in the photos that have neither box nor mask."""
    texts = {
        "burst": "what moved between the frames of the burst counts",
        "station": "what other photos of the station do not show counts, most near the centre",
        "burst and station": "what moved in the burst and is not in other photos of the station counts",
        "centre": "what lies about its centre counts; give --bbox, or -o foreground=given where photos are crops",
    }
    notes = []
    for evidence, text in texts.items():
        if bare := [p.path or "the photo" for p in photos if p.evidence == evidence]:
            notes.append(f"no box or mask of {', '.join(bare)}: {text}")
    return notes


def _some(paths: Sequence[str]) -> str:
    return f"{len(paths)} ({', '.join(paths[:5])}{', ...' if len(paths) > 5 else ''})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def make_geometry(options: Mapping[str, str]) -> Geometry:
    """The geometric check's settings from text values; SnowmatchError where one cannot be."""
    defaults = {f.name: f.default for f in fields(Geometry)}
    values = {key: parse_setting(f"setting {key!r}", str(text), defaults[key]) for key, text in options.items()}
    try:
        return Geometry(**values)
    except ValueError as error:
        raise SnowmatchError(f"geometric check: {error}") from error


def _state_notes(states: Sequence[AnnotationState]) -> list[str]:
    texts = {
        "missing": "not indexed yet, so not compared: run snowmatch index",
        "stale": "changed since the last index run, so not compared: run snowmatch index",
        "failed": "could not be indexed, so not compared: snowmatch show tells why",
    }
    counts = {state: sum(s.state == state for s in states) for state in texts}
    return [f"{_count(count, 'annotation')} {texts[state]}" for state, count in counts.items() if count]


def options_text(described: Mapping[str, Any], kind: str = "extractors") -> str:
    """The settings that are not the defaults, as on the command line; all of them where the plugin is not here."""
    try:
        defaults = {f.name: f.default for f in fields(plugin_class(kind, described["name"]))}
    except SnowmatchError:  # one of a later version, or torch is missing: its features are still listed
        defaults = dict.fromkeys(described.keys() - {"name", "revision"})
    return _changed(described, defaults) or "defaults"
