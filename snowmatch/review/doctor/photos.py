"""The files of a catalog: copies, missing and damaged photos, and what is not indexed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from snowmatch.catalog.records import current_status
from snowmatch.catalog.states import annotation_states
from snowmatch.confidence.file import load_calibrations
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, open_regular
from snowmatch.core.home import features_path
from snowmatch.core.text import counted
from snowmatch.features.reader import list_features, open_features
from snowmatch.identify.method import settings_text
from snowmatch.review.doctor.finding import CHECK, HINT, SERIOUS, Finding, Patient, count_of, names_of
from snowmatch.review.doctor.stored import findings_of_stored

SAMPLE = 4096  # bytes at the end of a file that are compared before the whole file is read
Pair = tuple[str, str]


def findings_of_photos(patient: Patient) -> Iterator[Finding]:
    """Yield the findings about files: copies, missing, empty, unreadable, and not indexed."""
    yield from _copies(patient)
    yield from _files(patient)
    yield from _failed(patient)
    yield from _states(patient)


# --- copies -----------------------------------------------------------------------------------------------------------


def _copies(patient: Patient) -> Iterator[Finding]:
    """Yield the findings on photos that are the same picture. Frames of one burst that look alike are no fault."""
    groups = list(_equal_files(patient))
    content = {path: n for n, group in enumerate(groups) for path in group}
    equal = {_pair(group[0], other) for group in groups for other in group[1:]}
    alike = {
        _pair(one, other)
        for note in patient.notes("copies", "copies-with-two-names")
        for one, other in note.data["pairs"]
        if all(_unchanged(patient, path) for path in (one, other))  # else it is of what was there before
        if one not in content or content[one] != content.get(other)
    }
    two_names: list[Pair] = []
    frames: list[Pair] = []
    across: list[Pair] = []
    inside: list[Pair] = []
    for one, other in sorted(equal | alike):
        names = [names_of(patient.photos[path]) for path in (one, other)]
        same_encounter = patient.photos[one][0].encounter == patient.photos[other][0].encounter
        if all(names) and set(names[0]).isdisjoint(names[1]):
            (two_names if (one, other) in equal or not same_encounter else frames).append((one, other))
        elif not same_encounter:
            across.append((one, other))
        elif (one, other) in equal:
            inside.append((one, other))
    for code, severity, pairs, text in (
        ("copies-with-two-names", SERIOUS, two_names, "with the names of different individuals"),
        ("frames-with-two-names", CHECK, frames, "of one encounter with the names of different individuals"),
        ("copies", CHECK, across, "in different encounters: they are no evidence for each other"),
        ("copies-in-encounter", HINT, inside, "twice in one encounter"),
    ):
        if pairs:
            yield patient.finding(
                code,
                severity,
                f"{count_of(pairs, 'picture')} {text}",
                [_words(patient, pair, pair in equal) for pair in pairs],
                [a for pair in pairs for path in pair for a in patient.photos[path]],
                pairs=pairs,
            )


def _words(patient: Patient, pair: Pair, equal: bool) -> str:
    said = []
    for path in pair:
        names = names_of(patient.photos[path])
        said.append(f"{path} ({', '.join(names)})" if names else path)
    return f"{said[0]} and {said[1]}: {'the same file' if equal else 'nearly the same picture'}"


def _unchanged(patient: Patient, path: str) -> bool:
    """Return whether a photo is there and is what its record says: what is known of the record is true of it then."""
    known = patient.records.photos.get(path)
    return current_status(os.path.join(patient.data.folder, path), known) is not None


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def _equal_files(patient: Patient) -> Iterator[list[str]]:
    """Yield the groups of photos with the same content, those with a named animal first.

    Recorded photos that are unchanged are known by their content. Of the others, only files of equal size and equal end
    are read.
    """
    folder = patient.data.folder
    sizes: dict[int, list[str]] = defaultdict(list)
    recorded: dict[str, str] = {}
    for path in patient.photos:
        try:
            sizes[os.stat(os.path.join(folder, path)).st_size].append(path)
        except OSError:
            continue  # a missing photo is a finding of its own
        if _unchanged(patient, path):
            recorded[path] = patient.records.photos[path].sha256
    for size, paths in sizes.items():
        if not size or len(paths) < 2:
            continue
        contents: dict[str, list[str]] = defaultdict(list)
        known = {path: recorded[path] for path in paths if path in recorded}
        rest = [path for path in paths if path not in known]
        for path, content in (*known.items(), *_contents(folder, rest, bool(known))):
            contents[content].append(path)
        for group in contents.values():
            if len(group) > 1:
                yield sorted(group, key=lambda path: (not names_of(patient.photos[path]), path))


def _contents(folder: Path, paths: Iterable[str], compared: bool) -> Iterator[tuple[str, str]]:
    """Yield the sha256 of those files that may equal another one. compared: all may."""
    ends: dict[bytes, list[str]] = defaultdict(list)
    for path in paths:
        try:
            with open_regular(folder / path) as file:
                file.seek(-min(SAMPLE, os.fstat(file.fileno()).st_size), os.SEEK_END)
                ends[file.read(SAMPLE)].append(path)
        except (OSError, SnowmatchError):
            continue
    for group in ends.values():
        for path in group if compared or len(group) > 1 else ():
            try:
                yield path, file_sha256(folder / path)
            except SnowmatchError:
                continue


# --- files ------------------------------------------------------------------------------------------------------------


def _files(patient: Patient) -> Iterator[Finding]:
    """Yield the findings on photos and masks that are missing or empty."""
    folder, annotations = patient.data.folder, patient.data.annotations
    problems: dict[str, str] = {}
    lost: dict[str, list[str]] = defaultdict(list)  # by the content that they had
    for path in dict.fromkeys([*patient.photos, *(a.mask for a in annotations if a.mask)]):
        try:
            if not os.stat(os.path.join(folder, path)).st_size:
                problems[path] = "the file is empty"
        except FileNotFoundError:
            link = os.path.islink(folder / path)
            problems[path] = "a link to nowhere" if link else "the file does not exist"
            if path in patient.records.photos:
                lost[patient.records.photos[path].sha256].append(path)
        except OSError as error:
            problems[path] = error.strerror or str(error)
    for path, known in patient.records.photos.items() if lost else ():
        if path in patient.photos and path not in problems and known.sha256 in lost and _unchanged(patient, path):
            for old in lost[known.sha256]:
                problems[old] = f"the file does not exist; {path} is the same photo: if it was renamed, remove this row"
    if problems:
        about = [a for a in annotations if a.path in problems or a.mask in problems]
        text = f"{counted(len(problems), 'photo or mask', 'photos or masks')} cannot be read"
        cases = [f"{path}: {why}" for path, why in sorted(problems.items())]
        yield patient.finding("files-missing", SERIOUS, text, cases, about)


def _failed(patient: Patient) -> Iterator[Finding]:
    """Yield a finding on photos that an index run could not read."""
    failed = {path: why for path, why in sorted(patient.records.failures.items()) if path in patient.photos}
    if failed:
        text = f"{counted(len(failed), 'photo')} could not be indexed: damaged, or not a photo"
        cases = [why if path in why else f"{path}: {why}" for path, why in failed.items()]
        yield patient.finding("failed", CHECK, text, cases, [a for path in failed for a in patient.photos[path]])


def _states(patient: Patient) -> Iterator[Finding]:
    """Yield the findings on annotations that are not indexed or stale, and on damage of what snowmatch stored."""
    folder, annotations = patient.data.folder, patient.data.annotations
    try:
        load_calibrations(folder)
        stored = list_features(features_path(folder))
        if not stored:
            text = f"nothing is indexed: {counted(len(annotations), 'annotation')} cannot be compared"
            yield Finding("not-indexed", HINT, text, data={"count": len(annotations)})
        for described in stored:
            keys = open_features(features_path(folder), described).keys
            states = annotation_states(folder, annotations, patient.records, keys)
            by = f"by {described['name']} ({settings_text(described)})" if len(stored) > 1 else ""
            for state, words in (
                ("stale", "changed since the last index run"),
                ("missing", "not indexed yet"),
            ):
                rows = [a for a, found in zip(annotations, states, strict=True) if found.state == state]
                if rows:
                    text = f"{' '.join(filter(None, (counted(len(rows), 'annotation'), by)))}: {words}, so not compared"
                    yield patient.finding(
                        f"{state}-annotations",
                        CHECK,
                        text,
                        list(dict.fromkeys(a.path for a in rows)),
                        rows,
                        count=len(rows),
                        extractor=described["name"],
                        settings=described,
                    )
    except SnowmatchError as error:
        yield Finding(error.code or "features-damaged", CHECK, str(error), data=error.data)
    # At the end: what was read so far may have made files again
    yield from findings_of_stored(folder, patient.records)
