"""A compacted catalog: smaller, and everything works and answers as before."""

import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import extract_once, read_rows
from fake_extractor import Fake, make_catalog, random_features
from hypothesis import given, settings
from hypothesis import strategies as st
from test_shelf import answer, content, files_in, queries_like, same, shelf_in
from test_store import damage_one

import snowmatch
from snowmatch.catalog import disk
from snowmatch.catalog.disk import disk_sizes
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path, home_of, indexes_path
from snowmatch.features.indexing import index_catalog
from snowmatch.features.writer import FeatureWriter
from snowmatch.identify.compact import compact_catalog
from snowmatch.matching.search import shelf
from snowmatch.views import previews

pytestmark = pytest.mark.usefixtures("seen_once")


@given(sizes=st.lists(st.integers(25, 110), min_size=1, max_size=4), limit=st.sampled_from([900, 1 << 20]))
@settings(max_examples=15)
def test_blocks_that_were_dropped_are_made_again_with_their_codebook(tmp_path_factory, sizes, limit):
    """Also where a codebook that is trained now would be another one, because the part has grown since."""
    place = shelf_in(tmp_path_factory.mktemp("index"), limit)
    for size in sorted(sizes):
        shelf.arrange_blocks(place, content(range(size)))
    held = content(range(max(sizes)))
    queries, allowed = queries_like(held), np.arange(len(held.keys)) % 5 > 0
    expected = answer(place, held, queries, allowed)
    codebooks = {name: data for name, data in files_in(place.folder).items() if name.endswith(".codebook")}
    shelf.drop_blocks(place.folder)
    assert {name: data for name, data in files_in(place.folder).items() if not name.endswith(".sums")} == codebooks
    same(answer(place, held, queries, allowed), expected)  # a query makes the blocks
    shelf.drop_blocks(place.folder)
    assert shelf.arrange_blocks(place, held) == 0  # or an index run
    same(answer(place, held, queries, allowed), expected)
    now = files_in(place.folder)
    assert {name: data for name, data in now.items() if name.endswith(".codebook")} == codebooks


def test_a_codebook_that_does_not_suit_any_more_is_not_used(tmp_path):
    place = shelf_in(tmp_path)
    shelf.arrange_blocks(place, content(range(25)))
    shelf.drop_blocks(tmp_path)
    shelf.arrange_blocks(place, content(range(150)))  # more than GROWTH times as many
    (other := tmp_path / "other").mkdir()
    shelf.arrange_blocks(shelf_in(other), content(range(150)))
    other_files = files_in(other)
    shutil.rmtree(other)
    assert files_in(tmp_path) == other_files


@pytest.fixture(scope="module")
def in_parts(survey, tmp_path_factory):
    """A catalog that was indexed in three parts, and a photo to ask about."""
    catalog = shutil.copytree(survey / "catalog", tmp_path_factory.mktemp("grown") / "catalog")
    shutil.rmtree(home_of(catalog))
    lines = (catalog / "catalog.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    with pytest.MonkeyPatch.context() as patch:
        extract_once(patch)
        for count in (len(lines) // 3, len(lines) // 2, len(lines)):
            (catalog / "catalog.csv").write_text("".join(lines[:count]), encoding="utf-8")
            snowmatch.open_catalog(catalog).index(workers=1)
    row = next(r for r in read_rows(survey / "queries" / "queries.csv") if r["body_part"] == "left_flank")
    return catalog, survey / "queries" / row["path"]


@pytest.fixture
def grown(in_parts, tmp_path):
    """A copy of this catalog that a test may change, and the photo."""
    catalog, photo = in_parts
    return shutil.copytree(catalog, tmp_path / "catalog"), photo


def told(catalog, *command):
    result = CliRunner().invoke(main, [command[0], str(catalog), *command[1:]])
    assert result.exit_code == 0, result.output
    return result.stdout


def asked(catalog, photo):
    answers = [
        snowmatch.open_catalog(catalog).query(photo, body_part=part, top=50) for part in ("left_flank", "unknown")
    ]
    return [[(c.individual, c.score, c.probability, c.inliers) for c in each.candidates] for each in answers]


def shown(catalog):
    return re.sub(r"On disk:.*", "", told(catalog, "show"))


@pytest.mark.slow
def test_a_compacted_catalog_answers_as_before(grown):
    catalog, photo = grown
    before, show, doctor = asked(catalog, photo), shown(catalog), told(catalog, "doctor")
    sizes = disk_sizes(catalog)
    text = told(catalog, "index", "--compact", "--workers", "1")
    small = disk_sizes(catalog)
    assert sum(small.values()) < 0.85 * sum(sizes.values())
    assert small["features"] <= sizes["features"] + 100  # the times of checks have more digits or fewer
    assert f"features {small['features'] / 1e6:.1f} MB" in text.splitlines()[-2]
    each = [re.search(r"(\d+) kB an annotation", line)[1] for line in text.splitlines()[-3:-1]]
    assert int(each[1]) < int(each[0])
    assert shown(catalog) == show
    assert told(catalog, "doctor") == doctor
    assert asked(catalog, photo) == before  # the query makes the search index again
    told(catalog, "index", "--compact", "--workers", "1")
    told(catalog, "index", "--workers", "1")  # or the index run
    assert asked(catalog, photo) == before


@pytest.mark.slow
def test_compacting_twice_changes_nothing(grown):
    catalog, _ = grown

    def kept():  # SQLite counts the changes of its file in the file
        files = (p for p in home_of(catalog).rglob("*") if p.is_file())
        return {p: p.read_bytes() for p in files if p.name not in ("checked.json", "catalog.sqlite")}

    def sizes_of(catalog):  # the times in checked.json have more digits or fewer
        return {name: size for name, size in disk_sizes(catalog).items() if name != "features"}

    told(catalog, "index", "--compact", "--workers", "1")
    files, sizes = kept(), sizes_of(catalog)
    told(catalog, "index", "--compact", "--workers", "1")
    assert (kept(), sizes_of(catalog)) == (files, sizes)


@pytest.mark.slow
def test_previews_are_dropped_and_links_are_refused(grown, tmp_path):
    catalog, _ = grown
    folder = home_of(catalog) / "previews" / "00"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"x" * 1000)
    assert disk_sizes(catalog)["previews"] == 1000
    told(catalog, "index", "--compact", "--workers", "1")
    assert "previews" not in disk_sizes(catalog)
    assert previews.home_of is home_of  # they are where this test puts one
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.txt").write_text("mine")
    (home_of(catalog) / "previews").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    told(catalog, "index", "--workers", "1")
    blocks = sorted(indexes_path(catalog).rglob("*"))
    with pytest.raises(SnowmatchError, match="is a link"):
        snowmatch.open_catalog(catalog).index(workers=1, compact=True)
    assert (tmp_path / "elsewhere" / "mine.txt").read_text() == "mine"
    assert sorted(indexes_path(catalog).rglob("*")) == blocks  # nothing was dropped before


@pytest.mark.parametrize("damage", [damage_one, lambda path: path.write_bytes(path.read_bytes()[:600])])
def test_damaged_features_of_another_extractor_do_not_disappear_in_silence(tmp_path, damage):
    data, rng = make_catalog(tmp_path / "catalog", 3), np.random.default_rng(0)
    index_catalog(data, Fake(), 1)
    other = {"name": "other", "revision": 1}
    for number in range(2):
        with FeatureWriter(features_path(data.folder), other) as writer:
            writer.add(f"{number:032x}", random_features(rng))
    damage(min(features_path(data.folder).glob("other-*/features-*.h5")))
    (note,) = compact_catalog(data.folder).notes
    assert (note.code, note.data["extractor"]) == ("features-of-others-damaged", "other")
    assert compact_catalog(data.folder).notes == ()


@pytest.mark.slow
def test_a_catalog_that_is_being_indexed_is_not_compacted(grown):
    from snowmatch.features.reader import list_features

    catalog, _ = grown
    before = sorted(indexes_path(catalog).rglob("*"))
    with (
        FeatureWriter(features_path(catalog), list_features(features_path(catalog))[0]),
        pytest.raises(SnowmatchError, match="is being indexed"),
    ):
        compact_catalog(catalog)
    assert sorted(indexes_path(catalog).rglob("*")) == before


@pytest.mark.slow
def test_a_file_that_is_deleted_while_sizes_are_told_counts_nothing(grown, monkeypatch):
    catalog, _ = grown
    walk = disk.os.walk
    sizes = disk_sizes(catalog)
    monkeypatch.setattr(disk.os, "walk", lambda top: [*walk(top), (str(top), [], ["gone.jpg"])])
    assert disk_sizes(catalog) == sizes
