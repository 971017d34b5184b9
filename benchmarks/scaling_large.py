"""Measure one large catalog on a computer with many cores: it is drawn and indexed by many processes, asked by two.

The catalog grows in steps, as far as the time allows. Features are drawn as `scaling.py` does, from a file of real
features (`--pool`; made from `--dataset` if it is not there), and written by the project's own writer, one for each
process. How many features an annotation shares with its individual is drawn, too (`--shared`), so that some animals
are hard to find. With `--scenery`, each photo has a foreground map. The blocks of a step are encoded by all cores.
Then two cores ask: after the files were dropped from memory, if that is allowed, and again. Last, the same queries are
answered with exact search. Results are written after each part.

The left flank is indexed at each step, the right flank too if the time allows. Seconds are of the clock, unless they
are called CPU seconds.

Example: python benchmarks/scaling_large.py --work /tmp/large --out /tmp/large.json --seconds 350
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from large_catalog import build, grow, make_pool
from large_queries import add, ask, exact
from measure import THREAD_VARIABLES, run_command

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path

LEFT, RIGHT = "left_flank", "right_flank"
LISTS_AT_NO_COST = 900  # lists that cost as much as all the rest of encoding a row (measured: results/scaling.json)
SPARE = 25.0  # seconds that are kept for what is not foreseen


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and measure."""
    given = parse(arguments)
    given.work = given.work.resolve()
    if not given.kept:
        check_empty(given.work)
        if given.features_at:
            check_empty(given.features_at)
            given.features_at = given.features_at.resolve() / "features"
    given.pool = given.pool or given.work / "pool.npz"
    if not given.pool.exists():
        make_pool(given)
    report = Report(given)
    if given.kept:
        before = json.loads(given.out.read_text(encoding="utf-8"))
        report.about["drawn"], report.steps = before.get("drawn", before["command"]), before["steps"]
        measure_queries(report, report.steps[-1], given)
        report.write(done=True)
        return
    size, rates = 0, {}
    while (target := next_size(given, size, rates, report.left)) is not None:
        step = {"annotations": target, "features": given.features}
        report.steps.append(step)
        report.part(step, "draw", lambda at=size, to=target: grow(given, at, to))
        for part in (LEFT, RIGHT):
            if part == RIGHT and (given.left_only or target > given.both):
                continue
            report.part(step, f"build_{part}", lambda p=part: build(given, p))
        measure_queries(report, step, given)
        if "failed" in step["draw"] | step[f"build_{LEFT}"]:
            break
        rates = {
            "draw": step["draw"]["seconds"] / (target - size),
            "build": (step[f"build_{LEFT}"]["seconds"] - step[f"build_{LEFT}"]["train"])
            / (target * given.features / 2 * (LISTS_AT_NO_COST + lists_of(target, given.features))),
            "train": step[f"build_{LEFT}"]["train"] / lists_of(target, given.features) ** 2,
            "ask": sum(step[name]["seconds"] for name in ("cold", "warm", "exact", "add") if name in step),
            "size": target,
        }
        size = target
    last = report.steps[-1]
    if rates and f"build_{RIGHT}" not in last and not given.left_only:
        if build_seconds(rates, size, given.features) + SPARE < report.left():
            report.part(last, f"build_{RIGHT}", lambda: build(given, RIGHT))
        if f"build_{RIGHT}" in last and report.left() > 2 * SPARE:
            report.part(last, "unknown", lambda: two_cores(given, ask, given, "unknown", 3))
    report.write(done=True)
    if not given.keep:
        remove(given)


def check_empty(folder: Path) -> None:
    """Raise SnowmatchError unless the folder is empty or does not exist."""
    if folder.exists() and any(folder.iterdir()):
        raise SnowmatchError(f"{folder} contains files: name an empty folder or a new folder")


def remove(given: argparse.Namespace) -> None:
    """Delete what this run has made, and nothing else. Raises SnowmatchError if the features stay mounted."""
    features = features_path(given.work / "catalog")
    if given.features_at and features.exists() and features.samefile(given.features_at):
        ran = subprocess.run(["umount", str(features)], check=False)
        if ran.returncode:
            raise SnowmatchError(f"{features} is still mounted: unmount it, then delete {given.work}")
    made = [given.work / name for name in ("catalog", "datasets", "found")]
    for folder in [*made, *filter(None, [given.features_at])]:
        if folder.exists():
            shutil.rmtree(folder)
    (given.work / "pool.npz").unlink(missing_ok=True)


def measure_queries(report: Report, step: dict[str, Any], given: argparse.Namespace) -> None:
    """Measure a cold start, a warm start, exact search and one more photo."""
    dropped = drop_caches()
    report.part(step, "cold", lambda: {"dropped": dropped} | two_cores(given, ask, given, LEFT, 1))
    report.part(step, "warm", lambda: two_cores(given, ask, given, LEFT, given.asked))
    count = given.sample if step["annotations"] == given.sizes[-1] else min(given.sample, max(1, given.sample // 3))
    if count:
        report.part(step, "exact", lambda: spawned(exact, given, LEFT, count, cores=given.workers))
    report.part(step, "add", lambda: two_cores(given, add, given))


class Report:
    """What was measured so far. It is written after each part."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.start, self.steps = given, time.perf_counter(), []
        self.about: dict[str, Any] = {"machine": machine(given), "command": " ".join(["python", *sys.argv])}

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.given.seconds - (time.perf_counter() - self.start)

    def part(self, step: dict[str, Any], name: str, work: Callable[[], dict[str, Any]]) -> None:
        """Measure one part of a step. A failure is recorded, and the rest goes on."""
        start = time.perf_counter()
        try:
            found = work()
        except Exception as error:  # what else can be measured is measured
            found = {"failed": f"{type(error).__name__}: {error}"}
            print(name, "failed:", error, file=sys.stderr, flush=True)
        step[name] = found | {"seconds": round(time.perf_counter() - start, 2)}
        print(step["annotations"], name, step[name], f"left {self.left():.0f} s", file=sys.stderr, flush=True)
        self.write()

    def write(self, *, done: bool = False) -> None:
        """Write everything that was measured."""
        total = round(time.perf_counter() - self.start, 1)
        text = json.dumps(self.about | {"total": total, "done": done, "steps": self.steps}, indent=1)
        self.given.out.write_text(text + "\n", encoding="utf-8")


def lists_of(size: int, features: int) -> float:
    """Return the number of lists of one flank of a catalog."""
    from snowmatch.matching.search.inverted_file import LISTS_PER_SQRT

    return LISTS_PER_SQRT * (size * features / 2) ** 0.5


def build_seconds(rates: dict[str, float], size: int, features: int) -> float:
    """Return the seconds that building one flank of `size` annotations is expected to take."""
    lists = lists_of(size, features)
    return rates["build"] * size * features / 2 * (LISTS_AT_NO_COST + lists) + rates["train"] * lists**2


def step_seconds(rates: dict[str, float], size: int, to: int, features: int, both: int) -> float:
    """Return the seconds that a step from `size` to `to` annotations is expected to take."""
    flanks = 2 if to <= both else 1
    asking = rates["ask"] * (0.5 + 0.5 * to / rates["size"])  # half of it grows
    return rates["draw"] * (to - size) + flanks * build_seconds(rates, to, features) + asking


def next_size(given: argparse.Namespace, size: int, rates: dict[str, float], left: Callable[[], float]) -> int | None:
    """Return the next number of annotations; None if there is none or no time for it.

    A step in the middle is left out if it would take the time of the last one.
    """
    steps = [step for step in given.sizes if step > size]
    if not rates or not steps:
        return steps[0] if steps else None
    spare = left() - SPARE

    def cost(at: int, to: int) -> float:
        return step_seconds(rates, at, to, given.features, given.both)

    last = next((to for to in range(steps[-1], size, -10_000) if cost(size, to) <= spare), None)
    expected = {to: round(cost(size, to)) for to in steps}
    print(f"expected seconds {expected}, left {left():.0f}, largest {last}", file=sys.stderr, flush=True)
    if last is None or last < 1.5 * size:
        return None
    middle = next((to for to in steps if to < last and cost(size, to) + cost(to, last) <= spare), None)
    return middle or last


def two_cores(given: argparse.Namespace, work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run some work in a new process on two cores."""
    return spawned(work, *arguments, cores=2)


def spawned(work: Callable[..., dict[str, Any]], *arguments: Any, cores: int) -> dict[str, Any]:
    """Run some work in a new process on some cores, and return its result."""
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(cores))
    with multiprocessing.get_context("spawn").Pool(1, _bind, (cores,)) as pool:
        return pool.apply(work, arguments)


def _bind(cores: int) -> None:
    """Keep this process on some cores: on two, these are two that share no core."""
    if hasattr(os, "sched_setaffinity"):
        free = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [free[0], free[len(free) // 2]] if cores == 2 else free[:cores])


def drop_caches() -> bool:
    """Drop files from memory, if that is allowed."""
    try:
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def machine(given: argparse.Namespace) -> dict[str, Any]:
    """Return what is known of the computer."""

    def first(path: str, word: str) -> str:
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            return ""
        return next((line.partition(":")[2].strip() for line in lines if line.startswith(word)), "")

    def written(path: Path) -> int:
        target = path / "speed"
        start = time.perf_counter()
        with open(target, "wb") as file:
            for _ in range(given.try_mb // 16):
                file.write(os.urandom(1 << 20) * 16)
            file.flush()
            os.fsync(file.fileno())
        target.unlink()
        return round(given.try_mb / (time.perf_counter() - start))

    given.work.mkdir(parents=True, exist_ok=True)
    siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    usage = shutil.disk_usage(given.work)
    return {
        "processor": first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "cpu0_shares_core_with": siblings.read_text().strip() if siblings.exists() else "",
        "memory": first("/proc/meminfo", "MemTotal"),
        "available": first("/proc/meminfo", "MemAvailable"),
        "disk_free": usage.free,
        "disk_written_mb_s": written(given.work),
        "features_elsewhere": bool(given.features_at),
        "python": sys.version.split()[0],
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, help="an npz file of real features; it is made if it is not there")
    parser.add_argument("--dataset", default="snow_leopard-whole", help="where these features are from")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where real photos are")
    parser.add_argument("--work", type=Path, required=True, help="an empty or new folder for the catalog")
    parser.add_argument(
        "--features-at",
        type=Path,
        help="an empty or new folder of another disk for the features, which is mounted (needs root)",
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file of the results")
    parser.add_argument("--sizes", default="10000,30000,100000", help="numbers of annotations")
    parser.add_argument("--both", type=int, default=0, help="up to this size the right flank is indexed, too")
    parser.add_argument(
        "--left-only", action="store_true", help="never index the right flank, and draw only a few of its features"
    )
    parser.add_argument("--features", type=int, default=2500, help="largest number of features of one annotation")
    parser.add_argument(
        "--scenery", type=float, default=0.0, help="share of the features that a foreground map shows to be scenery"
    )
    parser.add_argument("--shared", default="0.004,0.1", help="least and largest share of an individual's features")
    parser.add_argument("--seconds", type=float, default=350.0, help="of the clock, for everything")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="processes that write")
    parser.add_argument("--asked", type=int, default=8, help="queries on two cores")
    parser.add_argument("--sample", type=int, default=24, help="queries that are searched exactly, too; 0: none")
    parser.add_argument("--try-mb", type=int, default=512, help="megabytes that are written to try the disk")
    parser.add_argument("--keep", action="store_true", help="keep the drawn catalog, which is deleted otherwise")
    parser.add_argument(
        "--kept", action="store_true", help="ask the catalog that --keep has kept; the results are added to --out"
    )
    given = parser.parse_args(arguments)
    given.sizes = sorted(int(size) for size in given.sizes.split(","))
    given.shared = tuple(float(share) for share in given.shared.split(","))
    return given


if __name__ == "__main__":
    run_command(main)
