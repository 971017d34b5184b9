"""The command line: what each command prints to stdout and stderr, and its exit status."""

import csv
import dataclasses
import itertools
import json
import os
import re
import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import enough, read_rows
from PIL import Image

from snowmatch.catalog.settings import CatalogSettings
from snowmatch.cli import main
from snowmatch.cli.advice import advice, quoted
from snowmatch.core.errors import SnowmatchError
from snowmatch.demo.run import _query_command
from snowmatch.matching.search import loaded


def run(*arguments, cwd=None, env=None):
    before = Path.cwd()
    if cwd:
        os.chdir(cwd)
    try:
        return CliRunner().invoke(main, [str(a) for a in arguments], env=env)
    finally:
        os.chdir(before)


def a_query(survey):
    row = read_rows(survey / "queries" / "queries.csv")[0]
    return survey / "queries" / row["path"], row


def test_a_second_index_run_succeeds_and_prints_the_number_of_photos(own_survey):
    result = run("index", own_survey / "catalog")
    assert result.exit_code == 0, result.output
    rows = len(read_rows(own_survey / "catalog" / "catalog.csv"))
    assert f"{rows}" in result.stdout


def test_a_query_prints_the_body_part_and_the_comparisons(survey):
    photo, row = a_query(survey)
    result = run("query", photo, "--catalog", survey / "catalog", "--bodypart", row["body_part"], "--bbox", row["bbox"])
    assert result.exit_code == 0, result.output
    assert row["body_part"] in result.stdout
    assert "Compared:" in result.stdout


def test_the_json_of_a_query_has_the_documented_keys(survey):
    photo, row = a_query(survey)
    result = run("query", photo, "--catalog", survey / "catalog", "--bodypart", row["body_part"], "--json", "--top", 3)
    answer = json.loads(result.stdout)
    assert list(answer) == [
        "schema", "query", "catalog", "method", "candidates", "new_individual", "decision", "level", "notes",
    ]  # fmt: skip
    assert answer["schema"] == "snowmatch.query/1"
    assert len(answer["candidates"]) == 3
    assert list(answer["candidates"][0]) == [
        "rank", "individual", "score", "probability", "careful", "level", "inliers", "covered", "best",
    ]  # fmt: skip
    assert 0 <= answer["new_individual"]["probability"] < 1 + 1e-5
    assert sum(c["probability"] for c in answer["candidates"]) + answer["new_individual"]["probability"] < 1 + 1e-5
    decision = answer["decision"]
    assert list(decision) == ["individual", "new", "encounter", "probability", "careful", "level"]
    assert decision["new"] == (decision["individual"] is None and decision["encounter"] is None)
    assert decision["level"] == answer["level"]
    assert [list(note) for note in answer["notes"]] == [["code", "text"]] * len(answer["notes"])
    assert answer["level"] in answer["method"]["calibration"]["levels"] or answer["level"] == "uncertain"
    assert answer["method"]["extractor"]["name"]
    assert any("not calibrated on this catalog" in note["text"] for note in answer["notes"])


def test_the_same_query_twice_prints_the_same_bytes(survey):
    photo, row = a_query(survey)
    arguments = ("query", photo, "--catalog", survey / "catalog", "--bodypart", row["body_part"], "--json")
    assert run(*arguments).stdout_bytes == run(*arguments).stdout_bytes


def test_a_query_draws_pictures_only_into_the_given_folder(own_survey):
    photo, _ = a_query(own_survey)
    before = {p for p in own_survey.rglob("*") if ".snowmatch" not in p.parts}
    folder = own_survey / "pictures"
    result = run("query", photo, "--catalog", own_survey / "catalog", "--draw", folder, "--top", 2)
    assert result.exit_code == 0, result.output
    after = {p for p in own_survey.rglob("*") if ".snowmatch" not in p.parts}
    assert {p.parent for p in after - before - {folder}} == {folder}
    assert len(list(folder.iterdir())) == 6  # two candidates with three pictures each: lines, plain, and foreground


def test_the_catalog_is_found_above_below_and_by_the_environment_variable(survey):
    photo, _ = a_query(survey)
    inside = run("query", photo, cwd=survey / "catalog" / "images", env={"SNOWMATCH_CATALOG": ""})
    above = run("query", photo, cwd=survey, env={"SNOWMATCH_CATALOG": ""})
    variable = run("query", photo, cwd=Path(survey.anchor), env={"SNOWMATCH_CATALOG": str(survey / "catalog")})
    for result in (inside, above, variable):
        assert result.exit_code == 0, result.output
        assert "catalog: " in result.stderr
    assert "SNOWMATCH_CATALOG" in variable.stderr


def test_show_lists_encounters_individuals_and_locations(survey):
    result = run("show", survey / "catalog")
    assert result.exit_code == 0, result.output
    for row in read_rows(survey / "catalog" / "catalog.csv"):
        assert row["encounter"] in result.stdout
        assert (row["individual"] or "(unidentified)") in result.stdout
        assert row["location"] in result.stdout
    assert "indexed" in result.stdout
    home = survey / "catalog" / ".snowmatch"
    size = sum(p.stat().st_size for p in (home / "features").rglob("*") if p.is_file())
    assert f"On disk: features {size / 1e6:.1f} MB, search index " in result.stdout


def test_show_lists_location_and_station_in_their_own_columns(tmp_path):
    rows = ("x.jpg,aika,naryn,st1,e1", "y.jpg,aika,naryn,,e2", "z.jpg,,,,e3")
    (tmp_path / "catalog.csv").write_text("\n".join(["path,individual,location,station,encounter", *rows]))
    for row in rows:
        Image.new("RGB", (30, 20)).save(tmp_path / row[:5])
    lines = [line.split() for line in run("show", tmp_path).stdout.splitlines()]
    assert lines[0][-9:] == ["3", "annotations", "of", "3", "photos,", "1", "individual,", "3", "encounters"]
    assert ["encounter", "location", "station", "first", "photo", "annotations", "individuals"] in lines
    assert ["e1", "naryn", "st1", "-", "1", "aika"] in lines
    assert ["e2", "naryn", "-", "-", "1", "aika"] in lines
    assert ["e3", "-", "-", "-", "1", "(unidentified)"] in lines


def test_plugins_lists_every_setting():
    result = run("plugins")
    assert "sift" in result.stdout
    assert "-o chip_size=" in result.stdout
    assert "-o shortlist=" in result.stdout


def test_a_bad_photo_is_listed_at_the_end_and_the_exit_status_is_1(own_survey):
    folder = own_survey / "catalog"
    bad = read_rows(folder / "catalog.csv")[3]["path"]
    (folder / bad).write_text("this is no photo")
    result = run("index", folder)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1].startswith(f"failed: {bad}: ")
    shown = run("show", folder).stdout
    assert "Failed:" in shown
    assert bad in shown
    photo, _ = a_query(own_survey)
    answer = run("query", photo, "--catalog", folder)
    assert answer.exit_code == 0
    assert "note: 1 annotation could not be indexed" in answer.stderr


def test_a_removed_row_is_not_compared_and_prune_deletes_its_features(own_survey):
    folder = own_survey / "catalog"
    photo, _ = a_query(own_survey)
    lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines()
    (folder / "catalog.csv").write_text("\n".join(lines[:-4]) + "\n", encoding="utf-8")
    answer = json.loads(run("query", photo, "--catalog", folder, "--json").stdout)
    assert answer["catalog"]["compared"] == len(lines) - 5
    size = sum(p.stat().st_size for p in (folder / ".snowmatch" / "features").rglob("*.h5"))
    result = run("index", folder, "--prune")
    assert result.exit_code == 0, result.output
    assert sum(p.stat().st_size for p in (folder / ".snowmatch" / "features").rglob("*.h5")) < size


@pytest.mark.parametrize("command", ["index", "show"])
def test_a_missing_catalog_raises_an_error_of_one_line(command, tmp_path):
    result = run(command, tmp_path / "nowhere")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "nowhere" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_without_photos_raises_an_error(tmp_path):
    result = run("index", tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bbox", "1,2,3"],
        ["--bbox", "a,b,c,d"],
        ["--bbox", "1,2,0,4"],
        ["-o", "k"],
        ["--timestamp", "noon"],
        ["--top", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_status_2_and_names_the_value(survey, arguments):
    photo, _ = a_query(survey)
    result = run("query", photo, "--catalog", survey / "catalog", *arguments)
    assert result.exit_code == 2
    assert arguments[1] in result.stderr


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user without root rights")
def test_a_read_only_catalog_can_be_queried_but_not_indexed(own_survey):
    folder = own_survey / "catalog"
    photo, _ = a_query(own_survey)
    places = [folder, *(p for p in folder.rglob("*") if p.is_dir())]
    for place in places:
        place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert run("query", photo, "--catalog", folder).exit_code == 0
        result = run("index", folder)
        assert result.exit_code == 1
        assert "cannot write in" in result.stderr
    finally:
        for place in places:
            place.chmod(stat.S_IRWXU)


def test_a_clipped_box_gets_a_note(own_survey):
    folder = own_survey / "catalog"
    text = (folder / "catalog.csv").read_text(encoding="utf-8")
    row = read_rows(folder / "catalog.csv")[2]
    x, y, _, height = row["bbox"].split(",")
    (folder / "catalog.csv").write_text(text.replace(row["bbox"], f"{x},{y},5000,{height}"), encoding="utf-8")
    for command in ("index", "show"):
        result = run(command, folder)
        assert result.exit_code == 0
        assert f"note: boxes that extend beyond their photo were clipped: 1 ({row['path']})" in result.stderr


def test_the_demo_quotes_folders_with_blanks_in_the_command_to_type():
    command = _query_command(Path("my demo"), {"path": "a.jpg", "body_part": "head"})
    assert f'"{Path("my demo/queries/a.jpg")}" --catalog "{Path("my demo/catalog")}" --bodypart head' in command
    assert '"' not in _query_command(Path("demo"), {"path": "a.jpg", "body_part": "head"})


def test_the_demo_never_overwrites_another_folder(own_survey):
    before = (own_survey / "catalog" / "catalog.csv").read_bytes()
    result = run("demo", own_survey)
    assert result.exit_code == 1
    assert "contains other files" in result.stderr
    assert (own_survey / "catalog" / "catalog.csv").read_bytes() == before


def test_a_demo_is_drawn_again_until_its_tables_are_changed(tmp_path, monkeypatch):
    folder, times = tmp_path / "my demo", []
    table = folder / "catalog" / "catalog.csv"

    def draw(folder, *_):
        table.parent.mkdir(exist_ok=True)
        table.write_text("path\na.jpg\n")
        times.append(folder)

    def stop(folder):
        raise SnowmatchError("drawn")

    monkeypatch.setattr("snowmatch.demo.run.make_demo", draw)
    monkeypatch.setattr("snowmatch.demo.run.open_catalog", stop)
    for _ in range(2):
        assert "drawn" in run("demo", folder).stderr
    assert len(times) == 2
    table.write_text("path\na.jpg\nadded.jpg\n")
    refused = run("demo", folder)
    assert refused.exit_code == 1
    assert f'`snowmatch serve "{folder / "catalog"}"`, or name a new folder' in refused.stderr
    assert "added.jpg" in table.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "x" * 300],
        ["index", "x" * 300],
        ["demo", "x" * 300],
        ["query", "x" * 300],
        ["query", "PHOTO", "--mask", "x" * 300],
        ["query", "PHOTO", "--mask", "."],
        ["query", "."],
        ["query", "PHOTO", "-o", "minimum=-1"],
    ],
    ids=lambda a: " ".join(a)[:30],
)
def test_a_path_that_the_system_refuses_gives_an_error_of_one_line(survey, arguments):
    photo, _ = a_query(survey)
    arguments = [str(photo) if a == "PHOTO" else a for a in arguments]
    result = run(*arguments, cwd=survey / "catalog")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert len([line for line in result.stderr.splitlines() if not line.startswith("note: ")]) == 1


@pytest.mark.parametrize("arguments", [["demo", "FILE"], ["demo", "FILE", "--cards"], ["jobs", "FILE"]])
def test_a_file_in_the_place_of_a_folder_is_told_as_one(tmp_path, arguments):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    result = run(*[file if a == "FILE" else a for a in arguments])
    assert result.exit_code == 1
    assert f"{file} is a file, expected" in result.stderr or f"{file} is not a folder, expected" in result.stderr
    assert file.read_text() == "mine"


@pytest.mark.parametrize("command", ["show", "doctor", "index"])
def test_a_missing_catalog_suggests_no_option_that_the_command_lacks(command, tmp_path):
    assert "--catalog" not in run(command, tmp_path / "nowhere").stderr


def test_the_observers_of_a_missing_catalog_are_an_error(tmp_path):
    for words in (["list"], ["list", "--json"]):
        result = run("observers", tmp_path / "nowhere", *words)
        assert result.exit_code == 1
        assert "nowhere is not a folder" in result.stderr
        assert not result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["survey", "C", "--independence", "nan"],
        ["survey", "C", "--co-use", "nan"],
        ["survey", "C", "--seed", "-1"],
        ["export", "C", "OUT", "--format", "csv", "--seed", "-1"],
        ["identities", "C", "count", "--seed", "-1"],
        ["identities", "C", "ask", "--repeats", "nan"],
        ["query", "PHOTO", "--new", "nan"],
        ["batch", "C", "--unidentified", "--new", "nan"],
        ["watch", "F", "--catalog", "C", "--every", "inf"],
        ["watch", "F", "--catalog", "C", "--every", "1e300"],  # no system sleeps so long
        ["identities", "C", "count", "--draws", "1000000000"],
        ["watch", "F", "--catalog", "C", "--quiet", "nan"],
    ],
    ids=" ".join,
)
def test_no_option_takes_a_number_that_is_none(arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert f"Invalid value for '{arguments[-2]}'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["demo", "D", "--no-browser"], "--serve"),
        (["demo", "D", "--cards", "--no-browser"], "--serve"),
        (["watch", "F", "--catalog", "C", "--allow-host", "camp.local"], "--hook"),
        (["survey", "C", "--coordinates", "exact"], "--out"),
        (["survey", "C", "--no-figures"], "--out"),
        (["survey", "C", "--co-use", "7"], "--out"),
        (["identities", "C", "ask", "--mode", "blind", "--repeats", "0.03"], "--mode open"),
        (["identities", "C", "ask", "--mode", "adjudicate", "--repeats", "0"], "--mode open"),
        (["batch", "C", "--unidentified", "--bom"], "--out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_an_option_that_has_no_effect_alone_is_a_usage_error(arguments, needed, tmp_path):
    result = run(*arguments, cwd=tmp_path)
    assert result.exit_code == 2, result.output
    assert f" to {needed}" in result.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("given", [("--from", "excellent"), ("--sample", "5%"), ("--again",), ("-o", "fast=true")])
def test_what_the_machine_decided_is_taken_back_as_a_whole(given, tmp_path):
    result = run("identities", "C", "auto", "--undo", *given, cwd=tmp_path)
    assert result.exit_code == 2, result.output
    assert "--undo takes back all decisions of the machine" in result.stderr


def test_an_empty_path_is_not_taken_for_the_working_directory(survey):
    for arguments in (["index", ""], ["query", ""], ["show", ""]):
        result = run(*arguments, cwd=survey / "catalog")
        assert result.exit_code == 2
        assert "empty name" in result.stderr


def test_a_path_that_is_too_long_does_not_stop_the_other_photos(own_survey):
    folder = own_survey / "catalog"
    with (folder / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write("images/" + "x" * 400 + ".jpg,,,,,,,,,,\n")
    result = run("index", folder)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1].startswith("failed: images/xxx")
    assert run("show", folder).exit_code == 0


def test_a_contradicted_body_part_and_a_black_mask_get_notes(own_survey):
    folder = own_survey / "catalog"
    row = next(r for r in read_rows(folder / "catalog.csv") if r["body_part"] == "left_flank")
    black = own_survey / "black.png"
    with Image.open(folder / row["mask"]) as mask:
        Image.new("L", mask.size).save(black)
    result = run("query", folder / row["path"], "--catalog", folder, "--bodypart", "right_flank", "--mask", black)
    assert result.exit_code == 0
    assert "is on record as left_flank, the query uses right_flank" in result.stderr
    assert "is black everywhere" in result.stderr


def test_photos_without_features_get_a_note(own_survey):
    folder = own_survey / "catalog"
    row = read_rows(folder / "catalog.csv")[0]
    with Image.open(folder / row["path"]) as photo:
        Image.new("RGB", photo.size, "grey").save(folder / row["path"])
    result = run("index", folder)
    assert result.exit_code == 0
    assert f"hesaff found no features in 1 annotation ({row['path']})" in result.stderr


def test_each_photo_takes_its_own_box_and_mask(survey):
    rows = read_rows(survey / "queries" / "queries.csv")
    rows = next([a, b] for a, b in itertools.pairwise(rows) if a["encounter"] == b["encounter"])
    arguments = [word for r in rows for word in ("--bbox", r["bbox"], "--mask", survey / "queries" / r["mask"])]
    photos = [survey / "queries" / r["path"] for r in rows]
    result = run("query", *photos, "--catalog", survey / "catalog", *arguments, "--json")
    assert json.loads(result.stdout)["query"]["bbox"] == [[int(n) for n in r["bbox"].split(",")] for r in rows]
    assert run("query", *photos, "--catalog", survey / "catalog", "--bbox", rows[0]["bbox"]).exit_code == 1


def test_names_may_have_any_characters(own_survey):
    folder = own_survey / "catalog"
    text = (folder / "catalog.csv").read_text(encoding="utf-8")
    rows = read_rows(folder / "catalog.csv")
    names = sorted({r["individual"] for r in rows} - {""})
    strange = ["Снежок Барс", 'Åsa "the 2nd"', "[x] o'Neil", ".hidden", "a, b", "名前"]
    head, *body = text.splitlines()
    for old, new in zip(names, strange, strict=False):
        quoted = '"' + new.replace('"', '""') + '"'
        body = [line.replace(f",{old},", f",{quoted},", 1) for line in body]
    (folder / "catalog.csv").write_text("\n".join([head, *body]) + "\n", encoding="utf-8")
    photo, _ = a_query(own_survey)
    result = run("query", photo, "--catalog", folder, "--json", "--top", 20, "--draw", own_survey / "pictures")
    assert result.exit_code == 0, result.output
    found = {c["individual"] for c in json.loads(result.stdout)["candidates"]}
    assert set(strange[: len(names)]) <= found


EVIL = "a\x1b]0;owned\x07\x9b2J\u202eb"
FORBIDDEN = set("\x1b\x07\x9b\u202e")


@pytest.fixture
def evil(own_survey):
    """A catalog in a folder with an evil name, with an individual, a station and a broken photo of that name."""
    folder = (own_survey / "catalog").rename(own_survey / EVIL)
    rows = read_rows(folder / "catalog.csv")
    name = rows[0]["individual"]
    for row in rows:
        if row["individual"] == name:
            row |= {"individual": EVIL, "station": EVIL, "location": EVIL}
    rows.append({**rows[0], "path": f"images/{EVIL}.jpg", "mask": "", "bbox": ""})
    (folder / "images" / f"{EVIL}.jpg").write_bytes(b"no photo")
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.mark.slow
def test_no_name_reaches_the_terminal_with_its_escapes(evil, monkeypatch):
    enough(monkeypatch)
    photo = evil / next(row["path"] for row in read_rows(evil / "catalog.csv") if row["individual"] == EVIL)
    said = []
    for arguments in (
        ["index", evil], ["show", evil], ["query", photo, "--catalog", evil],
        ["query", photo, "--catalog", evil, "--json"], ["query", EVIL, "--catalog", evil],
        ["query", photo, "--catalog", evil, "--location", EVIL + "x"], ["batch", evil, "--unidentified"],
        ["evaluate", evil], ["evaluate", evil, "--protocol", EVIL], ["calibrate", evil, "--json"], [EVIL],
        [f"--{EVIL}"], ["show", f"--{EVIL}"], ["weights", "add", EVIL], ["weights", "download", EVIL],
        ["index", evil, "--extractor", EVIL], ["index", evil, "-o", f"{EVIL}=1"], ["index", evil, "--workers", EVIL],
    ):  # fmt: skip
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), arguments
        assert not FORBIDDEN & set(result.output), arguments
        said.append(result.output)
    assert "a\\x1b]0;owned\\x07\\x9b2J\\u202eb" in said[1]
    assert json.loads(said[3].partition("\nnote: ")[0])["candidates"][0]["individual"] == EVIL


@pytest.mark.parametrize(
    "options",
    [("--bodypart", "LF"), ("--bodypart", "left flank"), ("--bbox", "[10.5, 20.2, 300.7, 200]"),
     ("--bbox", "0,1;0,1;0,8;0,8"), ("--timestamp", "17.09.2012 19:42")],
)  # fmt: skip
def test_options_take_the_spellings_of_the_table(survey, options):
    photo, _ = a_query(survey)
    result = run("query", photo, "--catalog", survey / "catalog", *options)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("value", ["3/4/2021 10:00", "17.09.2012", "2012-09-17T19:42Z", "yesterday"])
def test_an_unclear_time_is_a_usage_error(survey, value):
    photo, _ = a_query(survey)
    assert run("query", photo, "--catalog", survey / "catalog", "--timestamp", value).exit_code == 2


@pytest.mark.parametrize("size", ["8", "0GB", "8 TB", "-1GB", "1.5GB", "much"])
def test_a_memory_that_is_no_size_is_a_usage_error(survey, size):
    result = run("query", "x.jpg", "--catalog", survey / "catalog", "--memory", size)
    assert result.exit_code == 2
    assert "such as 8GB" in result.stderr


def test_the_memory_of_search_indexes_can_be_limited(survey, monkeypatch):
    monkeypatch.setattr(loaded, "_limit", [])
    photo, row = a_query(survey)
    asked = ("query", photo, "--catalog", survey / "catalog", "--bbox", row["bbox"], "--json")
    plenty, little = run(*asked), run(*asked, "--memory", "1MB")
    assert loaded.default_memory() == 1_000_000
    assert plenty.exit_code == 0
    assert little.stdout == plenty.stdout


@pytest.mark.parametrize("command", ["index", "screen"])
def test_the_help_tells_that_settings_of_the_catalog_are_kept(command):
    kept = {field.name for field in dataclasses.fields(CatalogSettings)}
    helps = [option.help or "" for option in main.get_command(None, command).params if option.name in kept]
    told = [text for text in helps if "[default:" in text]
    assert len(told) >= 2
    assert not [text for text in told if not re.search(r"\[default: what (it|the catalog) keeps, first ", text)]


def test_commands_that_are_told_have_the_file_of_decisions_that_was_given(survey, tmp_path, monkeypatch):
    monkeypatch.setattr("snowmatch.identify.judge.ENOUGH_PAIRS", 1)
    photo, row = a_query(survey)
    catalog, typed = survey / "catalog", f"--decisions {quoted(str(tmp_path / 'my decisions.sqlite'))})"
    given = ("--decisions", tmp_path / "my decisions.sqlite")
    told = run("query", photo, "--catalog", catalog, "--bbox", row["bbox"], *given).stderr
    assert f"(snowmatch calibrate {quoted(str(catalog))} {typed}" in told
    told = run("query", photo, "--catalog", catalog, "--exclude-encounter", "nowhere", *given).stderr
    assert f"(snowmatch show {quoted(str(catalog))} {typed}" in told  # also of an error
    assert "--decisions" not in run("query", photo, "--catalog", catalog, "--bbox", row["bbox"]).stderr
    for code in ("calibration-refused", "decisions-idle", "names-refused", "decisions-quarrel", "merge-instead"):
        assert advice(code, {"decisions": "f", "names": ("a", "b")}).endswith(" --decisions f"), code
