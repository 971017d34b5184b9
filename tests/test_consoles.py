"""Consoles and tables of other systems: no letter fails on a Windows console, CRLF tables are read, JSON stays JSON."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest
from click.testing import CliRunner
from conftest import enough, read_rows
from test_docs import COMMANDS

from snowmatch.cli import advice, main
from snowmatch.cli.doctor_advice import finding_advice
from snowmatch.core.home import features_path
from snowmatch.core.plugins import make_plugin, settings
from snowmatch.interchange.importing import import_source
from snowmatch.review.doctor.paths import not_for_windows

ROOT = Path(__file__).parents[1]
CAT, PLACE = "Снежинка é 🔵", "Ущелье ñ"
CODEPAGES = ("cp1252", "cp866")


@pytest.fixture(scope="module")
def cyrillic(survey, tmp_path_factory):
    """Return a folder with a catalog whose folders, animals and stations have names in Cyrillic, and an emoji."""
    folder = tmp_path_factory.mktemp("съёмка")
    catalog = folder / "каталог"
    shutil.copytree(survey / "catalog", catalog)
    (catalog / "images").rename(catalog / "снимки")
    rows = read_rows(catalog / "catalog.csv")
    first = rows[0]["individual"]
    for row in rows:
        row["path"] = row["path"].replace("images/", "снимки/")
        row["location"], row["station"] = PLACE, f"Скала {row['station']}"
        row["individual"] = CAT if row["individual"] == first else row["individual"]
    with (catalog / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\r\n")  # as Windows programs write it
        writer.writeheader()
        writer.writerows(rows)
    result = CliRunner().invoke(main, ["index", str(catalog)])
    assert result.exit_code == 0, result.output
    return folder


def invoke(charset, words, status=(0,)):
    """Run a command on a console with this code page, and return the bytes on stdout."""
    result = CliRunner(charset=charset).invoke(main, list(map(str, words)))
    assert result.exit_code in status, f"{words}\n{result.stderr_bytes.decode(charset)}\n{result.exception!r}"
    result.stderr_bytes.decode(charset)
    return result.stdout_bytes


@pytest.mark.parametrize("charset", CODEPAGES)
@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
def test_help_prints_on_every_console(charset, name):
    words = name.split()
    if words[:1] == ["identities"] and len(words) > 1:
        words.insert(1, CAT)
    invoke(charset, [*words, "--help"]).decode(charset)


@pytest.mark.slow
@pytest.mark.parametrize("charset", CODEPAGES)
def test_every_command_prints_foreign_names_on_every_console(cyrillic, tmp_path, monkeypatch, charset):
    enough(monkeypatch)
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", "")
    shutil.copytree(cyrillic, tmp_path / "копия")
    monkeypatch.chdir(tmp_path / "копия")
    row = next(row for row in read_rows(Path("каталог/catalog.csv")) if row["individual"] == CAT)
    photo = f"каталог/{row['path']}"
    identities = ["identities", "каталог"]
    lines = [
        ["index", "каталог"],
        ["show", "каталог"],
        ["query", photo, "--catalog", "каталог", "--draw", "ответ"],
        ["batch", "каталог", "--unidentified", "--out", "ответы"],
        ["screen", "каталог", "--classifier", "none", "--out", "отбор"],
        [*identities, "name", f"{CAT} 2", row["encounter"], "--observer", "Анна 🔵"],
        [*identities, "list"],
        [*identities, "show", f"{CAT} 2"],
        [*identities, "log"],
        [*identities, "check"],
        [*identities, "count", "--draws", "20"],
        [*identities, "agreement"],
        [*identities, "methods"],
        ["survey", "каталог", "--out", "сводка", "--no-figures"],
        ["export", "каталог", "таблицы", "--format", "csv"],
        ["evaluate", "каталог"],
        ["calibrate", "каталог"],
        ["doctor", "--system"],
        ["plugins"],
        ["weights", "list"],
        ["weights", "where"],
        ["import", "каталог/снимки", "новый 🔵"],
        ["frames", "каталог", "кадры"],
        ["watch", "каталог/снимки", "--catalog", "каталог", "--once", "--quiet", "0"],
    ]
    shown = b"".join(invoke(charset, words, status=(0, 1)) for words in lines)
    text = shown.decode(charset)
    assert "\\U0001f535" in text  # the mark of a level, as a code
    assert "Снежинка" in text if charset == "cp866" else "\\u0421" in text
    for words in (["query", photo, "--catalog", "каталог"], [*identities, "list"], ["doctor", "каталог"]):
        printed = json.loads(invoke(charset, [*words, "--json"], status=(0, 1)).decode(charset))
        assert "Снежинка" in json.dumps(printed, ensure_ascii=False) or words[0] == "doctor"
    assert b"Error" not in invoke(charset, ["show", "каталог"])


@pytest.mark.slow
@pytest.mark.parametrize("charset", ["cp1252", "cp866"])
def test_errors_and_output_of_a_real_process_on_a_windows_console(cyrillic, charset):
    environment = {**os.environ, "PYTHONIOENCODING": charset, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0"}
    for words, status in ((["show", str(cyrillic / "каталог")], 0), (["show", CAT], 1), ([CAT], 2), (["--help"], 0)):
        command = [sys.executable, "-m", "snowmatch.cli", *words]
        done = subprocess.run(command, capture_output=True, env=environment, cwd=cyrillic, check=False)
        text = (done.stdout + done.stderr).decode(charset)
        assert done.returncode == status, text
        assert "Traceback" not in text


@pytest.mark.parametrize("charset", ["cp1252", "cp866", "utf-8"])
def test_json_stays_json_on_every_console(charset):
    code = f"from snowmatch.cli.shared import print_json; print_json({{'name': {CAT!r}}})"
    environment = {**os.environ, "PYTHONIOENCODING": f"{charset}:backslashreplace", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert json.loads(done.stdout.decode(charset)) == {"name": CAT}


@pytest.mark.parametrize(("ending", "mark"), [("\r\n", "\ufeff"), ("\r\n", ""), ("\r", ""), ("\n", "\ufeff")])
def test_tables_of_windows_and_old_macs_are_read_alike(survey, tmp_path, ending, mark):
    text = (survey / "catalog" / "catalog.csv").read_text(encoding="utf-8")
    folder = tmp_path / "catalog"
    shutil.copytree(survey / "catalog", folder)
    (folder / "catalog.csv").write_bytes((mark + text.replace("\n", ending)).encode())
    expected = CliRunner().invoke(main, ["show", str(survey / "catalog")]).output.partition("\n")[2]
    assert CliRunner().invoke(main, ["show", str(folder)]).output.partition("\n")[2] == expected


@pytest.mark.parametrize("root", ["C:\\Users\\Анна\\cards", "\\\\server\\share\\cards", "D:\\", ""])
def test_windows_paths_of_a_source_lead_to_the_photos(survey, tmp_path, root):
    photos = sorted((survey / "catalog" / "images").glob("*.jpg"))[:3]
    (tmp_path / "cards" / "naryn" / "st01").mkdir(parents=True)
    lines = ["path,individual"]
    for photo in photos:
        shutil.copy(photo, tmp_path / "cards" / "naryn" / "st01")
        lines.append(f"{PureWindowsPath(root) / 'naryn' / 'st01' / photo.name.upper()},Aika")
    (tmp_path / "table.csv").write_bytes("\r\n".join(lines).encode())
    report = import_source(tmp_path / "table.csv", tmp_path / "catalog", photos=tmp_path / "cards")
    assert not report.failed
    rows = read_rows(tmp_path / "catalog" / "catalog.csv")
    assert [Path(row["path"]).name for row in rows] == [photo.name for photo in photos]
    assert all("\\" not in row["path"] and ":" not in row["path"] for row in rows)


def test_a_long_path_is_read_and_told(survey, tmp_path):
    deep = "/".join(["долина-" + "x" * 40] * 5)  # longer than the 259 characters of Windows
    photo = next((survey / "catalog" / "images").glob("*.jpg"))
    (tmp_path / "cards" / deep).mkdir(parents=True)
    shutil.copy(photo, tmp_path / "cards" / deep / "IMG_1.JPG")
    (tmp_path / "cards" / "catalog.csv").write_text(f"path,individual\n{deep}/IMG_1.JPG,Aika\n", encoding="utf-8")
    invoke("cp866", ["index", tmp_path / "cards"])
    assert b"that Windows cannot hold" in invoke("cp866", ["doctor", tmp_path / "cards"], status=(0, 1))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("naryn/st01/IMG_1.JPG", ""),
        ("снимки/Снежинка 🔵.jpg", ""),
        ("naryn/st:01/IMG_1.JPG", "':'"),
        ('what?/"a".jpg', "'?'"),
        ("naryn /IMG_1.JPG", "blank or a dot"),
        ("naryn/st01./IMG_1.JPG", "blank or a dot"),
        ("naryn/CON/IMG_1.JPG", "keeps"),
        ("naryn/com1.jpg", "keeps"),
        ("naryn/console/IMG_1.JPG", ""),
        ("a" * 201, "201 characters"),
        ("back\\slash.jpg", "has"),
    ],
)
def test_names_that_windows_cannot_hold(path, why):
    assert why in not_for_windows(path)
    assert bool(why) == bool(not_for_windows(path))


@pytest.mark.parametrize(
    ("text", "posix", "windows"),
    [
        ("catalog", "catalog", "catalog"),
        ("C:\\my cats\\2023", "'C:\\my cats\\2023'", '"C:\\my cats\\2023"'),
        ("Снежинка 2", "'Снежинка 2'", '"Снежинка 2"'),
    ],
)
def test_commands_to_type_are_quoted_for_the_system(monkeypatch, text, posix, windows):
    for is_windows, expected in ((False, posix), (True, windows)):
        monkeypatch.setattr(advice, "WINDOWS", is_windows)
        assert advice.advice("not-indexed", {"catalog": text}) == f"snowmatch index {expected}"


@pytest.mark.parametrize(
    ("own", "options"),
    [
        ([], ""),
        ([("hesaff", {}), ("sift", {})], ""),
        ([("hesaff", {"chip_size": "300"}), ("hesaff", {})], ""),
        ([("sift", {"chip_size": "300"})], " --extractor sift -o chip_size=300"),
        ([("sift", {}), ("hesaff", {"chip_size": "300"})], " -o chip_size=300"),
    ],
)
def test_photos_are_to_be_indexed_as_the_catalog_is(monkeypatch, tmp_path, own, options):
    """The default extractor would read all of them once more, and then answer."""
    stored = [settings(make_plugin("extractors", name, given)) for name, given in own]
    there = features_path(tmp_path)
    monkeypatch.setattr("snowmatch.identify.method.list_features", lambda folder: stored if folder == there else [])
    typed = f"snowmatch index {tmp_path}{options}"
    assert advice.advice("missing-annotations", {"catalog": str(tmp_path), "count": 3}) == typed
    assert finding_advice("failed", {"catalog": str(tmp_path)}).endswith(typed)
    assert advice.advice("not-indexed", {"catalog": str(tmp_path), "extractor": "disk"}).endswith(" --extractor disk")


def test_doctor_tells_paths_that_differ_only_in_case(survey, tmp_path):
    photos = sorted((survey / "catalog" / "images").glob("*.jpg"))[:2]
    try:
        shutil.copy(photos[0], tmp_path / "img_1.jpg")
        if (tmp_path / "IMG_1.JPG").exists():
            pytest.skip("this file system ignores case")
        shutil.copy(photos[1], tmp_path / "IMG_1.JPG")
    finally:
        (tmp_path / "catalog.csv").write_text("path,individual\nimg_1.jpg,Aika\nIMG_1.JPG,Bars\n", encoding="utf-8")
    found = json.loads(invoke("utf-8", ["doctor", tmp_path, "--json"], status=(0, 1)))
    (alike,) = [finding for finding in found["findings"] if finding["code"] == "paths-alike"]
    assert alike["cases"] == ["IMG_1.JPG and img_1.jpg"]
    assert "paths-not-for-windows" not in {finding["code"] for finding in found["findings"]}
