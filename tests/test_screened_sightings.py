"""What the screening left out is no sighting, until a person decides about it."""

import numpy as np
import pytest
from blank_survey import run
from click.testing import CliRunner
from PIL import Image

from snowmatch.api import open_catalog
from snowmatch.catalog.records import load_records
from snowmatch.catalog.screened import KEPT, PERSON, Screened, save_screened
from snowmatch.catalog.species import NOTHING
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.who import who_is_who, with_names
from snowmatch.review.identities import decide, draft, open_identities, preview
from snowmatch.review.left_out import decided_photos, species_notes
from snowmatch.review.traits import trait_drafts
from snowmatch.survey.opening import open_survey
from snowmatch.survey.practice import practice_text

# a photo, its individual, its encounter, what the screening says
PHOTOS = (
    ("cat.png", "", "E1", KEPT),
    ("rocks.png", "", "E2", NOTHING),
    ("sheep.png", "", "E3", "other mammal"),
    ("frame1.png", "", "E4", NOTHING),  # one kept photo is enough for the passage
    ("frame2.png", "", "E4", KEPT),
    ("aika.png", "aika", "E5", NOTHING),  # a person has named it
    ("herder.png", "", "E6", PERSON),
)


@pytest.fixture
def catalog(tmp_path):
    folder = tmp_path / "catalog"
    folder.mkdir()
    lines = ["path,individual,station,encounter,timestamp"]
    for n, (name, individual, encounter, _) in enumerate(PHOTOS):
        noise = np.random.default_rng(n).integers(0, 255, (60, 80, 3))
        Image.fromarray(noise.astype(np.uint8)).save(folder / name)
        lines.append(f"{name},{individual},S1,{encounter},2026-05-{n + 1:02}T10:00:00")
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    open_catalog(folder).index("sift", workers=1)
    shas = {path: taken.sha256 for path, taken in load_records(folder).photos.items()}
    save_screened(folder, Screened({shas[name]: told for name, _, _, told in PHOTOS}, "snow leopard", 0.5))
    return folder


def encounters(identities):
    return {sighting.encounter for sighting in identities.who.sightings}


def test_an_animal_of_which_no_photo_is_kept_is_no_sighting(catalog):
    identities = open_identities(catalog)
    assert encounters(identities) == {"E1", "E4", "E5"}
    assert len(identities.who.sightings) == 3
    (note,) = [note for note in identities.data.notes if note.code == "screened-out"]
    assert note.data["count"] == 3
    told = "Besides, 3 annotations formed no sighting: the screening kept no photo of them"
    paragraph = run(catalog, "methods", "--evidence", "Photos: Fig. S1")
    assert told in paragraph
    assert "was chosen by a person for 0 of 1. Photos: Fig. S1. Not recorded" in " ".join(paragraph.split())
    assert told in practice_text(open_survey(catalog), identities)


@pytest.mark.parametrize(
    "kind", ["pair", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("name", "species"))]
)
def test_a_decision_makes_it_one_and_its_undo_takes_that_back(catalog, kind):
    identities = open_identities(catalog)
    ids = {a.path: a.annotation for a in identities.annotations}
    sides = {"side_a": (ids["rocks.png"],), "side_b": (ids["cat.png"],) if kind == "pair" else ()}
    answer = {"name": "Bars", "pair": "different", "species": "Panthera uncia"}[kind]
    decided, _ = decide(identities, [draft(kind, "Anna", answer, **sides)])
    assert encounters(decided) == {"E1", "E2", "E4", "E5"}
    afresh = who_is_who(decided.annotations, decided.rows)
    assert (decided.who.sightings, decided.who.individuals) == (afresh.sightings, afresh.individuals)
    named = {a.path: a.left_out for a in with_names(decided.annotations, decided.who)}
    assert named["rocks.png"] == ""
    assert named["sheep.png"] == "other mammal"
    undone, _ = decide(decided, [draft("undo", "Anna", decided.rows[0].id)])
    assert not in_effect(undone.rows)
    assert encounters(undone) == {"E1", "E4", "E5"}


def called(catalog, *words):
    result = CliRunner().invoke(main, ["identities", str(catalog), *words, "--observer", "Anna"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_person_names_by_hand_what_the_screening_left_out(catalog):
    for name in ("rocks.png", "E2", next(a.annotation for a in open_identities(catalog).annotations if a.row == 1)):
        shown = called(catalog, "name", "Bars", name, "--dry-run")
        assert shown.splitlines() == [
            "without a name -> Bars: 1 sighting",
            "1 sighting gets another name, 1 capture of them; 3 -> 4 identities",
        ]
    result = CliRunner().invoke(main, ["identities", str(catalog), "split", "aika", "rocks.png"])
    assert "E2 is not of 'aika'" in result.output
    called(catalog, "name", "Bars", "rocks.png")
    assert encounters(open_identities(catalog)) == {"E1", "E2", "E4", "E5"}
    assert {a.path: a.individual for a in open_catalog(catalog).data.annotations}["rocks.png"] == "Bars"
    called(catalog, "decide", "sheep.png", "E4", "different")
    assert encounters(open_identities(catalog)) == {"E1", "E2", "E3", "E4", "E5"}


def test_a_photo_with_an_animal_that_was_left_out_beside_one_that_counts_shows_two(catalog):
    with (catalog / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write("aika.png,,S1,E5,2026-05-06T10:00:00\n")
    open_catalog(catalog).index("sift", workers=1)
    identities = open_identities(catalog)
    ids = [a.annotation for a in identities.annotations if a.path == "aika.png"]
    assert [name in identities.who.number_of for name in ids] == [True, False]
    for name in ("aika.png", "E5"):
        result = CliRunner().invoke(main, ["identities", str(catalog), "name", "Bars", name, "--observer", "Anna"])
        assert f"{name} shows 2 animals" in result.output
        assert all(each in result.output for each in ids)
    called(catalog, "name", "Bars", ids[1])
    named = [a.individual for a in open_catalog(catalog).data.annotations if a.path == "aika.png"]
    assert named == ["aika", "Bars"]


@pytest.mark.parametrize(("kind", "value"), [("box", "5,5,40,40"), ("species", "cat")])
def test_a_box_or_species_by_hand_makes_it_a_sighting(catalog, kind, value):
    identities = open_identities(catalog)
    rocks = next(a for a in identities.annotations if a.path == "rocks.png")
    drafts = trait_drafts(identities, kind, [rocks.annotation], value, "Anna")
    change = preview(identities, drafts)
    assert (change.sightings, change.individuals, change.names) == (0, (3, 4), ())
    decided, _ = decide(identities, drafts)
    assert encounters(decided) == {"E1", "E2", "E4", "E5"}
    with pytest.raises(SnowmatchError, match="'a0' is no indexed photo"):
        trait_drafts(identities, kind, ["a0"], value, "Anna")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "value", "photo"),
    [
        ("species", "nothing", "rocks.png"),
        ("species", "Blank", "rocks.png"),
        ("species", "other mammal", "rocks.png"),
        ("species", "Other mammal", "sheep.png"),
        ("species", "person", "rocks.png"),
        ("quality", "poor", "rocks.png"),
        ("sex", "unknown", "rocks.png"),
        ("note", "only snow", "rocks.png"),
    ],
)
def test_what_does_not_contradict_the_screening_makes_no_sighting(catalog, kind, value, photo):
    identities = open_identities(catalog)
    name = next(a.annotation for a in identities.annotations if a.path == photo)
    decided, _ = decide(identities, trait_drafts(identities, kind, [name], value, "Anna"))
    assert encounters(decided) == {"E1", "E4", "E5"}
    assert decided_photos(decided) == frozenset()
    assert encounters(open_identities(catalog)) == {"E1", "E4", "E5"}


def test_the_last_species_by_hand_tells_whether_it_is_a_sighting(catalog):
    identities = open_identities(catalog)
    (rocks,) = [a for a in identities.annotations if a.path == "rocks.png"]
    for value, counted in (("cat", True), ("nothing", False), ("cat", True), ("", False)):
        identities, _ = decide(identities, trait_drafts(identities, "species", [rocks.annotation], value, "Anna"))
        assert ("E2" in encounters(identities)) == counted, value
        assert decided_photos(identities) == ({("rocks.png", rocks.row)} if counted else frozenset())


def of_species(tmp_path, named=2):
    """A catalog of 3 sightings of a leopard, of which some have its name, 5 empty photos and 6 sightings of foxes."""
    lines = ["path,individual,encounter,species,annotation"]
    for n in range(14):
        species = "snow leopard" if n < 3 else ("nothing", "Blank")[n % 2] if n < 8 else "red fox"
        lines.append(f"p{n}.png,{'Aika' if n < named else ''},e{n},{species},a{n}")
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_identities(tmp_path)


def test_unidentified_animals_of_other_species_are_no_sightings(tmp_path):
    identities = of_species(tmp_path)
    assert encounters(identities) == {"e0", "e1", "e2"}
    result = CliRunner().invoke(main, ["identities", str(tmp_path), "list"])
    note = "11 unidentified sightings of species without individuals: not counted (Blank, nothing, red fox)"
    assert note in result.output + result.stderr
    assert "1 individual with a name, 1 sighting that nobody" in result.stdout


def test_an_animal_counts_whichever_name_of_its_species_stands_there(tmp_path):
    species = ["Panthera uncia", "snow leopard", " Uncia uncia", "ИРБИС", "Panthera pardus", "leopard"]
    lines = [f"p{n}.png,{'' if n else 'Aika'},e{n},{each},a{n}" for n, each in enumerate(species)]
    (tmp_path / "catalog.csv").write_text(
        "\n".join(["path,individual,encounter,species,annotation", *lines, ""]), encoding="utf-8"
    )
    identities = open_identities(tmp_path)
    assert encounters(identities) == {"e0", "e1", "e2", "e3"}
    assert [note.code for note in species_notes(identities)] == ["other-species"]


def test_without_names_only_empty_photos_are_no_sightings(tmp_path):
    identities = of_species(tmp_path, named=0)
    assert encounters(identities) == {f"e{n}" for n in (0, 1, 2, *range(8, 14))}
    assert [(note.code, note.text.partition(":")[2]) for note in species_notes(identities)] == [
        ("other-species", " not counted (Blank, nothing)"),
        ("species-of-none", " 9 unidentified sightings counted, of red fox, snow leopard"),
    ]


@pytest.mark.parametrize("named", ["", "Aika"])
def test_persons_and_vehicles_are_no_sightings_also_where_no_name_has_a_species(tmp_path, named):
    species = ["snow leopard", "red fox", "person", "Human", "vehicle", ""]
    lines = ["path,individual,encounter,species,annotation"]
    lines += [f"p{n}.png,,e{n},{each},a{n}" for n, each in enumerate(species)]
    lines += [f"p6.png,{named},e6,{'person' if named else 'people'},a6"]  # nor is theirs the species of an individual
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    identities = open_identities(tmp_path)
    assert encounters(identities) == {"e0", "e1", "e5", *(["e6"] if named else [])}
    (gone,) = [note for note in species_notes(identities) if note.code == "other-species"]
    assert gone.data["count"] == (3 if named else 4)


def test_who_is_decided_about_is_a_sighting_whatever_the_species(tmp_path):
    identities = of_species(tmp_path)
    leopards, foxes = {"e0", "e1", "e2"}, {f"e{n}" for n in range(8, 14)}

    def after(*drafts):
        nonlocal identities
        identities, appended = decide(identities, drafts)
        afresh = who_is_who(identities.annotations, identities.rows)
        assert (identities.who.sightings, identities.who.individuals) == (afresh.sightings, afresh.individuals)
        return encounters(identities), [row.id for row in appended.rows]

    called(tmp_path, "decide", "p2.png", "p8.png", "different")
    called(tmp_path, "decide", "p2.png", "e3", "cannot_tell")
    identities = open_identities(tmp_path)
    assert encounters(identities) == leopards | {"e3", "e8"}
    found, ids = after(draft("name", "Anna", "Foxy", side_a=("a9",)))
    assert found == leopards | foxes | {"e3"}
    assert after(draft("undo", "Anna", ids[0]))[0] == leopards | {"e3", "e8"}
    assert after(draft("box", "Anna", "1,2,3,4", side_a=("a10",)))[0] == leopards | {"e3", "e8"}
    assert after(draft("species", "Anna", "snow leopard", side_a=("a10",)))[0] == leopards | {"e3", "e8", "e10"}
    assert after(draft("species", "Anna", "empty", side_a=("a2",)))[0] == leopards | {"e3", "e8", "e10"}  # answered
    assert after(draft("species", "Anna", "", side_a=("a10",)))[0] == leopards | {"e3", "e8"}


@pytest.mark.parametrize("named", [2, 0])
def test_the_survey_counts_the_unidentified_animals_that_are_sightings(tmp_path, named):
    of_species(tmp_path, named)
    table = (tmp_path / "catalog.csv").read_text().splitlines()
    rows = [f"{line},S1,2026-05-{n:02}T10:00:00" for n, line in enumerate(table[1:], start=1)]
    (tmp_path / "catalog.csv").write_text("\n".join([f"{table[0]},station,timestamp", *rows]) + "\n")

    def after(*words):
        called(tmp_path, *words)
        survey = open_survey(tmp_path)
        found = {survey.data.annotations[row].encounter for u in survey.unnamed for row in u.rows}
        found |= {encounter for capture in survey.captures for encounter in capture.encounters}
        assert found == encounters(open_identities(tmp_path))
        return found, [note.text for note in survey.notes if note.code in ("other-species", "species-of-none")]

    leopards, foxes = {"e0", "e1", "e2"}, {f"e{n}" for n in range(8, 14)}
    gone = "unidentified sightings of species without individuals: not counted"
    compared, joined = after("decide", "p2.png", "p8.png", "different"), after("decide", "p9.png", "p10.png", "same")
    if named:
        which = "(Blank, nothing, red fox)"
        assert compared == (leopards | {"e8"}, [f"10 {gone} {which}"])
        assert joined == (leopards | {"e8", "e9", "e10"}, [f"8 {gone} {which}"])  # an individual that nobody has named
        assert after("name", "Foxy", "p9.png") == (leopards | foxes, [f"5 {gone} (Blank, nothing)"])
    else:
        assert compared == (leopards | foxes, [f"5 {gone} (Blank, nothing)"])
        told = "no individual has a species: 3 unidentified sightings counted, of snow leopard"
        assert joined == (leopards | foxes, [told, f"5 {gone} (Blank, nothing)"])


def test_a_merge_or_a_split_gives_a_species_a_name_only_if_it_has_one(tmp_path):
    both = {f"e{n}" for n in (0, 1, 2, *range(8, 14))}

    def after(*words):
        called(tmp_path, *words)
        return encounters(open_identities(tmp_path))

    assert encounters(of_species(tmp_path, named=0)) == both
    assert after("merge", "unnamed a8", "unnamed a9") == both
    assert after("split", "unnamed a8", "e9") == both
    assert after("name", "Rex", "e8", "e9", "e10") == {f"e{n}" for n in range(8, 14)}  # a fox has a name
    assert after("split", "Rex", "e8", "e9") == {f"e{n}" for n in range(8, 14)}
    assert after("name", "", "e10") == both
    assert after("merge", "unnamed a0", "unnamed a1", "--into", "Aika") == {"e0", "e1", "e2", "e8", "e9", "e10"}


def test_a_name_that_is_taken_from_an_animal_that_is_no_sighting_without_it_is_told(tmp_path):
    of_species(tmp_path)
    called(tmp_path, "name", "Rex", "e8")
    told = called(tmp_path, "name", "", "e8")
    assert "Rex -> without a name: 1 sighting" in told
    assert "1 sighting gets another name, 0 captures of them; 8 -> 2 identities" in told


def test_the_survey_and_the_command_line_say_what_is_left_out(catalog):
    survey = open_survey(catalog)
    assert sum(int(table.sum()) for table in survey.unidentified.values()) == 2  # E1 and E4
    assert any(note.code == "screened-out" and note.data["count"] == 3 for note in survey.notes)
    for words in (
        ["survey", str(catalog)],
        ["identities", str(catalog), "list"],
        ["identities", str(catalog), "count"],
    ):
        result = CliRunner().invoke(main, words)
        assert "3 annotations of which the screening kept no photo are no sightings" in result.stderr
