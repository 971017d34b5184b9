"""Tables that compare methods: how well they identify, what they cost, and where HotSpotter is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from as_markdown import NOTHING, listed, number, plain, quantity, ratio, shown, table
from figures import FIGURES, INDIVIDUAL, PHOTO, Column
from measure import UNCOMMITTED
from store import Result
from suites import DATASETS, PROTOCOLS

ACCURACY_MEANS = (
    "Photo: the first photo of the answer shows the right animal. Individual: the first individual is the right one. "
    "Encounter: the same, if all photos of an encounter are one query. Macro: every animal's body part has the same "
    "weight. In brackets: the 95 % interval (bootstrap over encounters). mAP and DT5AP: how early the animal's other "
    "photos come. HotSpotter as it comes gives a score to 3 photos of each of 40 individuals, and all others are last, "
    "so its row has these two only if it was run with every_annotation=yes. If it is ahead even so, the list above "
    "says it.",
    "AUROC: the probability that a known animal scores above a new one. Found: the share of known animals that are "
    "accepted and named right, at the threshold that accepts 1 % of the new animals. New animals are the same queries "
    "without their animal on record. Dropped: only the animal's column is left out of the answer; this helps methods "
    "whose votes would otherwise go to other animals. Ties count against every method. Bold is the best number of a "
    "column, as rounded; – was not measured.",
)
LOCATION_MEANS = (
    "The same photos, if nothing finds the animal (classifier=none boxes=no; bursts and stations still weigh the "
    "spots), if snowmatch finds it, and with the boxes of persons. Unboxed and boxed: the same queries. In the photos "
    "with bars, each one has a line of text inside its box, and the text of a query is that of a wrong animal; framed "
    "are the same photos without it. With foreground=given, the bar counts as everything else."
)
OF_ALL_PHOTOS = ("annotation_map", "annotation_dt5ap")  # figures of the whole ranking of photos
COST_MEANS = (
    "Wall-clock seconds on one core: extraction of one photo, the whole index, one query. Query ÷ HotSpotter: query "
    "time divided by HotSpotter's in the same run, under the same load; below 1 is faster. Memory: the peak of the "
    "process that did the work. – was not measured: if two protocols share a dataset, the second one uses the features "
    "of the first.",
)


@dataclass(frozen=True)
class Trial:
    """Results of the same queries: one dataset, one protocol, the same number of photos and queries."""

    dataset: str
    protocol: str
    results: tuple[Result, ...]


def check_one_engine(runs: Iterable[Result], table_name: str) -> None:
    """Raise SystemExit if the runs of a table come from different engines, or from one that nobody can name: runs that
    name no commit, or one with changes.
    """
    runs = list(runs)
    made: dict[str, list[str]] = {}
    for run in runs:
        made.setdefault(f"snowmatch {run['snowmatch']}, commit {run['commit'] or 'unknown'}", []).append(run["run"])
    if len(made) > 1:
        mix = "; ".join(f"{each}: {', '.join(names[:3] + ['...'][: len(names) > 3])}" for each, names in made.items())
        raise SystemExit(f"{table_name} would mix engines ({mix}): run the older ones again.")
    if len(runs) > 1 and not runs[0]["commit"]:  # nor of the others
        raise SystemExit(f"{table_name}: nobody knows which engine made {runs[0]['run']}: run all again.")
    for run in runs:
        if run["commit"].endswith(UNCOMMITTED):
            raise SystemExit(f"{table_name}: {run['run']} was made with changes that are not committed: run it again.")


def trials(results: Iterable[Result]) -> list[Trial]:
    """Group the results by dataset and protocol, in their order. Results of different queries are not grouped."""
    together: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        asked = [result.get(name) for name in ("queries", "answerable", "encounters")]
        together.setdefault((result["dataset"]["name"], result["protocol"], *asked), []).append(result)
    return [Trial(key[0], key[1], tuple(by_accuracy(members))) for key, members in together.items()]


def figure(result: Result, column: Column) -> float | None:
    """Return the value of a figure; None if it is unknown."""
    found = result["figures"].get(column.name)
    return found[0] if found else None


def fair_figure(result: Result, column: Column) -> float | None:
    """Return the value of a figure; None if it is unknown, or of a ranking that has only some of the photos."""
    cut = column.name in OF_ALL_PHOTOS and is_hotspotter(result) and not result["settings"].get("every_annotation")
    return None if cut else figure(result, column)


def by_accuracy(results: Iterable[Result]) -> list[Result]:
    """Sort by the share of right photos, the best first, unknown shares last, and equal ones by label."""
    return sorted(results, key=lambda r: (figure(r, PHOTO) is None, -(figure(r, PHOTO) or 0), r["label"]))


def is_hotspotter(result: Result) -> bool:
    return result["method"] == "hotspotter"


def lists_few(label: str) -> bool:
    """Return whether the method of a label is HotSpotter as it comes: most photos get no score (see ACCURACY_MEANS)."""
    name, *settings = label.split(" ")
    return name == "hotspotter" and "every_annotation=yes" not in settings


def is_default(result: Result) -> bool:
    """Return whether this is snowmatch with its default settings."""
    return result["label"] == "snowmatch"


def best_bold(results: Sequence[Result], column: Column) -> list[str]:
    """Return the column's cells. Every cell with the same text as the best one is bold: a reader sees no difference."""
    values = [fair_figure(r, column) for r in results]
    known = [v for v in values if v is not None]
    best = column.show(max(known)) if known else NOTHING
    texts = [shown(v, column.show) for v in values]
    return [f"**{text}**" if text == best != NOTHING and len(known) > 1 else text for text in texts]


def brackets(result: Result, column: Column) -> str:
    """Return the 95 % interval and the range of repeated runs in brackets, if they are known."""
    found = result["figures"].get(column.name)
    parts = [f"{100 * found[1]:.0f}–{100 * found[2]:.0f}"] if found else []
    if spread := result.get("spread", {}).get(column.name):
        parts.append(f"runs {100 * spread[0]:.0f}–{100 * spread[1]:.0f}")
    return f" ({'; '.join(parts)})" if parts else ""


def accuracy_table(results: Iterable[Result]) -> str:
    """Return the table of how well each method identifies, for one dataset and protocol."""
    results = by_accuracy(results)
    columns = [best_bold(results, column) for column in FIGURES]
    for place, column in enumerate(FIGURES):
        if column in (PHOTO, INDIVIDUAL):
            columns[place] = [cell + brackets(r, column) for r, cell in zip(results, columns[place], strict=True)]
    labels = [plain(r["label"]) for r in results]
    return table(["method", *(c.heading for c in FIGURES)], zip(labels, *columns, strict=True))


def time_ratio(result: Result, results: Iterable[Result]) -> float | None:
    """Return query time divided by the fastest HotSpotter's; None if they were not measured in the same suite run."""
    own, run = number(result, "seconds", "query"), result.get("suite_run")
    theirs = [number(r, "seconds", "query") for r in results if is_hotspotter(r) and run and r.get("suite_run") == run]
    theirs = [t for t in theirs if t]
    return own / min(theirs) if own is not None and theirs else None


def cost_table(results: Iterable[Result]) -> str:
    """Return the table of what each method costs, for one dataset and protocol."""
    results = by_accuracy(results)
    rows = []
    for r in results:
        memory = number(r, "peak_memory")
        rows.append(
            [
                plain(r["label"]),
                *(shown(number(r, "seconds", stage), quantity) for stage in ("extract", "index", "query")),
                shown(time_ratio(r, results), ratio),
                shown(None if memory is None else memory / 1e6, quantity),
                shown(number(r, "numbers", "features_per_annotation"), "{:,.0f}".format),
                shown(number(r, "numbers", "bytes_on_disk_per_annotation"), "{:,.0f}".format),
            ]
        )
    headings = ["method", "extract s/photo", "index s", "query s", "query ÷ HotSpotter", "memory MB"]
    return table([*headings, "features/photo", "bytes/photo"], rows)


def short_table(results: Iterable[Result]) -> str:
    """Return the table of default snowmatch beside HotSpotter: photo, individual, query time. Bold is better."""
    rows = []
    for trial in trials(results):
        ours, theirs = (next(filter(kind, trial.results), None) for kind in (is_default, is_hotspotter))
        if ours is None:
            continue
        pair = [r for r in (ours, theirs) if r is not None]
        cells = [" / ".join(each) for each in zip(*(best_bold(pair, c) for c in (PHOTO, INDIVIDUAL)), strict=True)]
        words = DATASETS[trial.dataset][1] if trial.dataset in DATASETS else trial.dataset
        asked = PROTOCOLS.get(trial.protocol, trial.protocol)
        rows.append([plain(words), asked, *cells, *[NOTHING] * (2 - len(pair)), shown(time_ratio(ours, pair), ratio)])
    headings = ["photos", "answered by", "snowmatch: photo / individual right", "HotSpotter"]
    return table([*headings, "query time ÷ HotSpotter's"], rows, left=2)


def methods_table(results: Iterable[Result]) -> str:
    """Return the table of this engine's extractors and matchers: photo / individual right, one column a dataset."""
    sets = trials(results)
    labels = list(dict.fromkeys(r["label"] for t in sets for r in sorted(t.results, key=_order)))
    columns, costs = [], {}
    for trial in sets:
        found = {r["label"]: r for r in trial.results}
        cells = [best_bold(trial.results, column) for column in (PHOTO, INDIVIDUAL)]
        shares = dict(zip(found, map(" / ".join, zip(*cells, strict=True)), strict=True))
        columns.append([shares.get(label, NOTHING) for label in labels])
        costs = {**costs, **found}  # from the last dataset that was measured
    headings = ["method", *(f"{t.dataset}, {t.protocol}" for t in sets), "extract s/photo", "query s", "features/photo"]
    tail = [
        [
            *(shown(number(costs[label], "seconds", stage), quantity) for stage in ("extract", "query")),
            shown(number(costs[label], "numbers", "features_per_annotation"), "{:,.0f}".format),
        ]
        for label in labels
    ]
    return table(headings, zip(map(plain, labels), *columns, *zip(*tail, strict=True), strict=True)) if sets else ""


def _order(result: Result) -> tuple[Any, ...]:
    """Sort key: the default extractor first, networks last; LNBNN first for each extractor."""
    settings = result["settings"]
    extractor, matcher = settings.get("extractor", ""), settings.get("matcher", "")
    return extractor != "hesaff", extractor != "sift", extractor, matcher != "lnbnn", matcher


def losses(results: Iterable[Result]) -> str:
    """List where HotSpotter is better than default snowmatch: one line a dataset and protocol."""
    lines, both = [], 0
    for trial in trials(results):
        ours, theirs = (next(filter(kind, trial.results), None) for kind in (is_default, is_hotspotter))
        if ours is None or theirs is None:
            continue
        both += 1
        behind = []
        for column in FIGURES:
            their, our = figure(theirs, column), figure(ours, column)
            if their is not None and our is not None and their > our:
                behind.append(f"{column.words} {' against '.join(_apart(column, their, our))}")
        slower = time_ratio(ours, trial.results)
        if slower is not None and slower > 1:
            behind.append(f"a query takes snowmatch {ratio(slower)} times as long")
        if behind:
            lines.append(f"- {plain(trial.dataset)}, {plain(trial.protocol)}: {listed(behind)}.")
    if not both:
        return "HotSpotter and snowmatch have not been measured on the same questions."
    return "\n".join(lines) or "HotSpotter is ahead on no figure."


def _apart(column: Column, first: float, second: float) -> tuple[str, str]:
    """Return two figures as text, with enough digits to show that they differ."""
    digits = next((d for d in range(4) if column.show(first, d) != column.show(second, d)), 4)
    return column.show(first, digits), column.show(second, digits)


def questions(result: Result) -> str:
    """Describe the dataset and its queries in one line."""
    data = result["dataset"]
    words = DATASETS[data["name"]][1] if data["name"] in DATASETS else ""
    words = f"{words[0].upper()}{words[1:]}: " if words else ""
    counts = [shown(data.get(name), "{:,}".format) for name in ("annotations", "individuals", "encounters")]
    asked = [shown(result.get(name), "{:,}".format) for name in ("queries", "answerable", "encounters")]
    return (
        f"{words}{counts[0]} photos of {counts[1]} individuals in {counts[2]} encounters; {asked[0]} queries, "
        f"{asked[1]} with a right answer; {asked[2]} encounters asked."
    )
