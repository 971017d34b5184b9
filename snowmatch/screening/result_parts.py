"""The parts of another program's results, and the checks of their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some

RelativeBox = tuple[float, float, float, float]  # x, y, width, height as shares of the upright photo
ROUNDING = 1e-6  # a confidence may be that far outside 0 to 1
REACH = 0.5  # a box may reach that far beyond the photo, as a share of the photo


class BadValueError(ValueError):
    """A value in a file of results that is not possible. The text names the value and what was expected."""


@dataclass(frozen=True, slots=True)
class Species:
    """A species that a program names, and its probability, 0 to 1. taxon: what the file says in full, "" if no more."""

    name: str
    probability: float
    taxon: str = ""


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object that a program finds in a photo.

    box: as shares of the photo; it may reach a little beyond. label: `animal`, `person`, `vehicle`, or what the file
    says. confidence: 0 to 1. species: of this object, as the file orders them; () if it says nothing.
    """

    box: RelativeBox
    label: str
    confidence: float
    species: tuple[Species, ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoResult:
    """What a program says of one photo.

    file: the name as written, with forward slashes. detections: by descending confidence. failure: why the program
    found nothing out; "" if it did. image_size: (width, height) if the file tells it. species: of the whole photo, not
    of one of its objects.
    """

    file: str
    detections: tuple[ObjectResult, ...] = ()
    failure: str = ""
    image_size: tuple[int, int] | None = None
    species: tuple[Species, ...] = ()


@dataclass(frozen=True)
class Results:
    """A file of results: the program and the version of its format, its networks, and its photos by file name.

    detector, classifier: as the file names them; "" if it does not. notes: what was left out or is doubtful.
    """

    program: str
    version: str
    detector: str
    classifier: str
    photos: Mapping[str, PhotoResult]
    notes: tuple[Note, ...] = ()


@dataclass
class Tally:
    """Photos for which something is to be noted, by code. The notes do not depend on the order of the photos."""

    files: dict[str, list[str]] = field(default_factory=dict)

    def add(self, code: str, file: str) -> None:
        """Count a photo. A photo may be counted several times."""
        self.files.setdefault(code, []).append(file)

    def notes(self, texts: Mapping[str, tuple[str, str]]) -> list[Note]:
        """Return one note for each code. texts: by code, the thing that is counted and what to say of it."""
        made = []
        for code, (thing, text) in texts.items():
            if names := sorted(self.files.get(code, ())):
                listed = some(list(dict.fromkeys(names)))
                made.append(Note(code, f"{counted(len(names), thing)} {text}: {listed}", {"count": len(names)}))
        return made


def share(value: object, what: str) -> float:
    """Return a confidence or probability, 0 to 1. Raises BadValueError if it is anything else."""
    number = _number(value)
    if number is None or not -ROUNDING <= number <= 1 + ROUNDING:
        raise BadValueError(f"{what} is {value!r}, expected a number from 0 to 1")
    return min(max(number, 0.0), 1.0)


def relative_box(value: object) -> RelativeBox:
    """Return a box. Raises BadValueError if it is not x, y, width, height as shares of the photo."""
    numbers = [number for v in value if (number := _number(v)) is not None] if isinstance(value, list) else []
    if isinstance(value, list) and len(numbers) == len(value) == 4:
        x, y, width, height = numbers
        edges = (x, y, x + width, y + height)
        if width >= 0 and height >= 0 and all(-REACH <= edge <= 1 + REACH for edge in edges):
            return (x, y, width, height)
    raise BadValueError(
        f"bbox is {value!r}, expected the numbers x, y, width, height from 0 to 1, as shares of the photo"
    )


def text_of(value: object, what: str) -> str:
    """Return a text that is not blank. Raises BadValueError if it is anything else."""
    if not isinstance(value, str) or not value.strip():
        raise BadValueError(f"{what} is {value!r}, expected a text")
    return value


def file_of(entry: object, key: str) -> str:
    """Return the name of an entry's photo, with forward slashes."""
    if not isinstance(entry, dict):
        raise BadValueError(f"it is {type(entry).__name__}, expected an object with {key!r}")
    return text_of(entry.get(key), key).replace("\\", "/")


def objects(value: object, what: str) -> list[dict[str, object]]:
    """Return a list of JSON objects. Raises BadValueError if it is anything else."""
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise BadValueError(f"{what} is {type(value).__name__}, expected a list of objects")
    return value


def table_of(value: object, what: str) -> dict[str, object]:
    """Return a JSON object; None gives an empty one. Raises BadValueError if it is anything else."""
    if not isinstance(value, dict | None):
        raise BadValueError(f"{what} is {type(value).__name__}, expected an object")
    return value or {}


def by_confidence(found: Iterable[ObjectResult]) -> tuple[ObjectResult, ...]:
    """Return objects by descending confidence; equal ones by box, then by label."""
    return tuple(sorted(found, key=lambda f: (-f.confidence, f.box, f.label)))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
