"""Run methods on the same photos: first compute score matrices, then figures from them.

A suite is a named list of runs; `--list` shows them. Each suite has one file in results/. A run that was finished with
the present engine is skipped, unless you give `--fresh`. A run that was stopped continues. With changes that are not
committed, or without git, nothing tells which engine it is: all is run again. Score matrices and prepared data go to
--work (they contain names of photos). Figures go to results/; then plots.py and tables.py write the pages.

Examples:
  python benchmarks/run.py --suite smoke
  python benchmarks/run.py --suite all --data ../shared/data --work /tmp/bench
  python benchmarks/run.py --dataset catalog/,masks=no --protocol cross-station \\
      --method snowmatch_engine,extractor=sift --method hotspotter
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import check_names, described, open_prepared
from figures import figures_of
from measure import RESULTS, is_current, run_command, without_folders
from method_tables import accuracy_table, cost_table, trials
from methods.snowmatch_engine import FINDING
from scoring import Scored, asks_again, label_of, mark_of, scores_of, shown_label
from store import find_run, put_run, read_runs
from suites import ABOUT, SMOKE, SUITES, Run, Script, minutes_of, source_of

from snowmatch.core.errors import SnowmatchError

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and do the runs."""
    given = parse(arguments)
    if given.list or not (given.suite or (given.dataset and given.method)):
        print("\n".join(listed(given.results)))
        return
    check_names(given.dataset)
    chosen = chosen_runs(given)
    failed, own = [], []
    for number, (suite, run) in enumerate(chosen, start=1):
        print(f"{number} of {len(chosen)}: {suite}: {words_of(run)}", flush=True)
        try:
            result = perform(run, given, file_of(suite, given))
        except SnowmatchError as error:
            print(f"Error: {error}", file=sys.stderr, flush=True)
            failed.append(run)
            continue
        own += [result] if suite == "own" and result else []
    if own:
        print(tables_of(own))
    if failed:
        raise SystemExit(f"{len(failed)} of {len(chosen)} runs failed: {'; '.join(map(words_of, failed))}")
    mark_of(given.work).unlink(missing_ok=True)


def chosen_runs(given: argparse.Namespace) -> list[tuple[str, Run | Script]]:
    """Return each requested run with the name of its suite (`own`: a run of --dataset and --method)."""
    names = {"all": [name for name in SUITES if name != "engine"], None: []}.get(given.suite, [given.suite])
    runs: list[tuple[str, Run | Script]] = [
        (name, run) for name in names for run in (SMOKE if name == "smoke" else SUITES[name])
    ]
    protocols = given.protocol or ["cross-encounter"]
    own = [("own", Run(d, p, m)) for d in given.dataset for p in protocols for m in given.method]
    if given.suite and given.method and not given.dataset:
        runs = [(name, run) for name, run in runs if isinstance(run, Run) and method_of(run) in given.method]
        if not runs:
            raise SnowmatchError(f"suite {given.suite} has no run of {', '.join(given.method)}; --list shows its runs")
    return runs + own


def method_of(run: Run) -> str:
    """Return the name of a run's method, without its settings."""
    return run.method.partition(",")[0]


def file_of(suite: str, given: argparse.Namespace) -> Path:
    """Return the path of a suite's results. Runs of --dataset go to --work: they are no results of the project."""
    return (given.results if suite in SUITES else given.work) / f"{suite}.json"


def words_of(run: Run | Script) -> str:
    """Describe a run in one line."""
    words = run.arguments if isinstance(run, Script) else (run.dataset, run.protocol, run.method)
    return without_folders(" ".join(words))


def perform(run: Run | Script, given: argparse.Namespace, path: Path) -> dict[str, Any] | None:
    """Do one run, write its result to the file `path` and return it; None if another program does the run."""
    if isinstance(run, Script):
        perform_script(run, given, path)
        return None
    made = replace(run, dataset=source_of(run.dataset, given.data))
    scored = scores_of(made, given.work, threads=given.threads, queries=given.queries, fresh=given.fresh)
    result = result_of(scored, run.protocol)
    put_run(path, result)
    figures = {name: figure and figure[0] for name, figure in result["figures"].items()}
    print(
        f"  right: photo {figures['annotation_top1']}, individual {figures['individual_top1']}, encounter "
        f"{figures['encounter_top1']}; {result['seconds'].get('query')} s a query",
        flush=True,
    )
    if given.failures is not None and scored.method == "snowmatch_engine":
        explain(scored, given.failures / scored.dataset.name / run.protocol / label_of(scored.shown_method))
    return result


def result_of(scored: Scored, protocol: str) -> dict[str, Any]:
    """Return the result of a run: dataset, queries, figures, costs and versions."""
    label = shown_label(scored.shown_method)
    costs = {name: value for name, value in scored.costs.items() if name not in ("files", "contents")}
    return {
        "run": f"{scored.dataset.name} {protocol} {label}",
        "dataset": described(scored.dataset, scored.trial.annotations),
        "protocol": protocol,
        "method": scored.method,
        "label": label,
        "settings": {k: without_folders(v) if isinstance(v, str) else v for k, v in scored.settings.items()},
        **figures_of(sorted(scored.folder.glob("*.npz")), asks_again(scored.method, scored.settings)),
        **costs,
    }


def perform_script(script: Script, given: argparse.Namespace, path: Path) -> None:
    """Run another program of this folder. Raises SnowmatchError if it fails."""
    kept = [find_run(path, name) for name in script.makes]
    if not given.fresh and all(run is not None and is_current(run["commit"]) for run in kept):
        print("  done already")
        return
    program, *words = (word.format(work=given.work, data=given.data) for word in script.arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run([sys.executable, str(HERE / program), *words, "--work", given.work, "--out", path])
    if ran.returncode:
        raise SnowmatchError(f"{program} ended with status {ran.returncode}")


def explain(scored: Scored, target: Path) -> None:
    """Write the page that explains the wrong answers of one run of the engine."""
    from snowmatch.confidence.score_table import load_table
    from snowmatch.views.failures import write_failures

    catalog = open_prepared(scored.dataset.folder, **{name: scored.settings[name] for name in FINDING})
    options = dict(pair.partition("=")[::2] for pair in scored.settings["options"].split(";") if pair)
    extractors = scored.settings["extractor"].split("+")
    session = catalog.session(extractor=extractors, matcher=scored.settings["matcher"], options=options)
    table = load_table(scored.folder / "0.npz")
    write_failures(target, session, scored.trial.protocol, table)
    print(f"  wrong answers explained in {target / 'index.html'}", flush=True)


def tables_of(results: list[dict[str, Any]]) -> str:
    """Return the results as Markdown: identification and costs, by dataset and protocol."""
    parts = []
    for trial in trials(results):
        parts += [f"{trial.dataset}, {trial.protocol}", accuracy_table(trial.results), cost_table(trial.results)]
    return "\n\n".join(parts)


def listed(results: Path) -> list[str]:
    """List every suite with its runs and the minutes that it took."""
    lines = [f"smoke: {len(SMOKE)} runs, two minutes"]
    for name, runs in SUITES.items():
        known = minutes_of(name, read_runs(results / f"{name}.json"))
        took = f"about {ABOUT[name][1]} minutes" if known is None else f"{known} minutes"
        lines.append(f"{name}: {ABOUT[name][0]}; {len(runs)} runs, {took}")
        lines += [f"    {words_of(run)}" for run in runs]
    return lines


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = "a named list of runs; all: every suite except engine, whose runs are in others"
    parser.add_argument("--suite", choices=["all", "smoke", *SUITES], help=words)
    parser.add_argument("--list", action="store_true", help="show the suites, and stop")
    parser.add_argument("--dataset", action="append", default=[], help="SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--protocol", action="append", default=[], help="cross-encounter, cross-station or split")
    parser.add_argument(
        "--method",
        action="append",
        default=[],
        help="NAME,key=value,... (a file in methods/); with --suite: only runs of NAME",
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where suites find real photos")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="prepared data, environments, score matrices")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the suites' files")
    parser.add_argument("--threads", type=int, default=1, help="cores that each method may use")
    parser.add_argument("--queries", type=int, default=0, help="use only so many queries, evenly spread (for timing)")
    parser.add_argument("--fresh", action="store_true", help="repeat runs that are finished")
    parser.add_argument("--failures", type=Path, metavar="FOLDER", help="write pages that explain wrong answers")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
