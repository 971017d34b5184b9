"""Run methods on datasets, side by side: score matrices first, figures from them second, results as JSON.

A suite is a named list of runs (`--list` shows them, with how long each took when its result here was made). A run that
was finished is not done again until `--fresh`; one that was stopped goes on where it was. Score matrices and prepared
data go to --work (they name photos), figures to results/; then `python benchmarks/tables.py` writes the tables.

Examples:
  python benchmarks/run.py --suite smoke
  python benchmarks/run.py --suite real --data ../shared/data --work /tmp/bench
  python benchmarks/run.py --dataset catalog/,masks=no --protocol cross-station \\
      --method snowmatch_engine,extractor=sift --method hotspotter,repeats=3
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import re
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import circumstances, command_line, without_folders

HERE = Path(__file__).parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

LEOPARDS = "{data}/snow_leopard,boxed=yes,parts=left_flank+right_flank,name=snow_leopard-masks"
BOXES = "{data}/snow_leopard,boxed=yes,parts=left_flank+right_flank,masks=no,name=snow_leopard-boxes"
NYALA = "{data}/nyala,parts=left_flank,name=nyala-left"
WHOLE = "{data}/snow_leopard,masks=no,boxes=no,flanks=no,name=snow_leopard-whole"
MASKED = "{data}/snow_leopard,boxes=mask,flanks=no,name=snow_leopard-whole-masks"
MASK_BOXES = "{data}/snow_leopard,boxes=mask,masks=no,flanks=no,name=snow_leopard-mask-boxes"
NYALA_BOX = "{data}/nyala,parts=left_flank,box=.15/.2/.75/.45,name=nyala-left-box"
ENGINE = ("snowmatch_engine", "snowmatch_engine,extractor=sift")


@dataclass(frozen=True)
class Run:
    """One dataset, protocol and method, each as it is written on the command line."""

    dataset: str
    protocol: str
    method: str


SUITES = {
    # small and drawn by the computer: shows that everything works
    "smoke": [Run("synthetic,individuals=8,encounters=3", "cross-encounter", m) for m in (*ENGINE, "wildid")],
    "synthetic": [
        Run("synthetic,individuals=40,encounters=4", p, m)
        for p in ("cross-encounter", "cross-station")
        for m in (*ENGINE, "hotspotter", "wildid")
    ],
    # boxes only, as HotSpotter takes no masks; then what masks add
    "snow_leopard": [
        *(
            Run(BOXES, "cross-encounter", m)
            for m in (*ENGINE, "hotspotter,repeats=3", "hotspotter,every_annotation=yes", "wildid")
        ),
        *(Run(BOXES, "cross-station", m) for m in (*ENGINE, "hotspotter,repeats=2", "wildid")),
        *(Run(LEOPARDS, p, m) for p in ("cross-encounter", "cross-station") for m in ENGINE),
    ],
    # left flanks only: the right ones are as many again and tell nothing new, as does verifying every annotation (the
    # public test folder: top-1 19.8 % in place of 19.2 %)
    "nyala": [
        *(Run(NYALA, "cross-encounter", m) for m in (*ENGINE, "hotspotter", "wildid")),
        *(Run(NYALA, "split", m) for m in (*ENGINE, "hotspotter", "wildid")),
    ],
}
# photos as they come: no box, no mask, no flank known; and what a mask or one rough box for all of them adds
SUITES["whole"] = [
    *(Run(WHOLE, p, m) for p in ("cross-encounter", "cross-station") for m in (ENGINE[0], "hotspotter")),
    *(Run(MASK_BOXES, "cross-encounter", m) for m in (ENGINE[0], "hotspotter")),
    *(Run(MASKED, p, ENGINE[0]) for p in ("cross-encounter", "cross-station")),
    *(Run(NYALA_BOX, "cross-encounter", m) for m in (ENGINE[0], "hotspotter")),
]
# networks beside the classical extractors; the features of one extractor serve all its matchers
ALIKED = [f"aliked,options=model={model}" for model in ("t16", "n16", "n16rot", "n32")]
NETWORKS = [
    f"snowmatch_engine{extractor}{also}"
    for extractor in ("", ",extractor=sift", ",extractor=xfeat", *(f",extractor={aliked}" for aliked in ALIKED))
    for also in ("", ",matcher=mutual,keep=yes", *([",matcher=lightglue,keep=yes"] if "xfeat" in extractor else []))
]
# parts of the other sets: ALIKED takes seconds a photo on one core, pairs seconds a query
SUITES["networks"] = [
    *(Run(BOXES, "cross-station", m) for m in NETWORKS),
    *(Run(f"{NYALA}-third,every=3", "cross-encounter", m) for m in NETWORKS),
    *(Run("synthetic,individuals=6,encounters=4", "cross-encounter", m) for m in NETWORKS),
]
SUITES["real"] = SUITES["snow_leopard"] + SUITES["nyala"] + SUITES["whole"]


def main() -> None:
    """Read the command line and run."""
    from snowmatch.core.errors import SnowmatchError

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=sorted(SUITES), help="a named list of runs")
    parser.add_argument("--list", action="store_true", help="show the suites, and stop")
    parser.add_argument("--dataset", action="append", default=[], help="SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--protocol", action="append", default=[], help="cross-encounter, cross-station or split")
    parser.add_argument("--method", action="append", default=[], help="NAME,key=value,... (a file in methods/)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where suites find real photos")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="prepared data, environments, score matrices")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--threads", type=int, default=1, help="cores that each method may use")
    parser.add_argument("--queries", type=int, default=0, help="ask only so many, evenly spread (to time methods)")
    parser.add_argument("--fresh", action="store_true", help="run again what is finished")
    parser.add_argument("--failures", type=Path, metavar="FOLDER", help="write pages that explain wrong answers")
    given = parser.parse_args()
    if given.list or not (given.suite or (given.dataset and given.method)):
        print("\n".join(_listed(given.results)))
        return
    runs = SUITES[given.suite] if given.suite else []
    protocols = given.protocol or ["cross-encounter"]
    runs = runs + [Run(d, p, m) for d in given.dataset for p in protocols for m in given.method]
    runs = [Run(r.dataset.format(data=given.data), r.protocol, r.method) for r in runs]
    failed = []
    for number, run in enumerate(runs, start=1):
        left = [_known_seconds(given.results, r) for r in runs[number - 1 :]]
        print(f"{number} of {len(runs)}: {run.dataset} {run.protocol} {run.method}; {_duration(left)} left", flush=True)
        try:
            perform(run, given)
        except SnowmatchError as error:
            print(f"Error: {error}", file=sys.stderr, flush=True)
            failed.append(run)
    if failed:
        raise SystemExit(f"{len(failed)} of {len(runs)} runs failed: {'; '.join(r.method for r in failed)}")
    _mark(given.work).unlink(missing_ok=True)


@dataclass(frozen=True)
class Scored:
    """One run's score tables in `folder` (run.json: what they cost), and what was asked of whom, as text and made."""

    folder: Path
    dataset: Any
    trial: Any
    method: str
    settings: dict[str, Any]
    shown_method: str


def scores_of(run: Run, given: argparse.Namespace) -> Scored:
    """The score tables of one run, made where --work has none yet (or with --fresh)."""
    from datasets import prepare

    from snowmatch.api import open_catalog
    from snowmatch.confidence.trial import make_trial

    given.work.mkdir(parents=True, exist_ok=True)
    dataset = prepare(run.dataset, given.work)
    trial = make_trial(open_catalog(dataset.folder).data.annotations, run.protocol)
    name, settings = parse_method(run.method)
    shown_method = without_folders(run.method).replace(",keep=yes", "")  # where features come from changes no figure
    # what was asked in part, or on more cores, is another result: it neither replaces nor stands for the usual one
    shown_method += f",queries={given.queries}" if given.queries else ""
    shown_method += f",threads={given.threads}" if given.threads != 1 else ""
    kept = given.work / "scores" / dataset.name / run.protocol / label_of(shown_method)
    if given.fresh or not _are_of(kept, settings):
        _make_scores(kept, dataset.folder, run.protocol, name, settings, given)
    return Scored(kept, dataset, trial, name, settings, shown_method)


def files_of(settings: dict[str, Any]) -> dict[str, str]:
    """Of each setting that names a file (a network, vectors), the sum of what is in it: a name alone says little."""
    files = {key: Path(value).expanduser() for key, value in settings.items() if isinstance(value, str) and value}
    sums = {}
    for key, path in files.items():
        if path.is_file():
            with path.open("rb") as file:
                sums[key] = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    return sums


def _are_of(kept: Path, settings: dict[str, Any]) -> bool:
    """Whether scores are in `kept` that were made from the files as they are now."""
    told = kept / "run.json"
    return told.exists() and json.loads(told.read_text(encoding="utf-8")).get("files", {}) == files_of(settings)


def perform(run: Run, given: argparse.Namespace) -> None:
    """One run: scores (kept in --work where they are there already), then figures into --results."""
    from datasets import described

    scored = scores_of(run, given)
    costs = json.loads((scored.folder / "run.json").read_text(encoding="utf-8"))
    result = {
        "schema": "snowmatch.benchmark/1",
        **costs,
        "dataset": described(scored.dataset, scored.trial.annotations),
        "protocol": run.protocol,
        "method": scored.method,
        "label": shown_label(scored.shown_method),
        "settings": {k: without_folders(v) if isinstance(v, str) else v for k, v in scored.settings.items()},
        **figures_of(sorted(scored.folder.glob("*.npz")), _asks_again(scored.method, scored.settings)),
    }
    label = label_of(scored.shown_method)
    path = given.results / scored.dataset.name / run.protocol / f"{label}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    shown = result["figures"]
    print(
        f"  top-1 by photo {shown['annotation_top1']['value']}, individual {shown['individual_top1']['value']},"
        f" encounter {shown['encounter_top1']['value']}; {result['seconds']['query']} s a query",
        flush=True,
    )
    if given.failures is not None and scored.method == "snowmatch_engine":
        page = given.failures / scored.dataset.name / run.protocol / label
        _explain(scored.dataset.folder, scored.trial, scored.settings, scored.folder, page)


def shown_label(shown_method: str) -> str:
    """The method's text as tables show it."""
    return shown_method.replace("snowmatch_engine", "snowmatch").replace(",", " ")


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """The method's name and all its settings, those of `text` in place of the defaults; SnowmatchError if unknown."""
    from snowmatch.core.errors import SnowmatchError
    from snowmatch.core.plugins import parse_setting

    name, *pairs = text.split(",")
    names = sorted(p.stem for p in (HERE / "methods").glob("*.py") if not p.stem.startswith("_"))
    if name not in names:
        raise SnowmatchError(f"no method {name!r}; there are: {', '.join(names)}")
    defaults = importlib.import_module(f"methods.{name}").DEFAULTS
    settings = dict(defaults)
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in defaults:
            raise SnowmatchError(f"method {name} has no setting {key!r}; it has: {', '.join(defaults)}")
        settings[key] = parse_setting(f"setting {key!r}", value, defaults[key])
    return name, settings


def label_of(method: str) -> str:
    """The method's text as a file name."""
    return re.sub(r"[^\w.=+-]+", "_", method)


def _make_scores(
    kept: Path, folder: Path, protocol: str, name: str, settings: dict[str, Any], given: argparse.Namespace
) -> None:
    """Run the method apart and keep its tables and costs in `kept`."""
    costs = apart(name, settings, folder, protocol, given.threads, given.work, kept=kept, queries=given.queries)
    packages = costs.pop("versions")
    shared = circumstances(command_line(), packages)
    shared |= {"threads": given.threads, "suite_run": _suite_run(given.work), "files": files_of(settings)}
    (kept / "run.json").write_text(json.dumps({**shared, **costs}, allow_nan=False), encoding="utf-8")


def apart(
    name: str,
    settings: dict[str, Any],
    folder: Path,
    protocol: str,
    threads: int,
    work: Path,
    *,
    kept: Path | None = None,
    queries: int = 0,
) -> dict[str, Any]:
    """What a method costs (see Outcome), run in a process of its own on `threads` cores; SnowmatchError if it fails.

    Its tables go to the folder `kept`. `queries`: only so many, evenly spread (0: all).
    """
    from snowmatch.core.errors import SnowmatchError

    for variable in THREAD_VARIABLES:  # read when numpy is loaded, so set before the process starts
        os.environ[variable] = str(threads)
    work.mkdir(parents=True, exist_ok=True)
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_work, args=(send, name, settings, folder, protocol, threads, work.resolve(), kept, queries)
    )
    start = time.perf_counter()
    process.start()
    send.close()
    try:
        costs = receive.recv()
    except EOFError:
        costs = {"error": "the process ended without an answer (out of memory?)"}
    process.join()
    if "error" in costs:
        raise SnowmatchError(f"{name}: {costs['error']}")
    costs["seconds"]["total"] = round(time.perf_counter() - start, 1)
    return costs


def _work(
    send: Any,
    name: str,
    settings: dict[str, Any],
    folder: Path,
    protocol: str,
    threads: int,
    work: Path,
    kept: Path | None,
    queries: int,
) -> None:
    """In a process of its own: run the method, save its tables, send what it cost."""
    from methods import Given

    from snowmatch.api import open_catalog
    from snowmatch.confidence.score_table import save_table
    from snowmatch.confidence.trial import make_trial
    from snowmatch.core.errors import SnowmatchError

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        trial = make_trial(open_catalog(folder).data.annotations, protocol)
        trial = _thinned(trial, queries) if queries else trial
        outcome = importlib.import_module(f"methods.{name}").run(Given(folder, trial, threads, work), settings)
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            for old in kept.glob("*.npz"):
                old.unlink()
            for number, table in enumerate(outcome.tables):
                save_table(kept / f"{number}.npz", table)
    except SnowmatchError as error:
        send.send({"error": str(error)})
        return
    send.send(
        {
            "versions": outcome.versions,
            "seconds": {k: round(v, 4) for k, v in outcome.seconds.items()},
            "numbers": {k: round(float(v), 4) for k, v in outcome.numbers.items()},
            "peak_memory": outcome.peak_memory or _peak_memory(),
            "notes": list(outcome.notes),
        }
    )


def _thinned(trial: Any, queries: int) -> Any:
    """The trial with so many of its queries, evenly spread, each for itself; the gallery stays."""
    import numpy as np

    chosen = np.unique(np.linspace(0, len(trial.queries) - 1, queries).astype(int))
    return replace(trial, queries=trial.queries[chosen], allowed=trial.allowed[chosen], groups=np.arange(len(chosen)))


def _peak_memory() -> int | None:
    """Bytes that this process held at most; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _asks_again(name: str, settings: dict[str, Any]) -> bool:
    """Whether the method's scores without the query's individual are true ones (see methods)."""
    return getattr(importlib.import_module(f"methods.{name}"), "asks_again", lambda _: True)(settings)


def figures_of(tables: list[Path], asked_again: bool = True) -> dict[str, Any]:
    """Figures of the first table, the spread over all, and how scores of same and different animals lie.

    `..._dropped`: the open-set figures with the own individual's column dropped, which every method can give; the true
    ones are null where it was not asked again.
    """
    import numpy as np

    from snowmatch.confidence.measures import measure
    from snowmatch.confidence.score_table import load_table
    from snowmatch.views.evaluation import measured_to_json

    loaded = [load_table(path) for path in tables]
    every = []
    for table in loaded:
        own = table.individual[table.queries][:, None] == table.individual_names
        alone = replace(table, left_out_scores=np.where(own, np.float32(np.nan), table.individual_scores))
        figures, dropped = (measured_to_json(measure(t)) for t in (table, alone))
        for figure in ("individual_auroc", "individual_detection_rate"):
            figures["figures"][f"{figure}_dropped"] = dropped["figures"][figure]
        every.append(figures)
    if not asked_again:
        unknown = {"value": None, "low": None, "high": None, "queries": 0}
        for figures in every:
            for figure in [f for f in figures["figures"] if f.endswith(("_auroc", "_detection_rate"))]:
                figures["figures"][figure] = dict(unknown)
    result = every[0]
    if len(every) > 1:
        for name, figure in result["figures"].items():
            values = [e["figures"][name]["value"] for e in every if e["figures"][name]["value"] is not None]
            figure["spread"] = [min(values), max(values)] if values else None
    return result | {"repeats": len(every), "histogram": histogram(loaded[0])}


def histogram(table: Any, bins: int = 40) -> dict[str, Any]:
    """Counts of annotation scores of the same and of different animals, on an axis that suits their range."""
    import numpy as np

    same = table.individual[table.queries][:, None] == table.individual[table.gallery]
    scores = table.scores.astype(float)
    compared = np.isfinite(scores)
    positive = scores[compared & (scores > 0)]
    bounded = bool((scores[compared] >= -1.001).all() and (scores[compared] <= 1.001).all() and len(positive))
    bounded = bounded and np.median(np.abs(scores[compared])) > 0.01
    axis = "similarity"
    if not bounded:
        scale = float(np.median(positive)) if len(positive) else 1.0
        scores = np.log10(1 + np.maximum(scores, 0) / scale)
        axis = "log10(1 + score / median positive score)"
    edges = np.linspace(scores[compared].min(), scores[compared].max() + 1e-9, bins + 1) if compared.any() else []
    return {
        "axis": axis,
        "edges": [round(float(e), 5) for e in edges],
        "same": np.histogram(scores[compared & same], edges)[0].tolist() if compared.any() else [],
        "different": np.histogram(scores[compared & ~same], edges)[0].tolist() if compared.any() else [],
    }


def _explain(folder: Path, trial: Any, settings: dict[str, Any], kept: Path, target: Path) -> None:
    """Write the page of wrong answers of one run of the engine."""
    from snowmatch.api import open_catalog
    from snowmatch.confidence.score_table import load_table
    from snowmatch.views.failures import write_failures

    catalog = open_catalog(folder)
    options = dict(pair.partition("=")[::2] for pair in settings["options"].split(";") if pair)
    session = catalog.session(extractor=settings["extractor"].split("+"), matcher=settings["matcher"], options=options)
    table = load_table(kept / "0.npz")
    write_failures(target, folder, trial, table, session.galleries, session.matcher, session.geometry)
    print(f"  wrong answers explained in {target / 'index.html'}", flush=True)


def _mark(work: Path) -> Path:
    return work / "suite-run"


def _suite_run(work: Path) -> str:
    """One name for all that is run side by side, also when it was stopped and goes on."""
    if not _mark(work).exists():
        _mark(work).write_text(datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), encoding="utf-8")
    return _mark(work).read_text(encoding="utf-8").strip()


def _known_seconds(results: Path, run: Run) -> float | None:
    """How long this run took when the result on record was made; None where there is none."""
    from datasets import name_of

    path = results / name_of(run.dataset) / run.protocol / f"{label_of(without_folders(run.method))}.json"
    return json.loads(path.read_text(encoding="utf-8"))["seconds"].get("total") if path.exists() else None


def _duration(seconds: list[float | None]) -> str:
    known = [s for s in seconds if s is not None]
    unknown = len(seconds) - len(known)
    texts = [f"about {max(1, round(sum(known) / 60))} min"] if known else []
    texts += [f"{unknown} run{'s' if unknown > 1 else ''} of unknown length"] if unknown else []
    return " and ".join(texts)


def _listed(results: Path) -> list[str]:
    lines = []
    for name, runs in SUITES.items():
        lines.append(f"{name}: {len(runs)} runs, {_duration([_known_seconds(results, r) for r in runs])}")
        lines += [f"    {r.dataset} {r.protocol} {r.method}" for r in runs]
    return lines


if __name__ == "__main__":
    main()
