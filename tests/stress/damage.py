"""Every file under `.snowmatch`, damaged byte by byte: the answer stays, or it is said what is wrong; and it is mended.

Each trial changes one byte of one file of a catalog that has every kind of file, and looks at everything that users are
told from these files: the answer to a query, the notes, boxes, what was asked, who decides, uploads, previews and what
an import remembers. What is told must be the same, or an error of one line or a new note must say so. Then an index run
and a calibration mend the catalog: then all is as it was, or was made anew.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import INDEX, child, command, draw, fresh, run_value
from fake_classifier import Colours

import snowmatch
from snowmatch.confidence import learn
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import home_of, imported_path
from snowmatch.identify import calibrate as calibrating
from snowmatch.identify import judge
from snowmatch.interchange.table_files import read_memory
from snowmatch.review import watched
from snowmatch.review.observer_name import observer_name
from snowmatch.review.turns import skip, skipped_by, take
from snowmatch.review.uploads import find_upload, keep_upload
from snowmatch.screening import finders
from snowmatch.views.previews import preview

# Files of which a damaged one costs nothing that is told: locks, times of checks, what a person skipped
NO_MATTER = (".lock", "checked.json", "writer.json", "turns.json", "calibration.png")

KEPT_NAMES = ("settings.json", "checked.json", "writer.json")


@dataclass(frozen=True)
class Told:
    """What users are told: values by name, and the codes of all notes. errors: lines, by name."""

    values: dict[str, Any]
    codes: frozenset[str]
    errors: dict[str, str]


class Damage:
    """A catalog with every kind of file. `trial` damages one byte, and returns the file's kind and what was found."""

    def __init__(self, work, every=0):
        self.work, self.place, self.base = work, work / "damage", work / "damage-base"
        if not self.base.exists():
            self._make()
        fresh(self.base, self.place)
        home = home_of(self.place / "catalog")
        self.files = [p for p in sorted(home.rglob("*")) if p.is_file() and p.stat().st_size]
        self.contents = {path: path.read_bytes() for path in self.files}
        self.every = every
        self.expected = self._ask()
        if self.expected.errors:
            raise RuntimeError(str(self.expected.errors))

    def _make(self):
        drawn = self.work / "damage-drawn"
        if not drawn.exists():
            draw(drawn, encounters=3)
        catalog = self.place / "catalog"
        fresh(drawn, self.place)

        def make():
            few()
            opened = snowmatch.open_catalog(catalog, encounter_gap=50)
            opened.index("sift", workers=1)

        def calibrate():  # after all that changes answers: a calibration that is made again is then the same
            few()
            snowmatch.open_catalog(catalog).calibrate()
            command("batch", catalog, "--unidentified", "--out", self.place / "answers")()

        def fill():
            photo = next((self.place / "queries").glob("images/*.jpg"))
            keep_upload(catalog, photo.read_bytes(), "photo.jpg")
            observer_name(catalog, "Anna")
            take(catalog, "Anna", ("a", "b"))
            skip(catalog, "Anna", ("a", "c"))
            preview(catalog, snowmatch.open_catalog(catalog).data.annotations[1], "animal", 320)

        watch = ("watch", self.place / "queries", "--catalog", catalog, "--once", "--every", "0.1", "--quiet", "0")
        table = self.place / "more.csv"
        table.write_text(f"path,individual,station\n{next((catalog / 'images').iterdir()).name},aika,st01\n")
        steps = (
            command("import", table, catalog, "--format", "table", "--photos", catalog / "images"),
            make,
            command("screen", catalog, "--workers", "1"),
            command("index", catalog, *INDEX),
            calibrate,
            command(*watch),
            fill,
        )
        for step in steps:
            ended = child(self.work, step)
            if ended.status not in (0, None):
                raise RuntimeError(ended.text)
        os.rename(self.place, self.base)

    def _ask(self):
        """Return what users are told, asked in a child: a crash is an error, too."""
        told = run_value(self.work, lambda: ask(self.place))
        if isinstance(told, Told):
            return told
        return Told({}, frozenset(), {"process": f"Traceback: the child ended with {told.status}: {told.text[-1500:]}"})

    def trial(self, number, seed):
        """Damage one byte. Returns the kind of file, what happened (same, said, mended, found), and what was wrong."""
        chance = random.Random(f"{seed} damage {number}")
        path = self.files[number % len(self.files)]
        good = self.contents[path]
        round = number // len(self.files)
        # With `every`, the bytes one after the other; without, any byte, half of them in the first 4 KB
        at = (round * self.every) % len(good) if self.every else chance.randrange(place_below(len(good), chance))
        changed = bytearray(good)
        changed[at] = (changed[at] ^ 1 << chance.randrange(8)) if chance.random() < 0.8 else 255 - changed[at]
        kind = kind_of(path.relative_to(home_of(self.place / "catalog")).as_posix())
        path.write_bytes(bytes(changed))
        try:
            told = self._ask()
            what, wrong = self._judge(told, kind)
            if not wrong and chance.random() < 0.05:
                wrong = self._mend(kind)
                what = "mended" if not wrong else "found"
            text = f"{kind}, byte {at} of {len(good)}: {wrong}" if wrong else ""
            return kind, what, text
        finally:
            self._restore(path, good)

    def _judge(self, told, kind):
        wrong = [line for line in told.errors.values() if line.startswith("Traceback") or "\n" in line.strip()]
        if wrong:
            return "found", wrong[0]
        differing = [n for n, v in self.expected.values.items() if n in told.values and told.values[n] != v]
        if not differing and not told.errors:
            return "same", ""
        if told.errors or told.codes - self.expected.codes or kind.endswith(NO_MATTER):
            return "said", ""
        if differing == ["asked"]:  # a photo of which it is not known that it was asked about is asked about again
            lost = set(self.expected.values["asked"]) - set(told.values["asked"])
            return ("said", "") if len(lost) < 3 else ("found", f"forgotten: {lost}")
        return "found", f"in silence: {[(n, told.values[n], self.expected.values[n]) for n in differing]}"[:1500]

    def _mend(self, kind):
        """Run what mends a catalog, and return what is not as it was."""
        catalog = self.place / "catalog"

        def mend():
            few()
            finders._classifier = lambda name: None if name == "none" else Colours()
            report = snowmatch.open_catalog(catalog, encounter_gap=50).index("sift", workers=1, verify=True)
            if report.failed:
                raise RuntimeError(str(report.failed))
            if "calibration.json" in kind:
                snowmatch.open_catalog(catalog).calibrate()

        ended = child(self.work, mend)
        if ended.status:
            return f"not mended: {ended.text[-1500:]}"
        told = self._ask()
        names = ("answer", "annotations")
        differing = [n for n in names if told.values.get(n) != self.expected.values[n]]
        if "catalog.sqlite" in kind or "settings.json" in kind:  # made by `screen`, set by a person
            differing = [n for n in differing if n != "annotations"]
        return f"after mending: {[(n, told.values.get(n), told.errors.get(n)) for n in differing]}" if differing else ""

    def _restore(self, path, good):
        """Put the file right again; the whole catalog if anything else has changed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good)
        home = home_of(self.place / "catalog")
        there = {p for p in home.rglob("*") if p.is_file() and p.stat().st_size}
        if there != set(self.files) or any(p.read_bytes() != self.contents[p] for p in self.files):
            fresh(self.base, self.place)


def few():
    """Allow calibration with the few pairs of a small survey."""
    for module in (calibrating, judge, learn):
        module.ENOUGH_PAIRS = 1


def place_below(size, chance):
    """Return the number of bytes of which one is changed: all, or those at the beginning."""
    return size if chance.random() < 0.5 else min(size, 4096)


def kind_of(name):
    """Return the name of a file without what differs from one catalog to another."""
    first, _, rest = name.partition("/")
    last = name.rpartition("/")[2]
    return (
        f"{first}/*{last[last.find('.') :]}"
        if rest and not last.isalpha() and last not in KEPT_NAMES
        else (f"{first}/{last}" if rest else name)
    )


def ask(place):
    """Return what users are told from the files of a catalog."""
    catalog = place / "catalog"
    photo = sorted((place / "queries").glob("images/*.jpg"))[0]
    values, errors, codes = {}, {}, set()
    opened = None

    def answer():
        nonlocal opened
        opened = snowmatch.open_catalog(catalog)
        codes.update(note.code for note in opened.data.notes)
        found = opened.query(photo)
        codes.update(note.code for note in found.notes)
        return [(c.individual, f"{c.score:.5g}", f"{c.probability}", c.level) for c in found.candidates]

    def annotations():
        assert opened is not None
        return [(a.path, a.annotation, a.bbox, a.encounter, a.individual) for a in opened.data.annotations]

    def database():
        codes.update(note.code for note in snowmatch.open_catalog(catalog).notes())
        return ""

    def asked():
        found = watched.read_memory(catalog)
        codes.update(["watched-damaged"] * bool(found.damaged))
        return sorted(found.asked.items())

    def memory():
        notes = []
        found = read_memory(imported_path(catalog), notes)
        codes.update(note.code for note in notes)
        return sorted((str(k), sorted(v.items())) for k, v in found.items())

    def uploads():
        return [vars(find_upload(catalog, p.stem)) for p in sorted((home_of(catalog) / "uploads").glob("*.json"))]

    def picture():
        if opened is None:
            return ""
        return preview(catalog, opened.data.annotations[1], "animal", 320).hex()

    readers: dict[str, Callable[[], Any]] = {
        "answer": answer,
        "annotations": annotations,
        "database": database,
        "memory": memory,
        "uploads": uploads,
        "picture": picture,
        "asked": asked,
        "observer": lambda: observer_name(catalog),
        "turns": lambda: skipped_by(catalog, "Anna"),
    }
    for name, read in readers.items():
        try:
            values[name] = read()
        except SnowmatchError as error:
            errors[name] = str(error)
        except AssertionError:
            errors[name] = "the catalog cannot be opened"
    return Told(values, frozenset(codes), errors)
