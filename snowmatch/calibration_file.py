"""Calibrations on disk: a catalog's own, and those that come with the package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.confidence import Calibration, Levels, Model, Quality, model_from_json, model_to_json
from snowmatch.errors import SnowmatchError
from snowmatch.records import replace_file, unreadable
from snowmatch.types import HOME

CUSTOMARY = Levels()
SCHEMA = "snowmatch.calibration/1"
SHIPPED = Path(__file__).with_name("shipped_calibrations.json")


@dataclass(frozen=True, eq=False)
class Case:
    """One query whose answer is known: the scores (I,) of the individuals compared, and which of them is right.

    right: -1 where the animal is not on record. encounters (I,): how often each one was met; features: of the query, a
    photo; group: the most special of its groups (see `confidence.group_names`); encounter: names its encounter and
    animal; photos: how many were asked together. weight: of an encounter's cases together 1 with its animal on record
    and 1 without.
    """

    scores: np.ndarray
    right: int
    encounters: np.ndarray
    features: float
    group: str
    individual: str
    together: bool
    weight: float


@dataclass(frozen=True)
class Shipped:
    """What is shipped for one method, by kind of query (`outlined`, `whole`): models, and cases to lean on.

    encounters: how many the models were learned from.
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
    def name(self) -> str:
        """The extractors and the matcher by name: a catalog keeps one calibration of each."""
        return method_name(self.extractor, self.matcher)


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


@dataclass(frozen=True)
class CalibrationFile:
    """What a catalog keeps: its levels, and a calibration for each method."""

    levels: Levels = CUSTOMARY
    methods: tuple[Learned, ...] = ()

    def of(self, name: str) -> Learned | None:
        """The calibration of the method called `name`."""
        return next((learned for learned in self.methods if learned.name == name), None)


def method_name(extractor: Mapping[str, Any], matcher: Mapping[str, Any]) -> str:
    """Extractors and matcher as one name."""
    return f"{extractor['name']} + {matcher['name']}"


def calibration_path(folder: Path) -> Path:
    """Where a catalog's calibrations are kept."""
    return folder / HOME / "calibration.json"


def load_calibrations(folder: Path) -> CalibrationFile:
    """The calibrations of the catalog in `folder`, none where it has no file; SnowmatchError where that is damaged."""
    path = calibration_path(folder)
    try:
        held = json.loads(path.read_bytes())
        if held["schema"] != SCHEMA:
            raise ValueError(f"schema {held['schema']!r}")
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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnowmatchError(
            f"{path} is damaged or of another version ({error}): delete it and run snowmatch calibrate {folder}"
        ) from error


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
            for learned in sorted(held.methods, key=lambda learned: learned.name)
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
    own = held.of(method_name(extractor, matcher))
    refused = ""
    if own is not None:
        if own.version != version:
            refused = f"it was made with snowmatch {own.version}, this is {version}"
        elif (own.extractor, own.matcher) != (plain_settings(extractor), plain_settings(matcher)):
            refused = "it was made with other settings"
        else:
            return Calibration("catalog", own.groups, held.levels, own.encounters), ""
    shipped = load_shipped(extractor, matcher)
    if shipped is None:
        return None, refused
    return Calibration("shipped", shipped.models, held.levels, shipped.encounters), refused


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
                Case(np.array(scores), right, np.zeros(len(scores)), features, kind, "", True, 1.0)
                for right, features, scores in cases
            )
            for kind, cases in entry["cases"].items()
        },
        entry["encounters"],
    )
