"""Every byte of every file under `.snowmatch`, damaged: the answer stays, or it is said what is wrong. It is mended.

The catalog is as small as can be, and has every kind of file. Each trial changes one byte, and looks at everything that
users are told from these files: answers, notes, boxes, what was screened and asked, who decides, uploads, previews,
jobs and what an import remembers. What is told must be the same, or an error of one line or a new note must say so.
For some bytes of each file, evenly spread, an index run then mends the catalog: all must be as it was.

Trials run in forked children, many in one. A child that dies has found something: the byte that it was at. A trial asks
only for what the byte can change:

- What does not open the damaged file cannot tell its content. Which files are opened is recorded.
- The database is read by SQL alone, behind its head. Where all statements that were recorded give the same rows, what
  is told of them is the same.

One in ALL trials asks everything all the same.
"""

import io
import os
import pickle
import random
import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from common import child, command, draw, fresh, limit_memory, run_value
from PIL import Image
from told import Asker, Told, query_in, small, stamp_of

import snowmatch
from snowmatch.catalog import opened as opening
from snowmatch.catalog import records, screened
from snowmatch.cli.shared import Bar
from snowmatch.core.home import PROGRESS_FILE, home_of, settings_path
from snowmatch.core.types import Detection
from snowmatch.review import watched
from snowmatch.review.batch import run_batch
from snowmatch.review.observer_name import observer_name
from snowmatch.review.turns import skip, take
from snowmatch.review.uploads import keep_upload
from snowmatch.views.previews import preview
from snowmatch.web.asked import Asked, keep_question
from snowmatch.web.jobs import list_jobs, start_job

DATABASE, SQL_HEAD = "catalog.sqlite", 100  # bytes of its head
BATCH = 1000  # trials of one child
MENDS, MENDS_OF_DATABASE = 30, 500  # bytes of each file, at least, after which the catalog is mended
ALL = 50  # one in so many trials asks everything
MEMORY = 3 << 30  # bytes that a child may take
FEATURES = 30  # of a photo

# Of what is stored of single photos, and who skipped what, a part may be lost: it is made again, or costs nothing
PARTS = ("stored", "turns", "events")
MENDED = ("records-damaged", "maps-damaged", "index-made", "files-mended")  # notes that no index run may leave
LEAST = opening.LEAST
KEPT_NAMES = ("settings.json", "checked.json", "job.json", "ended.json", "progress.json")


class Damage:
    """A catalog with every kind of file. `batch` damages one byte after the other.

    every: only every so-manyth byte of each file. trials: (file, byte) of each trial; the seed chooses their order.
    """

    def __init__(self, work, seed, every=1):
        self.work, self.seed, self.every = work, seed, every
        self.name = "damage" if every == 1 else f"damage, every {every}"
        self.place, self.base = work / "damage", work / "damage-base"
        self.home = home_of(self.place / "catalog")
        if not self.base.exists():
            self._make()
        self._renew()
        self.contents = {path: path.read_bytes() for path in sorted(files_in(self.home))}
        self.files = [path for path, content in self.contents.items() if content]
        self.trials = [(path, at) for path in self.files for at in range(0, len(self.contents[path]), every)]
        random.Random(seed).shuffle(self.trials)
        self.expected = run_value(work, lambda: Asker(self.place).ask())
        database = self.home / DATABASE
        os.utime(database)  # then it is read again, and not what was kept of it
        known = run_value(work, lambda: Asker(self.place).ask())
        if not isinstance(known, Told) or known.errors or known != self.expected:
            raise RuntimeError(f"{self.expected}\n{known}"[:3000])
        self.expected = replace(self.expected, statements=known.statements, rows=known.rows)
        self._restore(database)

    def _make(self):
        drawn = self.work / "damage-drawn"
        if not drawn.exists():
            draw(drawn, individuals=2, encounters=3, photos=(1, 1), unidentified=1)
        catalog = self.place / "catalog"
        fresh(drawn, self.place)
        photo, _ = query_in(self.place / "queries")

        def job():  # nothing is indexed, so it ends at once, and says so
            name = start_job(catalog, "batch").id
            while list_jobs(catalog)[0].state == "running":
                time.sleep(0.1)
            with patch.dict(os.environ, {PROGRESS_FILE: str(home_of(catalog) / "jobs" / name / "progress.json")}):
                Bar("asking", "animal").update(1, 1)

        def make():
            small()
            opened = snowmatch.open_catalog(catalog, encounter_gap=50)
            opened.index("sift", {"max_features": str(FEATURES)}, workers=1)

        def calibrate():  # after all that changes answers: a calibration that is made again is then the same
            small()
            snowmatch.open_catalog(catalog).calibrate()
            run_batch(snowmatch.open_catalog(catalog))

        def watch():
            small()
            command("watch", photo.parent, "--catalog", catalog, "--once", "--every", "0.1", "--quiet", "0")()

        def fill():
            upload = keep_upload(catalog, small_photo(photo), "photo.jpg")
            keep_question(catalog, Asked((upload.id,), (None,), "left_flank", "", "", "", ""))
            observer_name(catalog, "Anna")
            take(catalog, "Anna", ("a", "b"))
            skip(catalog, "Anna", ("a", "c"))
            memory = watched.read_memory(catalog)
            watched.write_step(catalog, memory, to_add=[watched.ToAdd("a.jpg", "ab", "left_flank", "naryn", "st01")])
            sha256 = next(iter(records.load_records(catalog).photos.values())).sha256
            screened.save_detections(catalog, "a detector", {sha256: [Detection((1, 2, 30, 40), "animal", 0.5)]})
            screened.save_flanks(catalog, {sha256: ("a network", 0.75)})
            before = records.load_records(catalog)
            after = records.copy_of(before)
            after.failures["images/gone.jpg"] = "it is no photo"
            records.save_records(catalog, after, before)
            opening.LEAST = 1
            preview(catalog, snowmatch.open_catalog(catalog).data.annotations[1], "animal", 160)

        table = self.place / "more.csv"
        table.write_text(f"path,individual,station\n{next((catalog / 'images').iterdir()).name},aika,st01\n")
        steps = (
            job,
            command("import", table, catalog, "--format", "table", "--photos", catalog / "images"),
            make,
            command("screen", catalog, "--workers", "1"),
            make,
            calibrate,
            watch,
            fill,
        )
        for step in steps:
            ended = child(self.work, step)
            if ended.status not in (0, None):
                raise RuntimeError(ended.text)
        os.rename(self.place, self.base)

    def _renew(self):
        """Put a fresh copy of the catalog in its place."""
        fresh(self.base, self.place)
        self.stamps = {path: stamp_of(path) for path in files_in(self.home)}

    def summary(self):
        """Return what was tried when all trials are done."""
        which = "All" if self.every == 1 else f"Every {self.every}th of all"
        total = sum(len(content) for content in self.contents.values())
        kinds = len({self._kind(path) for path in self.files})
        return f"{which} {total:,} bytes of {len(self.files)} files of {kinds} kinds were tried."

    def batch(self, first):
        """Run the next trials. Returns a list of (kind of file, outcome, what was wrong); none when all are done."""
        count = min(BATCH, len(self.trials) - first)
        results = self.work / "results.pickle"
        found = []
        while len(found) < count:
            numbers = range(first + len(found), first + count)
            results.write_bytes(b"")
            ended = child(self.work, lambda numbers=numbers: self._run(numbers, results))
            with results.open("rb") as file:
                while file.peek(1):
                    found.append(pickle.load(file))
            if len(found) < count:
                path, at = self.trials[first + len(found)]
                wrong = f"the process ended with {ended.status}: {ended.text[-1500:]}"
                found.append((self._kind(path), "crashed", f"{path.name}, byte {at}: {wrong}"))
            if ended.status:
                self._renew()
        return found

    def _run(self, numbers, results):
        """Run trials in this process. Each result is written at once."""
        limit_memory(MEMORY)
        warnings.simplefilter("error")
        asker = Asker(self.place)
        if asker.ask() != self.expected:
            raise RuntimeError("the undamaged catalog has another answer")
        asker.hurry()
        with results.open("ab", buffering=0) as file:
            for number in numbers:
                file.write(pickle.dumps(self.trial(number, asker)))

    def trial(self, number, asker):
        """Damage one byte. Returns the kind of file, the outcome and what was wrong."""
        path, at = self.trials[number]
        good, kind = self.contents[path], self._kind(path)
        chance = random.Random(f"{self.seed} damage {path.name} {at}")
        value = good[at] ^ 1 << chance.randrange(8) if chance.random() < 0.8 else 255 - good[at]
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([value]))
        time_ns = self.stamps[path][2] + 1 + number  # each damaged file has a time of its own
        os.utime(path, ns=(time_ns, time_ns))
        damaged = stamp_of(path)
        opening.LEAST = 1 if kind == "opened.json" else LEAST
        try:
            told = self._ask(asker, path, at, chance.random() < 1 / ALL)
            outcome, wrong = self._judge(told)
            if not wrong and path.exists() and stamp_of(path) != damaged:
                outcome += ", made again"
            mends = MENDS_OF_DATABASE if path.name == DATABASE else MENDS
            if not wrong and at // self.every % max(1, len(good) // self.every // mends) == 0:
                wrong = self._mend(kind, asker)
                outcome += ", mended"
        except Exception:
            wrong = traceback.format_exc()
        self._restore(path)
        return (kind, "found", f"{path.name}, byte {at}: {wrong}") if wrong else (kind, outcome, "")

    def _ask(self, asker, path, at, everything):
        """Return what is told of a damaged file; if other files were changed for it, what is told then as well."""
        if everything:
            return asker.ask()
        changed = None
        if path.name == DATABASE and at >= SQL_HEAD:
            rows = asker.rows(self.expected.rows)
            changed = {each for each, known in self.expected.rows.items() if rows[each] != known}
        damaged = path, stamp_of(path)
        told = asker.ask(self.expected, path, changed)
        written = [p for p in files_in(self.home) if stamp_of(p) != self.stamps.get(p) and (p, stamp_of(p)) != damaged]
        if any(p.read_bytes() != self.contents.get(p) for p in written):
            again = asker.ask()
            told = replace(again, notes=told.notes | again.notes, errors=told.errors | again.errors)
        return told

    def _kind(self, path):
        return kind_of(path.relative_to(self.home).as_posix())

    def _judge(self, told):
        wrong = [line for line in told.errors.values() if "\n" in line.strip()]
        if wrong:
            return "found", wrong[0]
        expected = self.expected.values
        differing = [n for n, v in told.values.items() if v != expected[n]]
        if told.errors or told.notes - self.expected.notes:
            return "said", ""
        if not differing:
            return "same", ""
        if all(n in PARTS and told.values[n] < expected[n] for n in differing):
            return "less", ""
        return "found", f"in silence: {[(n, told.values[n], expected[n]) for n in differing]}"[:1500]

    def _mend(self, kind, asker):
        """Run what mends a catalog, and return what is not as it was."""
        if kind == "settings.json":  # what a person has set is never replaced
            settings_path(asker.catalog).unlink()
        opened = snowmatch.open_catalog(asker.catalog, encounter_gap=50)
        opened.index("sift", {"max_features": str(FEATURES)}, workers=1, verify=True)
        if "calibration.json" in kind:
            snowmatch.open_catalog(asker.catalog).calibrate()
        told = asker.ask()
        names = ("answer", "annotations")
        differing = [n for n in names if told.values.get(n) != self.expected.values[n]]
        if "catalog.sqlite" in kind or "settings.json" in kind:  # made by `screen`, set by a person
            differing = [n for n in differing if n != "annotations"]
        wrong = [(n, told.values.get(n), told.errors.get(n)) for n in differing]
        wrong += [note for note in told.notes - self.expected.notes if note[0] in MENDED]
        return f"after mending: {wrong}" if wrong else ""

    def _restore(self, path):
        """Put all files right again."""
        there = files_in(self.home)
        for each in there - self.contents.keys():
            each.unlink()
        for each, content in self.contents.items():
            if each == path or each not in there or stamp_of(each) != self.stamps[each]:
                each.parent.mkdir(parents=True, exist_ok=True)
                if each not in there or each.read_bytes() != content:
                    each.write_bytes(content)
                os.utime(each, ns=(self.stamps[each][2],) * 2)
                self.stamps[each] = stamp_of(each)


def files_in(folder):
    """Return the paths of all files below a folder."""
    return {Path(place, name) for place, _, names in os.walk(folder) for name in names}


def kind_of(name):
    """Return the name of a file without what differs from one catalog to another."""
    first, _, rest = name.partition("/")
    last = name.rpartition("/")[2]
    if not rest:
        return name
    return f"{first}/{last}" if last in KEPT_NAMES or "." not in last else f"{first}/*{last[last.find('.') :]}"


def small_photo(path):
    """Return the bytes of a small copy of a photo."""
    out = io.BytesIO()
    with Image.open(path) as image:
        image.resize((60, 40)).save(out, "JPEG")
    return out.getvalue()
