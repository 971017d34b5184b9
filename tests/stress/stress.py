"""Run all stress tests for some minutes, and write a table of counts.

Each part has a share of the time: fuzzed files, killed commands, damaged bytes, failing computers. Each trial has a
number, and what it does follows from the seed: the same work folder continues where the last run stopped, and adds
to its counts. Ends with status 1 if anything was found.

Example: python tests/stress/stress.py --minutes 60 --seed 1 --work /dev/shm/stress
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from damage import Damage
from faults import Faults
from fuzz import BATCH, CRASHED, FOUND, READ, REFUSED, Fuzz
from kills import Kills

SHARES = {"fuzz": 0.3, "kills": 0.3, "damage": 0.2, "faults": 0.2}
OUTCOMES = {READ: "read", REFUSED: "refused", FOUND: "found", CRASHED: "crashed"}
BAD = ("found", "crashed")


def main():
    """Run the parts in turn, in rounds, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--work", type=Path, required=True, help="folder to work in; one in memory is fast")
    parser.add_argument("--only", choices=sorted(SHARES), action="append", help="only this part; repeat it for several")
    parser.add_argument("--every", type=int, default=0, help="damage every Nth byte in turn.  [default: random bytes]")
    given = parser.parse_args()
    parts = given.only or list(SHARES)
    given.work.mkdir(parents=True, exist_ok=True)
    state = State(given.work / f"counts-{given.seed}.json")
    makers = {
        "fuzz": lambda work: Fuzz(work),
        "kills": lambda work: Kills(work),
        "damage": lambda work: Damage(work, given.every),
        "faults": lambda work: Faults(work),
    }
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
                made[part] = makers[part](work)
            steps(part, made[part], state, given.seed, until, end)
    print("", file=sys.stderr)
    print(state.table())
    sys.exit(1 if state.found() else 0)


def steps(part, tests, state, seed, until, end):
    """Run trials of one part until its time is over, at least one."""
    while True:
        number = state.next.get(part, 0)
        if part == "fuzz":
            for n, (kind, name, outcome, text) in enumerate(tests.batch(number, BATCH, seed)):
                state.add(part, kind, OUTCOMES[outcome], f"{number + n} {name}: {text}" if text else "")
            state.next[part] = number + BATCH
        else:
            if part == "damage":
                kind, outcome, text = tests.trial(number, seed)
            else:
                kind, text = tests.trial(number, seed)
                outcome = "found" if text else "as before"
            state.add(part, kind, outcome, f"{number} {text}" if text else "")
            state.next[part] = number + 1
        state.save()
        left = max(0, end - time.monotonic()) / 60
        line = f"{part} {state.next[part]}, {len(state.texts)} found something, {left:.0f} min left"
        print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)
        if time.monotonic() > until:
            return


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
