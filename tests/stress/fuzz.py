"""Damaged files of every kind, for every reader: an error of one line or a right value, never a crash.

Each trial takes one reader of fuzz_readers.py and damages its file. A batch of trials runs in a forked child with a
limit of memory; a crash of the child is counted, and the batch goes on after it. It has found something if

- anything but SnowmatchError is raised, or its text is empty or has more than one line,
- the process dies (a segmentation fault, an abort of a library), or a trial takes more than 20 seconds of processor,
- a value that has checksums differs from the good one, or another value breaks what its type says.
"""

import mmap
import os
import random
import resource
import shutil
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

from common import draw, fresh, indexed, limit_memory
from fuzz_readers import make_readers
from spoil import spoiled

from snowmatch.core.errors import SnowmatchError

MEMORY = 3 << 30  # bytes that a batch may take
SECONDS = 20.0  # of the processor, for one file
BATCH = 250
READ, REFUSED, FOUND, CRASHED = 1, 2, 3, 4
OUTCOMES = {READ: "read", REFUSED: "refused", FOUND: "found", CRASHED: "crashed"}


class Fuzz:
    """All readers, in a work folder. `batch` runs trials, and returns what each of them gave."""

    def __init__(self, work):
        self.work = work
        base, place = work / "fuzz-indexed", work / "fuzz"
        if not base.exists():
            draw(work / "fuzz-drawn")
            os.rename(indexed(fresh(work / "fuzz-drawn", place), work), base)
        if place.exists():
            shutil.rmtree(place)
        self.readers = make_readers(place, base)
        self.contents = {reader.path: reader.path.read_bytes() for reader in self.readers}
        self.others = {
            reader.kind: [self.contents[each.path] for each in self.readers if each.kind == reader.kind]
            for reader in self.readers
        }

    def case(self, number, seed):
        """Return the reader and the damaged content of a trial."""
        reader = self.readers[number % len(self.readers)]
        chance = random.Random(f"{seed} fuzz {number}")
        good = self.contents[reader.path]
        return reader, spoiled(reader.path.name, good, self.others[reader.kind], chance)

    def batch(self, first, count, seed):
        """Run trials in children. Returns a list of (kind, reader, outcome, text)."""
        shared = mmap.mmap(-1, count)
        log = self.work / "fuzz.txt"
        log.write_bytes(b"")
        start = 0
        while start < count:
            process = os.fork()
            if process == 0:
                with suppress(BaseException):
                    self._run(first, start, count, seed, shared, log)
                os._exit(0)
            _, status = os.waitpid(process, 0)
            done = next((n for n in range(start, count) if not shared[n]), count)
            if done < count:
                shared[done] = CRASHED
                with log.open("a") as file:
                    file.write(f"{first + done}\tthe process died: {describe(os.waitstatus_to_exitcode(status))}\n")
            start = done + 1
        texts = {}
        for line in log.read_text("utf-8", "replace").splitlines():
            number, _, text = line.partition("\t")
            if number.isdigit():
                texts[int(number)] = text.replace("\\n", "\n")
        found = []
        for n in range(count):
            reader = self.readers[(first + n) % len(self.readers)]
            found.append((reader.kind, reader.name, shared[n], texts.get(first + n, "")))
        return found

    def _run(self, first, start, count, seed, shared, log):
        quiet = os.open(os.devnull, os.O_WRONLY)
        for handle in (1, 2):
            os.dup2(quiet, handle)
        warnings.simplefilter("error")
        limit_memory(MEMORY)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.fsync = lambda handle: None  # no power is cut here
        for n in range(start, count):
            reader, content = self.case(first + n, seed)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process
            outcome, text = self.try_one(reader, content)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if text:
                with log.open("a", encoding="utf-8", errors="replace") as file:
                    file.write(f"{first + n}\t{text[-3000:]}".replace("\n", "\\n") + "\n")
            shared[n] = outcome

    def try_one(self, reader, content):
        """Read a damaged file, and put it right again. Returns the outcome and what was found."""
        good = self.contents[reader.path]
        try:
            reader.path.write_bytes(content)
            value = reader.read()
            if content == good:
                return READ, ""
            wrong = reader.check(value)
            return (FOUND, wrong) if wrong else (READ, "")
        except SnowmatchError as error:
            lines = str(error).strip().splitlines()
            if lines and (len(lines) == 1 or "problems" in error.data):
                return REFUSED, ""
            return FOUND, f"an error of {len(lines)} lines: {str(error)[:500]!r}"
        except BaseException:  # also what a library in another language raises
            return FOUND, traceback.format_exc()
        finally:
            with suppress(OSError):
                reader.path.write_bytes(good)
                for beside in reader.path.parent.glob(f"{reader.path.name}-*"):  # journals of SQLite
                    if beside.name.endswith(("-journal", "-wal", "-shm")):
                        beside.unlink()


def describe(status):
    """Return a text for the exit status of a process."""
    with suppress(ValueError):
        return signal.Signals(-status).name if status < 0 else f"status {status}"
    return f"status {status}"


def main(arguments):
    """Repeat one trial, and show what it gives: fuzz.py WORK SEED NUMBER."""
    work, seed, number = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    fuzz = Fuzz(work)
    reader, content = fuzz.case(number, seed)
    (work / f"case-{number}").write_bytes(content)
    warnings.simplefilter("error")
    print(reader.kind, reader.name, reader.path, len(content), content[:80])
    print(*fuzz.try_one(reader, content), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
