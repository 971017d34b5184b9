"""An export: the captures of a survey as files of another program, with a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import Any

from snowmatch.catalog.positions import placed_paths
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note, unique
from snowmatch.core.plugins import make_plugin, plugin_class, plugin_names, settings, usable_plugins
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.photos.facts import read_facts
from snowmatch.survey.captures import Capture
from snowmatch.survey.coordinates import Coordinates, position_notes, shown_degrees, shown_positions
from snowmatch.survey.draws import Drawn
from snowmatch.survey.folder import COUNTED, survey_manifest, write_output
from snowmatch.survey.places import Place
from snowmatch.survey.run import Survey

DEGREE = 111_320.0  # m: one degree of the equator; one of latitude is at most 0.7 % less


@dataclass(frozen=True, eq=False)
class Export:
    """What an exporter receives: the survey, which coordinates may leave the catalog (None: none), and drawn identities
    (only formats with DRAWS). notes: what the exporter says, such as what it leaves out.
    """

    survey: Survey
    coordinates: Coordinates | None
    drawn: Drawn | None = None
    notes: list[Note] = field(default_factory=list)

    def leave_out(self, number: int, one: str, why: str, many: str = "") -> None:
        """Note that the format leaves out a number of things, and why; 0 notes nothing. one: what they are, such as
        `capture`.
        """
        if number:
            text = f"{counted(number, one, many)} left out: {why}"
            self.notes.append(Note("format-leaves-out", text, {"count": number, "what": one, "why": why}))

    def as_midnight(self, number: int, one: str) -> None:
        """Note that a number of things with a day without a time of day are written as of 00:00; 0 notes nothing."""
        if number:
            text = f"{counted(number, one)} with a day without a time of day: 00:00 is written, as the format needs one"
            self.notes.append(Note("format-needs-time", text, {"count": number, "what": one}))

    def only_captures(self, *, once: bool = False) -> None:
        """Note what an export of captures leaves out. once: it has one capture of an animal a station and occasion."""
        survey = self.survey
        self.leave_out(len(survey.seen_unnamed), "unidentified sighting", "only captures of individuals are written")
        if once:
            again = len(survey.captures) - len({c.cell for c in survey.captures})
            self.leave_out(again, "repeated capture", "one counts for each animal, station and occasion")

    def need_captures(self) -> None:
        """Raise SnowmatchError if there are no captures."""
        if not self.survey.captures:
            raise SnowmatchError("no captures to export: name individuals first, or choose other flanks or sessions")

    def captures_of_sides(self) -> list[Capture]:
        """Return the captures that show a side, and note how many do not. Raises SnowmatchError if none does."""
        self.need_captures()
        captures = self.survey.captures
        found = [c for c in captures if c.flank]
        if not found:
            raise SnowmatchError("no capture shows a side: fill in left_flank and right_flank in the column body_part")
        self.leave_out(len(captures) - len(found), "capture", "it shows no side")
        return found

    def need_both_flanks(self) -> None:
        """Raise SnowmatchError if a choice of flanks took sightings out of a format that models both sides."""
        if (flanks := self.survey.settings["flanks"]) != "both":
            raise SnowmatchError(
                f"flanks is {flanks}, and the format is for models of two sides, which need all sightings: expected "
                "--flanks both"
            )

    def kept_annotations(self) -> list[Annotation]:
        """Return the annotations of the catalog without those that the screening left out, and note how many these are:
        they show no such animal, and may show a person.
        """
        annotations = self.survey.data.annotations
        kept = [a for a in annotations if not a.left_out]
        self.leave_out(len(annotations) - len(kept), "annotation", "the screening kept no photo of it")
        return kept

    @property
    def exact(self) -> bool:
        """Whether exact positions may be written."""
        return self.coordinates is not None and not self.coordinates.step

    @property
    def positions(self) -> dict[str, tuple[float, float]]:
        """The positions (m) of the stations that may be written, by label."""
        return shown_positions(self.survey, self.coordinates)

    @property
    def degrees(self) -> dict[str, tuple[float, float]]:
        """The same as longitude and latitude (WGS 84)."""
        return shown_degrees(self.survey, self.coordinates)

    @property
    def precision(self) -> float | None:
        """The step of rounded positions, in degrees of latitude; None if they are exact, or none are written."""
        step = self.coordinates.step if self.coordinates is not None else 0.0
        return round(step / DEGREE, 5) if step else None

    def photo_size(self, path: str) -> tuple[int, int] | None:
        """Return (width, height) of an upright photo, from the index or from its header; None if it cannot be read."""
        facts = self.survey.data.facts.get(path)
        try:
            found = facts or read_facts(self.survey.data.folder / path)
        except SnowmatchError:
            return None
        return found.image_size

    def detectors(self, session: str) -> list[tuple[int, Place]]:
        """Return number and place of each station with effort in a session, for a model of space, and note if their
        positions are rounded.

        Raises SnowmatchError if there is none, and if one of them has no position: without it, the area of the
        survey would be wrong.
        """
        if self.coordinates is not None and (step := self.coordinates.step):
            same = len(self.positions) - len({*self.positions.values()})
            text = f"positions are rounded to {step / 1000:g} km: a density from them is wrong, unless that is small "
            text += "against the distances that the animals move"
            text += f"; {counted(same, 'station')} at the position of another one" if same else ""
            self.notes.append(Note("rounded-for-density", text, {"step": step, "same": same}))
        effort = self.survey.effort[session]
        found = [(n, p) for n, p in enumerate(self.survey.places) if effort[n].sum() > 0]
        if not found:
            raise SnowmatchError(f"no camera worked in the session {session}: choose other sessions")
        if without := [p.label for _, p in found if p.x is None]:
            raise SnowmatchError(
                f"no position of {some(without)}: fill in x and y in stations.csv, or leave the station out"
            )
        return found


def _plugin_of(name: str) -> str:
    """Return the name of the plugin of a format: camtrap-dp is camtrap_dp.py."""
    return name if name in plugin_names("exporters") else name.replace("-", "_")


def check_draws(name: str) -> None:
    """Raise SnowmatchError unless the format `name` can hold drawn identities."""
    if not takes_draws(name):
        able = [each for each in usable_plugins("exporters") if takes_draws(each)]
        raise SnowmatchError(f"{name} has no draws of identities: expected one of {', '.join(able)}")


def takes_draws(name: str) -> bool:
    """Return whether a format can hold drawn identities. Raises SnowmatchError if there is no such format."""
    return bool(getattr(plugin_class("exporters", _plugin_of(name)), "DRAWS", False))


def takes_counts(name: str) -> bool:
    """Return whether a format has what a survey counts; else it has all annotations. Raises SnowmatchError for an
    unknown one.
    """
    return bool(getattr(plugin_class("exporters", _plugin_of(name)), "COUNTS", True))


def without_effect(name: str, options: Iterable[str]) -> list[str]:
    """Return which of some options, such as `flanks` or `coordinates`, change nothing in a format: one with all
    annotations of the catalog counts nothing, and some have no positions. Raises SnowmatchError for an unknown format.
    """
    format_class = plugin_class("exporters", _plugin_of(name))
    counts, positions = takes_counts(name), getattr(format_class, "COORDINATES", "") != "never"
    return [option for option in options if not (positions if option == "coordinates" else counts)]


def export_survey(
    survey: Survey,
    name: str,
    out: Path,
    *,
    options: Mapping[str, str] | None = None,
    coordinates: Coordinates | None = None,
    force: bool = False,
    drawn: Drawn | None = None,
    notes: list[Note] | None = None,
) -> list[str]:
    """Write the files of the format `name` into the folder `out`, and return their names.

    All are made before the first is written, and the manifest is written last. notes: gets what the format says, such
    as what it leaves out; the manifest has it too. Raises SnowmatchError if the format is
    unknown or needs what the survey lacks, and if `out` has files that snowmatch did not write.
    """
    said: list[Note] = []
    files, manifest = export_files(survey, name, options=options, coordinates=coordinates, drawn=drawn, notes=said)
    write_output(out, survey.data.folder, files, manifest, force=force)
    if notes is not None:
        notes += said
    return list(files)


def export_files(
    survey: Survey,
    name: str,
    *,
    options: Mapping[str, str] | None = None,
    coordinates: Coordinates | None = None,
    drawn: Drawn | None = None,
    notes: list[Note] | None = None,
) -> tuple[dict[str, bytes | mmap], dict[str, Any]]:
    """Return the files of the format `name` by their names, and the manifest of what made them.

    notes: gets what the format says. Raises SnowmatchError if the format is unknown or needs what the survey lacks.
    """
    exporter = make_plugin("exporters", _plugin_of(name), options)
    if exporter.COORDINATES == "needed" and coordinates is None:
        raise SnowmatchError(
            f"{name} cannot do without the positions of the stations, which are not written unless asked for",
            "ask-coordinates",
        )
    if exporter.COORDINATES == "needed":
        for note in survey.notes:
            if note.code == "no-pyproj":
                raise SnowmatchError(note.data["why"], note.code)
    if drawn is not None:
        check_draws(name)
    given = Export(survey, coordinates, drawn)
    files = dict(exporter.files(given))
    if exporter.COORDINATES == "optional" and takes_counts(name):
        given.notes.extend(position_notes(survey, coordinates))
    named = getattr(exporter, "individuals", True)  # else neither names nor paths of photos, which often have them
    paths = dict.fromkeys(a.path for a in survey.data.annotations)
    if named and not given.exact and (placed := placed_paths(paths)):
        text = f"{counted(len(placed), 'photo')} whose path tells a position ({some(sorted(set(placed.values())))}): "
        text += "files with paths of photos tell it; rename the folders and photos before you share them"
        given.notes.append(Note("paths-with-positions", text, {"count": len(placed)}))
    names = {name for a in survey.data.annotations for name in (a.camera, a.encounter, a.individual) if name}
    if named and not given.exact and (placed := placed_paths(names)):
        text = f"{counted(len(placed), 'name')} of cameras, encounters or individuals with a position "
        text += (
            f"({some(sorted(set(placed.values())))}): files with these names tell it; rename them before you share them"
        )
        given.notes.append(Note("names-with-positions", text, {"count": len(placed)}))
    said = unique(given.notes)
    more: dict[str, Any] = {"command": "export", "format": settings(exporter), "format_notes": [n.text for n in said]}
    if drawn is not None:
        more["draws"] = {"number": len(drawn.captures), "seed": drawn.seed}
    used = coordinates if exporter.COORDINATES != "never" else None
    if notes is not None:
        notes += said
    manifest = survey_manifest(survey, used, more)
    if not takes_counts(name):  # all annotations: nothing was counted for it, and nothing left out of that
        manifest = {key: value for key, value in manifest.items() if key not in COUNTED}
    if not named:
        manifest["left_out"] = [
            {"station": e.station, "location": e.location, "reason": e.reason} for e in survey.left_out
        ]
        tell = {"individuals", "encounters", "names", "pairs", "photos"}  # names, and paths of photos
        manifest["notes"] = [note.text for note in survey.notes if not tell & set(note.data)]
    return files, manifest
