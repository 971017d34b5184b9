"""Write the result files as Markdown tables.

All tables go to docs/results.md. A short table goes to README.md, between the lines <!-- results --> and
<!-- /results -->. The list of suites goes to benchmarks/README.md, between <!-- suites --> and <!-- /suites -->. A page
without these lines stays unchanged. The page shows the pictures of plots.py, so run plots.py first. If the rows of a
table come from different engines, the program stops: old and new figures must not be mixed. Only the tables of
docs/scale.md may mix them, since a row takes hours: each of their rows names its commit.

Example: python benchmarks/tables.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from as_markdown import between_markers, code, plain, table, write
from deep_tables import deep_parts
from found_boxes_tables import found_boxes_parts
from identity_tables import (
    AT_HALF_MEANS,
    DECISIONS_MEAN,
    IDENTITY_MEANS,
    at_half_table,
    decisions_table,
    identities_table,
)
from measure import RESULTS
from method_tables import (
    ACCURACY_MEANS,
    COST_MEANS,
    LOCATION_MEANS,
    accuracy_table,
    check_one_engine,
    cost_table,
    losses,
    methods_table,
    questions,
    short_table,
    trials,
)
from screening_tables import screening_parts
from store import Result, read_runs
from study_tables import (
    CALIBRATION_MEANS,
    IMPORTING_MEANS,
    INDEXING_MEANS,
    LEVELS_MEAN,
    POPULATION_MEANS,
    SCENERY_MEANS,
    WATCHING_MEANS,
    app_table,
    calibration_table,
    importing_table,
    indexing_table,
    large_table,
    levels_table,
    lists_table,
    population_table,
    scaling_table,
    scenery_table,
    size_table,
    stages_table,
    waiting_table,
    watching_table,
)
from suites import ABOUT, COMPARED, SUITES, minutes_of

ENGINE_MEANS = (
    "The same photos as in [Identification](#identification), answered by another version of the engine. The "
    "other methods were not run again: their figures above are the ones to compare with, their times are not."
)
PICTURES = "docs/images/results-{}.png"  # in the project's folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the results of a folder and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, metavar="RESULTS_FOLDER")
    folder = parser.parse_args(arguments).results.resolve()
    held = {suite: read_runs(folder / f"{suite}.json") for suite in SUITES}
    if not any(held.values()):
        raise SystemExit(f"{folder}: no results found; run a benchmark first.")
    root = folder.parents[1]  # results of another folder never go to the project's pages
    compared = [run for suite in COMPARED for run in held[suite]]
    write(root / "docs" / "results.md", page(held, root))
    if compared:
        check_one_engine(compared, "The README's table")
        fill(root / "README.md", "results", short_table(compared))
    fill(folder.parent / "README.md", "suites", suites_table(held))
    if held["scaling"]:
        fill(root / "docs" / "scale.md", "sizes", size_table(held["scaling"]))
        fill(root / "docs" / "scale.md", "large", large_table(held["scaling"]))
        fill(root / "docs" / "scale.md", "lists", lists_table(held["scaling"]))


def fill(path: Path, name: str, text: str) -> None:
    """Put a table between a page's markers. A page without markers, or without a change, is not written."""
    if not path.is_file():
        return
    old = path.read_bytes().decode("utf-8")
    new = between_markers(old, name, text, path)
    if new != old:
        write(path, new)


def page(held: dict[str, list[Result]], root: Path) -> str:
    """Return the page with all tables."""
    compared = [run for suite in COMPARED for run in held[suite]]
    parts = [
        "# Results in full",
        "`python benchmarks/tables.py` makes this page from the files in `benchmarks/results`: do not edit it. "
        "[Benchmarks](benchmarks.md) explains what is compared, and by which rules. Figures of older engines are in "
        "[finished studies](benchmarks-history.md).",
    ]
    if compared:
        check_one_engine(compared, "Identification")
        parts += ["## Where HotSpotter is ahead", losses(compared), "## Identification", "\n".join(ACCURACY_MEANS)]
        parts += ["\n".join(COST_MEANS), *picture("cmc", "Right individual among the first answers", root)]
        for trial in trials(compared):
            parts += [f"### {plain(trial.dataset)}, {plain(trial.protocol)}", questions(trial.results[0])]
            parts += [accuracy_table(trial.results), cost_table(trial.results)]
    if held["engine"]:
        check_one_engine(held["engine"], "The engine alone")
        parts += ["## The engine alone", ENGINE_MEANS]
        for trial in trials(held["engine"]):
            parts += [f"### {plain(trial.dataset)}, {plain(trial.protocol)}", questions(trial.results[0])]
            parts += [accuracy_table(trial.results), cost_table(trial.results)]
    if held["location"]:
        check_one_engine(held["location"], "Where the animal is")
        parts += ["## Where the animal is", LOCATION_MEANS]
        for trial in trials(held["location"]):
            parts += [f"### {plain(trial.dataset)}, {plain(trial.protocol)}", questions(trial.results[0])]
            parts.append(accuracy_table(trial.results))
    if held["networks"]:
        check_one_engine(held["networks"], "Other extractors and matchers")
        parts += ["## Other extractors and matchers", "Photo / individual right.", methods_table(held["networks"])]
    if held["deep"]:
        check_one_engine(held["deep"], "Networks for whole photos")
        parts += ["## Networks for whole photos", *deep_parts(held["deep"])]
    for suite in ("scenery", "decisions", "app", "watching"):
        check_one_engine(held[suite], f"The table of {suite}")
    if held["scenery"]:
        parts += ["## Scenery", SCENERY_MEANS, *map(scenery_table, held["scenery"])]
    for suite, title, means, show in (
        ("levels", "What the levels are worth", LEVELS_MEAN, levels_table),
        ("calibration", "Shipped calibrations", CALIBRATION_MEANS, calibration_table),
        ("population", "From identities to abundance", POPULATION_MEANS, population_table),
    ):
        if held[suite]:
            check_one_engine(held[suite], title)
            parts += [f"## {title}", means, show(held[suite])]
    if held["identities"]:
        check_one_engine(held["identities"], "Who is who")
        parts += ["## Who is who", IDENTITY_MEANS, identities_table(held["identities"])]
        if halves := at_half_table(held["identities"]):
            parts += [AT_HALF_MEANS, halves]
    if held["indexing"]:
        check_one_engine(held["indexing"], "Index runs")
        parts += ["## Index runs", INDEXING_MEANS, indexing_table(held["indexing"])]
    if held["importing"]:
        check_one_engine(held["importing"], "Imports")
        parts += ["## Imports", IMPORTING_MEANS, importing_table(held["importing"])]
    if held["decisions"]:
        parts += ["## Decisions", DECISIONS_MEAN, decisions_table(held["decisions"][0])]
    if held["screening"]:
        check_one_engine(held["screening"], "Screening")
        parts += ["## Screening", *screening_parts(held["screening"])]
        parts += picture("screening", "Recall against false alarms, and precision against recall", root)
    if held["found_boxes"]:
        check_one_engine(held["found_boxes"], "The animal found by itself")
        parts += ["## The animal found by itself", *found_boxes_parts(held["found_boxes"])]
    if held["app"]:
        parts += ["## The app", app_table(held["app"])]
    if held["watching"]:
        parts += ["## A watched folder", WATCHING_MEANS, watching_table(held["watching"])]
    parts += speed_parts(held["speed"], root)
    return "\n\n".join([*parts, "## How these were made", sources(held)]) + "\n"


def speed_parts(runs: Sequence[Result], root: Path) -> list[str]:
    """Return the tables of speed.json, each with its heading."""
    check_one_engine(runs, "Speed")
    parts = ["## Speed"] if runs else []
    named = {run["run"]: run for run in runs}
    if "waiting" in named:
        parts += ["### What a user waits for", waiting_table(named["waiting"])]
    stages = [run for run in runs if run["run"].startswith("stages ")]
    if stages:
        parts += ["### Where the time goes", "Seconds on one core; for the index, in all.", stages_table(stages)]
    if "scaling" in named:
        parts += ["### Size of the gallery", scaling_table(named["scaling"])]
        parts += picture("scaling", "Query time and memory against the gallery's size", root)
    return parts


def picture(name: str, title: str, root: Path) -> list[str]:
    """Return Markdown for a picture of plots.py; nothing if the picture does not exist."""
    path = root / PICTURES.format(name)
    return [f"![{title}]({path.relative_to(root / 'docs').as_posix()})"] if path.is_file() else []


def sources(held: dict[str, list[Result]]) -> str:
    """List the commands, commits, systems and versions of the results. Runs with the same ones stand together."""
    together: dict[str, list[str]] = {}
    for suite, runs in held.items():
        for run in runs:
            text = (
                f"{run['date']}, commit {run['commit']}, snowmatch {run['snowmatch']}, Python {run.get('python')} on "
                f"{run.get('system')}, {run.get('cores')} cores: {code(run['command'])}"
            )
            together.setdefault(text, []).append(f"{suite}: {plain(run['run'])}")
    lines = []
    for text, names in together.items():
        lines += [f"- {text}", *(f"  - {name}" for name in names)]
    runs = [run for each in held.values() for run in each]
    notes = {f"- {plain(run['run'])}: {plain(note)}" for run in runs for note in run.get("notes", [])}
    return "\n".join([*lines, *(["", "Notes:", "", *sorted(notes)] if notes else [])])


def suites_table(held: dict[str, list[Result]]) -> str:
    """Return the table of all suites and the minutes that each took."""
    rows = []
    for suite, (words, estimate) in ABOUT.items():
        known = minutes_of(suite, held[suite])
        rows.append([suite, words, f"about {estimate}" if known is None else str(known)])
    return table(("suite", "what is measured", "minutes"), rows, left=2)


if __name__ == "__main__":
    main()
