"""Commands that are killed at any moment, and run again: the end is that of a run that nobody disturbed.

Each trial kills one command with SIGKILL: half of them after a random part of the time that it takes, half at a random
change of a file. Then the same command runs to its end. What must be equal, byte by byte, is said at each scenario.
"""

import json
import os
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from common import (
    INDEX,
    child,
    command,
    die_at,
    draw,
    files_of,
    fresh,
    indexed,
    left_over,
    rows_of,
    run_value,
    stored_features,
)
from import_sources import EACH, IDS

from snowmatch.decisions.file import append, read_decisions
from snowmatch.decisions.row import Decision
from snowmatch.review.watched import read_memory


@dataclass(frozen=True)
class Scenario:
    """base: the folder that a trial starts from. arguments: of the command. state: what must be equal at the end."""

    name: str
    base: Path
    arguments: tuple[Any, ...]
    state: Any


class Kills:
    """All scenarios, in a work folder. `trial` runs one of them, and returns its name and what was wrong."""

    def __init__(self, work):
        self.work = work
        self.place = work / "trial"
        drawn, known = work / "drawn", work / "indexed"
        if not known.exists():
            draw(fresh_folder(drawn))
            fresh(drawn, self.place)
            indexed(self.place, work)
            os.rename(self.place, known)
        if not (answered := work / "answered").exists():
            self._answer_most(fresh(known, self.place))
            os.rename(self.place, answered)
        self.scenarios = [*self._imports(), *self._commands(drawn, known), "serve", "decide"]
        self.known = {}

    def _answer_most(self, folder):
        """Make the files of a batch, a screening and an export, of all rows of a catalog but one."""
        table, out = folder / "catalog" / "catalog.csv", folder / "out"
        whole = table.read_text("utf-8")
        rows = whole.splitlines(keepends=True)
        gone = next(n for n, row in enumerate(rows) if ",,left_flank," in row or ",,right_flank," in row)
        table.write_text("".join([*rows[:gone], *rows[gone + 1 :]]), "utf-8")
        out.mkdir()
        catalog = folder / "catalog"
        for arguments in (
            ("batch", catalog, "--unidentified", "--out", out / "answers"),
            ("export", catalog, out / "export", "--format", "csv"),
            ("screen", catalog, "--out", out / "screened.csv", "--workers", "1"),
        ):
            ended = child(self.work, command(*arguments))
            if ended.status:
                raise RuntimeError(ended.text)
        table.write_text(whole, "utf-8")

    def _imports(self):
        for (name, make), title in zip(EACH, IDS, strict=True):
            base = self.work / f"source-{title}"
            if not base.exists():
                (base / "in").mkdir(parents=True)
                source = make(base / "in").relative_to(base)
                (base / "name.txt").write_text(source.as_posix())
            source = self.place / (base / "name.txt").read_text()
            arguments = ("import", source, self.place / "catalog", "--format", name, "--copy")
            # The tables, the photos, and the memory of what was imported
            yield Scenario(f"import {title}", base, arguments, lambda: files_of(self.place / "catalog"))

    def _commands(self, drawn, known):
        catalog, out = self.place / "catalog", self.place / "out"
        screened = (*("found", "screening", "screened"),)
        # All features, and the boxes and identifiers in the database
        yield Scenario(
            "index",
            drawn,
            ("index", catalog, *INDEX),
            lambda: (
                run_value(self.work, lambda: stored_features(catalog)),
                rows_of(catalog, ("annotations", "found")),
            ),
        )
        # The table that was asked for, and the entries of the database
        yield Scenario(
            "screen",
            drawn,
            ("screen", catalog, "--out", out / "screened.csv", "--workers", "1"),
            lambda: (files_of(out), rows_of(catalog, screened)),
        )
        # Both tables; also where older ones are there, which were made before a photo was added
        batch = ("batch", catalog, "--unidentified", "--out", out / "answers")
        yield Scenario("batch", known, batch, lambda: files_of(out))
        answered = self.work / "answered"
        yield Scenario("batch again", answered, batch, lambda: files_of(out, without=("export", "screened")))
        again = ("screen", catalog, "--out", out / "screened.csv", "--workers", "1")
        yield Scenario("screen again", answered, again, lambda: files_of(out, without=("export", "answers")))
        again = ("export", catalog, out / "export", "--format", "csv")
        yield Scenario("export again", answered, again, lambda: files_of(out / "export"))
        # Every photo is remembered, and told at least once
        watch = ("watch", self.place / "queries", "--catalog", catalog, "--once", "--every", "0.1", "--quiet", "0")
        yield Scenario("watch", known, (*watch, "--events", out / "events.jsonl"), self._watched)
        # Every file
        for format, options in (("csv", ()), ("camtrap-dp", ("-o", "timezone=+06:00")), ("secr", ()), ("xlsx", ())):
            arguments = ("export", catalog, out, "--format", format, "--coordinates", "exact", *options)
            yield Scenario(f"export {format}", known, arguments, lambda: files_of(out))

    def _features(self, catalog):
        return run_value(self.work, lambda: stored_features(catalog))

    def _watched(self):
        lines = (self.place / "out" / "events.jsonl").read_text().splitlines()
        told = {tuple(json.loads(line)["photos"]) for line in lines}
        return sorted(told), sorted(read_memory(self.place / "catalog").asked)

    def start(self, scenario):
        """Put the files of a scenario in their place."""
        fresh(scenario.base, self.place)
        (self.place / "out").mkdir(exist_ok=True)

    def undisturbed(self, scenario):
        """Return the end, the seconds and the number of changes of files of a run that nobody disturbs."""
        if scenario.name not in self.known:
            self.start(scenario)

            def counted():
                write = die_at(0, self.work)
                try:
                    command(*scenario.arguments)()
                finally:
                    write()

            began = time.monotonic()
            ended = child(self.work, counted)
            seconds = time.monotonic() - began
            if ended.status:
                raise RuntimeError(f"{scenario.name}: {ended.text}")
            self.known[scenario.name] = scenario.state(), seconds, int((self.work / "changes").read_text())
        return self.known[scenario.name]

    def trial(self, number, seed):
        """Kill one command. Returns its name and what was wrong: "" if nothing was."""
        chance = random.Random(f"{seed} kills {number}")
        # Imports are many; the other commands are as often killed as all imports together
        imports = [each for each in self.scenarios if isinstance(each, Scenario) and each.name.startswith("import")]
        others = [each for each in self.scenarios if each not in imports]
        which = number % (len(others) + 2)
        scenario = others[which] if which < len(others) else chance.choice(imports)
        if scenario == "serve":
            return "serve", self._serve(chance)
        if scenario == "decide":
            return "decide", self._decide(chance)
        return scenario.name.split()[0], self._command(scenario, chance)

    def _command(self, scenario, chance):
        expected, seconds, changes = self.undisturbed(scenario)
        self.start(scenario)
        run = command(*scenario.arguments)
        if chance.random() < 0.5:
            ended = child(self.work, run, after=chance.random() * seconds)
        else:
            at = chance.randint(1, max(changes, 1))
            ended = child(self.work, lambda: (die_at(at, self.work), run())[1])
        if ended.status not in (0, -9):
            return f"{scenario.name}: status {ended.status} before the kill: {ended.text[-2000:]}"
        again = child(self.work, run)
        if again.status:
            return f"{scenario.name}: killed, and run again: status {again.status}: {again.text[-2000:]}"
        found = scenario.state()
        if found != expected:
            return f"{scenario.name}: another end: {difference(found, expected)}"
        return ""

    def _decide(self, chance):
        self.start(Scenario("decide", self.work / "indexed", (), None))
        path = self.place / "catalog" / "decisions.sqlite"
        told = self.work / "told.txt"
        told.write_bytes(b"")

        def decide():
            with open(told, "a", buffering=1) as file:
                for number in range(10_000):
                    stored = append(
                        path, [Decision("", "", "Anna", "pair", ("a1",), ("a2",), "same", note=str(number))]
                    )
                    file.write(stored.rows[0].id + "\n")

        for _ in range(3):
            child(self.work, decide, after=chance.uniform(0, 0.5))
        return self._kept(path, told.read_text().split(), 3)

    def _kept(self, path, acknowledged, kills):
        """Return what is wrong with the decisions: lost, doubled, or a broken chain."""
        rows = read_decisions(path).rows if path.exists() else ()
        ids = [row.id for row in rows]
        if lost := set(acknowledged) - set(ids):
            return f"lost: {sorted(lost)}"
        if len(set(ids)) != len(ids) or len(ids) > len(acknowledged) + kills:
            return f"{len(ids)} decisions are kept, {len(acknowledged)} were acknowledged"
        append(path, [Decision("", "", "Anna", "pair", ("a1",), ("a2",), "same")])
        return "" if len(read_decisions(path).rows) == len(ids) + 1 else "no decision can be added"

    def _serve(self, chance):
        self.start(Scenario("serve", self.work / "indexed", (), None))
        catalog = self.place / "catalog"
        run = command("serve", catalog, "--no-browser", "--observer", "Anna")
        told = []
        pid = os.fork()
        if pid == 0:
            child(self.work, run, after=60)
            os._exit(0)
        try:
            address, token = self._address()
            headers = {"sec-fetch-site": "same-origin", "accept": "application/json"}
            until = time.monotonic() + chance.uniform(0.05, 1)
            with httpx2.Client(base_url=address, headers=headers, timeout=60) as page:
                page.get("/", params={"token": token})
                key = page.get("/photos").text.partition('data-photo="')[2].partition('"')[0]
                values = {"kind": "sex", "photos": [key], "value": "female", "stay": True}
                while time.monotonic() < until or not told:
                    values["value"] = "male" if values["value"] == "female" else "female"
                    head = page.post("/changes", json=values).json()["head"]
                    told += page.post("/changes", json={**values, "store": True, "head": head}).json()["stored"]
                self._fire(page, values, chance)
        except (httpx2.HTTPError, KeyError, ValueError, TimeoutError) as error:
            return f"the server did not answer: {error!r}"
        finally:
            self._end(pid)
        return self._kept(catalog / "decisions.sqlite", told, 1)

    def _fire(self, page, values, chance):
        """Ask for one more change, and do not wait for the answer: the kill meets it at work."""
        head = page.post("/changes", json=values).json()["head"]
        try:
            page.post("/changes", json={**values, "store": True, "head": head}, timeout=chance.uniform(0.001, 0.05))
        except httpx2.HTTPError:
            return

    def _address(self):
        start = time.monotonic()
        while time.monotonic() < start + 120:
            log = self.work / "log.txt"
            found = re.search(r"(http://\S+)/\?token=(\S+)", log.read_text() if log.exists() else "")
            if found:
                return found.groups()
            time.sleep(0.02)
        raise TimeoutError("no address")

    def _end(self, pid):
        """Kill the server, which is the only child of `pid`, and wait."""
        for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(each), 9)
        os.waitpid(pid, 0)
        (self.work / "log.txt").unlink(missing_ok=True)

    def left_over(self):
        """Return the temporary files that the last trial left."""
        return left_over(self.place)


def fresh_folder(folder):
    """Make an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def difference(found, expected):
    """Return where two values differ, in a few words."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [k for k in {**found, **expected} if found.get(k) != expected.get(k)]
        return f"{keys[:5]}: {[(found.get(k), expected.get(k)) for k in keys[:2]]}"[:1500]
    if isinstance(found, tuple) and isinstance(expected, tuple):
        return "; ".join(difference(a, b) for a, b in zip(found, expected, strict=True) if a != b)
    return f"{str(found)[:700]} instead of {str(expected)[:700]}"
