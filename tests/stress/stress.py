"""Run all stress tests for some minutes, and write a table of counts.

Each part has a share of the time: fuzzed files, killed commands, damaged bytes, failing computers. Each trial has a
number, and what it does follows from the seed: the same work folder continues where the last run stopped, and adds
to its counts. Ends with status 1 if anything was found.

Examples:
  python tests/stress/stress.py --minutes 60 --seed 1 --work /dev/shm/stress
  python tests/stress/stress.py --only damage --every 1 --work /dev/shm/stress    each byte of each file, to the end
"""

import argparse
import importlib
import json
import math
import sys
import time
from collections import Counter
from pathlib import Path

SHARES = {"fuzz": 0.3, "kills": 0.3, "damage": 0.2, "faults": 0.2}
BAD = ("found", "crashed")


def main():
    """Run the parts in turn, in rounds, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--work", type=Path, required=True, help="folder to work in; one in memory is fast")
    parser.add_argument("--only", choices=sorted(SHARES), action="append", help="only this part; repeat it for several")
    parser.add_argument("--every", type=int, help="damage every Nth byte of each file, however many minutes that takes")
    given = parser.parse_args()
    parts = given.only or list(SHARES)
    given.work.mkdir(parents=True, exist_ok=True)
    state = State(given.work / f"counts-{given.seed}.json")
    total = sum(SHARES[part] for part in parts)
    end = time.monotonic() + 60 * given.minutes
    made = {}
    rounds = max(1, round(given.minutes / 20))  # every part has its turn early
    for _ in range(rounds):
        for part in parts:
            work = given.work / part
            work.mkdir(exist_ok=True)
            until = min(end, time.monotonic() + 60 * given.minutes / rounds * SHARES[part] / total)
            if part not in made:
                made[part] = make(part, work, given.seed, given.every or 1)
            steps(part, made[part], state, given.seed, math.inf if part == "damage" and given.every else until)
    print("", file=sys.stderr)
    print(state.table())
    if "damage" in made and state.next[made["damage"].name] == len(made["damage"].trials):
        print(made["damage"].summary())
    sys.exit(1 if state.found() else 0)


def make(part, work, seed, every):
    """Return the tests of one part. Only it is imported: some need packages that others do not need."""
    if part == "damage":
        from damage import Damage

        return Damage(work, seed, every)
    module = importlib.import_module(part)
    return getattr(module, part.capitalize())(work)


def steps(part, tests, state, seed, until):
    """Run trials of one part until its time is over, at least one, or until all are done."""
    name = tests.name if part == "damage" else part
    while True:
        number = state.next.get(name, 0)
        found = list(results(part, tests, number, seed))
        for n, (kind, outcome, text) in enumerate(found):
            state.add(part, kind, outcome, f"{number + n} {text}" if text else "")
        state.next[name] = number + len(found)
        state.save()
        of = f" of {len(tests.trials)}" if part == "damage" else ""
        left = f", {max(0, until - time.monotonic()) / 60:.0f} min left" if math.isfinite(until) else ""
        line = f"{part} {state.next[name]}{of}, {len(state.texts)} found something{left}"
        print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)
        if not found or time.monotonic() > until:
            return


def results(part, tests, number, seed):
    """Yield (what, outcome, what was found) of the next trials of one part."""
    if part == "fuzz":
        from fuzz import BATCH, OUTCOMES

        for kind, name, outcome, text in tests.batch(number, BATCH, seed):
            yield kind, OUTCOMES[outcome], f"{name}: {text}" if text else ""
    elif part == "damage":
        yield from tests.batch(number)
    else:
        kind, text = tests.trial(number, seed)
        yield kind, "found" if text else "as before", text


class State:
    """The counts of all runs in a work folder with one seed, and what was found."""

    def __init__(self, path):
        self.path = path
        held = json.loads(path.read_text()) if path.exists() else {}
        self.next, self.texts = held.get("next", {}), held.get("texts", [])
        self.counts = Counter({tuple(key): count for *key, count in held.get("counts", [])})

    def add(self, part, kind, outcome, text):
        """Count one trial."""
        self.counts[part, kind, outcome] += 1
        if text:
            self.texts.append(f"{part} {text}")
            print(f"\n{part} {text}", file=sys.stderr)

    def save(self):
        """Keep the counts: a run that is stopped continues here."""
        counts = [[*key, count] for key, count in sorted(self.counts.items())]
        there = self.path.with_suffix(".new")
        there.write_text(json.dumps({"next": self.next, "counts": counts, "texts": self.texts}, indent=1))
        there.replace(self.path)

    def found(self):
        """Return how many trials found something."""
        return sum(count for (_, _, outcome), count in self.counts.items() if outcome in BAD)

    def table(self):
        """Return the counts as a table in Markdown."""
        rows = ["| part | what | trials | outcomes | found |", "|---|---|---|---|---|"]
        for part, kind in sorted({key[:2] for key in self.counts}):
            of = {outcome: n for (p, k, outcome), n in sorted(self.counts.items()) if (p, k) == (part, kind)}
            told = ", ".join(f"{n:,} {outcome}" for outcome, n in of.items() if outcome not in BAD)
            bad = sum(of.get(outcome, 0) for outcome in BAD)
            rows.append(f"| {part} | {kind} | {sum(of.values()):,} | {told} | {bad} |")
        return "\n".join(rows)


if __name__ == "__main__":
    main()
