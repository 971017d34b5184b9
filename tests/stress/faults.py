"""Commands on a computer that fails: a full disk, a read-only disk, no memory, a clock that jumps, a card pulled out.

Each trial runs one command of kills.py under one fault, then the same command again without it. Under the fault, a
command ends with status 0, or with an error and no traceback. Without it, the end is that of an undisturbed run.

A full disk and a read-only disk need rights (root): a small file system in memory in a mount namespace of the child.
Without them a limit of the size of files stands for the full disk, and rights of folders for the read-only one.
"""

import ctypes
import importlib
import os
import random
import resource
import shutil
import time
from contextlib import suppress

from common import child, command, files_of, limit_memory
from kills import Kills, Scenario, difference

from snowmatch.decisions.file import append, read_decisions
from snowmatch.decisions.row import Decision

NEW_MOUNTS, READ_ONLY, REMOUNT, BIND, PRIVATE, RECURSIVE = 0x20000, 1, 32, 4096, 1 << 18, 1 << 14
LOADED = ("snowmatch.api", "snowmatch.review.screen", "snowmatch.review.watch", "snowmatch.interchange.exporting")
NAMES = ("full disk", "read-only", "no memory", "clock", "pulled out")


class Faults:
    """All faults, in a work folder. `trial` runs one, and returns its name and what was wrong."""

    def __init__(self, work):
        self.kills = Kills(work)
        self.work, self.place = work, self.kills.place
        self.scenarios = [each for each in self.kills.scenarios if isinstance(each, Scenario)]
        self.mounts = os.geteuid() == 0 and child(work, own_mounts).status == 0

    def trial(self, number, seed):
        """Run one command under one fault. Returns the fault, and what was wrong: "" if nothing was."""
        chance = random.Random(f"{seed} faults {number}")
        name = NAMES[number % len(NAMES)]
        imports = [each for each in self.scenarios if each.name.startswith("import")]
        others = [each for each in self.scenarios if each not in imports]
        scenario = chance.choice([*others, chance.choice(imports)])
        if name == "clock" and chance.random() < 0.5:
            return name, self._decisions(chance)
        expected, seconds, _ = self.kills.undisturbed(scenario)
        self.kills.start(scenario)
        run = command(*scenario.arguments)
        fault = {
            "full disk": self._full,
            "read-only": self._read_only,
            "no memory": self._starved,
            "clock": self._jumping,
            "pulled out": self._pulled,
        }[name]
        before = files_of(self.place)
        ended = fault(run, chance, seconds)
        if not ended.is_error:
            return name, f"{scenario.name}: status {ended.status}: {ended.text[-2000:]}"
        if name == "read-only" and files_of(self.place) != before:
            return name, f"{scenario.name}: something was written"
        if ended.status == 0 and name == "clock" and (found := scenario.state()) != expected:
            return name, f"{scenario.name}: another end: {difference(found, expected)}"
        again = child(self.work, run)
        if again.status:
            return name, f"{scenario.name}: run again without the fault: {again.status}: {again.text[-2000:]}"
        if (found := scenario.state()) != expected:
            return name, f"{scenario.name}: run again, another end: {difference(found, expected)}"
        return name, ""

    def _full(self, run, chance, _):
        """Leave a few KB on the disk of the trial: from almost none up to almost enough."""
        free = int(10 ** chance.uniform(3, 6.5))
        if not self.mounts:
            return child(self.work, lambda: (resource.setrlimit(resource.RLIMIT_FSIZE, (free, free)), run())[1])
        keep = self.work / "kept"
        shutil.rmtree(keep, ignore_errors=True)

        def full():
            own_mounts()
            os.rename(self.place, keep)
            self.place.mkdir()
            mount("tmpfs", self.place, "tmpfs", 0, "size=400m")
            shutil.copytree(keep, self.place, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(keep)
            used = shutil.disk_usage(self.place).used
            mount("tmpfs", self.place, "tmpfs", REMOUNT, f"size={(used + free) // 4096 * 4096}")
            try:
                run()
            finally:  # what is left of the disk is what the next run finds
                shutil.copytree(self.place, keep, symlinks=True)

        ended = child(self.work, full)
        with suppress(FileNotFoundError):
            shutil.rmtree(self.place)
        os.rename(keep, self.place)
        return ended

    def _read_only(self, run, _, __):
        """Nothing can be written: neither into the catalog nor into the folder of the results."""

        def bound():
            own_mounts()
            mount(self.place, self.place, None, BIND | RECURSIVE)
            mount(None, self.place, None, REMOUNT | BIND | READ_ONLY)
            run()

        def modes():
            for root, _, _ in os.walk(self.place):
                os.chmod(root, 0o555)
            try:
                run()
            finally:
                for root, _, _ in os.walk(self.place):
                    os.chmod(root, 0o755)

        return child(self.work, bound if self.mounts else modes)

    def _starved(self, run, chance, _):
        """Between 1 MB and 400 MB more than the program has when its libraries are loaded."""
        more = int(10 ** chance.uniform(6, 8.6))

        def starved():
            for name in LOADED:  # a library that cannot be loaded is told by other words
                importlib.import_module(name)
            limit_memory(more)
            run()

        return child(self.work, starved)

    def _jumping(self, run, chance, _):
        """The clock jumps by seconds, hours and years, back and forth, and the times of files are of any year."""
        for root, _, files in os.walk(self.place):
            for name in files:
                then = chance.choice((0, 10**9, time.time(), time.time() + 10**6, 4 * 10**9)) + chance.random()
                os.utime(os.path.join(root, name), (then, then), follow_symlinks=False)
        return child(self.work, lambda: (jump(chance), run())[1])

    def _pulled(self, run, chance, seconds):
        """The folder of the photos is away from some moment on: the card was pulled out."""
        away, after = self.place.with_name("away"), chance.random() * seconds
        places = (self.place / "catalog" / "images", self.place / "in", self.place / "queries")
        folders = [path for path in places if path.is_dir()]
        folder = chance.choice(folders)
        shutil.rmtree(away, ignore_errors=True)
        pid = os.fork()
        if pid == 0:
            time.sleep(after)
            os.rename(folder, away)
            os._exit(0)
        # A watch waits until the card returns: then it is stopped
        ended = child(self.work, run, after=after + seconds + 5)
        os.waitpid(pid, 0)
        folder.parent.mkdir(exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(away, folder)
        return ended if ended.status != -9 else child(self.work, lambda: 0)

    def _decisions(self, chance):
        """Decisions whose clock jumps: all are kept, their ids ascend, and the chain of hashes holds."""
        self.kills.start(Scenario("clock", self.work / "indexed", (), None))
        path = self.place / "catalog" / "decisions.sqlite"

        def decide():
            jump(chance)
            for number in range(30):
                append(path, [Decision("", "", "Anna", "pair", ("a1",), ("a2",), "same", note=str(number))])

        ended = child(self.work, decide)
        if ended.status:
            return f"decisions: {ended.text[-2000:]}"
        rows = read_decisions(path).rows
        notes = [row.note for row in rows]
        return "" if notes == [str(n) for n in range(30)] else f"decisions in the order {notes}"


def jump(chance):
    """Let the clock of this process jump: `time.time` and `time.time_ns`."""
    real, shift = time.time_ns, 0

    def now():
        nonlocal shift
        if chance.random() < 0.2:
            shift = int(chance.choice((-1, 1)) * 10 ** chance.uniform(0, 9) * 1e9)
        return max(real() + shift, 10**15)

    time.time_ns = now
    time.time = lambda: now() / 1e9


def own_mounts():
    """Give this process mounts of its own. Raises OSError without the right to."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount(None, "/", None, PRIVATE | RECURSIVE)


def mount(source, target, kind, flags, options=None):
    """Mount a file system, as mount(2). Raises OSError if the system refuses."""
    library = ctypes.CDLL(None, use_errno=True)
    texts = [None if each is None else str(each).encode() for each in (source, target, kind)]
    if library.mount(*texts, flags, None if options is None else options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")
