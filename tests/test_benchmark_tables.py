"""Benchmark results as tables, sentences and pictures."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import tables

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LEVELS = ("annotation", "individual", "encounter")


def result(label, top1, *, dataset="leopard", protocol="split", query=0.5, run="r1", **figures):
    """A result with one value for every top-k, and other values for the figures given."""
    values = {f"{level}_{name}": top1 for level in LEVELS for name in ("top1", "top5", "top10", "macro_top1")}
    values |= {"annotation_map": 0.5, "annotation_dt5ap": 0.5, "individual_auroc": None, **figures}
    return {
        "schema": tables.SCHEMA,
        "command": f"python benchmarks/suite.py CATALOG {label}",
        "date": "2026-11-21",
        "commit": "abc1234",
        "python": "3.11.7",
        "system": "Linux",
        "cores": 2,
        "threads": 1,
        "packages": {"numpy": "2.0", "faiss-cpu": "1.9"},
        "suite_run": run,
        "dataset": {"name": dataset, "annotations": 131, "individuals": 9, "encounters": 40},
        "protocol": protocol,
        "method": tables.family(label),
        "label": label,
        "settings": {},
        "seconds": {"extract": 0.41, "index": 2.0, "query": query, "total": 99.0},
        "peak_memory": None,
        "numbers": {"features_per_annotation": 2075.2, "bytes_on_disk_per_annotation": 412345},
        "queries": 131,
        "answerable": 96,
        "encounters_asked": 30,
        "figures": {name: {"value": value, "low": None, "high": None, "queries": 96} for name, value in values.items()},
        "cmc": {level: [top1 + (1 - top1) * k / 20 for k in range(20)] for level in LEVELS},
        "histogram": {
            "edges": [k / 10 for k in range(11)],
            "same": [0, 1, 2, 4, 8, 9, 8, 4, 2, 1],
            "different": [900, 90, 30, 10, 3, 1, 0, 0, 0, 0],
            "axis": "cosine similarity",
        },
        "by_animal": [
            {
                "individual": "Ayu",
                "body_part": "left_flank",
                "queries": 9,
                "annotation_right": 7,
                "individual_right": 5,
            },
            {"individual": "Bo", "body_part": None, "queries": 2, "annotation_right": 0, "individual_right": None},
            {"individual": "Cid", "body_part": "tail", "queries": 1, "annotation_right": 1, "individual_right": 1},
        ],
        "notes": [],
    }


def save(folder, results):
    for number, r in enumerate(results):
        path = folder / r["dataset"]["name"] / r["protocol"] / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(r), encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """A results folder two below tmp_path, as in the project, with two methods on two protocols."""
    folder = tmp_path / "benchmarks" / "results"
    save(
        folder,
        [
            result(label, top1, protocol=protocol, query=query)
            for protocol in ("cross-encounter", "split")
            for label, top1, query in (("snowmatch", 0.8, 0.25), ("hotspotter", 0.75, 0.5))
        ],
    )
    return folder


def test_accuracy_rows_best_first_ties_bold_and_null_as_dash():
    ahead = result("snowmatch", 0.862, annotation_map=0.614)
    interval = {"value": 0.862, "low": 0.701, "high": 0.958, "queries": 96, "spread": [0.84, 0.88]}
    ahead["figures"]["annotation_top1"] = interval
    ahead["figures"]["encounter_top1"] = None
    ties = result("hotspotter", 0.858, annotation_map=0.5)
    last = result("wild|id", 0.3, annotation_top1=None, annotation_map=None)
    lines = tables.accuracy_table([last, ties, ahead]).splitlines()
    assert lines == [
        "| method | photo top-1 | top-5 | macro top-1 | mAP | DT5AP | individual top-1 | top-5 | encounter top-1 "
        "| by its surest photo | AUROC | found at 1 % false alarms | AUROC, dropped | found, dropped |",
        "| --- |" + " ---: |" * 13,
        "| snowmatch | **86 %** (70–96; runs 84–88) | **86 %** | **86 %** | **0.61** | **0.50** | **86 %** | **86 %** "
        "| – | – | – | – | – | – |",
        "| hotspotter | **86 %** | **86 %** | **86 %** | 0.50 | **0.50** | **86 %** | **86 %** | **86 %** "
        "| – | – | – | – | – |",
        "| wild\\|id | – | 30 % | 30 % | – | **0.50** | 30 % | 30 % | 30 % | – | – | – | – | – |",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "100 %"), (0.996, ">99 %"), (0.0, "0 %"), (0.004, "<1 %"), (0.123, "12 %")]
)
def test_percent_is_all_or_nothing_only_where_it_is(value, text):
    assert tables.percent(value) == text


def test_cost_compares_query_times_of_one_run_only():
    ours, theirs = result("snowmatch", 0.8, query=0.25), result("hotspotter", 0.7, query=0.5)
    slower, other = result("hotspotter left_out=True", 0.6, query=0.8), result("wildid", 0.5, query=0.9, run="r2")
    ours["peak_memory"] = 512_400_000
    other["seconds"] = {"extract": None, "index": 1234.5, "query": 0.9}
    other["numbers"] = {}
    assert tables.cost_table([ours, theirs, slower, other]).splitlines()[2:] == [
        "| snowmatch | 0.41 | 2 | 0.25 | 0.50 | 512 | 2,075 | 412,345 |",
        "| hotspotter | 0.41 | 2 | 0.5 | 1.00 | – | 2,075 | 412,345 |",
        "| hotspotter left_out=True | 0.41 | 2 | 0.8 | 1.60 | – | 2,075 | 412,345 |",
        "| wildid | – | 1,234 | 0.9 | – | – | – | – |",
    ]


def test_animals_right_of_asked_and_the_rest_added_up():
    without = result("wildid", 0.5)
    without["by_animal"] = without["by_animal"][:1]
    both = [result("snowmatch", 0.8), without]
    assert tables.animal_table(both).splitlines() == [
        "| individual | body part | snowmatch | wildid |",
        "| --- | --- | ---: | ---: |",
        "| Ayu | left_flank | 7/9 · 5/9 | 7/9 · 5/9 |",
        "| Bo | – | 0/2 · – | – |",
        "| Cid | tail | 1/1 · 1/1 | – |",
    ]
    assert tables.animal_table(both, most=1).splitlines()[3:] == ["| 2 others |  | 1/3 · – | – |"]


def test_loss_of_every_configuration_is_one_sentence_a_figure():
    ours = result("snowmatch", 0.9, dataset="nyala", annotation_top1=0.18)
    theirs = result("hotspotter", 0.5, dataset="nyala", annotation_top1=0.21)
    assert (
        tables.comparison([ours, theirs]) == "- HotSpotter is ahead on nyala split by-photo top-1: 21 % against 18 %."
    )
    theirs["figures"]["annotation_top1"]["value"] = 0.181
    assert tables.comparison([ours, theirs]).endswith("by-photo top-1: 18.1 % against 18.0 %.")


def test_no_loss_where_snowmatch_is_ahead_or_level_or_nothing_is_known():
    ours, theirs = result("snowmatch", 0.8), result("hotspotter", 0.8)
    theirs["figures"]["annotation_top1"] = None
    assert tables.comparison([ours, theirs]) == "HotSpotter is ahead on no figure."
    elsewhere = result("hotspotter", 0.9, dataset="nyala")
    nothing = "HotSpotter and snowmatch have not been measured on the same questions."
    assert tables.comparison([ours, elsewhere]) == nothing
    fewer = copy.deepcopy(theirs) | {"answerable": 50}
    assert tables.comparison([ours, fewer]) == nothing


def test_loss_of_some_configurations_names_them():
    results = [
        result("snowmatch", 0.9),
        result("snowmatch extractor=sift", 0.9, annotation_top1=0.7, annotation_map=0.4),
        result("hotspotter", 0.1, annotation_top1=0.85, annotation_map=0.45),
    ]
    assert tables.comparison(results) == (
        "- On leopard split HotSpotter is ahead of snowmatch extractor=sift, though not of every configuration: "
        "by-photo top-1 85 % against 70 % and by-photo mAP 0.45 against 0.40."
    )


def test_slower_query_is_a_loss_only_in_the_same_run():
    ours, theirs = result("snowmatch", 0.8, query=0.75), result("hotspotter", 0.7, query=0.5)
    assert tables.comparison([ours, theirs]) == (
        "- HotSpotter is ahead on leopard split time of a query: 0.5 s against 0.75 s."
    )
    assert tables.comparison([ours | {"suite_run": "r2"}, theirs]) == "HotSpotter is ahead on no figure."


def test_short_table_has_every_engine_and_others_as_they_come():
    results = [
        result("snowmatch", 0.8, query=0.25),
        result("snowmatch extractor=sift", 0.9),
        result("hotspotter repeats=3", 0.7),
        result("hotspotter left_out=True", 0.75),
    ]
    for r in results[:2]:
        r["method"] = "snowmatch_engine"  # the label is what is shown
    assert tables.short_table(results).splitlines() == [
        "| dataset | protocol | method | photo top-1 | individual top-1 | macro top-1 | query time ÷ HotSpotter |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
        "| leopard | split | snowmatch extractor=sift | **90 %** | **90 %** | **90 %** | 1.00 |",
        "| leopard | split | snowmatch | 80 % | 80 % | 80 % | 0.50 |",
        "| leopard | split | hotspotter left_out=True | 75 % | 75 % | 75 % | 1.00 |",
    ]


def engine(label, top, extractor="hesaff", matcher="lnbnn", **more):
    made = result(label, top, **more)
    made["method"] = "snowmatch_engine"
    made["settings"] = {"extractor": extractor, "matcher": matcher, "options": ""}
    return made


def test_networks_have_a_table_of_their_own_and_no_place_in_the_short_one():
    results = [
        engine("snowmatch", 0.9, query=0.1),
        engine("snowmatch matcher=mutual", 0.8, matcher="mutual"),
        engine("snowmatch extractor=xfeat", 0.7, extractor="xfeat"),
        result("hotspotter", 0.6),
        engine("snowmatch", 0.5, dataset="part of the nyala"),
        engine("snowmatch extractor=xfeat", 0.6, extractor="xfeat", dataset="part of the nyala"),
    ]
    short = tables.short_table(results)
    assert "xfeat" not in short
    assert "mutual" not in short
    assert "part of the nyala" not in short
    assert short.count("\n") == 3
    lines = tables.networks_table(results).splitlines()
    assert lines[0].startswith("| method | leopard, split | part of the nyala, split | extract s/photo |")
    assert lines[2].startswith("| snowmatch | **90 %** / **90 %** | 50 % / 50 % |")
    assert lines[3].startswith("| snowmatch matcher=mutual | 80 % / 80 % | – |")
    assert lines[4].startswith("| snowmatch extractor=xfeat | 70 % / 70 % | **60 %** / **60 %** |")
    assert len(lines) == 5
    assert tables.networks_table(results[:1]) == ""
    assert "xfeat" not in tables.comparison(filter(tables.is_classical, results))


def test_page_tells_where_figures_come_from(folder):
    noted = result("snowmatch", 0.8)
    noted["notes"] = ["2 photos | were empty"]
    save(folder, [noted])
    scaling = {"command": "python benchmarks/scaling.py", "date": "2026-11-22", "commit": "def", "python": "3.12"}
    rows = [{"method": "snowmatch", "annotations": n, "query_seconds": None, "peak_memory": 2e8} for n in (1000, 100)]
    (folder / "scaling.json").write_text(json.dumps(scaling | {"rows": rows}), encoding="utf-8")
    stages = [("a", "read", 0.02), ("b", "read", 0.03), ("b", "verify", 12)]
    stages = [{"method": m, "stage": s, "seconds": t} for m, s, t in stages]
    (folder / "stages.json").write_text(json.dumps({"rows": stages}), encoding="utf-8")
    tables.main([str(folder)])
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert (
        "131 photos of 9 individuals in 40 encounters; 131 queries, 96 with a right answer; 30 encounters asked."
        in lines
    )
    source = (
        "2026-11-21, commit abc1234, Python 3.11.7 on Linux, threads 1 of 2 cores, run r1; faiss-cpu 1.9, numpy 2.0"
    )
    assert f"- snowmatch: `python benchmarks/suite.py CATALOG snowmatch`, {source}" in lines
    assert "  - snowmatch: 2 photos \\| were empty" in lines
    place = lines.index("| snowmatch | 100 | – | – | – | 200 | – |")
    assert lines[place + 1] == "| snowmatch | 1,000 | – | – | – | 200 | – |"
    assert "| read | 0.02 | 0.03 |" in lines
    assert "| verify | – | 12 |" in lines


def test_readme_changes_between_its_markers_only(folder):
    readme = folder.parents[1] / "README.md"
    readme.write_bytes("# Title\r\n\n<!-- results -->\nold\n<!-- /results -->\nend – here\n".encode())
    tables.main([str(folder)])
    text = readme.read_bytes().decode()
    before, rest = text.split("<!-- results -->")
    inside, after = rest.split("<!-- /results -->")
    assert (before, after) == ("# Title\r\n\n", "\nend – here\n")
    assert "old" not in inside
    assert "| leopard | split | snowmatch | **80 %** | **80 %** | **80 %** | 0.50 |\n" in inside
    page = (folder / "README.md").read_bytes()
    tables.main([str(folder)])
    assert readme.read_bytes().decode() == text
    assert (folder / "README.md").read_bytes() == page


def test_readme_without_markers_is_untouched(folder):
    readme = folder.parents[1] / "README.md"
    readme.write_bytes(b"# Title\r\nno results\n")
    tables.main([str(folder)])
    assert readme.read_bytes() == b"# Title\r\nno results\n"
    readme.unlink()
    tables.main([str(folder)])
    assert not readme.exists()


def test_lonely_marker_is_told(folder):
    readme = folder.parents[1] / "README.md"
    readme.write_text("<!-- results -->\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="mend the markers"):
        tables.main([str(folder)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable as JSON"),
        ("[]", "schema None"),
        ('{"schema": "snowmatch.benchmark/0"}', "schema 'snowmatch.benchmark/0'"),
        (json.dumps(result("snowmatch", 0.8) | {"figures": None}), "figures missing"),
    ],
)
def test_bad_file_is_one_clear_line(folder, content, message):
    (folder / "leopard" / "split" / "0.json").write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit, match=message) as caught:
        tables.main([str(folder)])
    assert "\n" not in str(caught.value)


def test_empty_folder_is_told(tmp_path):
    with pytest.raises(SystemExit, match="run a benchmark first"):
        tables.main([str(tmp_path)])


def test_plots_are_small_the_same_twice_and_shown_on_the_page(folder):
    pytest.importorskip("matplotlib")
    import plots

    shutil.rmtree(folder / "leopard" / "cross-encounter")  # drawing takes a while
    rows = [
        {"method": m, "annotations": n, "query_seconds": t * n, "peak_memory": None if n == 100 else 1e6 * n}
        for m, t in (("snowmatch", 0.001), ("hotspotter", 0.002))
        for n in (100, 1000)
    ]
    (folder / "scaling.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    plots.main([str(folder)])
    first = {path.name: path.read_bytes() for path in (folder / "plots").iterdir()}
    assert sorted(first) == ["cmc-leopard-split.png", "scaling.png", "scores-leopard-split.png"]
    assert all(data.startswith(b"\x89PNG") and len(data) < 100_000 for data in first.values())
    plots.main([str(folder)])
    assert {path.name: path.read_bytes() for path in (folder / "plots").iterdir()} == first
    tables.main([str(folder)])
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert all(f"](plots/{name})\n" in page for name in first)


def test_plots_leave_out_what_was_not_measured(folder):
    pytest.importorskip("matplotlib")
    import plots

    shutil.rmtree(folder / "leopard" / "cross-encounter")
    for path in folder.glob("*/split/*.json"):
        r = json.loads(path.read_text(encoding="utf-8"))
        r |= {
            "cmc": {"annotation": [None] * 20, "individual": [0.5, None]},
            "histogram": {"edges": [], "same": [], "different": []},
        }
        path.write_text(json.dumps(r), encoding="utf-8")
    plots.main([str(folder)])
    assert [path.name for path in (folder / "plots").iterdir()] == ["cmc-leopard-split.png"]


def test_without_matplotlib_plots_tell_how_to_get_it(tmp_path):
    code = f"import sys; sys.modules['matplotlib'] = None; sys.path.insert(0, {str(BENCHMARKS)!r}); import plots"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == ["The plots need matplotlib: pip install 'snowmatch[bench]'"]


def test_levels_and_replays_go_into_the_page_beside_the_results(tmp_path):
    readme = tmp_path / "benchmarks" / "README.md"
    folder = readme.parent / "results"
    folder.mkdir(parents=True)
    readme.write_text("before\n<!-- levels -->\n<!-- /levels -->\n<!-- population -->\n<!-- /population -->\nafter\n")
    names = ("excellent", "good", "fair", "uncertain")
    told = {
        "levels": [{"level": n, "answers": k, "wrong": k // 4} for k, n in zip((8, 0, 4, 4), names, strict=True)],
        "brier": 0.1234,
        "calibration_error": 0.05,
        "auroc": {"value": 0.9, "low": 0.8, "high": 0.95},
        "detection_rate": {"value": None, "low": None, "high": None},
    }
    (folder / "levels.json").write_text(json.dumps({"sets": {"cats cross-encounter": {"methods": {"a:b": told}}}}))
    bias = {"bias": {"mean": 1.25, "sd": 3.0}}
    summary = {
        "seeds": 3,
        "splitting_percent": 0.5,
        "lumping_percent": 0,
        "person_percent": 19.9,
        "m0": bias,
        "chao": bias,
    }
    replay = {"settings": {"evidence": "mask", "new": 0.6}, "summary": summary}
    (folder / "population.json").write_text(json.dumps(replay))
    tables.page_of_levels(folder)
    text = readme.read_text()
    assert (
        "| cats cross-encounter | a:b | 8, 2 wrong | none | 4, 1 wrong | 4, 1 wrong "
        "| 0.123 | 0.05 | 0.90 [0.80, 0.95] | – |" in text
    )
    assert "| mask, new from 0.6 | 3 | 0.5 % | 0.0 % | 19.9 % | +1.2 ± 3.0 % | +1.2 ± 3.0 % |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
