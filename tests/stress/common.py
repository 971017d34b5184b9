"""What the stress tests share: a small drawn survey, commands in forked children, catalogs as values, counts.

A command runs in a forked child, so that it can be killed, starved of memory or crash, and no package is loaded twice.
"""

import csv
import hashlib
import os
import pickle
import resource
import shutil
import signal
import sqlite3
import sys
import time
import traceback
import warnings
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import cv2
import fake_classifier
from threadpoolctl import threadpool_limits

from snowmatch.cli import main
from snowmatch.core.home import home_of
from snowmatch.demo.survey import make_survey
from snowmatch.screening import finders

cv2.setNumThreads(1)
PATIENCE = 600  # seconds after which a command that nobody disturbs counts as locked up
TEMPORARY = ".tmp"


@dataclass(frozen=True)
class Ended:
    """How a child ended. status: its exit status, or minus the number of the signal. text: what it printed."""

    status: int
    text: str

    @property
    def is_error(self):
        """Whether it ended as a command should that cannot do its work: status 1 or 2, and no traceback."""
        return self.status in (0, 1, 2) and "Traceback" not in self.text


def child(work, function, after=None, patience=PATIENCE):
    """Run `function` in a forked child, and return how it ended. after: seconds after which it is killed."""
    log = work / "log.txt"
    process = os.fork()
    if process == 0:
        status = 99
        try:
            os.setsid()
            with open(log, "wb", buffering=0) as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            with threadpool_limits(limits=1):  # a forked process has none of the threads that its parent had
                status = function() or 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            with suppress(BaseException):
                traceback.print_exc()
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    status = _wait(process, after, patience)
    return Ended(status, log.read_text("utf-8", "replace"))


def _wait(process, after, patience):
    start, killed = time.monotonic(), False
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            break
        passed = time.monotonic() - start
        if not killed and ((after is not None and passed >= after) or passed > patience):
            killed = True
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)  # it has no group of its own yet
        time.sleep(0.001)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)  # its own children
    return os.waitstatus_to_exitcode(status)


def command(*arguments):
    """Return a function that runs a command of snowmatch, with the classifier of the tests."""

    def function():
        finders._classifier = lambda name: None if name == "none" else fake_classifier.Colours()
        main([str(each) for each in arguments], prog_name="snowmatch")

    return function


def die_at(number, folder):
    """Kill this process at its so-manyth change of a file: an opening for writing, a new name, a deletion, an fsync.

    number: 0 counts only, into the file `changes` in `folder`.
    """
    count, fsync = 0, os.fsync

    def changed():
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, arguments):
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            if str(arguments[0]).startswith(str(folder)) and not str(arguments[0]).endswith("changes"):
                changed()
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.link", "sqlite3.connect"):
            changed()

    def synced(handle):
        changed()
        fsync(handle)

    os.fsync = synced
    sys.addaudithook(hook)
    return lambda: (folder / "changes").write_text(str(count))


def draw(folder, individuals=3, encounters=2, photos=(1, 2), unidentified=2):
    """Draw a small survey: catalog/ with boxes for most photos, queries/, source/ (the results of a detector)."""
    make_survey(
        folder / "catalog",
        individuals=individuals,
        stations=2,
        encounters=encounters,
        photos=photos,
        seed=3,
        size=(400, 267),
        unidentified=unidentified,
        queries=folder / "queries",
        query_encounters=1,
        new_individuals=1,
    )
    table = folder / "catalog" / "catalog.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[::4]:  # for these, maps of the place say where the animal is
        row |= {"bbox": "", "mask": ""}
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    stations = sorted({row["station"] for row in rows if row["station"]})
    lines = [f"{name},{41 + n / 10:.1f},{76 + n / 10:.1f},2020-01-01,2027-01-01" for n, name in enumerate(stations)]
    (folder / "catalog" / "stations.csv").write_text("\n".join(["station,latitude,longitude,from,to", *lines]) + "\n")
    return folder


INDEX = ("--extractor", "sift", "--workers", "1")


def indexed(folder, work):
    """Index the catalog of a drawn survey, in a child."""
    ended = child(work, command("index", folder / "catalog", *INDEX))
    if ended.status:
        raise RuntimeError(ended.text)
    return folder


def fresh(base, place):
    """Put a copy of `base` in the place of what is there; links stay links."""
    if place.exists():
        shutil.rmtree(place)
    return shutil.copytree(base, place, symlinks=True)


def files_of(folder, without=()):
    """Return the digests of all files below a folder by name, without temporary ones."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        if (
            path.is_file()
            and not path.name.endswith((TEMPORARY, ".lock"))
            and not any(part in name for part in without)
        ):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def left_over(folder):
    """Return the names of temporary files below a folder."""
    return sorted(path.name for path in folder.rglob(f"*{TEMPORARY}"))


def stored_features(catalog):
    """Return the digest of every stored array of features, by key; called in a child."""
    from snowmatch.core.home import features_path
    from snowmatch.features.reader import list_features, open_features

    found = {}
    for described in list_features(features_path(catalog)):
        reader = open_features(features_path(catalog), described)
        for key in reader.keys:
            held = reader.read(key)
            content = b"".join(a.tobytes() for a in (held.keypoints, held.descriptors, held.scores, held.scales))
            found[str(key)] = hashlib.sha256(content).hexdigest()
    return found


def rows_of(catalog, tables):
    """Return the rows of tables of the catalog's database, without the times at which files were looked at."""
    path = home_of(catalog) / "catalog.sqlite"
    found = {}
    with closing(sqlite3.connect(path)) as database:
        for table in tables:
            found[table] = sorted(map(repr, database.execute(f"SELECT * FROM {table}")))
    return found


def limit_memory(more):
    """Allow this process `more` bytes of address space beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run_value(work, function):
    """Return what `function` returns, called in a child; an error text if the child fails or dies."""
    out = work / "value.pickle"
    out.unlink(missing_ok=True)

    def write():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            out.write_bytes(pickle.dumps(function()))

    ended = child(work, write)
    if ended.status == 0 and out.exists():
        return pickle.loads(out.read_bytes())
    return ended
