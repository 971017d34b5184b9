"""Plugins are found by name: those that come with snowmatch, and those of other distributions."""

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import ClassVar

import pytest
from click.testing import CliRunner
from fake_extractor import Fake

import snowmatch
from snowmatch.cli import main
from snowmatch.core import plugins
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, plugin_name, plugin_names, settings
from snowmatch.core.types import empty_features
from snowmatch.models.registry import Weights, WeightsFile, registry
from snowmatch.testing import EXTRACTOR_CHECKS


@pytest.fixture
def foreign(monkeypatch):
    """Another distribution's modules, by the name of their entry point."""

    def add(kind="extractors", **modules):
        points = []
        for name, contents in modules.items():
            module = ModuleType(f"elsewhere.{name}_code")
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


def test_what_comes_with_the_program_goes_before(foreign):
    foreign(sift={"PLUGIN": Fake})
    assert type(make_plugin("extractors", "sift")).__module__ == "snowmatch.features.extractors.sift"


@pytest.mark.parametrize(
    ("contents", "told"), [({}, "has no PLUGIN in elsewhere.bad_code"), (None, "no extractor called 'bad'")]
)
def test_a_module_without_a_plugin_is_one_line(foreign, contents, told):
    foreign(**({"bad": contents} if contents is not None else {}))
    with pytest.raises(SnowmatchError, match=told):
        make_plugin("extractors", "bad")


def test_a_distribution_that_cannot_be_loaded_disturbs_nobody(foreign, monkeypatch):
    foreign(broken={})
    monkeypatch.setitem(sys.modules, "elsewhere.broken_code", None)
    assert make_plugin("extractors", "hesaff")
    with pytest.raises(SnowmatchError, match="'broken' needs the package"):
        make_plugin("extractors", "broken")
    shown = CliRunner().invoke(main, ["plugins"])
    assert shown.exit_code == 0
    assert "broken: extractor 'broken' needs the package" in shown.stdout


def test_weights_are_named_in_the_plugins_own_file(foreign, monkeypatch):
    assert {entry.network for entry in registry()} == {"ALIKED", "DISK", "LightGlue", "SuperPoint", "XFeat"}
    own = Weights("quick-net", "Quick", "for tests", "MIT", (WeightsFile("quick.pth"),))
    foreign(quick={"PLUGIN": Fake, "WEIGHTS": (own,)})
    from snowmatch.models import registry as module

    module._collected.cache_clear()
    try:
        assert own in registry()
    finally:
        module._collected.cache_clear()


def test_a_plugin_that_does_not_conform_is_told_why():
    @dataclass(frozen=True)
    class Wrong(Fake):
        """Says that its descriptors are longer than they are."""

        DIMENSION: ClassVar[int] = 17

        def extract(self, chip):
            return empty_features(16, self.DTYPE, chip.pixels.shape[::-1])

    with pytest.raises(AssertionError, match=r"descriptors are \(0, 16\), expected \(0, 17\)"):
        EXTRACTOR_CHECKS["nothing_to_see_gives_no_features"](Wrong())
    with pytest.raises(AssertionError, match="0 features on a coat"):
        EXTRACTOR_CHECKS["features_are_as_declared"](Wrong())


def test_the_voter_of_a_matcher_of_pairs_can_be_chosen(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    photo = survey / "catalog" / catalog.data.annotations[0].path
    told = catalog.query(photo, matcher="mutual").matcher
    assert told["voter"] == told["shortlist"]["name"] == "lnbnn"
    with pytest.raises(SnowmatchError, match="the voter is 'mutual', expected a matcher that compares with a whole"):
        catalog.query(photo, matcher="mutual", options={"voter": "mutual"})
    with pytest.raises(SnowmatchError, match=r"no matcher called 'lnbn'.*did you mean 'lnbnn'"):
        catalog.query(photo, matcher="mutual", options={"voter": "lnbn"})
