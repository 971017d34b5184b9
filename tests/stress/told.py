"""What users are told from the files under `.snowmatch`, asked for again and again: see damage.py."""

import csv
import gc
import hashlib
import pickle
import sqlite3
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fake_classifier import Colours

import snowmatch
from snowmatch.api import Catalog
from snowmatch.catalog import records, screened
from snowmatch.catalog.database import DamagedError, reading
from snowmatch.catalog.found import load_found
from snowmatch.confidence import learn
from snowmatch.core import plugins
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import home_of, imported_path
from snowmatch.core.notes import Note
from snowmatch.features import extractors, segments
from snowmatch.identify import calibrate as calibrating
from snowmatch.identify import judge
from snowmatch.interchange.table_files import read_memory
from snowmatch.matching.search import inverted_file
from snowmatch.photos import pixels
from snowmatch.review import watched
from snowmatch.review.batch import run_batch
from snowmatch.review.doctor.stored import findings_of_stored
from snowmatch.review.observer_name import observer_name
from snowmatch.review.turns import held_by_others, skipped_by
from snowmatch.review.uploads import find_upload
from snowmatch.screening import finders, maps, scenes
from snowmatch.views.previews import preview
from snowmatch.web.asked import find_question
from snowmatch.web.jobs import list_jobs, read_output

MOST_OPENED = 50  # files of features that are held open
FEW_ROWS = 100  # a body part with more has an inverted file and a codebook
OF_CATALOG = ("answer", "notes", "batch", "picture", "stored")  # they use what "annotations" has opened
CONNECT = sqlite3.connect


@dataclass(frozen=True)
class Told:
    """What users are told: values and errors by name, and all notes (code, text). opened: the files that were opened
    for each value. statements: of SQL, for each value. rows: of each statement; None if it fails.
    """

    values: dict[str, Any]
    errors: dict[str, str]
    notes: set[tuple[str, str]]
    opened: dict[str, set[str]] = field(compare=False)
    statements: dict[str, set[str]] = field(compare=False)
    rows: dict[str, Any] = field(compare=False)


class Asker:
    """Asks for all that users are told from the files of a catalog, and hears which files are opened for it.

    It changes this process: only one is made in each.
    """

    def __init__(self, place):
        small()
        extractors.extract_chips = once(extractors.extract_chips)
        pixels._read, scenes.info_bars, Colours.classify = map(once, (pixels._read, scenes.info_bars, Colours.classify))
        self.catalog, self.home = place / "catalog", home_of(place / "catalog")
        self.photo, self.box = query_in(place / "queries")
        self.heard, self.said, self.notes, self.data, self.sound = set(), set(), set(), None, None
        self.readers = {
            "annotations": self.annotations,  # the first: others use what it has opened
            "answer": self.answer,
            "notes": self.note,
            "batch": self.batch,
            "picture": self.picture,
            "stored": self.stored,
            "memory": self.memory,
            "uploads": self.uploads,
            "watched": self.watched,
            "observer": lambda: observer_name(self.catalog),
            "turns": self.turns,
            "checks": self.checks,
            "jobs": self.jobs,
            "events": lambda: frozenset(map(repr, watched.events_since(self.catalog, None)[0])),
        }
        sys.addaudithook(self._hear)
        sqlite3.connect = self._connect

    def hurry(self):
        """Remember what no byte changes: files of features that were not written, the program's own files."""
        segments.open_segment = opened_once(segments.open_segment)
        plugins._own_names = cache(plugins._own_names)
        gc.freeze()
        gc.get_freeze_count = lambda: 1  # counting them took a quarter of the time

    def _hear(self, event, arguments):
        if event in ("open", "sqlite3.connect"):
            self.heard.add(str(arguments[0]).removeprefix("file://").partition("?")[0])

    def _connect(self, *arguments, **options):
        connection = CONNECT(*arguments, **options)
        connection.set_trace_callback(self.said.add)
        return connection

    def ask(self, known=None, path=None, changed=None):
        """Return what is told.

        path: only that for which this file was opened, as `known` tells; None: all. changed: only that which asked for
        rows with these statements.
        """
        told = Told({}, {}, set(), {}, {}, {})
        self.notes, self.data = told.notes, self.sound
        for name, read in self.readers.items():
            if path is not None and str(path) not in known.opened[name]:
                continue
            if changed is not None and not changed & known.statements[name]:
                continue
            self.heard.clear()
            self.said.clear()
            try:
                told.values[name] = read()
            except SnowmatchError as error:
                told.errors[name] = str(error)
            told.opened[name] = {each for each in self.heard if each.startswith(str(self.home))}
            told.statements[name] = {each for each in self.said if each.startswith("SELECT")}
            if name in OF_CATALOG:  # what was opened for the first is not opened again
                told.opened[name] |= told.opened.get("annotations", set())
                told.statements[name] |= told.statements.get("annotations", set())
        self.sound = self.sound or self.data
        if path is None:
            told.rows.update(self.rows(set().union(*told.statements.values())))
        return told

    def rows(self, statements):
        """Return the rows of each statement of SQL; None if it fails."""
        rows = dict.fromkeys(statements)
        with suppress(DamagedError, SnowmatchError), reading(self.catalog) as connection:
            for each in statements:
                with suppress(sqlite3.Error):
                    rows[each] = connection.execute(each).fetchall()
        return rows

    def _take(self, notes):
        self.notes.update((note.code, note.text) for note in notes)

    def annotations(self):
        self.data = None
        self.data = snowmatch.open_catalog(self.catalog).data
        self._take(self.data.notes)
        return [repr(a) for a in self.data.annotations]

    def opened(self):
        """Return the catalog as it was opened, without what others have loaded of it."""
        if self.data is None:
            raise SnowmatchError("the catalog cannot be opened")
        return Catalog(self.data)

    def answer(self):
        found = self.opened().query(self.photo, bbox=self.box)
        self._take(found.notes)
        return [(c.individual, f"{c.score:.5g}", f"{c.probability}", c.level) for c in found.candidates]

    def note(self):
        self._take(self.opened().notes())

    def batch(self):
        found = run_batch(self.opened())
        self._take(found.notes)
        return repr(found.rows)

    def picture(self):
        return preview(self.catalog, self.opened().data.annotations[1], "animal", 160)

    def stored(self):
        """Return all that the database keeps of single photos."""
        notes = []
        known = records.load_records(self.catalog)
        self.doctor(known)
        marks = maps.load_marks(self.catalog)
        if None in marks.values():
            notes.append(Note("maps-mended", "as `index` says"))
        kept = {
            "classes": screened.load_classes(self.catalog),
            "detections": screened.load_detections(self.catalog, notes=notes),
            "flanks": screened.load_flanks(self.catalog),
            "found": load_found(self.catalog, notes=notes),
            "failures": known.failures,
            "marks": {key: mark for key, mark in marks.items() if mark is not None},
        }
        rule = screened.load_screened(self.catalog, notes)
        kept["screened"] = {} if rule is None else {**rule.answers, "rule": (rule.species, rule.threshold)}
        self._take(notes)
        return frozenset(repr((name, item)) for name, values in kept.items() for item in values.items())

    def checks(self):
        self.doctor(records.Records())

    def doctor(self, known):
        self.notes.update((found.code, found.text) for found in findings_of_stored(self.catalog, known))

    def turns(self):
        self.doctor(records.Records())
        return frozenset(skipped_by(self.catalog, "Anna")) | held_by_others(self.catalog, "Berk", now=0)

    def memory(self):
        notes = []
        found = read_memory(imported_path(self.catalog), notes)
        self._take(notes)
        return sorted((str(k), sorted(v.items())) for k, v in found.items())

    def uploads(self):
        place = self.home / "uploads"
        found = [find_upload(self.catalog, p.stem) for p in sorted(place.glob("*.json"))]
        return found, [find_question(self.catalog, p.stem) for p in sorted((place / "questions").glob("*.json"))]

    def watched(self):
        found = watched.read_memory(self.catalog)
        if found.damaged:
            self.notes.add(("watched-damaged", f"{found.damaged} lines"))
        return repr(found)

    def jobs(self):
        found = list_jobs(self.catalog)
        self.notes.update(("job", line) for job in found for line in job.messages.splitlines() if "damaged" in line)
        return repr(found), read_output(self.catalog, found[0].id).read_bytes()


def small():
    """Allow calibration with few pairs, and make search indexes of few rows; classify as the tests do."""
    for module in (calibrating, judge, learn):
        module.ENOUGH_PAIRS = 1
    inverted_file.EXHAUSTIVE_ROWS = FEW_ROWS
    finders._classifier = lambda name: None if name == "none" else Colours()


def query_in(folder):
    """Return the first photo with a box in a folder of queries, and the box."""
    with (folder / "queries.csv").open(newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["bbox"])
    return folder / row["path"], tuple(map(int, row["bbox"].split(",")))


def once(function):
    """Return a function that remembers its values by its arguments. For what no file of the catalog changes."""
    known = {}

    def remembered(*arguments):
        key = hashlib.sha256(pickle.dumps(arguments)).digest()
        if key not in known:
            known[key] = function(*arguments)
        return known[key]

    return remembered


def opened_once(open_segment):
    """Return a function that opens a file of features only if it has changed since."""
    known = {}

    def open_changed(path, described):
        key = path, stamp_of(path), repr(described)
        if key not in known:
            if len(known) > MOST_OPENED:
                known.clear()
            try:
                known[key] = open_segment(path, described)
            except SnowmatchError as error:
                known[key] = error
        if isinstance(known[key], SnowmatchError):
            raise known[key]
        return known[key]

    return open_changed


def stamp_of(path):
    """Return what changes when a file is written: its number, size and time."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
