"""Import damaged sources of every format, and look for tracebacks, half-written catalogs and paths that lead out.

Each trial takes one source of tests/import_sources.py, damages one to three of its files or photos, and imports it:
into a new catalog, or into one that has the good source already. It has found something if

- anything but SnowmatchError is raised, or its text is empty,
- an import that was refused has changed a file of the catalog, or made one,
- an import changed the source, or wrote beside the catalog,
- the catalog cannot be loaded, or a path in it leads to a file that is not below the source or the catalog,
- the same source imported again changes the catalog (every fifth trial),
- a trial takes longer than 20 seconds.

Example: python tests/stress/fuzz_import.py --count 100000
A trial that found something is repeated by its number: --only 4711
"""

import argparse
import functools
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
from import_sources import EACH, IDS, photo
from mutations import mutated, renamed

from snowmatch.catalog.load import load_catalog
from snowmatch.core import plugins
from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.importing import import_source

SLOW = 20.0  # seconds that no import of a handful of photos may take
PHOTOS = (".jpg", ".JPG")


def main():
    """Run the trials, and tell how many were imported, refused and found something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="trials; default: %(default)s")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--work", type=Path, help="folder to work in; one in memory is fast, such as /dev/shm")
    parser.add_argument("--only", type=int, help="repeat this trial alone, and show its error")
    given = parser.parse_args()
    warnings.simplefilter("error")
    os.fsync = lambda handle: None  # no power is cut here
    plugins._own_names = functools.cache(plugins._own_names)  # no plugin is added meanwhile
    numbers = range(given.first, given.first + given.count) if given.only is None else [given.only]
    start, told, found = time.perf_counter(), Counter(), []
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        sources = [Source(Path(folder) / f"s{n}", name, make) for n, (name, make) in enumerate(EACH)]
        for done, number in enumerate(numbers, start=1):
            chance = random.Random(f"{given.seed} {number}")
            which = chance.randrange(len(sources))
            how, why = sources[which].trial(chance)
            told[f"{IDS[which]}: {how}"] += 1
            told[how] += 1
            if how == "found":
                found.append(number)
                print(f"\ntrial {number}, {IDS[which]}: {why}", file=sys.stderr)
            elif given.only is not None:
                print(how, why)
            if done % 500 == 0:
                each = (time.perf_counter() - start) / done
                left = each * (len(numbers) - done)
                text = f"{done} of {len(numbers)}, {told['found']} found something, {left / 60:.0f} min left"
                print(f"\r{text}", end="", file=sys.stderr, flush=True)
    seconds = round(time.perf_counter() - start)
    print("", file=sys.stderr)
    print(json.dumps({"trials": len(numbers), "seed": given.seed, "seconds": seconds, **dict(sorted(told.items()))}))
    sys.exit(1 if found else 0)


class Source:
    """A good source of one format in a folder of its own, and the catalog that it makes."""

    def __init__(self, home, name, make):
        self.home, self.folder, self.name = home, home / "in", name
        self.folder.mkdir(parents=True)
        photo(home / "secret.jpg")  # beside the source: no path may lead to it
        self.source = make(self.folder)
        self.files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        import_source(self.source, home / "good")

    def trial(self, chance):
        """Damage the source, import it, and put it right again. Return what happened and why."""
        undo = []
        try:
            for path in chance.sample(self.files, min(len(self.files), chance.choice((1, 1, 1, 2, 3)))):
                undo.append(self._damage(path, chance))
            return self._import(chance)
        finally:
            for back in reversed(undo):
                back()
            shutil.rmtree(self.home / "catalog", ignore_errors=True)

    def _damage(self, path, chance):
        if path.suffix in PHOTOS:
            return renamed(path, chance)
        content = path.read_bytes()
        path.write_bytes(mutated(path.name, content, chance))
        return lambda: path.write_bytes(content)

    def _import(self, chance):
        catalog = self.home / "catalog"
        if chance.random() < 0.4:
            shutil.copytree(self.home / "good", catalog, symlinks=True)
        copy, dates = chance.random() < 0.1, chance.choice(("", "", "dmy", "mdy"))
        format = chance.choice((None, None, self.name))
        before, around = snapshot(catalog), snapshot(self.home, without=catalog)
        start = time.perf_counter()
        try:
            import_source(self.source, catalog, format, copy=copy, dates=dates)
        except SnowmatchError as error:
            how = "refused", str(error)
            if not str(error).strip():
                return "found", "an error without a text"
            if snapshot(catalog) != before:
                return "found", f"refused, but something was written: {error}"
        except Exception:
            return "found", traceback.format_exc()
        else:
            how = self._look(catalog)
        if how[0] != "found" and snapshot(self.home, without=catalog) != around:
            return "found", "the source, or something beside the catalog, was changed"
        if time.perf_counter() - start > SLOW:
            return "found", f"took {time.perf_counter() - start:.0f} s"
        if how[0] == "imported" and chance.random() < 0.2:
            there = snapshot(catalog)
            try:
                import_source(self.source, catalog, format, copy=copy, dates=dates)
            except Exception:
                return "found", f"imported again: {traceback.format_exc()}"
            if snapshot(catalog) != there:
                return "found", "imported again, the catalog has changed"
        return how

    def _look(self, catalog):
        """Load what was imported, and follow every path."""
        try:
            data = load_catalog(catalog)
        except Exception:
            return "found", f"the catalog cannot be loaded: {traceback.format_exc()}"
        inside = [os.path.realpath(self.folder), os.path.realpath(catalog)]
        for a in data.annotations:
            there = os.path.realpath(catalog / a.path)
            if os.path.isabs(a.path) or ".." in a.path.split("/"):
                return "found", f"the path {a.path!r}"
            if not any(there.startswith(f"{each}/") for each in inside) and not (catalog / a.path).is_symlink():
                return "found", f"the path {a.path!r} leads to {there}"
        return "imported", f"{len(data.annotations)} rows"


def snapshot(folder, without=None):
    """Return names, links and contents of everything in a folder, but not of photos."""
    found = {}
    for root, folders, files in os.walk(folder):
        if without is not None and Path(root) == without.parent:
            folders[:] = [name for name in folders if name != without.name]
        for name in (*folders, *files):
            path = os.path.join(root, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif name.endswith(PHOTOS) or not os.path.isfile(path):
                found[path] = os.lstat(path).st_size if os.path.isfile(path) else "folder"
            else:
                with open(path, "rb") as file:
                    found[path] = file.read()
    return found


if __name__ == "__main__":
    main()
