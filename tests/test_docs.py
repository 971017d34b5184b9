"""The documentation: help, README and pages agree with the program, and every example of the pages runs."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from conftest import enough, read_rows

from snowmatch.cli import main
from snowmatch.cli.advice import COMMANDS as ADVICE
from snowmatch.models.registry import registry
from snowmatch.review.doctor.examine import TO_CHECK
from snowmatch.screening.foreground import OUTLINES
from snowmatch.testing import EXTRACTOR_CHECKS, MATCHER_CHECKS

pytestmark = pytest.mark.usefixtures("seen_once")

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = {"README.md": README, **{page.name: page.read_text(encoding="utf-8") for page in PAGES}}
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(name, *block) for name, text in TEXTS.items() for block in BLOCK.findall(text)]


def test_networks_without_a_checksum_are_named():
    unknown = {entry.name for entry in registry() for file in entry.files if not file.sha256}
    assert unknown
    assert not [name for name in unknown if f"`{name}`" not in TEXTS["networks.md"]]


def test_what_shows_where_the_animal_is_is_explained():
    (told,) = [text for text in TEXTS["python.md"].split("\n- ") if text.startswith("`foreground` is")]
    assert {*OUTLINES, "given"} <= {*re.findall(r"`([^`]+)`", told)}


COMMANDS = {
    name: command
    for top, group in [(top, main.get_command(None, top)) for top in main.list_commands(None)]
    for name, command in [
        (top, group),
        *((f"{top} {inner}", command) for inner, command in getattr(group, "commands", {}).items()),
    ]
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_an_example_and_a_place_in_the_pages(name):
    result = CliRunner().invoke(main, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    top, _, inner = name.partition(" ")
    argument = r" \S+" if inner and COMMANDS[top].params else ""  # `identities CATALOG list`
    shown = rf"snowmatch {top}{argument}{' ' + inner if inner else ''}\b"
    assert any(re.search(shown, text) for text in TEXTS.values())
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("name", TEXTS)
def test_every_option_in_the_pages_exists(name):
    known = {"--help", *(o for c in COMMANDS.values() for p in c.params for o in p.opts)}
    for line in re.findall(r"^snowmatch .*$|`(snowmatch [^`]*)`", TEXTS[name], re.MULTILINE):
        assert set(re.findall(r"(?<=\s)--[a-z-]+", line)) <= known, line


def test_the_networks_in_the_pages_are_known_by_name():
    known = {entry.name for entry in registry()}
    named = re.findall(r"`(mdv6-[a-z0-9-]+)`", " ".join(TEXTS.values()), re.IGNORECASE)
    assert named
    assert set(named) <= known


def test_advice_names_existing_commands_and_options():
    known = {o for c in COMMANDS.values() for p in c.params for o in p.opts}
    for code, advise in ADVICE.items():
        text = advise(
            {"extractor": "sift", "setting": "k", "name": "xfeat", "downloadable": True, "names": ["Aika"], "known": 0}
        )
        assert set(re.findall(r"--[a-z-]+", text)) <= known, code
        for command in re.findall(r"snowmatch ([a-z]+(?: (?:list|add|download))?)", text):
            assert command in COMMANDS, code


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_pictures_exist(name):
    folder = ROOT if name == "README.md" else ROOT / "docs"
    for target in re.findall(r"\[[^\]]*\]\(([^)#]+)[^)]*\)", TEXTS[name]):
        assert target.startswith("http") or (folder / target).exists(), f"{name} links to {target}"


def test_every_dependency_has_a_comment_with_the_reason():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in tomllib.loads(text)["project"]["dependencies"]:
        line = next(line for line in text.splitlines() if f'"{name}"' in line)
        assert "#" in line, f"{name} has no comment with a reason"


def test_the_pages_build_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--strict", "-f", ROOT / ".mkdocs.yml", "-d", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert {f"{page.stem}.html" for page in PAGES} <= {page.name for page in tmp_path.glob("*.html")}


@pytest.fixture
def scene(survey, tmp_path, monkeypatch):
    """Return a folder with the files of the examples: a catalog, two photos of one encounter, and cards.

    The catalog is not indexed. Calibration needs only few pairs.
    """
    shutil.copytree(survey / "catalog", tmp_path / "catalog")
    encounters = {}
    for row in read_rows(survey / "queries" / "queries.csv"):
        encounters.setdefault((row["encounter"], row["body_part"]), []).append(survey / "queries" / row["path"])
    one, other = next(photos for photos in encounters.values() if len(photos) > 1)[:2]
    shutil.copy(one, tmp_path / "IMG_2001.JPG")
    shutil.copy(other, tmp_path / "IMG_2002.JPG")
    (tmp_path / "cards").mkdir()
    for photos in list(encounters.values())[:2]:
        shutil.copy(photos[0], tmp_path / "cards")
    rows = read_rows(tmp_path / "catalog" / "catalog.csv")
    found = [{"category": "1", "conf": 0.9, "bbox": [0.2, 0.2, 0.5, 0.5]}]
    images = [{"file": path, "detections": found} for path in sorted({row["path"] for row in rows})]
    about = {"info": {"format_version": "1.6"}, "detection_categories": {"1": "animal"}, "images": images}
    (tmp_path / "detections.json").write_text(json.dumps(about))
    enough(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", "")
    return tmp_path


def run(line):
    words = shlex.split(line)
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result


def test_scripts_end_what_they_started_also_in_a_shell_without_job_control():
    scripts = [text for _, language, _, text in BLOCKS if language == "sh" and text.startswith("#!")]
    assert any("kill $" in text for text in scripts)
    assert not any(re.search(r"kill .*%", text) for text in scripts)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for name, _, mark, _ in BLOCKS if mark == "run"}))
def test_the_examples_of_a_page_run(scene, name):
    run("snowmatch index catalog/")
    for _, language, _, text in [block for block in BLOCKS if block[0] == name and block[2] == "run"]:
        if language == "python":
            exec(compile(text, name, "exec"), {"__name__": "__main__"})
            continue
        for line in text.strip().splitlines():
            run(line)


def test_the_first_survey_of_the_readme_runs(scene):
    (text,) = [text for name, _, _, text in BLOCKS if name == "README.md" and text.startswith("snowmatch index")]
    for line in text.strip().splitlines():
        run(line)
    assert list((scene / "answer").glob("*-matches.jpg"))
    assert (scene / "answers.csv").exists()


def test_the_json_of_the_page_has_the_keys_of_the_program(scene):
    (text,) = [text for name, language, _, text in BLOCKS if (name, language) == ("python.md", "json")]
    run("snowmatch index catalog/")
    documented, printed = (
        json.loads(text),
        json.loads(run("snowmatch query IMG_2001.JPG --catalog catalog --json").stdout),
    )

    def shape(value):
        if isinstance(value, dict):
            return {
                key: shape(item) for key, item in value.items() if key not in ("extractor", "matcher", "calibration")
            }
        return shape(value[0]) if isinstance(value, list) and value and isinstance(value[0], dict) else None

    assert shape(documented) == shape(printed)


@pytest.mark.parametrize(("file", "checks"), [("corners", EXTRACTOR_CHECKS), ("ratio", MATCHER_CHECKS)])
def test_the_plugins_of_the_page_pass_the_conformance_checks(file, checks):
    (text,) = [text for name, _, mark, text in BLOCKS if name == "contributing.md" and mark.endswith(f"/{file}.py")]
    module = ModuleType(f"example.{file}")
    sys.modules[module.__name__] = module
    exec(compile(text, f"{file}.py", "exec"), module.__dict__)
    for check in checks.values():
        check(module.PLUGIN())
    del sys.modules[module.__name__]


def test_the_page_of_the_doctor_has_each_code():
    sources = (ROOT / "snowmatch" / "review" / "doctor").glob("*.py")
    codes = {code for path in sources for code in re.findall(r'[Ff]inding\(\s*"([a-z-]+)"', path.read_text("utf-8"))}
    assert len(codes) > 20
    codes |= TO_CHECK
    assert not {code for code in codes if f"`{code}`" not in TEXTS["doctor.md"]}
