"""Benchmark results as tables, sentences and pictures."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import identity_tables
import method_tables
import pytest
import store
import study_tables
import tables
from figures import FIGURES
from ship_calibration import REAL

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MADE = {
    "command": "python benchmarks/run.py --suite nyala",
    "date": "2026-11-26",
    "commit": "abc1234",
    "snowmatch": "0.1.0",
    "python": "3.11.7",
    "system": "Linux",
    "cores": 2,
    "packages": {"numpy": "2.0"},
}


def result(label, top1, *, dataset="leopard", protocol="split", query=0.5, suite_run="r1", extractor="hesaff", **given):
    """Return a run whose figures all have one value, except the figures given."""
    values = {column.name: top1 for column in FIGURES} | given
    method = label.split(" ")[0].replace("snowmatch", "snowmatch_engine")
    return {
        "run": f"{dataset} {protocol} {label}",
        "dataset": {"name": dataset, "annotations": 131, "individuals": 9, "encounters": 40},
        "protocol": protocol,
        "method": method,
        "label": label,
        "settings": {"extractor": extractor, "matcher": "mutual" if "mutual" in label else "lnbnn"},
        "queries": 131,
        "answerable": 96,
        "encounters": 30,
        "figures": {
            name: value if value is None else [value, value - 0.1, value + 0.1] for name, value in values.items()
        },
        "cmc": [top1 + (1 - top1) * k / 10 for k in range(10)],
        **MADE,
        "threads": 1,
        "suite_run": suite_run,
        "seconds": {"extract": 0.41, "index": 2.0, "query": query, "total": 99.0},
        "peak_memory": None,
        "numbers": {"features_per_annotation": 2075.2, "bytes_on_disk_per_annotation": 412345},
        "notes": [],
    }


@pytest.fixture
def folder(tmp_path):
    """Return a results folder with two methods on two protocols, and a README two folders above, as in the project."""
    folder = tmp_path / "benchmarks" / "results"
    for protocol in ("cross-encounter", "split"):
        for label, top1, query in (("snowmatch", 0.8, 0.25), ("hotspotter", 0.75, 0.5)):
            store.put_run(folder / "snow_leopard.json", result(label, top1, protocol=protocol, query=query))
    (tmp_path / "README.md").write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n", encoding="utf-8")
    return folder


# One engine in a table


def test_a_table_of_one_engine_passes():
    method_tables.check_one_engine([result("snowmatch", 0.8), result("hotspotter", 0.7)], "Table")
    method_tables.check_one_engine([], "Table")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"commit": "0ld5678"},
            "Table would mix engines .*abc1234: leopard split snowmatch; .*0ld5678: leopard split hot",
        ),
        ({"snowmatch": "0.0.9"}, r"snowmatch 0\.0\.9, commit abc1234: leopard split hotspotter"),
    ],
)
def test_a_row_of_another_engine_is_refused(changed, message):
    with pytest.raises(SystemExit, match=message) as caught:
        method_tables.check_one_engine([result("snowmatch", 0.8), result("hotspotter", 0.7) | changed], "Table")
    assert "\n" not in str(caught.value)


def test_a_row_made_with_uncommitted_changes_is_refused():
    with pytest.raises(SystemExit, match="leopard split snowmatch was made with changes that are not committed"):
        method_tables.check_one_engine([result("snowmatch", 0.8) | {"commit": "abc1234+"}], "Table")


def test_rows_whose_engine_nobody_knows_are_refused():
    rows = [result(label, 0.8) | {"commit": ""} for label in ("snowmatch", "hotspotter")]
    with pytest.raises(SystemExit, match="Table: nobody knows which engine made leopard split snowmatch"):
        method_tables.check_one_engine(rows, "Table")
    method_tables.check_one_engine(rows[:1], "Table")


@pytest.mark.parametrize("suite", ["scenery", "decisions", "app", "watching"])
def test_no_page_is_written_with_a_row_of_uncommitted_changes(folder, suite):
    store.put_run(folder / f"{suite}.json", {"run": "a", **MADE, "commit": "abc1234+"})
    with pytest.raises(SystemExit, match="a was made with changes that are not committed: run it again"):
        tables.main([str(folder)])


@pytest.mark.parametrize("suite", ["snow_leopard", "location", "networks", "levels", "speed"])
def test_no_page_is_written_if_a_row_has_another_engine(folder, suite):
    rows = {
        "snow_leopard": result("wildid", 0.2),
        "location": result("snowmatch classifier=none", 0.5),
        "networks": result("snowmatch extractor=sift", 0.5, extractor="sift"),
        "levels": {"run": "a", **MADE},
        "speed": {"run": "waiting", **MADE},
    }
    if suite in ("location", "networks", "levels", "speed"):
        store.put_run(folder / f"{suite}.json", {"run": "b", **MADE})
    store.put_run(folder / f"{suite}.json", rows[suite] | {"commit": "0ld5678"})
    with pytest.raises(SystemExit, match="would mix engines"):
        tables.main([str(folder)])
    assert not (folder.parents[1] / "docs").exists()
    assert "old" in (folder.parents[1] / "README.md").read_text(encoding="utf-8")


# Tables of methods


def test_accuracy_rows_have_the_best_first_ties_in_bold_and_missing_values_as_dash():
    ahead = result("snowmatch", 0.862, annotation_map=0.614, individual_auroc=None)
    ties = result("hotspotter", 0.858, annotation_map=0.5, individual_auroc=None)
    last = result("wild|id", 0.3, annotation_top1=None, annotation_map=None, individual_auroc=None)
    lines = method_tables.accuracy_table([last, ties, ahead]).splitlines()
    assert lines[0].startswith("| method | photo right | photo in 5 | photo macro | mAP | DT5AP | individual right |")
    assert lines[2].startswith("| snowmatch | **86 %** (76–96) | **86 %** | **86 %** | 0.61 | **0.86** |")
    assert lines[3].startswith("| hotspotter | **86 %** (76–96) | **86 %** | **86 %** | – | – |")
    assert lines[4].startswith("| wild\\|id | – | 30 % | 30 % | – |")
    assert "| – | **86 %** | **0.86** |" in lines[2]  # AUROC, found, dropped


def test_hotspotters_ranking_of_photos_counts_only_if_it_has_all_photos():
    ours = result("snowmatch", 0.5)
    some, every = result("hotspotter", 0.9), result("hotspotter every_annotation=yes", 0.8)
    every["settings"]["every_annotation"] = True
    lines = method_tables.accuracy_table([ours, some, every]).splitlines()
    assert lines[2].startswith("| hotspotter | **90 %** (80–100) | **90 %** | **90 %** | – | – |")
    assert "| 80 % | **0.80** | **0.80** |" in lines[3]
    assert "mAP 0.90 against 0.50, DT5AP 0.90 against 0.50" in method_tables.losses([ours, some])  # ahead even so
    assert [method_tables.lists_few(one["label"]) for one in (ours, some, every)] == [False, True, False]


def test_repeated_runs_show_their_range():
    repeated = result("hotspotter repeats=3", 0.8) | {"spread": {"annotation_top1": [0.78, 0.82]}}
    assert "(70–90; runs 78–82)" in method_tables.accuracy_table([repeated])


def test_query_times_are_compared_only_within_one_run():
    ours, theirs = result("snowmatch", 0.8, query=0.25), result("hotspotter", 0.7, query=0.5)
    slower, other = result("hotspotter left_out=True", 0.6, query=0.8), result("wildid", 0.5, query=0.9, suite_run="r2")
    ours["peak_memory"] = 512_400_000
    other["seconds"] = {"extract": None, "index": 1234.5, "query": 0.9}
    other["numbers"] = {}
    assert method_tables.cost_table([ours, theirs, slower, other]).splitlines()[2:] == [
        "| snowmatch | 0.41 | 2 | 0.25 | 0.50 | 512 | 2,075 | 412,345 |",
        "| hotspotter | 0.41 | 2 | 0.5 | 1.00 | – | 2,075 | 412,345 |",
        "| hotspotter left_out=True | 0.41 | 2 | 0.8 | 1.60 | – | 2,075 | 412,345 |",
        "| wildid | – | 1,234 | 0.9 | – | – | – | – |",
    ]


def test_the_losses_have_one_line_per_trial_with_all_figures():
    ours = result("snowmatch", 0.9, dataset="nyala", annotation_top1=0.18, individual_auroc=0.6)
    theirs = result("hotspotter", 0.5, dataset="nyala", annotation_top1=0.21, individual_auroc=0.7)
    assert method_tables.losses([ours, theirs]) == (
        "- nyala, split: best photo right 21 % against 18 % and AUROC 0.70 against 0.60."
    )
    close = copy.deepcopy(theirs)
    close["figures"]["annotation_top1"][0], close["figures"]["individual_auroc"] = 0.181, None
    assert method_tables.losses([ours, close]) == "- nyala, split: best photo right 18.1 % against 18.0 %."


def test_a_slower_query_is_a_loss_only_in_the_same_run():
    ours, theirs = result("snowmatch", 0.8, query=0.75), result("hotspotter", 0.7, query=0.5)
    assert method_tables.losses([ours, theirs]) == "- leopard, split: a query takes snowmatch 1.50 times as long."
    assert method_tables.losses([ours | {"suite_run": "r2"}, theirs]) == "HotSpotter is ahead on no figure."


def test_there_is_no_loss_if_the_queries_differ_or_a_value_is_missing():
    nothing = "HotSpotter and snowmatch have not been measured on the same questions."
    ours, theirs = result("snowmatch", 0.8), result("hotspotter", 0.9)
    assert method_tables.losses([ours, theirs | {"answerable": 50}]) == nothing
    assert method_tables.losses([ours, result("hotspotter", 0.9, dataset="nyala")]) == nothing
    level = result("hotspotter", 0.8, annotation_top1=None)
    assert method_tables.losses([ours, level]) == "HotSpotter is ahead on no figure."


def test_the_short_table_compares_the_default_engine_with_hotspotter():
    results = [
        result("snowmatch", 0.8, dataset="nyala-left", protocol="cross-encounter", query=0.25, individual_top1=0.6),
        result("snowmatch extractor=sift", 0.9, dataset="nyala-left", protocol="cross-encounter", extractor="sift"),
        result("hotspotter", 0.7, dataset="nyala-left", protocol="cross-encounter"),
        result("snowmatch", 0.5, dataset="own|cats"),
    ]
    assert method_tables.short_table(results).splitlines() == [
        "| photos | answered by | snowmatch: photo / individual right | HotSpotter | query time ÷ HotSpotter's |",
        "| --- | --- | ---: | ---: | ---: |",
        "| nyala, whole photos | another passage | **80 %** / 60 % | 70 % / **70 %** | 0.50 |",
        "| own\\|cats | the test photos of the set | 50 % / 50 % | – | – |",
    ]


def test_the_table_of_methods_has_one_column_per_dataset():
    results = [
        result("snowmatch", 0.9, query=0.1),
        result("snowmatch matcher=mutual", 0.8),
        result("snowmatch extractor=xfeat", 0.7, extractor="xfeat"),
        result("snowmatch", 0.5, dataset="nyala"),
        result("snowmatch extractor=xfeat", 0.6, dataset="nyala", extractor="xfeat"),
    ]
    lines = method_tables.methods_table(results).splitlines()
    assert lines[0].startswith("| method | leopard, split | nyala, split | extract s/photo | query s |")
    assert lines[2].startswith("| snowmatch | **90 %** / **90 %** | 50 % / 50 % |")
    assert lines[3].startswith("| snowmatch matcher=mutual | 80 % / 80 % | – |")
    assert lines[4].startswith("| snowmatch extractor=xfeat | 70 % / 70 % | **60 %** / **60 %** |")
    assert method_tables.methods_table([]) == ""


# Tables of studies


def test_the_table_of_levels_shows_answers_and_wrong_answers():
    run = {
        "run": "cats cross-encounter a:b",
        "dataset": {"name": "cats"},
        "protocol": "cross-encounter",
        "method": "a:b",
        "levels": [["excellent", 8, 2], ["good", 0, 0], ["fair", 4, 1], ["uncertain", 4, 1]],
        "brier": 0.1234,
        "calibration_error": 0.05,
        "auroc": [0.9, 0.8, 0.95],
        "detection_rate": None,
    }
    assert study_tables.levels_table([run]).splitlines()[2] == (
        "| cats, cross-encounter | a:b | 8, 2 wrong | none | 4, 1 wrong | 4, 1 wrong "
        "| 0.123 | 0.05 | 0.90 (0.80 to 0.95) | – |"
    )


def test_the_table_of_calibrations_shows_wrong_answers_in_brackets():
    levels = [["excellent", 8, 0], ["good", 1, 0], ["fair", 4, 1], ["uncertain", 4, 1]]
    run = {"run": "a:b", "judged": {"cats (whole)": {"shipped": levels, "others": None, "calibrated": levels}}}
    shown = "8 (0), 1 (0), 4 (1), 4 (1)"
    assert study_tables.calibration_table([run]).splitlines()[2] == f"| a:b | cats (whole) | {shown} | – | {shown} |"


def test_the_table_of_populations_shows_errors_and_bias():
    estimate = {"bias": {"mean": 1.25, "sd": 3.0}, "held_percent": 95.0}
    none = {"bias": {"mean": None, "sd": None}, "held_percent": 0.0}
    rates = {"seeds": 3, "splitting_percent": 0.5, "lumping_percent": 0, "person_percent": 19.9}
    run = {"run": "mask", "summary": rates | {"m0": estimate, "chao": none}}
    assert study_tables.population_table([run]).splitlines()[2] == (
        "| mask | 3 | 0.5 % | 0.0 % | 19.9 % | +1.2 ± 3.0 % | 95 % | – | 0 % |"
    )


def speed_runs():
    scaling = [
        {
            "method": m,
            "annotations": n,
            "descriptors": 1000 * n,
            "index": 2.0,
            "query": t * n,
            "peak_memory": None if n == 100 else 1e6 * n,
            "bytes_on_disk": 5e6,
        }
        for m, t in (("snowmatch", 0.001), ("hotspotter", 0.002))
        for n in (1000, 100)
    ]
    waiting = {"help": 0.05, "index_one_worker": 0.1, "workers": 2, "annotations": 1000, "query_loaded": 0.5}
    return [
        {"run": "waiting", **waiting, "seconds": {"total": 60}, **MADE},
        {"run": "stages hesaff", "seconds": {"read": 0.02, "verify": 0.1, "total": 120}, **MADE},
        {"run": "stages hotspotter", "seconds": {"read": 0.03}, **MADE},
        {"run": "scaling", "rows": scaling, "seconds": {}, **MADE},
    ]


# Pages


def test_the_page_has_every_table_and_the_source_of_the_figures(folder):
    store.put_run(folder / "networks.json", result("snowmatch", 0.8))
    store.put_run(folder / "networks.json", result("snowmatch extractor=xfeat", 0.7, extractor="xfeat"))
    store.put_run(folder / "location.json", result("snowmatch classifier=none", 0.6))
    noted = result("wildid", 0.2) | {"notes": ["2 photos | were empty"]}
    store.put_run(folder / "snow_leopard.json", noted)
    for run in speed_runs():
        store.put_run(folder / "speed.json", run)
    tables.main([str(folder)])
    text = (folder.parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    headings = ("Where HotSpotter is ahead", "Identification", "Where the animal is", "Other extractors and matchers")
    for heading in (*headings, "Speed"):
        assert f"\n## {heading}\n" in text
    assert "\n### leopard, cross-encounter\n" in text
    assert (
        "131 photos of 9 individuals in 40 encounters; 131 queries, 96 with a right answer; 30 encounters asked."
        in text
    )
    assert "| snowmatch classifier=none | 60 %" in text.split("## Where the animal is")[1]
    # the default method is shown for comparison
    assert "| snowmatch | **80 %** / **80 %** | " in text.split("## Other extractors")[1]
    assert "| read | 0.02 | 0.03 |\n| verify | 0.1 | – |" in text
    assert "total" not in text.split("## Speed")[1].split("## How")[0]
    assert "| a query, catalog open | 0.5 |" in text
    assert text.index("| snowmatch | 100 | 100,000 |") < text.index("| snowmatch | 1,000 | 1,000,000 |")
    assert (
        "- 2026-11-26, commit abc1234, snowmatch 0.1.0, Python 3.11.7 on Linux, 2 cores: "
        "`python benchmarks/run.py --suite nyala`\n  - snow_leopard: leopard cross-encounter snowmatch\n" in text
    )
    assert "- leopard split wildid: 2 photos \\| were empty" in text
    assert "](images/" not in text  # no pictures were made


def test_readmes_change_only_between_their_markers(folder):
    readme, other = folder.parents[1] / "README.md", folder.parent / "README.md"
    readme.write_bytes("# Title\r\n\n<!-- results -->\nold\n<!-- /results -->\nend – here\n".encode())
    other.write_text("a\n<!-- suites -->\n<!-- /suites -->\nb\n", encoding="utf-8")
    tables.main([str(folder)])
    text = readme.read_bytes().decode()
    before, rest = text.split("<!-- results -->")
    inside, after = rest.split("<!-- /results -->")
    assert (before, after) == ("# Title\r\n\n", "\nend – here\n")
    assert "| leopard | the test photos of the set | **80 %** / **80 %** | 75 % / 75 % | 0.50 |\n" in inside
    suites = other.read_text(encoding="utf-8")
    assert suites.startswith("a\n<!-- suites -->\n\n| suite | what is measured | minutes |\n")
    assert "| snow_leopard | leopards: boxes, " in suites
    assert " | 7 |\n| nyala | " in suites  # 4 x 99 s
    assert " | about 25 |" in suites
    page = (folder.parents[1] / "docs" / "results.md").read_bytes()
    tables.main([str(folder)])
    assert readme.read_bytes().decode() == text
    assert (folder.parents[1] / "docs" / "results.md").read_bytes() == page


def test_a_readme_without_markers_is_not_changed(folder):
    readme = folder.parents[1] / "README.md"
    readme.write_bytes(b"# Title\r\nno results\n")
    tables.main([str(folder)])
    assert readme.read_bytes() == b"# Title\r\nno results\n"
    readme.unlink()
    tables.main([str(folder)])
    assert not readme.exists()


def test_a_marker_without_its_partner_raises_an_error(folder):
    (folder.parents[1] / "README.md").write_text("<!-- results -->\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="correct the markers"):
        tables.main([str(folder)])


def test_an_empty_folder_raises_an_error(tmp_path):
    with pytest.raises(SystemExit, match="run a benchmark first"):
        tables.main([str(tmp_path)])


# Pictures


def test_the_two_pictures_are_small_reproducible_and_shown_on_the_page(folder):
    pytest.importorskip("matplotlib")
    import plots

    for run in speed_runs():
        store.put_run(folder / "speed.json", run)
    plots.main([str(folder)])
    images = folder.parents[1] / "docs" / "images"
    first = {path.name: path.read_bytes() for path in images.iterdir()}
    assert sorted(first) == ["results-cmc.png", "results-scaling.png"]
    assert all(data.startswith(b"\x89PNG") and len(data) < 100_000 for data in first.values())
    plots.main([str(folder)])
    assert {path.name: path.read_bytes() for path in images.iterdir()} == first
    tables.main([str(folder)])
    page = (folder.parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    assert all(f"](images/{name})\n" in page for name in first)


def test_without_results_no_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    import plots

    store.put_run(tmp_path / "nyala.json", result("snowmatch", 0.8) | {"cmc": []})
    with pytest.raises(SystemExit, match="nothing to draw"):
        plots.main([str(tmp_path)])


def test_without_matplotlib_the_error_has_the_install_command(tmp_path):
    code = f"import sys; sys.modules['matplotlib'] = None; sys.path.insert(0, {str(BENCHMARKS)!r}); import plots"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == ["The plots need matplotlib: pip install 'snowmatch[bench]'"]


# The project's own results


def test_the_results_of_the_project_are_compact_and_of_known_suites():
    import suites

    for path in (BENCHMARKS / "results").glob("*.json"):
        assert path.stem in suites.SUITES
        runs = store.read_runs(path)
        assert len(path.read_text(encoding="utf-8").splitlines()) == len(runs) + 2
        assert all(len(json.dumps(run)) < 20_000 for run in runs)


def test_other_runs_of_large_catalogs_have_tables_of_their_own():
    import study_tables

    runs = store.read_runs(BENCHMARKS / "results" / "scaling.json")
    tables = [make(runs) for make in (study_tables.size_table, study_tables.large_table, study_tables.lists_table)]
    rows = [table.splitlines()[2:] for table in tables]
    assert sum(map(len, rows)) == len(runs)
    assert all(rows)
    widths = [{line.count("|") for line in table.splitlines()} for table in tables]
    assert all(len(width) == 1 for width in widths)
    commits = sorted(line.split("|")[-2].strip() for table in rows for line in table)
    assert commits == sorted(run["commit"] for run in runs)  # of several engines: each row names its own


def test_the_table_of_large_catalogs_has_a_row_for_each_size():
    import study_tables

    run = {"descriptors": 2_000_000, "disk": {"index": 10**9}, "nearest_found": 0.7, "five_found": 0.5, "commit": ""}
    run |= dict.fromkeys(("open", "session", "first", "next", "memory", "build", "add", "add_bytes"), 2)
    table = study_tables.size_table([{**run, "annotations": 10_000, "match": 0.5}, {**run, "annotations": 1000}])
    lines = table.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["1,000", "10,000"]
    assert lines[2].endswith("| – |")  # nobody knows of which engine
    assert len({line.count("|") for line in lines}) == 1


def test_drawn_surveys_are_told_together():
    def run(data, decisions, bias, holds):
        after = {"bias": bias, "width": 2, "holds": holds}
        summary = {"decisions": decisions, "split": 1, "lumped": 0, "bias": bias, "after": after, "surveys": 1}
        about = {"way": "queue", "accuracy": 0.97, "cannot_tell": 0.0}
        return {"run": f"{data}, queue, 97 %", "data": data, **about, "summary": summary}

    runs = [run("leopards", 55, 0.1, 1), run("survey-1", 100, 0.02, 1), run("survey-2", 120, 0.03, 0)]
    assert identity_tables.identities_table(runs).splitlines()[2:] == [
        "| leopards | queue | 97 % | 55 | 1 | 0 | +10.0 % | +10.0 % | 1 of 1 |",
        "| 2 drawn surveys | queue | 97 % | 110 | 1 | 0 | +2.5 % | +2.5 % | 1 of 2 |",
    ]


def test_the_queue_at_half_of_the_decisions_is_told_beside_the_ranked_list():
    def run(way, surveys):
        return {"data": "leopards", "way": way, "accuracy": 0.97, "surveys": [{"true": 10, **row} for row in surveys]}

    course = [[n, 5 - n, 0, 20 - n] for n in (1, 2, 3, 4)]
    ranked = [{"decisions": n, "split": 1, "lumped": 2, "names": 9} for n in (5, 7)]
    queue = run("queue", [{"decisions": 4, "course": course}] * 2)
    assert identity_tables.at_half_table([queue, run("ranked", ranked)]).splitlines()[2:] == [
        "| leopards | 97 % | 3 | 2.5 | 0 | +75.0 % | 1 | 2 | -10.0 % |"
    ]
    assert identity_tables.at_half_table([queue]) == ""
    longer = run("queue", [{"decisions": 4, "course": course}] * 5)
    for first, second in ((longer, ranked), (queue, ranked + ranked[:1])):  # only the observers that both have
        table = identity_tables.at_half_table([first, run("ranked", second)])
        assert table.splitlines()[2:] == ["| leopards | 97 % | 3 | 2.5 | 0 | +75.0 % | 1 | 2 | -10.0 % |"]


def test_sets_that_the_shipped_calibration_was_learned_from_are_told_where_it_judges_them():
    learned_from = {name for names in REAL.values() for name in names}
    judged = {run["data"] for run in store.read_runs(BENCHMARKS / "results" / "identities.json")}
    assert {"snow_leopard-all-boxes", "nyala-left-third"} <= learned_from & judged
    assert "these same photos of leopards and nyala" in identity_tables.IDENTITY_MEANS
