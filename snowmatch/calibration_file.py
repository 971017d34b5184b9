"""Calibrations on disk: a catalog's own, and those that come with the package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.confidence import ANY, BOXED, Calibration, Levels, Model, Quality, model_from_json, model_to_json
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file, unreadable
from snowmatch.core.home import HOME

CUSTOMARY = Levels()
SCHEMA = "snowmatch.calibration/1"
SHIPPED = Path(__file__).with_name("shipped_calibrations.json")


@dataclass(frozen=True, eq=False)
class Case:
    """One query whose answer is known: the scores (I,) of the individuals compared, and which of them is right.

    right: -1 where the animal is not on record. encounters (I,): how often each one was met; features: of the query, a
    photo; group: the most special of its groups (see `confidence.group_names`); masked: whether all its photos have a
    mask; individual: the truth; encounter: the
    query's, and `again` the others that its animal may be found in. together: all photos of its encounter were asked,
    not one of several. weight: of an encounter's cases 1 in all with its animal on record, and 1 without.
    """

    scores: np.ndarray
    right: int
    encounters: np.ndarray
    features: float
    group: str
    masked: bool
    individual: str
    encounter: str
    again: tuple[str, ...]
    together: bool
    weight: float


@dataclass(frozen=True)
class Shipped:
    """What is shipped for one method, by kind of query (`outlined`, `whole`): models, and cases to lean on.

    The models of `boxed` are for outlined queries without masks: in a loose box other rocks may match than in the boxes
    of the photos that were learned from. encounters: how many the models were learned from.
    """

    models: Mapping[str, tuple[Model, ...]]
    cases: Mapping[str, tuple[Case, ...]]
    encounters: int = 0


@dataclass(frozen=True)
class Learned:
    """A catalog's own calibration of one method, with the settings and the version it holds for."""

    extractor: Mapping[str, Any]
    matcher: Mapping[str, Any]
    version: str
    encounters: int
    groups: Mapping[str, tuple[Model, ...]]

    @property
    def method(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All settings, ready to be compared: a catalog keeps one calibration for each."""
        return plain_settings(self.extractor), plain_settings(self.matcher)


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` learned, from how much, and how well it holds for individuals held out of the learning."""

    catalog_path: str
    extractor: dict[str, Any]
    matcher: dict[str, Any]
    encounters: int
    pairs: int
    groups: tuple[str, ...]
    levels: Levels
    quality: Quality
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CalibrationFile:
    """What a catalog keeps: its levels, and a calibration for each method. unread: why a file could not be used."""

    levels: Levels = CUSTOMARY
    methods: tuple[Learned, ...] = ()
    unread: str = ""

    def of(self, extractor: Mapping[str, Any], matcher: Mapping[str, Any]) -> Learned | None:
        """The calibration that was learned with these settings."""
        wanted = plain_settings(extractor), plain_settings(matcher)
        return next((learned for learned in self.methods if learned.method == wanted), None)

    def put(self, learned: Learned) -> CalibrationFile:
        """The same with `learned` in place of what was learned with its settings before."""
        others = tuple(m for m in self.methods if m.method != learned.method)
        return CalibrationFile(self.levels, (*others, learned))


def calibration_path(folder: Path) -> Path:
    """Where a catalog's calibrations are kept."""
    return folder / HOME / "calibration.json"


def load_calibrations(folder: Path) -> CalibrationFile:
    """The calibrations of the catalog in `folder`, none where it has no file or one of another version.

    SnowmatchError where the file is damaged.
    """
    path = calibration_path(folder)
    try:
        held = json.loads(path.read_bytes())
        if held["schema"] != SCHEMA:
            return CalibrationFile(unread=f"it was made with another version of snowmatch ({held['schema']})")
        return CalibrationFile(
            Levels(**held["levels"]),
            tuple(
                Learned(
                    m["extractor"],
                    m["matcher"],
                    m["snowmatch"],
                    m["encounters"],
                    {name: tuple(map(model_from_json, models)) for name, models in m["groups"].items()},
                )
                for m in held["methods"]
            ),
        )
    except FileNotFoundError:
        return CalibrationFile()
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, SnowmatchError) as error:
        raise SnowmatchError(f"{path} is damaged ({error}): delete it and run snowmatch calibrate {folder}") from error


def save_calibrations(folder: Path, held: CalibrationFile) -> None:
    """Write them in place of what was there; SnowmatchError where that cannot be done."""
    content = {
        "schema": SCHEMA,
        "levels": asdict(held.levels),
        "methods": [
            {
                "extractor": plain_settings(learned.extractor),
                "matcher": plain_settings(learned.matcher),
                "snowmatch": learned.version,
                "encounters": learned.encounters,
                "groups": {name: [model_to_json(m) for m in models] for name, models in learned.groups.items()},
            }
            for learned in sorted(held.methods, key=lambda learned: json.dumps(learned.method, sort_keys=True))
        ],
    }
    text = (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
    replace_file(calibration_path(folder), lambda file: file.write(text))


def plain_settings(described: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from a JSON file, so that they can be compared with those."""
    return json.loads(json.dumps(described))


def choose(
    held: CalibrationFile, extractor: Mapping[str, Any], matcher: Mapping[str, Any], version: str
) -> tuple[Calibration | None, str]:
    """The calibration to use for a method, and why the catalog's own is refused ("" where it is not).

    The catalog's own where settings and version are those it was learned with, else the shipped one, else None.
    """
    own, refused = held.of(extractor, matcher), held.unread
    shipped = load_shipped(extractor, matcher)
    names = {(m.extractor["name"], m.matcher["name"]) for m in held.methods}
    if own is not None and own.version == version:
        lent = {}
        if shipped is not None and ANY not in own.groups:  # for photos of a kind that it has not learned of
            known = {*own.groups, *([BOXED] if "outlined" in own.groups else [])}
            lent = {kind: models for kind, models in shipped.models.items() if kind not in known}
        return Calibration("catalog", {**lent, **own.groups}, held.levels, own.encounters, tuple(lent)), ""
    if own is not None:
        refused = f"it was made with snowmatch {own.version}, this is {version}"
    elif (extractor["name"], matcher["name"]) in names:
        refused = "it was made with other settings"
    if shipped is None:
        return None, refused
    kinds = tuple(shipped.models)
    return Calibration("shipped", shipped.models, held.levels, shipped.encounters, kinds), refused


def load_shipped(extractor: Mapping[str, Any], matcher: Mapping[str, Any]) -> Shipped | None:
    """What is shipped for a method with exactly these settings; None where nothing is."""
    wanted = plain_settings(extractor), plain_settings(matcher)
    for entry in _shipped_entries():
        if (entry["extractor"], entry["matcher"]) == wanted:
            return shipped_from_json(entry)
    return None


@cache
def _shipped_entries() -> list[dict[str, Any]]:
    return json.loads(SHIPPED.read_bytes())["methods"]


def shipped_to_json(extractor: Mapping[str, Any], matcher: Mapping[str, Any], shipped: Shipped) -> dict[str, Any]:
    """One method's entry in the shipped file; of a case only what `calibration.fit` needs to lean on it is kept."""
    return {
        "extractor": plain_settings(extractor),
        "matcher": plain_settings(matcher),
        "encounters": shipped.encounters,
        "models": {kind: [model_to_json(m) for m in models] for kind, models in shipped.models.items()},
        "cases": {
            kind: [
                [case.right, round(case.features), [float(f"{score:.4g}") for score in case.scores]] for case in cases
            ]
            for kind, cases in shipped.cases.items()
        },
    }


def shipped_from_json(entry: Mapping[str, Any]) -> Shipped:
    """What `shipped_to_json` gave."""
    return Shipped(
        {kind: tuple(map(model_from_json, models)) for kind, models in entry["models"].items()},
        {
            kind: tuple(
                Case(np.array(scores), right, np.zeros(len(scores)), features, kind, True, "", "", (), True, 1.0)
                for right, features, scores in cases
            )
            for kind, cases in entry["cases"].items()
        },
        entry["encounters"],
    )
