"""Calibrations on disk: those of a catalog, and those that come with snowmatch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import ANY, BOXED, Calibration, Model, model_from_json, model_to_json
from snowmatch.confidence.shipped import load_shipped
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, open_regular, replace_file, unreadable, unwritable
from snowmatch.core.home import calibration_path
from snowmatch.core.locks import file_lock
from snowmatch.core.plugins import plain_settings

CUSTOMARY = Levels()
SCHEMA = "snowmatch.calibration/4"
LARGEST = 100 << 20  # bytes: a larger file is not one of snowmatch
WAIT = 60.0  # seconds that a process waits for another one


@dataclass(frozen=True)
class MethodCalibration:
    """The calibration of one method on a catalog, with its settings and the version of snowmatch.

    found_by: how animals without a box or mask were found then, as `screening.finders` words it; "" if it is not known.
    named: number of encounters that had names then. `encounters` were asked: of a large catalog, only a sample is.
    """

    extractor: Mapping[str, Any]
    matcher: Mapping[str, Any]
    version: str
    encounters: int
    groups: Mapping[str, tuple[Model, ...]]
    found_by: str = ""
    named: int = 0

    @property
    def method(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All settings, ready for comparison: a catalog has one calibration for each."""
        return _comparable(self.extractor, self.matcher)


@dataclass(frozen=True)
class CalibrationFile:
    """The levels of a catalog, and a calibration for each method. unread: why those of the file could not be used; ""
    if they could, or if it has none.
    """

    levels: Levels = CUSTOMARY
    methods: tuple[MethodCalibration, ...] = ()
    unread: str = ""

    def of(self, extractor: Mapping[str, Any], matcher: Mapping[str, Any]) -> MethodCalibration | None:
        """Return the calibration that was learned with these settings; None if there is none."""
        wanted = _comparable(extractor, matcher)
        return next((learned for learned in self.methods if learned.method == wanted), None)

    def put(self, learned: MethodCalibration) -> CalibrationFile:
        """Return a copy in which `learned` replaces the calibration with the same settings."""
        others = tuple(m for m in self.methods if m.method != learned.method)
        return CalibrationFile(self.levels, (*others, learned))


def _comparable(extractor: Mapping[str, Any], matcher: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of a method, ready for comparison.

    How the file of a network was named is left out: `networks` has its name and its content.
    """
    plain = plain_settings(matcher)
    if "networks" in plain:
        plain.pop("weights", None)
    return plain_settings(extractor), plain


def load_calibrations(folder: Path, method: Mapping[str, Any] | None = None) -> CalibrationFile:
    """Return the calibrations of the catalog in `folder`; none if it has no file, or one of another version. The levels
    of such a file hold: a person set them.

    Raises SnowmatchError if the file is damaged. method: the settings of the `extractor` and the `matcher` that are
    asked for, which the error tells: these are to be calibrated again.
    """
    path = calibration_path(folder)
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST + 1)
        held = json.loads(content) if len(content) <= LARGEST else None
        if not isinstance(held, dict):
            raise ValueError("it holds no calibrations")
        if held["schema"] != SCHEMA:
            unread = f"it was made with another version of snowmatch ({held['schema']})"
            return CalibrationFile(_levels_of(held), unread="" if held.get("methods") == [] else unread)
        if not isinstance(held["methods"], list) or not isinstance(held["levels"], dict):
            raise ValueError("it holds no calibrations")
        if held["sum"] != _sum(held):
            raise ValueError("its checksum is wrong")
        return CalibrationFile(Levels(**held["levels"]), tuple(map(_method_from_json, held["methods"])))
    except FileNotFoundError:
        return CalibrationFile()
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SnowmatchError) as error:
        raise SnowmatchError(
            f"{path} is damaged ({error}): calibrate again, which puts this file aside; other levels must be set again",
            "damaged-calibration",
            catalog=str(folder),
            **(method or {}),
        ) from error


def _levels_of(held: Mapping[str, Any]) -> Levels:
    """Return the levels in a file of another version; the customary ones if it tells none in the known way."""
    try:
        return Levels(**held["levels"])
    except (KeyError, TypeError, SnowmatchError):
        return CUSTOMARY


def _method_from_json(m: Mapping[str, Any]) -> MethodCalibration:
    """Return a calibration that was stored as JSON. Raises ValueError, KeyError or TypeError for anything else."""
    for name, kind in (
        ("extractor", dict),
        ("matcher", dict),
        ("snowmatch", str),
        ("encounters", int),
        ("groups", dict),
    ):
        if not isinstance(m[name], kind):
            raise TypeError(f"{name} is {m[name]!r}")
    if m["encounters"] < 0 or not all(isinstance(m[side].get("name"), str) for side in ("extractor", "matcher")):
        raise ValueError(f"{m['encounters']} encounters, or a method without a name")
    groups = {name: tuple(map(model_from_json, models)) for name, models in m["groups"].items()}
    if not all(groups.values()):
        raise ValueError("a group without a model")
    # files of earlier versions have neither
    found_by, named = m.get("found_by", ""), m.get("named", m["encounters"])
    if not isinstance(found_by, str) or not isinstance(named, int):
        raise TypeError(f"found_by is {found_by!r}, named is {named!r}")
    return MethodCalibration(m["extractor"], m["matcher"], m["snowmatch"], m["encounters"], groups, found_by, named)


def _sum(content: Mapping[str, Any]) -> str:
    """Return the checksum of all values of the file but the checksum itself."""
    values = {name: value for name, value in content.items() if name != "sum"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def update_calibrations(folder: Path, change: Callable[[CalibrationFile], CalibrationFile]) -> CalibrationFile:
    """Read the calibrations, change them, write them, and return the changed ones. Other processes wait meanwhile.

    A damaged file is put aside. Raises SnowmatchError if the file cannot be written, or if another process locks it for
    more than a minute.
    """
    path = calibration_path(folder)
    try:
        make_folder(path.parent)
        with file_lock(path.with_suffix(".lock")).acquire(timeout=WAIT):
            changed = change(_stored_or_none(folder))
            save_calibrations(folder, changed)
    except Timeout as error:
        raise SnowmatchError(f"another process is writing {path}: run this again when it has finished") from error
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return changed


def _stored_or_none(folder: Path) -> CalibrationFile:
    """Return the stored calibrations. A damaged file is renamed, so that new calibrations can be stored."""
    try:
        return load_calibrations(folder)
    except SnowmatchError as error:
        if error.code != "damaged-calibration":
            raise
        path = calibration_path(folder)
        path.replace(path.with_name("calibration-damaged.json"))
        return CalibrationFile()


def save_calibrations(folder: Path, held: CalibrationFile) -> None:
    """Write the calibrations of the catalog in `folder`. Raises SnowmatchError if they cannot be written."""
    content = {
        "schema": SCHEMA,
        "levels": asdict(held.levels),
        "methods": [
            {
                "extractor": plain_settings(learned.extractor),
                "matcher": plain_settings(learned.matcher),
                "snowmatch": learned.version,
                "encounters": learned.encounters,
                "named": learned.named,
                "found_by": learned.found_by,
                "groups": {name: [model_to_json(m) for m in models] for name, models in learned.groups.items()},
            }
            for learned in sorted(held.methods, key=lambda learned: json.dumps(learned.method, sort_keys=True))
        ],
    }
    content["sum"] = _sum(content)
    text = (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
    replace_file(calibration_path(folder), lambda file: file.write(text))


def choose(
    held: CalibrationFile, extractor: Mapping[str, Any], matcher: Mapping[str, Any], version: str
) -> tuple[Calibration | None, str]:
    """Return the calibration for a method, and why the catalog's own is not used ("" if it is used).

    The catalog's own is used if it was learned with the same settings and version; otherwise the shipped one; otherwise
    None.
    """
    own, refused = held.of(extractor, matcher), held.unread
    shipped = load_shipped(extractor, matcher)
    names = {(m.extractor["name"], m.matcher["name"]) for m in held.methods}
    if own is not None and own.version == version:
        lent, learned = {}, dict(own.groups)
        if len(learned) > 1:  # `any` of an earlier calibration may be of one kind alone, see `choose_groups`
            learned.pop(ANY, None)
        if shipped is not None and ANY not in learned:  # for kinds of photos that it was not learned from
            known = {*learned, *([BOXED] if "outlined" in learned else [])}
            lent = {kind: models for kind, models in shipped.models.items() if kind not in known}
        groups = {**lent, **learned}
        return Calibration("catalog", groups, held.levels, own.encounters, tuple(lent), own.named), ""
    if own is not None:
        refused = f"it was made with snowmatch {own.version}, this is {version}"
    elif (extractor["name"], matcher["name"]) in names:
        refused = "it was made with other settings or weights"
    if shipped is None:
        return None, refused
    kinds = tuple(shipped.models)
    return Calibration("shipped", shipped.models, held.levels, shipped.encounters, kinds), refused
