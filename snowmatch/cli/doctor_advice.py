"""What to do about a finding of the doctor: a command, or what to correct in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from snowmatch.cli.advice import Data, advice, decisions_typed, quoted


def finding_advice(code: str, data: Data) -> str:
    """Return what to do about a finding, such as "snowmatch index catalog/"; "" if there is nothing.

    data: of the finding, with the path of the `catalog`, and of the file of `decisions` if it is not the catalog's own.
    """
    what = WHAT_TO_DO.get(code)
    return what(data) if what is not None else advice(code, data)


def _index(data: Data) -> str:
    return advice("not-indexed", {key: data[key] for key in ("catalog", "decisions") if key in data})


def _catalog(data: Data) -> str:
    return quoted(str(data["catalog"]))


def _command(data: Data, command: str, rest: str) -> str:
    """Return a command about the catalog of a finding and its decisions, such as `identities` and "check"."""
    return f"snowmatch {command} {_catalog(data)} {rest}{decisions_typed(data)}"


def _rename(data: Data) -> str:
    return "write one of the names in all rows or folders"


def _one_name(data: Data) -> str:
    return _command(data, "identities", "merge NAME NAME") if _by_decisions(data) else _rename(data)


def _name(data: Data) -> str:
    return f"compare the photos, and {_individual(data)}"


def _by_decisions(data: Data) -> bool:
    """Return whether decisions named or renamed an animal: to write its name in the table does nothing, or harm."""
    return bool(data.get("decided") or data.get("renamed"))


def _individual(data: Data) -> str:
    """Return how a person corrects the name of an animal: the table does not change what a decision says."""
    return _command(data, "identities", "name NAME PHOTO") if _by_decisions(data) else _in_table(data)


def _in_table(data: Data) -> str:
    return f"correct the column individual of {_table(data)}"


def _unnamed(data: Data, in_table: str) -> str:
    """Return how a person takes away what is no name of an animal. in_table: how, where no decision gave it."""
    return _command(data, "identities", 'name "" PHOTO') if data.get("decided") else in_table


def _apart(data: Data) -> str:
    """Return how a person parts two animals of one photo with one name: they may be one sighting, which has one name.

    data: has the identifiers of the two annotations as `pair`, "" if they were never indexed.
    """
    if not data.get("decided"):
        return _in_table(data)
    one, other = (each or "ANNOTATION" for each in data["pair"])
    decide = _command(data, "identities", f"decide {one} {other} different")
    return f"{decide}, then: {_command(data, 'identities', f'name NAME {other}')}"


def _table(data: Data) -> str:
    """Return where a person corrects the rows of the catalog."""
    return "catalog.csv (catalog.xlsx, or the folder names)"


def _regroup(data: Data) -> str:
    return f"{_index(data)} --encounter-gap 30, or give each passage a name of its own in the column encounter"


def _move(data: Data) -> str:
    if _by_decisions(data):
        return f"{_name(data)}, or correct station or timestamp in {_table(data)}"
    return f"compare the photos, and correct individual, station or timestamp in {_table(data)}"


def _times(data: Data) -> str:
    return "correct the column timestamp of catalog.csv (catalog.xlsx; of folders, the times of the photos)"


def _check(data: Data) -> str:
    return _command(data, "identities", "check")


def _compare(data: Data) -> str:
    """Return the query that shows the coats of the first encounter of a finding."""
    first = data["encounters"][0]
    photos = " ".join(quoted(str(Path(data["catalog"]) / path)) for path in first["photos"][:3])
    typed = decisions_typed(data)
    part = f" --bodypart {first['body_part']}" if first["body_part"] != "unknown" else ""
    return f"look at the matched spots: snowmatch query {photos} --catalog {_catalog(data)}{part} --draw answer{typed}"


def _box(data: Data) -> str:
    """Return how annotations get boxes. The default classifier does not know most species, so it is not for all."""
    fill = "fill in the column bbox or mask"
    if data.get("species") and "snow leopard" not in data["species"]:
        return fill
    return f"{fill}; if these are snow leopards: snowmatch screen {_catalog(data)}{decisions_typed(data)}"


WHAT_TO_DO: dict[str, Callable[[Data], str]] = {
    "copies-with-two-names": _name,
    "frames-with-two-names": _name,
    "copies": lambda data: f"remove one of each pair from {_table(data)}, or give both the same encounter",
    "copies-in-encounter": lambda data: f"remove one of each pair from {_table(data)}",
    "files-missing": lambda data: f"put the files back, or remove their rows from {_table(data)}",
    "paths-alike": lambda data: f"rename one of each pair, also in {_table(data)}",
    "paths-with-positions": lambda data: f"rename these folders and photos, also in {_table(data)}",
    "paths-not-for-windows": lambda data: f"before the catalog goes to Windows: rename them, also in {_table(data)}",
    "failed": lambda data: f"replace the files, then: {_index(data)}",
    "records-damaged": _index,
    "checks-damaged": _index,
    "middle-damaged": _index,
    "files-mended": lambda data: (
        f"without a power failure, copy the catalog to another disk and check this one; {_index(data)} forgets the list"
    ),
    "detections-damaged": lambda data: "screen again with the detector, or with its results (--results FILE)",
    "photos-unseen": _index,
    "two-places": _move,
    "too-fast": _move,
    "no-places": lambda data: "add stations.csv with the columns station, location, x, y, crs",
    "several-systems": lambda data: "give the places of all stations of stations.csv in one coordinate system",
    "stations-unread": lambda data: "correct stations.csv",
    "stations-elsewhere": lambda data: (
        f"write the locations alike in {_table(data)} and stations.csv, or add these stations to stations.csv"
    ),
    "stations-without-location": lambda data: f"fill in the column location of {_table(data)}",
    "stations-without-place": lambda data: "add these stations to stations.csv",
    "individuals-same-name": _one_name,
    "individuals-alike": _one_name,
    "locations-same-name": _rename,
    "locations-alike": _rename,
    "stations-same-name": _rename,
    "stations-alike": _rename,
    "two-names": lambda data: f"give each animal its own box in {_table(data)}",
    "one-animal-twice": _apart,
    "same-animal-rows": lambda data: f"if one row is a mistake, remove it from {_table(data)}",
    "doubtful-names": lambda data: _unnamed(data, "leave the column individual empty, or use the folder _unidentified"),
    "unnamed-names": lambda data: f"give them other names, or none, in the column individual of {_table(data)}",
    "camera-folders": lambda data: _unnamed(
        data, "put the photos into a folder with the animal's name, or into _unidentified"
    ),
    "half-named": lambda data: _command(data, "batch", "--unidentified --out answers"),
    "one-flank": lambda data: "add photos of the other flank, or fill in the column body_part",
    "body-part-unknown": lambda data: "fill in the column body_part",
    "no-box": _box,
    "no-times": _times,
    "future-times": _times,
    "early-times": _times,
    "other-times": _times,
    "times-of-earlier-version": _index,
    "times-backwards": _times,
    "clock-reset": _times,
    "photos-without-camera": lambda data: (
        f"look at the camera's clock, and at its first photo: when was it set up? {_times(data)}, or from and to of "
        "stations.csv"
    ),
    "clock-set-back": _times,
    "encounters-long": _regroup,
    "encounters-of-cameras": lambda data: "if the clocks differ, correct the column timestamp",
    "wrong-name": _compare,
    "look-like-one": lambda data: "if they are one animal: " + _command(data, "identities", "merge NAME NAME"),
    "contradictions": _check,
    "disagreements": lambda data: _command(data, "identities", "ask --mode adjudicate"),
    "disputed-names": lambda data: _command(data, "identities", "name NAME ENCOUNTER --adjudicator"),
    "several-names": lambda data: _command(data, "identities", "merge NAME NAME"),
    "names-refused": lambda data: (
        "if they are one animal: " + _command(data, "identities", "merge OLD NEW --into NEW") + ", else rename one"
    ),
    "idle-decisions": _check,
    "names-unseen": lambda data: _command(data, "doctor", "--deep"),
}
