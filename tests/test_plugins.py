"""Plugins are found by name, in snowmatch and in other distributions."""

import importlib
import sys
from dataclasses import dataclass, field, make_dataclass
from dataclasses import fields as dataclass_fields
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import ClassVar

import pytest
from click.testing import CliRunner
from fake_extractor import Batched, Fake

import snowmatch
from snowmatch.catalog.settings import CatalogSettings, keep_settings
from snowmatch.cli import main
from snowmatch.cli.advice import advice
from snowmatch.core import plugins
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, plugin_name, plugin_names, settings
from snowmatch.core.types import empty_features
from snowmatch.features import extractors
from snowmatch.interchange.exporting import check_draws, takes_counts, without_effect
from snowmatch.interchange.importing import choose_importer
from snowmatch.matching.matchers.lnbnn import Lnbnn
from snowmatch.matching.matchers.mutual import Mutual
from snowmatch.models.registry import Weights, WeightsFile, registry
from snowmatch.screening.finders import finders_in_words
from snowmatch.testing import EXTRACTOR_CHECKS
from snowmatch.views.plugins import extractor_names


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    """Later tests know the classes by their own names, and not by those of entry points."""
    monkeypatch.setattr(plugins, "_NAMES", dict(plugins._NAMES))


@pytest.fixture
def foreign(monkeypatch):
    """Modules of another distribution, by the name of their entry point."""

    def add(kind="extractors", **modules):
        points = []
        for name, contents in modules.items():
            module = ModuleType(f"elsewhere.{name.replace('-', '_')}_code")
            module.__dict__.update(contents)
            monkeypatch.setitem(sys.modules, module.__name__, module)
            points.append(EntryPoint(name, module.__name__, plugins.KINDS[kind][1]))
        found = {point.name: point for point in points}
        monkeypatch.setattr(plugins, "_foreign", lambda asked: found if asked == kind else {})

    return add


def test_a_plugin_of_another_distribution_is_used_by_its_name(foreign, own_survey):
    foreign(quick={"PLUGIN": Fake})
    assert "quick" in plugin_names("extractors")
    plugin = make_plugin("extractors", "quick", {"seed": "3"})
    assert (plugin_name(plugin), plugin.seed) == ("quick", 3)
    assert settings(plugin)["name"] == "quick"
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    assert catalog.index("quick", workers=1).done == len(catalog.data.annotations)
    assert catalog.session(extractor="quick").method.extractor["name"] == "quick"
    assert "quick: Random features" in CliRunner().invoke(main, ["plugins"]).stdout


def test_where_the_package_of_a_catalogs_networks_is_missing_its_settings_hold_and_answers_tell_it(own_survey):
    folder = own_survey / "catalog"
    photo = sorted((own_survey / "queries" / "images").iterdir())[0]
    told = {}
    for kind in ("classifier", "segmenter"):  # as of another computer
        keep_settings(folder, CatalogSettings(encounter_gap=10.0, **{"classifier": "none", kind: "theirs"}))
        catalog = snowmatch.open_catalog(folder)
        assert catalog.data.settings.encounter_gap == 10
        assert "settings-damaged" not in [note.code for note in catalog.data.notes]
        (note,) = [note for note in catalog.query(photo).notes if note.code == f"{kind}-gone"]
        assert f"the catalog's {kind} theirs is not on this computer" in note.text
        told[kind] = advice(note.code, note.data)
        with pytest.raises(SnowmatchError, match=f"no {kind} called 'theirs' on this computer") as refused:
            catalog.index(workers=1)
        assert refused.value.code == note.code
        with pytest.raises(SnowmatchError, match=f"no {kind} called 'theirs'; expected one of"):
            snowmatch.open_catalog(folder, **{kind: "theirs"})
    assert told == {
        "classifier": f"snowmatch index {folder} --classifier auto, or --classifier FILE.npz",
        "segmenter": f"snowmatch screen {folder} --segmenter none, or --segmenter NAME",
    }
    assert "segmenter theirs (gone)" in finders_in_words("none", "theirs", boxes=True)


def test_snowmatchs_own_plugins_come_first(foreign):
    foreign(sift={"PLUGIN": Fake})
    assert type(make_plugin("extractors", "sift")).__module__ == "snowmatch.features.extractors.sift"


@pytest.mark.parametrize(
    ("contents", "told"), [({}, "has no PLUGIN in elsewhere.bad_code"), (None, "no extractor called 'bad'")]
)
def test_a_module_without_a_plugin_is_an_error_of_one_line(foreign, contents, told):
    foreign(**({"bad": contents} if contents is not None else {}))
    with pytest.raises(SnowmatchError, match=told):
        make_plugin("extractors", "bad")


def test_a_distribution_that_cannot_be_loaded_does_not_disturb_other_plugins(foreign, monkeypatch):
    foreign(broken={})
    monkeypatch.setitem(sys.modules, "elsewhere.broken_code", None)
    assert make_plugin("extractors", "hesaff")
    with pytest.raises(SnowmatchError, match=r"'broken' has the entry point .*, but there is no module"):
        make_plugin("extractors", "broken")
    shown = CliRunner().invoke(main, ["plugins"])
    assert shown.exit_code == 0
    assert "broken: extractor 'broken' has the entry point" in shown.stdout
    assert "hesaff" in extractor_names()
    assert "broken" not in extractor_names()


def test_the_list_names_the_package_that_a_foreign_plugin_needs(foreign):
    made = make_dataclass("Made", [], bases=(Fake,), namespace={"NEEDS": ("not_installed_here",)}, frozen=True)
    foreign(made={"PLUGIN": made})
    assert "(needs pip install not_installed_here)" in CliRunner().invoke(main, ["plugins"]).stdout


def test_an_importer_that_cannot_be_loaded_is_named_only_if_no_format_fits(foreign, tmp_path):
    foreign("importers", broken={})
    (tmp_path / "md.json").write_text('{"images": [], "detection_categories": {}, "info": {"format_version": "1.3"}}')
    assert plugin_name(choose_importer(tmp_path / "md.json", None, {})) == "megadetector"
    (tmp_path / "x.csv").write_text("colour\nred\n")
    with pytest.raises(SnowmatchError, match="could not be tried: importer 'broken' has no PLUGIN"):
        choose_importer(tmp_path / "x.csv", None, {})


def test_an_exporter_may_have_a_name_with_a_hyphen(foreign):
    @dataclass(frozen=True)
    class Mine:
        REVISION: ClassVar[int] = 1
        COORDINATES: ClassVar[str] = "never"
        COUNTS: ClassVar[bool] = False

        def files(self, given):
            return {"a.txt": b"mine"}

    foreign("exporters", **{"my-format": {"PLUGIN": Mine}})
    assert not takes_counts("my-format")
    assert without_effect("my-format", ["coordinates"]) == ["coordinates"]
    assert takes_counts("camtrap-dp") == takes_counts("camtrap_dp")
    with pytest.raises(SnowmatchError, match="no exporter called 'my_other'"):
        takes_counts("my-other")


def test_an_exporter_that_cannot_be_loaded_does_not_disturb_the_list_of_others(foreign):
    foreign("exporters", broken={})
    with pytest.raises(SnowmatchError, match="csv has no draws of identities: expected one of mark, secr"):
        check_draws("csv")


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """A package of another distribution on the import path, with one file for each name, and one entry point."""

    def add(value, kind="extractors", **files):
        folder = tmp_path / "elsewhere_package"
        folder.mkdir(exist_ok=True)
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        point = EntryPoint("made", value, plugins.KINDS[kind][1])
        monkeypatch.setattr(plugins, "_foreign", lambda asked: {"made": point} if asked == kind else {})
        importlib.invalidate_caches()

    monkeypatch.syspath_prepend(tmp_path)
    yield add
    for name in [name for name in sys.modules if name.startswith("elsewhere_package")]:
        del sys.modules[name]


FAKE = "from fake_extractor import PLUGIN, Fake\n"
MEND = "correct pyproject.toml of its distribution and install it again"


@pytest.mark.parametrize(
    ("value", "text", "said"),
    [
        (
            "code:Fake",
            FAKE,
            f"'elsewhere_package.code:Fake', expected the module alone, 'elsewhere_package.code': {MEND}",
        ),
        (
            "code:Gone",
            FAKE,
            f"'elsewhere_package.code:Gone', expected the module alone, 'elsewhere_package.code': {MEND}",
        ),
        ("gone", FAKE, f"'elsewhere_package.gone', but there is no module 'elsewhere_package.gone': {MEND}"),
        ("gone.code", FAKE, f"'elsewhere_package.gone.code', but there is no module 'elsewhere_package.gone': {MEND}"),
        ("code", "import not_there.inner", "'made' needs the package 'not_there': pip install not_there"),
        ("code", "import torch_not_there", "'made' needs the package 'torch_not_there'"),
        (
            "code",
            "import elsewhere_package.other",
            "cannot be loaded (ModuleNotFoundError: No module named 'elsewhere_package.other'): correct its file",
        ),
        ("code", "from snowmatch.core.types import Chips", "): correct its file"),
        ("code", "from json import Chips", "): pip install -U json"),
        ("code", "1 / 0", "cannot be loaded (ZeroDivisionError: division by zero): correct its file"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_an_error_of_one_line(distribution, value, text, said):
    distribution(f"elsewhere_package.{value}", code=text)
    with pytest.raises(SnowmatchError) as caught:
        make_plugin("extractors", "made")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    shown = CliRunner().invoke(main, ["plugins"])
    assert shown.exit_code == 0
    assert said in shown.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import not_there.inner", "extractor 'dropped' needs the package 'not_there': pip install not_there"),
        ("import snowmatch.photos.chipz", "No module named 'snowmatch.photos.chipz'): correct its file"),
        ("from snowmatch.core.types import Chips", "): correct its file"),
        ("", "extractor 'dropped' has no PLUGIN in snowmatch.features.extractors.dropped: correct that file"),
    ],
)
def test_a_new_file_that_cannot_be_used_is_an_error_of_one_line(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(extractors, "__path__", [*extractors.__path__, str(tmp_path)])
    (tmp_path / "dropped.py").write_text(text, encoding="utf-8")
    monkeypatch.setitem(sys.modules, "snowmatch.features.extractors.dropped", None)  # removed after the test
    del sys.modules["snowmatch.features.extractors.dropped"]
    importlib.invalidate_caches()
    with pytest.raises(SnowmatchError) as caught:
        make_plugin("extractors", "dropped")
    assert str(caught.value).endswith(said)


def test_an_entry_point_may_name_a_module_as_a_part_of_a_package(distribution):
    distribution("elsewhere_package:code", __init__="from elsewhere_package import code", code=FAKE)
    assert type(make_plugin("extractors", "made")) is Fake


def without(cls, *names):
    """Return a class like `cls`, but without some of its members."""
    members = {f.name: (f.type, f) for f in dataclass_fields(cls)}
    kept = {name: value for name, value in vars(cls).items() if not name.startswith("__") and name not in members}
    made = make_dataclass(
        "Made",
        [(name, kind, field(default=f.default)) for name, (kind, f) in members.items() if name not in names],
        namespace={name: value for name, value in kept.items() if name not in names},
        frozen=True,
    )
    made.__module__ = cls.__module__
    return made


@pytest.mark.parametrize(
    ("kind", "cls", "gone", "said"),
    [
        ("extractors", Fake, ["REVISION"], "the class variable REVISION"),
        ("extractors", Fake, ["CHANNELS", "FRAMES"], "the class variable CHANNELS, the class variable FRAMES"),
        ("extractors", Fake, ["DTYPE", "DIMENSION"], "the class variable DTYPE, the class variable DIMENSION"),
        ("extractors", Fake, ["chip_size", "extract"], "the setting chip_size, the method extract"),
        ("matchers", Lnbnn, ["backend", "foreground"], "the setting foreground, the setting backend"),
        ("matchers", Lnbnn, ["match"], "the method match"),
        ("matchers", Lnbnn, ["PAIRWISE", "match"], "the class variable PAIRWISE, the method match"),
        ("matchers", Mutual, ["PAIRWISE", "voter"], "the class variable PAIRWISE, the setting voter"),
        ("matchers", Mutual, ["candidates", "keypoints"], "the setting candidates, the setting keypoints"),
        ("matchers", Mutual, ["foreground"], "the setting foreground"),
        ("matchers", Mutual, ["check", "pairs"], "the method check, the method pairs"),
    ],
)
def test_a_class_without_required_members_is_refused_and_all_of_them_are_named(foreign, kind, cls, gone, said):
    made = without(cls, *gone)
    assert plugins.missing_members(kind, cls) == []
    assert ", ".join(plugins.missing_members(kind, made)) == said
    foreign(kind, made={"PLUGIN": made})
    with pytest.raises(SnowmatchError) as caught:
        make_plugin(kind, "made")
    assert str(caught.value) == f"{kind[:-1]} 'made' lacks {said} in elsewhere.made_code: correct that file"


def test_members_that_another_member_needs_are_required(monkeypatch):
    class Several(Fake):
        batch = 4

    assert plugins.missing_members("extractors", Several) == ["the method extract_many"]
    assert plugins.missing_members("extractors", Batched) == []
    monkeypatch.setattr(sys.modules[Fake.__module__], "WEIGHTS", (), raising=False)
    assert plugins.missing_members("extractors", Fake) == ["the method check"]


def test_a_plugin_of_another_kind_is_an_error_of_one_line(foreign):
    @dataclass(frozen=True)
    class Listed(Fake):
        more: list = field(default_factory=list)

    for plugin, said in (
        (Fake(), "has a PLUGIN that is not a dataclass in elsewhere.made_code"),
        (type("Bare", (), {}), "has a PLUGIN that is not a dataclass in elsewhere.made_code"),
        (Listed, "has no default for the setting more in elsewhere.made_code"),
    ):
        foreign(made={"PLUGIN": plugin})
        with pytest.raises(SnowmatchError, match=said):
            make_plugin("extractors", "made")


def test_weights_are_named_in_the_plugins_own_file(foreign, monkeypatch):
    networks = {
        "ALIKED",
        "DISK",
        "EfficientNet-Lite0",
        "ISNet",
        "LightGlue",
        "MegaDetector 6",
        "MobileNetV2",
        "SuperPoint",
        "U2Net",
        "XFeat",
    }
    assert {entry.network for entry in registry()} == networks
    own = Weights("quick-net", "Quick", "for tests", "MIT", (WeightsFile("quick.pth"),))
    foreign(quick={"PLUGIN": Fake, "WEIGHTS": (own,)})
    from snowmatch.models import registry as module

    module._collected.cache_clear()
    try:
        assert own in registry()
    finally:
        module._collected.cache_clear()


def test_a_plugin_that_does_not_conform_gets_the_reason():
    @dataclass(frozen=True)
    class Wrong(Fake):
        """Declares longer descriptors than it returns."""

        DIMENSION: ClassVar[int] = 17

        def extract(self, chip):
            return empty_features(16, self.DTYPE, chip.pixels.shape[::-1])

    with pytest.raises(AssertionError, match=r"descriptors are \(0, 16\), expected \(0, 17\)"):
        EXTRACTOR_CHECKS["nothing_to_see_gives_no_features"](Wrong())
    with pytest.raises(AssertionError, match="0 features on a coat"):
        EXTRACTOR_CHECKS["features_are_as_declared"](Wrong())


def test_the_voting_matcher_of_a_pairwise_matcher_can_be_chosen(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    photo = survey / "catalog" / catalog.data.annotations[0].path
    told = catalog.query(photo, matcher="mutual").matcher
    assert told["voter"] == told["shortlist"]["name"] == "lnbnn"
    with pytest.raises(SnowmatchError, match="the voter is 'mutual', expected a gallery matcher"):
        catalog.query(photo, matcher="mutual", options={"voter": "mutual"})
    with pytest.raises(SnowmatchError, match=r"no matcher called 'lnbn'.*did you mean 'lnbnn'"):
        catalog.query(photo, matcher="mutual", options={"voter": "lnbn"})
