"""Tables of levels, shipped calibrations, abundance and speed."""

from __future__ import annotations

from collections.abc import Sequence

from as_markdown import NOTHING, code, number, percent, plain, quantity, shown, table
from store import Result

LEVELS_MEAN = (
    "Each encounter (all its photos together) is a query twice: with its animal on record and without it. Calibrations "
    "from other individuals judge the answers. Error: the mean difference between the stated probability and the share "
    "of right answers. AUROC and found: of the raw scores, as above."
)
CALIBRATION_MEANS = (
    "How the calibrations that come with the package judge encounters: the number of excellent, good, fair and "
    "uncertain answers, with the number of wrong ones in brackets. Error: the mean difference between the stated "
    "probability and the share of right answers. Half of the queries are of new animals, and the models know it. "
    "Others: only the models of sets with other animals judge. Calibrated: a calibration from the set's other "
    "individuals judges, for real sets with the drawn cases, as `calibrate` learns it. In the rows of drawn cats "
    "(synthetic) the drawn cases are left out, because those of the asked cat are among them."
)
POPULATION_MEANS = (
    "Drawn surveys: 16 cats; 8 of them pass on each of 5 occasions. snowmatch fills an empty catalog with the animals "
    "that it can name; a person names the rest. Splitting: an animal on record was called new. Lumping: an animal got "
    "another animal's name. Bias: against the estimate from the true names. Held: how many 95 % intervals contain the "
    "true number, 16."
)
SCENERY_MEANS = (
    "Leopards with masks, calibrated; each question with its station, whose rocks are on record. Empty frame: the cat "
    "is painted out by its rough mask; what is left of it may be named (right). Box on rock: a box beside the animal. "
    "Pasted cat: a cat before the rocks of another one; the encounter that it was cut from does not answer. Wrong: "
    "another name above `uncertain`."
)
WAITING = (
    ("snowmatch --help", "help"),
    ("index a photo, one worker", "index_one_worker"),
    ("index a photo, one worker a core", "index_all_workers"),
    ("a query, catalog open", "query_loaded"),
    ("a query of one flank, catalog open", "query_one_flank"),
    ("a query from the command line", "query_command"),
)


def levels_table(runs: Sequence[Result]) -> str:
    """Return, for each set and method, answers and wrong answers of each level, calibration, AUROC and detection."""
    rows = []
    for run in runs:
        counts = [f"{answers}, {wrong} wrong" if answers else "none" for _, answers, wrong in run["levels"]]
        rows.append(
            [
                plain(f"{run['dataset']['name']}, {run['protocol']}"),
                plain(run["method"]),
                *counts,
                shown(run["brier"], "{:.3f}".format),
                shown(run["calibration_error"], "{:.2f}".format),
                _figure(run["auroc"], "{:.2f}".format),
                _figure(run["detection_rate"], lambda v: f"{100 * v:.0f} %"),
            ]
        )
    levels = ("excellent", "good", "fair", "uncertain")
    return table(("set", "method", *levels, "Brier", "error", "AUROC", "found at 1 %"), rows, left=6)


def _figure(figure: list[float] | None, show: object) -> str:
    """Return [value, low, high] as text."""
    if figure is None:
        return NOTHING
    value, low, high = (show(number) for number in figure)
    return f"{value} ({low} to {high})"


def calibration_table(runs: Sequence[Result]) -> str:
    """Return how well the shipped calibrations hold on each set."""
    rows = []
    for run in runs:
        for name, judged in run["judged"].items():
            judges, error = ("shipped", "others", "calibrated"), judged.get("error", {})
            cells = [_counts(judged[judge], error.get(judge)) for judge in judges]
            rows.append([plain(run["run"]), plain(name), *cells])
    return table(("method", "set", "shipped", "others", "calibrated"), rows, left=5)


def _counts(levels: list[list[object]] | None, error: float | None) -> str:
    if levels is None:
        return NOTHING
    counts = ", ".join(f"{answers} ({wrong})" for _, answers, wrong in levels)
    return counts if error is None else f"{counts}; error {error:.2f}"


def population_table(runs: Sequence[Result]) -> str:
    """Return, for each replay, shares of mistakes and of a person's work, and bias and intervals of the estimates."""
    rows = []
    for run in runs:
        summary = run["summary"]
        shares = [f"{summary[name]:.1f} %" for name in ("splitting_percent", "lumping_percent", "person_percent")]
        estimates = []
        for name in ("m0", "chao"):
            bias, held = summary[name]["bias"], summary[name]["held_percent"]
            spread = "" if bias["sd"] is None else f" ± {bias['sd']:.1f}"
            estimates += [NOTHING if bias["mean"] is None else f"{bias['mean']:+.1f}{spread} %", f"{held:.0f} %"]
        rows.append([plain(run["run"]), str(summary["seeds"]), *shares, *estimates])
    named = ("splitting", "lumping", "named by a person")
    return table(("photos with", "surveys", *named, "bias of M0", "held", "of Chao", "held"), rows)


def scenery_table(run: Result) -> str:
    """Return, for each kind of question, the answers by level and the wrong ones."""
    rows = [
        [kind, str(sum(counts.values())), plain(", ".join(f"{what} {n}" for what, n in counts.items())), str(wrong)]
        for (kind, counts), wrong in zip(run["cases"].items(), run["wrong_above_uncertain"].values(), strict=True)
    ]
    return table(("asked", "questions", "answers", "wrong above uncertain"), rows)


def waiting_table(run: Result) -> str:
    """Return how long a user waits, in seconds."""
    rows = [[title, shown(number(run, name), quantity)] for title, name in WAITING]
    return table((f"{run['annotations']:,} drawn photos, {run['workers']} cores", "seconds"), rows)


def stages_table(runs: Sequence[Result]) -> str:
    """Return the seconds of each stage (rows, in the order measured) for each method (columns)."""
    names = list(dict.fromkeys(name for run in runs for name in run["seconds"] if name != "total"))
    rows = [[name, *(shown(number(run, "seconds", name), quantity) for run in runs)] for name in names]
    return table(("stage", *(plain(run["run"].removeprefix("stages ")) for run in runs)), rows)


def made_by(run: Result) -> str:
    """Return the commit of the engine that was measured. A row takes hours, so not all rows are of one engine."""
    return run["commit"] or NOTHING


def size_table(runs: Sequence[Result]) -> str:
    """Return what catalogs of different sizes cost: the runs of scaling.py, by size."""
    rows = []
    for run in sorted(
        (run for run in runs if "build" in run), key=lambda run: (run["annotations"], run["descriptors"])
    ):
        disk = sum(run["disk"].values())
        rows.append(
            [
                f"{run['annotations']:,}",
                quantity(run["descriptors"] / 1e6),
                *(quantity(run[name]) for name in ("open", "session", "first", "next")),
                *(NOTHING if name not in run else quantity(run[name]) for name in ("match",)),
                quantity(run["memory"] / 1e9),
                quantity(run["build"]),
                quantity(run["add"]),
                quantity(run["add_bytes"] / 1e6),
                quantity(disk / run["annotations"] / 1e3),
                percent(run["nearest_found"]),
                percent(run["five_found"]),
                made_by(run),
            ]
        )
    heads = (
        "annotations",
        "million descriptors",
        "open s",
        "session s",
        "first query s",
        "next s",
        "of it comparing s",
    )
    heads += ("memory GB", "build s", "add s", "add MB", "disk kB an annotation", "nearest found", "five found")
    return table((*heads, "commit"), rows)


def large_table(runs: Sequence[Result]) -> str:
    """Return what the runs of scaling_large.py measured, by size: seconds of the clock, on two cores.

    No program writes these rows: they were put together by hand from the JSON files of that program.
    """
    rows = []
    for run in sorted(
        (run for run in runs if "build_flank" in run), key=lambda run: (run["annotations"], "searched" in run)
    ):
        cold, warm, exact = run["cold"], run["warm"], run.get("exact")
        found = f"{warm['right']} of {warm['asked']}, not compared"
        if exact:
            found = f"{exact['right']['search']} and {exact['right']['exact']} of {exact['asked']}"
        rows.append(
            [
                f"{run['annotations']:,}" + ", with maps" * ("searched" in run),
                quantity(run["rows"] / 1e6)
                + (f", {quantity(run['searched'] / 1e6)} searched" if "searched" in run else ""),
                quantity(cold["open"]["clock"] + cold["session"]["clock"]),
                quantity(cold["first"]["clock"]),
                quantity(warm["first"]["clock"]),
                quantity(cold["next"]["clock"]),
                quantity(warm["next"]["clock"]),
                quantity(warm["next"]["cpu"]),
                quantity(warm["memory"]["RssAnon"] / 1e9),
                quantity(warm["memory"]["peak"] / 1e9),
                quantity(run["added"]["open"]["clock"] + run["added"]["arrange"]["clock"]),
                found,
                f"{exact['nearest_own_found']} of {exact['nearest_is_own']}" if exact else "",
                made_by(run),
            ]
        )
    heads = ("annotations", "million descriptors of a flank", "open and session", "first, cold", "first, warm")
    heads += (
        "next, cold",
        "next, warm",
        "CPU of it",
        "memory GB",
        "with mapped files GB",
        "add",
        "animals found, and by exact search",
        "own nearest found",
        "commit",
    )
    return table(heads, rows)


def lists_table(runs: Sequence[Result]) -> str:
    """Return what the runs of large_scan.py measured, by size. No program writes these rows: its lines were copied."""
    found = sorted((run for run in runs if "nearest_lists" in run), key=lambda run: run["rows"])
    rows = [
        [
            f"{run['rows'] / 1e6:g}",
            f"{run['lists']:,}",
            quantity(run["next"]),
            quantity(run["next_cpu"]),
            quantity(run["memory"] / 1e9),
            made_by(run),
        ]
        for run in found
    ]
    return table(("million descriptors of a flank", "lists", "seconds", "CPU seconds", "memory GB", "commit"), rows)


def scaling_table(run: Result) -> str:
    """Return time and memory against the size of the gallery."""
    rows = []
    for row in sorted(run["rows"], key=lambda r: (r["method"], r["annotations"])):
        memory = number(row, "peak_memory")
        rows.append(
            [
                plain(row["method"]),
                *(f"{row[name]:,}" for name in ("annotations", "descriptors")),
                *(shown(number(row, name), quantity) for name in ("query", "index")),
                shown(None if memory is None else memory / 1e6, quantity),
                quantity(row["bytes_on_disk"] / 1e6),
            ]
        )
    return table(("method", "photos", "descriptors", "query s", "index s", "memory MB", "disk MB"), rows)


APP_WORDS = {
    "pair": "the pictures of a question, for the first time, of photos of 4 megapixels",
    "large pair": "the same, of photos of 24 megapixels",
    "small animal": "the same, where the animal fills a sixteenth of that",
    "kept pair": "the pictures of 24 megapixels once more",
    "decision": "an answer is acknowledged, 20,000 sightings",
    "first page": "the first page, 100,000 annotations",
    "upload": "from a photo to its answer",
    "command line": "the same on the command line",
}
APP_MEANS = (
    "Seconds, asked over the network of the same computer, which has {cores} cores. For the first time means that "
    "neither a browser nor a folder of small pictures has them; once more, that only the folder does. The app has the "
    "catalog loaded, the command line starts for each photo: an answer in the app takes {ratio} times as long. The "
    "load is how many programs of the computer worked, on average: above {cores}, others waited with these."
)


INDEXING_MEANS = (
    "CPU seconds of a whole index run with all its workers, and of the extractor alone on the same boxes of the same "
    "photos; the share is the second by the first. With one worker, the share of each stage follows: reading and "
    "hashing photos, the network that finds the animal, the rest of the foreground maps, reading photos again for the "
    "extractor, the extractor, the search index, and what remains."
)
WATCHING_MEANS = (
    "Seconds from a photo on the disk to its answer in `snowmatch watch`. The catalog is a drawn survey. The program "
    "is at work already, except for the last line, which has its start too."
)
WATCHING_WORDS = {
    "told": "the system tells changes",
    "polled": "the folder is looked at once a second",
    "added": "with `--add`; earlier photos are in the catalog",
    "first": "from the start of the program, a photo that is there",
}


def watching_table(runs: Sequence[Result]) -> str:
    """Return how long a photo takes to its answer in a watched folder, in seconds, beside the limit."""
    rows = []
    for run in runs:
        for name, waits in run["waits"].items():
            times = [f"{waits[each]:.2f}" for each in ("median", "p90", "most")]
            limit = f"{run['limit']:g}" if name != "first" else NOTHING
            rows.append([WATCHING_WORDS[name], f"{run['photos']}", f"{waits['times']}", *times, limit])
    heads = ("a photo arrives (s)", "photos on record", "asked", "median", "nine of ten", "longest", "limit")
    return table(heads, rows)


def app_table(runs: Sequence[Result]) -> str:
    """Return how long a person waits in the app, in seconds, beside the limits, and what that means."""
    rows = []
    for run in runs:
        for name, waits in run["waits"].items():
            times = [f"{waits[each]:.3f}" for each in ("median", "p90", "most")]
            limit = f"{run['limits'][name]:g}" if name in run["limits"] else NOTHING
            load = f"{waits['load']:.1f}" if "load" in waits else NOTHING  # Windows does not tell it
            rows.append([APP_WORDS[name], *times, limit, load])
    ratio = runs[0]["waits"]["upload"]["median"] / runs[0]["waits"]["command line"]["median"]
    means = APP_MEANS.format(cores=runs[0]["cores"], ratio=f"{ratio:.2f}")
    heads = ("what a person waits for (s)", "median", "nine of ten", "longest", "limit", "load")
    return f"{means}\n\n{table(heads, rows)}"


IMPORTING_MEANS = (
    "A season of drawn photos, a twentieth of them with an animal, and MegaDetector's file about them; on one core. "
    "Imported again, nothing changes. In brackets: seconds that the core worked, which other programs do not lengthen."
)


def importing_table(runs: Sequence[Result]) -> str:
    """Return seconds and memory of imports."""
    rows = []
    for run in runs:
        s = run["seconds"]
        times = [f"{s[name]:.1f} ({s[f'{name}_cpu']:.1f})" for name in ("import", "again")]
        memory = NOTHING if run["memory_mb"] is None else f"{run['memory_mb']}"
        rows.append([f"{run['photos']:,}", f"{run['rows']:,}", *times, memory])
    return table(("photos", "rows", "import (s)", "again (s)", "memory (MB)"), rows)


def indexing_table(runs: Sequence[Result]) -> str:
    """Return the CPU seconds of index runs and of the extractor alone, and the share of each stage."""
    stages = list(dict.fromkeys(stage for run in runs for stage in run["stages"] or ()))
    rows = []
    for run in runs:
        s, own = run["seconds"], run["stages"]
        shares = [NOTHING if own is None else f"{own[stage] / s['index_cpu']:.1%}" for stage in stages]
        figures = [f"{s['index_cpu']:.1f}", f"{s['extractor_cpu']:.1f}", f"{run['share']:.1%}", *shares]
        rows.append([code(run["extractor"]), run["classifier"], f"{run['workers']}", f"{run['photos']}", *figures])
    head = ("extractor", "classifier", "workers", "photos", "run (CPU s)", "extractor alone (CPU s)", "share")
    return table((*head, *stages), rows)
