"""The settings of one catalog: the order of day and month in dates, the rules for encounters, how animals are found."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

from snowmatch.catalog.times import ORDERS
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import open_regular, replace_file, unreadable
from snowmatch.core.home import settings_path
from snowmatch.core.notes import Note
from snowmatch.core.plain import read_summed_json, with_json_sum
from snowmatch.core.plugins import plugin_names
from snowmatch.core.text import choices

TAUGHT = ".npz"  # the ending of a classifier that a user taught
MOST_BYTES = 100_000  # bytes: a larger file is not one of snowmatch


class SettingsOptions(TypedDict, total=False):
    """Some of the settings of a catalog; see CatalogSettings."""

    dates: str
    encounter_gap: float
    longest_encounter: float
    bursts: bool
    classifier: str
    segmenter: str
    boxes: bool


@dataclass(frozen=True)
class CatalogSettings:
    """The settings that are stored with a catalog.

    dates: `dmy` or `mdy`, the order in dates such as 3/4/2021; "": the dates themselves have to show it.
    encounter_gap: minutes; photos of one station that are further apart belong to two encounters. Camera-trap surveys
    use 30 to 60 minutes for independent events. The longer value may join two passages, but it does not use one passage
    as evidence for itself.
    longest_encounter: hours; longer encounters are cut.
    bursts: whether photos without a time that follow each other in a folder and look alike are one encounter.
    classifier: the network that tells where the animal is in a photo: `auto` (the default one if its weights are on
    this computer), `none`, or a name.
    segmenter: the network that draws the outline of the animal in photos that stand alone: `none`, or a name.
    boxes: whether an animal without a box or mask gets the box that snowmatch finds.
    """

    dates: str = ""
    encounter_gap: float = 60.0
    longest_encounter: float = 24.0
    bursts: bool = True
    classifier: str = "auto"
    segmenter: str = "none"
    boxes: bool = True

    def __post_init__(self) -> None:
        if self.dates not in ("", *ORDERS):
            raise SnowmatchError(f"dates is {self.dates!r}; {choices(str(self.dates), ORDERS)}")
        for name, most in (("encounter_gap", 7 * 24 * 60), ("longest_encounter", 366 * 24)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                unit = "minutes" if name == "encounter_gap" else "hours"
                raise SnowmatchError(f"{name} is {value!r}, expected {unit} above 0 and at most {most}")
        for name in ("bursts", "boxes"):
            if not isinstance(getattr(self, name), bool):
                raise SnowmatchError(f"{name} is {getattr(self, name)!r}, expected true or false")
        for name in ("classifier", "segmenter"):  # that of another computer may be missing on this one
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise SnowmatchError(f"{name} is {getattr(self, name)!r}, expected the name of a network, or none")

    def options(self) -> SettingsOptions:
        """Return all settings, as options for reading a catalog."""
        return SettingsOptions(
            dates=self.dates,
            encounter_gap=self.encounter_gap,
            longest_encounter=self.longest_encounter,
            bursts=self.bursts,
            classifier=self.classifier,
            segmenter=self.segmenter,
            boxes=self.boxes,
        )

    @property
    def gap(self) -> timedelta:
        """The longest time between neighbouring photos of one encounter."""
        return timedelta(minutes=self.encounter_gap)

    @property
    def longest(self) -> timedelta:
        """The longest time from the first photo of an encounter to its last."""
        return timedelta(hours=self.longest_encounter)


def load_settings(folder: Path, notes: list[Note]) -> CatalogSettings:
    """Return the settings of the catalog in `folder`; the defaults if it has none. A damaged file is ignored with a
    note.
    """
    path = settings_path(folder)
    try:
        with open_regular(path) as file:
            text = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return CatalogSettings()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        if len(text) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        return changed(CatalogSettings(), read_summed_json(text))
    except (ValueError, TypeError, SnowmatchError) as error:
        why = (
            f"{path} is damaged, or was changed by hand ({error}), so the default settings are used: delete the file, "
            "and set again those that you had changed"
        )
        notes.append(Note("settings-damaged", why, {"catalog": str(folder)}))
        return CatalogSettings()


def changed(settings: CatalogSettings, values: Mapping[str, Any]) -> CatalogSettings:
    """Return the settings with some values replaced. Raises SnowmatchError for an unknown setting or a value that is
    not allowed.
    """
    names = [f.name for f in fields(CatalogSettings)]
    for name in values:
        if name not in names:
            raise SnowmatchError(f"no setting {name!r} of a catalog; {choices(name, names)}")
    return replace(settings, **values)


def chosen(settings: CatalogSettings, options: SettingsOptions) -> CatalogSettings:
    """Return the settings with the options that somebody gives now. Raises SnowmatchError as `changed` does.

    A network that is given has to be on this computer; a stored one may be of another. The file of a classifier gets
    its whole path: the catalog keeps it, and is used from other folders too.
    """
    given = changed(settings, options)
    for name, others in (("classifier", ["auto", "none"]), ("segmenter", ["none"])):
        value, known = getattr(given, name), [*others, *plugin_names(f"{name}s")]
        taught = name == "classifier" and value.endswith(TAUGHT)
        if name in options and value not in known and not taught:
            raise SnowmatchError(f"no {name} called {value!r}; {choices(value, known)}")
    if "classifier" in options and given.classifier.endswith(TAUGHT):
        given = replace(given, classifier=os.path.abspath(given.classifier))
    return given


def keep_settings(folder: Path, settings: CatalogSettings) -> None:
    """Store the settings of the catalog in `folder`, if they differ from the stored ones.

    Raises SnowmatchError if they cannot be written, or if the stored ones are damaged: what they say is not replaced.
    """
    notes: list[Note] = []
    if load_settings(folder, notes) == settings:
        return
    for note in notes:
        text = (
            f"{settings_path(folder)} is damaged or was changed by hand, so nothing was stored: delete the file, and "
            "set again what you had set"
        )
        raise SnowmatchError(text, note.code, **note.data)
    text = json.dumps(with_json_sum(asdict(settings)), indent=2) + "\n"
    replace_file(settings_path(folder), lambda file: file.write(text.encode()))
