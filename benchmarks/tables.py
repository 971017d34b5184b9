"""Result files to Markdown: results/README.md with every table, and a short table in the project's README.md.

Reads RESULTS_FOLDER/<dataset>/<protocol>/<label>.json, scaling.json and stages.json. Short tables go between the lines
<!-- results --> and <!-- /results -->, and <!-- networks --> and <!-- /networks -->, of the README.md two folders up,
those of levels.json, population*.json, deep-*.json and shortlist-*.json between `levels`, `population`, `deep` and
`shortlist` of the README.md one folder up, where they have these lines. Pictures that plots.py has made are shown, so
run that one first.

Example: python benchmarks/tables.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from as_markdown import (
    NOTHING,
    Result,
    between_markers,
    code,
    decimal,
    in_brackets,
    percent,
    plain,
    quantity,
    ratio,
    seconds,
    shown,
    table,
    write,
)
from deep.page import deep_table, shortlist_table

RESULTS = Path(__file__).parent / "results"
SCHEMA = "snowmatch.benchmark/1"
NEEDED = {
    "schema": str,
    "command": str,
    "date": str,
    "commit": str,
    "dataset": dict,
    "protocol": str,
    "method": str,
    "label": str,
    "figures": dict,
}
CLASSICAL = ("hesaff", "sift", "hesaff+sift")  # extractors whose results stand in the first table
MOST_ANIMALS = 40  # rows of their own: a catalog of hundreds would drown the page


@dataclass(frozen=True)
class Column:
    """A figure: its name in the files, its heading in a table, its words in a sentence, and how it is written."""

    name: str
    heading: str
    words: str
    show: Callable[..., str] = percent


PHOTO_TOP_1 = Column("annotation_top1", "photo top-1", "by-photo top-1")
MACRO = Column("annotation_macro_top1", "macro top-1", "by-photo macro top-1")
INDIVIDUAL_TOP_1 = Column("individual_top1", "individual top-1", "by-individual top-1")
ACCURACY = (
    PHOTO_TOP_1,
    Column("annotation_top5", "top-5", "by-photo top-5"),
    MACRO,
    Column("annotation_map", "mAP", "by-photo mAP", decimal),
    Column("annotation_dt5ap", "DT5AP", "by-photo DT5AP", decimal),
    INDIVIDUAL_TOP_1,
    Column("individual_top5", "top-5", "by-individual top-5"),
    Column("encounter_top1", "encounter top-1", "by-encounter top-1"),
    Column("encounter_best_photo", "by its surest photo", "top-1 by an encounter's surest photo"),
    Column("individual_auroc", "AUROC", "by-individual AUROC", decimal),
    Column("individual_detection_rate", "found at 1 % false alarms", "by-individual share found at 1 % false alarms"),
    Column("individual_auroc_dropped", "AUROC, dropped", "by-individual AUROC (column dropped)", decimal),
    Column("individual_detection_rate_dropped", "found, dropped", "by-individual share found (column dropped)"),
)
COMPARED = ACCURACY + (
    Column("annotation_top10", "top-10", "by-photo top-10"),
    Column("individual_top10", "top-10", "by-individual top-10"),
    Column("individual_macro_top1", "macro top-1", "by-individual macro top-1"),
    Column("encounter_top5", "top-5", "by-encounter top-5"),
    Column("encounter_top10", "top-10", "by-encounter top-10"),
    Column("encounter_macro_top1", "macro top-1", "by-encounter macro top-1"),
    Column("encounter_auroc", "AUROC", "by-encounter AUROC", decimal),
    Column("encounter_detection_rate", "found", "by-encounter share found at 1 % false alarms"),
)
TIMES = (
    Column("query", "query", "time of a query", seconds),
    Column("extract", "extract", "time to extract a photo", seconds),
)

ACCURACY_MEANS = (
    "Photo: the best single photo is of the right animal; individual: the best animal is the right one; encounter: the "
    "same, asked with all photos of an encounter; macro: every animal's body part counts the same. In brackets: 95 % "
    "interval, drawing encounters, and the range of repeated runs.",
    "mAP and DT5AP: how early the animal's other photos come. AUROC: chance that a known animal scores above a new "
    "one; found: known animals accepted and named right where 1 % of the new ones are accepted (both asked with one "
    "photo). New: the same queries without their animal in the gallery; dropped: only its column left out of the "
    "answer, which helps methods whose votes would go elsewhere. Ties count against every method; bold is the best of "
    "a column as written; – was not measured.",
)
COST_MEANS = (
    "Wall-clock seconds: extraction per photo, index in all, query per query. Query ÷ HotSpotter: over the query time "
    "of the fastest HotSpotter in the same run on the same data, as the load was the same; below 1 is faster.",
    "Memory: the peak of the process that did the work; features and bytes on disk are per photo; – was not measured.",
)
ANIMALS_MEAN = (
    "Right/asked of an animal's body part: first by the best single photo, then by individual.",
    f"The {MOST_ANIMALS} with most queries have a row; the rest are added up.",
)
SCALING_MEANS = (
    "Time and memory against the size of the gallery: one query (median), and building the index in all.",
    "Rows of one method differ only in the number of annotations. – was not measured.",
)
STAGES_MEAN = ("Wall-clock seconds of each stage.", "– was not measured, or the method has no such stage.")


@dataclass(frozen=True)
class Trial:
    """Results that answer the same questions: one dataset, one protocol, the same number of photos and queries."""

    dataset: str
    protocol: str
    stem: str  # of file names
    results: tuple[Result, ...]


# Reading


def load_json(path: Path) -> Any:
    """The content of a JSON file, NaN and infinity as null; SystemExit where it has none."""
    try:
        return json.loads(path.read_bytes(), parse_constant=lambda _: None)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: not readable as JSON ({error}); delete it or run its benchmark again.") from None


def load_results(folder: Path) -> list[Result]:
    """Every result in the folder, in the order of the file names; SystemExit where one is not as it should be."""
    results = []
    for path in sorted(folder.glob("*/*/*.json")):
        result = load_json(path)
        schema = result.get("schema") if isinstance(result, dict) else None
        if schema != SCHEMA:
            raise SystemExit(f"{path}: schema {schema!r}, expected {SCHEMA!r}; run its benchmark again.")
        wrong = [name for name, kind in NEEDED.items() if not isinstance(result.get(name), kind)]
        if wrong or "name" not in result["dataset"]:
            raise SystemExit(f"{path}: {', '.join(wrong or ['dataset.name'])} missing; run its benchmark again.")
        results.append(result)
    return results


def load_rows(folder: Path, name: str) -> Result | None:
    """scaling.json or stages.json; None where it has not been measured."""
    path = folder / name
    if not path.exists():
        return None
    result = load_json(path)
    if not isinstance(result, dict) or not isinstance(result.get("rows"), list):
        raise SystemExit(f"{path}: no list of rows; run its benchmark again.")
    return result


def trials(results: Iterable[Result]) -> list[Trial]:
    """The results by dataset and protocol; apart where the questions differ, since shares of them do not compare."""
    together: dict[tuple, list[Result]] = {}
    for result in results:
        data = result["dataset"]
        sizes = [data.get(name) or 0 for name in ("annotations", "individuals", "encounters")]
        asked = [result.get(name) or 0 for name in ("queries", "answerable", "encounters_asked")]
        together.setdefault((data["name"], result["protocol"], *sizes, *asked), []).append(result)
    found: list[Trial] = []
    for (dataset, protocol, *_), members in sorted(together.items()):
        before = sum(t.dataset == dataset and t.protocol == protocol for t in found)
        stem = f"{dataset}-{protocol}" + (f"-{before + 1}" if before else "")
        found.append(Trial(dataset, protocol, stem, tuple(by_accuracy(members))))
    return found


def number(result: Result, *names: str) -> float | None:
    """The number that the names lead to; None where anything on the way is missing or null."""
    value: Any = result
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def figure(result: Result, column: Column) -> float | None:
    return number(result, "figures", column.name, "value")


def by_accuracy(results: Iterable[Result]) -> list[Result]:
    """The best photo top-1 first, those without last, equal ones by label."""

    def place(result: Result) -> tuple:
        value = figure(result, PHOTO_TOP_1)
        return value is None, -(value or 0), result["label"]

    return sorted(results, key=place)


def family(label: str) -> str:
    """A label without the settings that were changed."""
    return label.split(" ")[0]


def is_hotspotter(result: Result) -> bool:
    return result["method"].startswith("hotspotter")


def is_ours(result: Result) -> bool:
    return result["method"].startswith("snowmatch")


def is_classical(result: Result) -> bool:
    """Whether no network and no matcher of pairs had a part in it."""
    settings = result.get("settings") or {}
    return settings.get("matcher", "lnbnn") == "lnbnn" and settings.get("extractor", "hesaff") in CLASSICAL


# Tables


def best_bold(results: Sequence[Result], column: Column) -> list[str]:
    """The column's cells; bold is whatever is written like the best, since a reader cannot tell those apart."""
    values = [figure(r, column) for r in results]
    known = [v for v in values if v is not None]
    best = column.show(max(known)) if known else NOTHING
    texts = [shown(v, column.show) for v in values]
    return [f"**{text}**" if text == best != NOTHING else text for text in texts]


def brackets(result: Result, column: Column) -> str:
    """The interval, and the range of repeated runs, as far as they are known."""
    parts = []
    low, high = (number(result, "figures", column.name, end) for end in ("low", "high"))
    if low is not None and high is not None:
        parts.append(f"{100 * low:.0f}–{100 * high:.0f}")
    spread = number(result, "figures", column.name, "spread")
    if spread and None not in spread:
        parts.append(f"runs {100 * spread[0]:.0f}–{100 * spread[1]:.0f}")
    return f" ({'; '.join(parts)})" if parts else ""


def accuracy_table(results: Iterable[Result]) -> str:
    """How well each method identifies, for the results of one dataset and protocol."""
    results = by_accuracy(results)
    columns = [best_bold(results, column) for column in ACCURACY]
    columns[0] = [cell + brackets(r, PHOTO_TOP_1) for r, cell in zip(results, columns[0], strict=True)]
    labels = [plain(r["label"]) for r in results]
    return table(["method", *(c.heading for c in ACCURACY)], zip(labels, *columns, strict=True))


def time_ratio(result: Result, results: Iterable[Result]) -> float | None:
    """Query time over the fastest HotSpotter's of the same run; None where they were not measured side by side."""
    own, run = number(result, "seconds", "query"), result.get("suite_run")
    theirs = [number(r, "seconds", "query") for r in results if is_hotspotter(r) and run and r.get("suite_run") == run]
    theirs = [t for t in theirs if t]
    return own / min(theirs) if own is not None and theirs else None


def cost_table(results: Iterable[Result]) -> str:
    """What each method costs, for the results of one dataset and protocol."""
    results = by_accuracy(results)
    rows = []
    for r in results:
        memory = number(r, "peak_memory")
        rows.append(
            [
                plain(r["label"]),
                shown(number(r, "seconds", "extract"), quantity),
                shown(number(r, "seconds", "index"), quantity),
                shown(number(r, "seconds", "query"), quantity),
                shown(time_ratio(r, results), ratio),
                shown(None if memory is None else memory / 1e6, quantity),
                shown(number(r, "numbers", "features_per_annotation"), "{:,.0f}".format),
                shown(number(r, "numbers", "bytes_on_disk_per_annotation"), "{:,.0f}".format),
            ]
        )
    headings = ["method", "extract s/photo", "index s", "query s", "query ÷ HotSpotter", "peak memory MB"]
    return table([*headings, "features/photo", "bytes on disk/photo"], rows)


def animal_table(results: Iterable[Result], most: int = MOST_ANIMALS) -> str:
    """Which animals each method gets right, for the results of one dataset and protocol."""
    results = by_accuracy(results)
    counts: dict[tuple[str, str], list[dict | None]] = {}
    for i, result in enumerate(results):
        for row in result.get("by_animal") or []:
            animal = (str(row["individual"]), str(row["body_part"] or NOTHING))
            counts.setdefault(animal, [None] * len(results))[i] = row
    by_queries = sorted(counts, key=lambda animal: (-max(r["queries"] or 0 for r in counts[animal] if r), animal))
    rows = [[*map(plain, animal), *map(right_of_asked, counts[animal])] for animal in sorted(by_queries[:most])]
    rest = by_queries[most:]
    if rest:
        sums = [added([counts[animal][i] for animal in rest]) for i in range(len(results))]
        rows.append([f"{len(rest)} others", "", *map(right_of_asked, sums)])
    return table(["individual", "body part", *(plain(r["label"]) for r in results)], rows, left=2)


def right_of_asked(row: dict | None) -> str:
    names = ("annotation_right", "individual_right")
    if row is None or row["queries"] is None:
        return NOTHING
    return " · ".join(NOTHING if row[n] is None else f"{row[n]}/{row['queries']}" for n in names)


def added(rows: Sequence[dict | None]) -> dict | None:
    """The sums of the rows, of which a sum is None where one of them is."""
    known = [r for r in rows if r is not None]
    if not known:
        return None
    names = ("queries", "annotation_right", "individual_right")
    return {n: None if any(r[n] is None for r in known) else sum(r[n] for r in known) for n in names}


def short_table(results: Iterable[Result]) -> str:
    """This engine with every setting measured, others as they come (or else at their best), on every dataset."""
    rows = []
    for trial in with_others(results):
        chosen = []
        for method in sorted({r["method"] for r in trial.results}):
            own = [r for r in trial.results if r["method"] == method]  # the most accurate first
            if is_ours(own[0]):
                chosen += own
                continue
            chosen.append(next((r for r in own if r["label"] == family(r["label"])), own[0]))
        chosen = by_accuracy(chosen)
        columns = [best_bold(chosen, column) for column in (PHOTO_TOP_1, INDIVIDUAL_TOP_1, MACRO)]
        for result, *cells in zip(chosen, *columns, strict=True):
            names = map(plain, (trial.dataset, trial.protocol, result["label"]))
            rows.append([*names, *cells, shown(time_ratio(result, trial.results), ratio)])
    headings = ["dataset", "protocol", "method", *(c.heading for c in (PHOTO_TOP_1, INDIVIDUAL_TOP_1, MACRO))]
    return table([*headings, "query time ÷ HotSpotter"], rows, left=3)


def with_others(results: Iterable[Result]) -> list[Trial]:
    """The trials without networks; those that were made to measure networks alone are left out."""
    results = list(results)
    for_networks = {(t.dataset, t.protocol) for t in trials(results) if not all(map(is_classical, t.results))}
    found = trials(filter(is_classical, results))
    return [t for t in found if (t.dataset, t.protocol) not in for_networks or not all(map(is_ours, t.results))]


def networks_table(results: Iterable[Result]) -> str:
    """Extractors and matchers of this engine side by side, photo / individual right, on every set that has networks."""
    sets = [t for t in trials(filter(is_ours, results)) if not all(map(is_classical, t.results))]
    labels = {}
    for trial in sets:
        labels |= {r["label"]: None for r in sorted(trial.results, key=order_of_networks)}
    columns, costs = [], {}
    for trial in sets:
        found = {r["label"]: r for r in trial.results}
        cells = [best_bold(trial.results, column) for column in (PHOTO_TOP_1, INDIVIDUAL_TOP_1)]
        shares = dict(zip(found, map(" / ".join, zip(*cells, strict=True)), strict=True))
        columns.append([shares.get(label, NOTHING) for label in labels])
        costs = {**found, **costs}  # of the first set that has them
    headings = ["method", *(f"{t.dataset}, {t.protocol}" for t in sets), "extract s/photo", "query s", "features/photo"]
    tail = [
        [
            shown(number(costs[label], "seconds", "extract"), quantity),
            shown(number(costs[label], "seconds", "query"), quantity),
            shown(number(costs[label], "numbers", "features_per_annotation"), "{:,.0f}".format),
        ]
        for label in labels
    ]
    rows = zip(map(plain, labels), *columns, *zip(*tail, strict=True), strict=True)
    return table(headings, rows) if sets else ""


def levels_table(sets: dict[str, Any]) -> str:
    """Of each set and method: answers and wrong ones of every level, calibration, and known against new animals."""
    rows = []
    for name, held in sets.items():
        for method, judged in held["methods"].items():
            counts = [f"{c['answers']}, {c['wrong']} wrong" if c["answers"] else "none" for c in judged["levels"]]
            rows.append(
                [
                    name,
                    method,
                    *counts,
                    f"{judged['brier']:.3f}",
                    f"{judged['calibration_error']:.2f}",
                    in_brackets(judged["auroc"], lambda v: f"{v:.2f}"),
                    in_brackets(judged["detection_rate"], percent),
                ]
            )
            for cut in [judged["cut at 0.12, 0.07, 0.04"]] if "cut at 0.12, 0.07, 0.04" in judged else []:
                counts = [f"{c['answers']}, {c['wrong']} wrong" if c["answers"] else "none" for c in cut]
                rows.append([name, f"{method}, cut at 0.12, 0.07, 0.04", *counts, *[NOTHING] * 4])
    levels = ("excellent", "good", "fair", "uncertain")
    return table(("set", "method", *levels, "Brier", "error", "AUROC", "found at 1 %"), rows, left=6)


def population_table(replays: Iterable[Result]) -> str:
    """Of each replay: who was named wrong, how many a person named, and the bias of the two estimates."""
    rows = []
    for result in replays:
        told, given = result["summary"], result["settings"]
        bias = [f"{told[name]['bias']['mean']:+.1f} ± {told[name]['bias']['sd']:.1f} %" for name in ("m0", "chao")]
        shares = [f"{told[name]:.1f} %" for name in ("splitting_percent", "lumping_percent", "person_percent")]
        rows.append([f"{given['evidence']}, new from {given['new']:g}", str(told["seeds"]), *shares, *bias])
    heading = ("photos with", "surveys", "splitting", "lumping", "named by a person", "bias of M0", "bias of Chao")
    return table(heading, rows)


def order_of_networks(result: Result) -> tuple:
    """Classical extractors first, each with LNBNN first."""
    settings = result.get("settings") or {}
    extractor, options = settings.get("extractor", "hesaff"), settings.get("options", "")
    matcher = settings.get("matcher", "lnbnn")
    return extractor not in CLASSICAL, extractor, options, matcher != "lnbnn", matcher


def scaling_table(scaling: Result) -> str:
    """Time and memory against the size of the gallery."""
    rows = []
    for row in sorted(scaling["rows"], key=lambda r: (r["method"], r["annotations"])):
        memory, disk = number(row, "peak_memory"), number(row, "bytes_on_disk")
        rows.append(
            [
                plain(row["method"]),
                f"{row['annotations']:,}",
                shown(number(row, "descriptors"), "{:,.0f}".format),
                shown(number(row, "query_seconds"), quantity),
                shown(number(row, "index_seconds"), quantity),
                shown(None if memory is None else memory / 1e6, quantity),
                shown(None if disk is None else disk / 1e6, quantity),
            ]
        )
    headings = ["method", "annotations", "descriptors", "query s", "index s", "peak memory MB", "disk MB"]
    return table(headings, rows)


def stages_table(stages: Result) -> str:
    """Seconds of each stage (rows, in the order measured) for each method (columns)."""
    methods = list(dict.fromkeys(row["method"] for row in stages["rows"]))
    names = list(dict.fromkeys(row["stage"] for row in stages["rows"]))
    known = {(row["stage"], row["method"]): number(row, "seconds") for row in stages["rows"]}
    rows = [[plain(name), *(shown(known.get((name, m)), quantity) for m in methods)] for name in names]
    return table(["stage", *map(plain, methods)], rows)


# Losses


def comparison(results: Iterable[Result]) -> str:
    """Where HotSpotter is ahead: a sentence per figure on which it beats every configuration of snowmatch, then one per
    configuration that it beats although another is ahead of it."""
    losses: list[str] = []
    partial: dict[tuple[str, str], list[str]] = {}
    both = 0
    for trial in trials(results):
        theirs = [r for r in trial.results if is_hotspotter(r)]
        ours = [r for r in trial.results if is_ours(r)]
        both += bool(theirs and ours)
        place = f"{trial.dataset} {trial.protocol}"
        for column in COMPARED:
            add_loss(losses, partial, place, column, named(theirs, column), named(ours, column))
        for run in sorted({r["suite_run"] for r in theirs if r.get("suite_run")}):
            for column in TIMES:  # of one run only: the load of another may have been a different one
                add_loss(losses, partial, place, column, timed(theirs, column, run), timed(ours, column, run), sign=-1)
    if not both:
        return "HotSpotter and snowmatch have not been measured on the same questions."
    for (place, label), figures in partial.items():
        losses.append(
            f"On {place} HotSpotter is ahead of {label}, though not of every configuration: {listed(figures)}."
        )
    return "\n".join(f"- {plain(text)}" for text in losses) or "HotSpotter is ahead on no figure."


def named(results: Iterable[Result], column: Column) -> list[tuple[str, float | None]]:
    return [(r["label"], figure(r, column)) for r in results]


def timed(results: Iterable[Result], column: Column, run: str) -> list[tuple[str, float | None]]:
    return [(r["label"], number(r, "seconds", column.name)) for r in results if r.get("suite_run") == run]


def listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def add_loss(
    losses: list[str],
    partial: dict[tuple[str, str], list[str]],
    place: str,
    column: Column,
    theirs: list[tuple[str, float | None]],
    ours: list[tuple[str, float | None]],
    sign: int = 1,
) -> None:
    """Note the losses on one figure; theirs and ours are (label, value), with sign -1 less is better."""
    several_theirs, several_ours = len(theirs) > 1, len(ours) > 1
    theirs = [(label, value) for label, value in theirs if value is not None]
    ours = [(label, value) for label, value in ours if value is not None]
    if not theirs or not ours:
        return
    their_label, their = max(theirs, key=lambda pair: sign * pair[1])
    our_label, our = max(ours, key=lambda pair: sign * pair[1])
    if sign * their > sign * our:
        first, second = apart(column, their, our)
        who = f"HotSpotter ({their_label})" if several_theirs else "HotSpotter"
        by = f" ({our_label})" if several_ours else ""
        losses.append(f"{who} is ahead on {place} {column.words}: {first} against {second}{by}.")
        return
    for label, value in ours:
        if sign * their > sign * value:
            first, second = apart(column, their, value)
            partial.setdefault((place, label), []).append(f"{column.words} {first} against {second}")


def digits_apart(column: Column, first: float, second: float) -> int:
    """How many more digits show that two figures differ."""
    return next((d for d in range(4) if column.show(first, d) != column.show(second, d)), 4)


def apart(column: Column, first: float, second: float) -> tuple[str, str]:
    digits = digits_apart(column, first, second)
    return column.show(first, digits), column.show(second, digits)


# Pages


def source(result: Result) -> str:
    """The command, date, commit, system and versions that a result came from."""
    parts = [code(str(result.get("command"))), str(result.get("date")), f"commit {result.get('commit')}"]
    parts.append(f"Python {result.get('python') or NOTHING} on {result.get('system') or NOTHING}")
    parts.append(f"threads {result.get('threads') or NOTHING} of {result.get('cores') or NOTHING} cores")
    if result.get("suite_run"):
        parts.append(f"run {result['suite_run']}")
    packages = result.get("packages") or {}
    return ", ".join(parts) + "; " + (", ".join(f"{name} {packages[name]}" for name in sorted(packages)) or NOTHING)


def sources(results: Iterable[Result]) -> str:
    """Where the results came from, those made alike together, each with its notes."""
    together: dict[str, list[Result]] = {}
    for result in results:
        together.setdefault(source(result), []).append(result)
    lines = []
    for text, members in together.items():
        lines.append(f"- {', '.join(plain(r['label']) for r in members)}: {text}")
        lines += [f"  - {plain(r['label'])}: {plain(note)}" for r in members for note in r.get("notes") or []]
    return "\n".join(lines)


def source_of_rows(result: Result) -> str:
    return "\n".join([f"- {source(result)}", *(f"  - {plain(note)}" for note in result.get("notes") or [])])


def questions(result: Result) -> str:
    """What was asked, in one line."""
    data = result["dataset"]

    def count(value: float | None) -> str:
        return shown(value, "{:,}".format)

    return (
        f"{count(data.get('annotations'))} photos of {count(data.get('individuals'))} individuals in "
        f"{count(data.get('encounters'))} encounters; {count(result.get('queries'))} queries, "
        f"{count(result.get('answerable'))} with a right answer; "
        f"{count(result.get('encounters_asked'))} encounters asked."
    )


def page(results: Sequence[Result], scaling: Result | None, stages: Result | None, pictures: set[str]) -> str:
    """The page with all tables; `pictures`, the file names in plots/."""

    def picture(name: str, title: str) -> list[str]:
        return [f"![{plain(title)}](plots/{name.replace(' ', '%20')})"] if name in pictures else []

    parts = [
        "# Results",
        "Made by `python benchmarks/tables.py` from the JSON files beside it: change those, not this page.",
    ]
    if results:
        parts += ["## Where HotSpotter is ahead", comparison(filter(is_classical, results))]
    for trial in trials(results):
        title = f"{trial.dataset}, {trial.protocol}"
        parts += [f"## {plain(title)}", questions(trial.results[0])]
        parts += ["### Identification", "\n".join(ACCURACY_MEANS), accuracy_table(trial.results)]
        parts += picture(f"cmc-{trial.stem}.png", f"Right answer among the first k: {title}")
        parts += picture(f"scores-{trial.stem}.png", f"Scores of the same and of different animals: {title}")
        parts += ["### Cost", "\n".join(COST_MEANS), cost_table(trial.results)]
        if any(r.get("by_animal") for r in trial.results):
            parts += ["### Animal by animal", "\n".join(ANIMALS_MEAN)]
            parts += ["<details><summary>the table</summary>", animal_table(trial.results), "</details>"]
        parts += ["### Where these figures come from", sources(trial.results)]
    if scaling is not None:
        parts += ["## Size of the gallery", "\n".join(SCALING_MEANS), scaling_table(scaling)]
        parts += [*picture("scaling.png", "Query time and memory against the gallery's size"), source_of_rows(scaling)]
    if stages is not None:
        parts += ["## Stages", "\n".join(STAGES_MEAN), stages_table(stages), source_of_rows(stages)]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page into the results folder and the short table into the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, metavar="RESULTS_FOLDER")
    folder = parser.parse_args(arguments).results.resolve()
    results = load_results(folder)
    scaling, stages = load_rows(folder, "scaling.json"), load_rows(folder, "stages.json")
    if not results and scaling is None and stages is None:
        raise SystemExit(f"{folder}: no <dataset>/<protocol>/<label>.json in it; run a benchmark first.")
    pictures = {path.name for path in (folder / "plots").glob("*.png")}
    write(folder / "README.md", page(results, scaling, stages, pictures))
    # two folders up, so that results kept elsewhere never end up in the project's README
    readme = folder.parent.parent / "README.md"
    if results and readme.is_file():
        old = readme.read_bytes().decode("utf-8")
        link = (folder.relative_to(readme.parent) / "README.md").as_posix()
        new = f"{short_table(results)}\n\nAll figures, with intervals, costs and losses: [{link}]({link})."
        new = between_markers(old, "results", new, readme)
        new = between_markers(new, "networks", networks_table(results), readme)
        if new != old:
            write(readme, new)
    page_of_levels(folder)


def page_of_levels(folder: Path) -> None:
    """Put the tables of levels.json and population*.json into the README.md beside the results' folder."""
    readme = folder.parent / "README.md"
    if not readme.is_file():
        return
    old = new = readme.read_bytes().decode("utf-8")
    if (folder / "levels.json").is_file():
        held = json.loads((folder / "levels.json").read_text(encoding="utf-8"))
        new = between_markers(new, "levels", levels_table(held["sets"]), readme)
    if replays := sorted(folder.glob("population*.json")):
        read = [json.loads(path.read_text(encoding="utf-8")) for path in replays]
        new = between_markers(new, "population", population_table(read), readme)
    for name, show in (("deep", deep_table), ("shortlist", shortlist_table)):
        if held := [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"{name}*.json"))]:
            new = between_markers(new, name, "\n\n".join(map(show, held)), readme)
    if new != old:
        write(readme, new)


if __name__ == "__main__":
    main()
