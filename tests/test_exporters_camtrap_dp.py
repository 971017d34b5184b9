"""Exports as Camtrap DP and as a Darwin Core archive: they hold to the official schemas and hide what is not asked."""

import csv
import io
import json
import re
import sys
import zoneinfo
from dataclasses import replace
from datetime import datetime
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import SHARED, read_rows
from drawn_table import ROWS, write_catalog
from exported import EXACT, OPTIONS, export, photo_catalog
from PIL import Image

import snowmatch
from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.exporting import export_survey
from snowmatch.interchange.importing import import_source
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.run import make_survey

# --- Camtrap DP -------------------------------------------------------------------------------------------------------


def package(tmp_path, **given):
    out, survey = export(tmp_path, "camtrap_dp", **given)
    return json.loads((out / "datapackage.json").read_text()), out, survey


def test_camtrap_dp_keys_lead_to_rows_and_events_do_not_overlap(tmp_path):
    about, out, survey = package(tmp_path)
    deployments, media, observations = (read_rows(out / f"{n}.csv") for n in ("deployments", "media", "observations"))
    known = {row["deploymentID"] for row in deployments}
    photos = {row["mediaID"] for row in media}
    assert {row["deploymentID"] for row in (*media, *observations)} <= known
    assert {row["mediaID"] for row in observations} - {""} <= photos
    events = [row for row in observations if row["observationLevel"] == "event"]
    assert len(events) == len(survey.captures)
    assert {row["individualID"] for row in events} == {"aika", "bars", "cholpon"}
    assert events[0]["eventStart"] == "2023-05-02T10:00:00+06:00"
    assert {row["filePublic"] for row in media} == {"false"}
    assert about["project"]["individualAnimals"] is True


@pytest.fixture
def no_zones(monkeypatch):
    """A computer without files of time zones."""
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=[])
    yield
    zoneinfo.reset_tzpath()


def test_where_no_names_of_time_zones_are_known_none_is_advised(tmp_path, no_zones):
    with pytest.raises(SnowmatchError, match=r"'Asia/Bishkek', expected one such as \+06:00 \(.*snowmatch\[survey\]"):
        package(tmp_path, options={"timezone": "Asia/Bishkek"})
    _, out, _ = package(tmp_path, options={"timezone": "+06:00"})
    assert (out / "deployments.csv").is_file()


@pytest.mark.parametrize(("name", "file"), [("camtrap_dp", "observations.csv"), ("darwin_core", "occurrence.csv")])
def test_the_scientific_name_of_a_snow_leopard_is_not_its_common_name(tmp_path, name, file):
    folder = photo_catalog(tmp_path)
    table = read_rows(folder / "catalog.csv")
    with (folder / "catalog.csv").open("w", newline="") as out:  # as imports and screening write the species
        writer = csv.DictWriter(out, [*table[0], "species"])
        writer.writeheader()
        writer.writerows({**row, "species": "Snow leopard" if n else "Panthera pardus"} for n, row in enumerate(table))
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, name, tmp_path / "out", options=OPTIONS[name], coordinates=EXACT)
    told = {row["scientificName"] for row in read_rows(tmp_path / "out" / file)}
    assert told == {"Panthera pardus", "Panthera uncia"}
    if name == "camtrap_dp":
        about = json.loads((tmp_path / "out" / "datapackage.json").read_text())
        assert {each["scientificName"] for each in about["taxonomic"]} == told


@pytest.mark.parametrize(("name", "file"), [("camtrap_dp", "observations.csv"), ("darwin_core", "occurrence.csv")])
def test_a_common_name_is_told_as_no_scientific_name(tmp_path, name, file):
    data = snowmatch.open_catalog(photo_catalog(tmp_path)).data

    def told(kinds, **options):
        annotations = tuple(replace(a, species=kinds.get(a.individual, "")) for a in data.annotations)
        survey, notes = make_survey(replace(data, annotations=annotations)), []
        given = {**OPTIONS[name], **options}
        export_survey(survey, name, tmp_path / "out", options=given, coordinates=EXACT, notes=notes)
        if name == "camtrap_dp":
            about = json.loads((tmp_path / "out" / "datapackage.json").read_text())["taxonomic"]
            assert {each["scientificName"] for each in about} == names() - {""}
        return names(), any("may be no scientific names, which the format needs: Ibex" in note.text for note in notes)

    def names():
        return {row["scientificName"] for row in read_rows(tmp_path / "out" / file)}

    unknown = "Animalia" if name == "darwin_core" else ""
    assert told({"aika": "Ibex"}) == ({"Panthera uncia", unknown}, True)
    every = dict.fromkeys((a.individual for a in data.annotations), "Ibex")
    assert told(every) == ({unknown}, True)
    assert told(every, species="Capra sibirica") == ({"Capra sibirica"}, False)


@pytest.mark.parametrize(("name", "file"), [("camtrap_dp", "observations.csv"), ("darwin_core", "occurrence.csv")])
def test_an_age_class_that_the_format_does_not_have_is_told(tmp_path, name, file):
    folder = photo_catalog(tmp_path)
    table = read_rows(folder / "catalog.csv")
    with (folder / "catalog.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, [*table[0], "age_class"])
        writer.writeheader()
        age = {"aika": "Adult", "bars": "cub"}
        writer.writerows({**row, "age_class": age.get(row["individual"], "")} for row in table)
    survey, notes = make_survey(snowmatch.open_catalog(folder).data), []
    export_survey(survey, name, tmp_path / "out", options=OPTIONS[name], coordinates=EXACT, notes=notes)
    assert {row["lifeStage"] for row in read_rows(tmp_path / "out" / file)} == {"adult", ""}
    number = sum(c.individual == "bars" for c in survey.seen)
    told = f"{number} age classes of sightings left out: the format has adult, subadult, juvenile only: cub"
    assert told in [note.text for note in notes]


@pytest.mark.parametrize(
    ("name", "file", "columns"),
    [
        ("camtrap_dp", "observations.csv", ("scientificName",)),
        ("darwin_core", "occurrence.csv", ("scientificName",)),
        ("wildbook", "wildbook-1.csv", ("Encounter.genus", "Encounter.specificEpithet")),
        ("wildlife_insights", "images.csv", ("genus", "species")),
    ],
)
def test_what_looks_like_a_scientific_name_is_written_and_told(tmp_path, name, file, columns):
    data = snowmatch.open_catalog(photo_catalog(tmp_path)).data
    kinds = {"aika": "Capra sibirica (Pallas, 1776)", "bars": "Felidae", "cholpon": "Panthera"}
    annotations = tuple(replace(a, species=kinds.get(a.individual, "Eurasian lynx")) for a in data.annotations)
    notes = []
    survey = make_survey(replace(data, annotations=annotations))
    export_survey(survey, name, tmp_path / "out", options=OPTIONS.get(name), coordinates=EXACT, notes=notes)
    told = {" ".join(row[column] for column in columns) for row in read_rows(tmp_path / "out" / file)}
    texts = "\n".join(note.text for note in notes)
    if len(columns) > 1:  # a genus and an epithet
        assert told == {"Capra sibirica", " ", "Eurasian lynx"}
        assert "may be no scientific names, which the format needs: Felidae, Panthera" in texts
        assert "as they look like them: Capra sibirica (Pallas, 1776), Eurasian lynx" in texts
    else:
        unknown = "Animalia" if name == "darwin_core" else ""
        assert told == {"Capra sibirica (Pallas, 1776)", "Felidae", unknown, "Eurasian lynx"}
        assert "may be no scientific names, which the format needs: Panthera" in texts
        assert "as they look like them: Capra sibirica (Pallas, 1776), Eurasian lynx, Felidae" in texts


def test_boxes_that_snowmatch_found_are_not_told_as_those_of_the_catalog(tmp_path):
    data = snowmatch.open_catalog(photo_catalog(tmp_path)).data
    found = tuple(replace(a, box_by="burst" if a.station == "S1" else "") for a in data.annotations)
    survey = make_survey(replace(data, annotations=found))
    export_survey(survey, "camtrap_dp", tmp_path / "out", options=OPTIONS["camtrap_dp"], coordinates=EXACT)
    rows = [row for row in read_rows(tmp_path / "out" / "observations.csv") if row["observationLevel"] == "media"]
    assert {row["deploymentID"][:2] for row in rows if row["bboxX"]} == {"S2", "S3"}
    assert {row["deploymentID"][:2] for row in rows if not row["bboxX"]} == {"S1"}


def test_rounded_positions_say_how_uncertain_they_are(tmp_path):
    about, out, _ = package(tmp_path, coordinates=Coordinates(5000.0))
    (row, *_) = read_rows(out / "deployments.csv")
    assert int(row["coordinateUncertainty"]) == 3566  # half the diagonal of 5 km, and 30 m of the receiver
    assert about["coordinatePrecision"] == 0.04492  # degrees of latitude
    (tmp_path / "exact").mkdir()
    assert "coordinatePrecision" not in package(tmp_path / "exact")[0]


def test_what_readers_of_camtrap_dp_refuse_or_take_for_empty_is_told(tmp_path):
    rows = [("NA" if row[0] == "bars" else row[0], *row[1:]) for row in ROWS]
    folder = write_catalog(tmp_path / "catalog", rows)
    for table in (folder / "stations.csv", folder / "catalog.csv"):
        table.write_text(table.read_text().replace("S3", "NaN"))
    table.write_text(table.read_text().replace("p0.jpg", ".cards/p0.jpg").replace("p1.jpg", "a..b/p1.jpg"))
    notes = []
    survey = make_survey(snowmatch.open_catalog(tmp_path / "catalog").data)
    export_survey(survey, "camtrap_dp", tmp_path / "out", options=OPTIONS["camtrap_dp"], coordinates=EXACT, notes=notes)
    told = {note.code: note.text for note in notes}
    assert told["format-refuses-paths"].startswith("2 photos whose path the format refuses")
    assert told["format-refuses-paths"].endswith("two dots: .cards/p0.jpg, a..b/p1.jpg")
    assert told["format-takes-for-empty"].startswith("the name NA, NaN is written, which the format takes")
    out, _ = export(tmp_path, "camtrap_dp")  # the usual names and paths
    assert "the format" not in " ".join(json.loads((out / "manifest.json").read_text())["format_notes"])


@pytest.mark.parametrize("flanks", ["both", "sessions"])
def test_deployments_have_the_sessions_that_were_asked_for(tmp_path, flanks):
    stations = "station,session,x,y,from,to\nS1,2023,76.1,41.5,2023-05-01,2023-05-30\n"
    for n, (asked, told) in enumerate(
        (
            ([], ["session:2023"]),
            (["wet=2023-05-01..2023-05-10", "dry=2023-05-12..2023-05-30"], ["session:wet", "session:dry"]),
            (["wet=2023-05-01..2023-05-10", "dry=2023-05-11..2023-05-30"], [""]),  # one time of the camera is in both
        )
    ):
        folder = tmp_path / str(n)
        folder.mkdir()
        out, _ = export(folder, "camtrap_dp", stations=stations, sessions=asked, flanks=flanks)
        groups = [row["deploymentGroups"] for row in read_rows(out / "deployments.csv")]
        assert [group.partition(" | ")[0] for group in groups] == told


def test_a_sampling_design_that_the_format_does_not_have_is_refused(tmp_path):
    told = r"design 'systematic'; expected one of simpleRandom, .* \(did you mean 'systematicRandom'\?\)"
    with pytest.raises(SnowmatchError, match=told):
        package(tmp_path, options={**OPTIONS["camtrap_dp"], "design": "systematic"})


@pytest.mark.real
def test_camtrap_dp_holds_to_the_official_schemas(tmp_path):
    schemas = SHARED / "formats" / "camtrap-dp"
    if not schemas.exists():
        pytest.skip("no schemas of Camtrap DP beside the project")
    about, out, _ = package(tmp_path)
    profile = json.loads((schemas / "camtrap-dp-profile.json").read_text())
    required = {name for part in profile.get("allOf", [profile]) for name in part.get("required", [])}
    assert required <= set(about)
    for name in ("deployments", "media", "observations"):
        schema = json.loads((schemas / f"{name}-table-schema.json").read_text())
        assert check_table(schema, (out / f"{name}.csv").read_bytes()) == []
        example = (schemas / "example" / f"{name}.csv").read_bytes()
        assert check_table(schema, example) == []  # the check knows what is right
        assert check_table(schema, example.replace(b"T0", b" 0", 1))


def check_table(schema, content):
    """Return what is wrong with a table by its schema: heads, types and constraints."""
    assert not content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
    names = [field["name"] for field in schema["fields"]]
    wrong = [] if rows and list(rows[0]) == names else ["head"]
    for field in schema["fields"]:
        limits = field.get("constraints", {})
        values = [row.get(field["name"], "") for row in rows]
        given = [v for v in values if v not in ("", "NA", "NaN", "nan")]
        if limits.get("required") and len(given) < len(values):
            wrong.append(f"{field['name']} is required")
        if limits.get("unique") and len(set(given)) < len(given):
            wrong.append(f"{field['name']} is not unique")
        for value in given:
            if problem := _problem(field, limits, value):
                wrong.append(f"{field['name']} {value!r}: {problem}")
    return wrong


PATTERNS = {
    "datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:?\d\d)",
    "integer": r"-?\d+",
    "number": r"-?\d+(\.\d+)?([eE]-?\d+)?",
    "boolean": "true|false",
}


def _problem(field, limits, value):
    if field["type"] in PATTERNS and not re.fullmatch(PATTERNS[field["type"]], value):
        return f"no {field['type']}"
    if "enum" in limits and value not in limits["enum"]:
        return "not in the list"
    if "pattern" in limits and not re.search(limits["pattern"], value):
        return "pattern"
    if "minimum" in limits and float(value) < float(limits["minimum"]):
        return "too small"
    if "maximum" in limits and float(value) > float(limits["maximum"]):
        return "too large"
    return ""


def test_the_effort_of_a_survey_comes_back_from_camtrap_dp(tmp_path):
    folder = photo_catalog(tmp_path)
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, "camtrap_dp", tmp_path / "out", options=OPTIONS["camtrap_dp"], coordinates=EXACT)
    import_source(tmp_path / "out", tmp_path / "again", photos=folder)
    back = make_survey(snowmatch.open_catalog(tmp_path / "again").data)
    assert [(p.location, p.station) for p in back.places] == [(p.location, p.station) for p in survey.places]
    for label, position in survey.positions.items():
        assert back.positions[label] == pytest.approx(position, abs=1)  # degrees have six decimals
    (ours,), (theirs,) = survey.sessions, back.sessions
    assert np.allclose(back.occasion_effort(theirs), survey.occasion_effort(ours))
    assert {c.cell[1:] for c in back.captures} == {c.cell[1:] for c in survey.captures}


def test_breaks_of_a_camera_stay_at_their_time_if_the_clocks_change(tmp_path):
    stations = "station,x,y,from,to,problem_from,problem_to\nS1,10.1,47.5,2023-01-01,2023-08-30,{}\n".format(
        "2023-07-01T12:00,2023-07-03T18:00"
    )
    rows = [("aika", "left_flank", "S1", f"2023-02-0{n}T10:00:00", f"e{n}", "") for n in range(1, 6)]
    rows.append(("aika", "left_flank", "S1", "2023-07-01T12:00:00", "e9", ""))
    out, _ = export(tmp_path, "camtrap_dp", rows, stations, options={"timezone": "Europe/Berlin"})
    for n in range(len(rows)):
        Image.new("RGB", (40, 30)).save(tmp_path / "catalog" / f"p{n}.jpg")
    import_source(out, tmp_path / "again", photos=tmp_path / "catalog")  # times in winter time: most of them are
    (station,) = read_rows(tmp_path / "again" / "stations.csv")
    photos = {row["path"].rpartition("/")[2]: row for row in read_rows(tmp_path / "again" / "catalog.csv")}
    assert photos["p5.jpg"]["timestamp"] == station["problem_from"] == "2023-07-01T11:00:00"
    assert station["problem_to"] == "2023-07-03T17:00:00"


# --- Darwin Core ------------------------------------------------------------------------------------------------------


def test_darwin_core_hides_individuals_unless_asked(tmp_path):
    rows = [*ROWS, ("aika", "left_flank", "S1", "", "aika again", "m")]  # without a time, and with the other sex
    rows += [("Bars", "left_flank", "S1", "2023-05-04T04:00:00", "e9", "")]  # nearly the name of another
    out, survey = export(tmp_path, "darwin_core", rows, coordinates=Coordinates(5000.0))
    assert "individuals-alike" in {note.code for note in survey.notes}
    occurrences, media = read_rows(out / "occurrence.csv"), read_rows(out / "multimedia.csv")
    assert len(occurrences) == len(survey.captures)
    assert {row["occurrenceID"] for row in media} == {row["occurrenceID"] for row in occurrences}
    assert occurrences[0]["dataGeneralizations"] == "coordinates rounded to 0.04492 degree"
    assert {row["coordinateUncertaintyInMeters"] for row in occurrences} == {"3566"}
    assert len(json.loads((out / "manifest.json").read_text())["left_out"]) == 1
    for name in ("occurrence.csv", "multimedia.csv", "manifest.json"):
        assert not any(secret in (out / name).read_text() for secret in ("aika", "bars", "Bars", "cholpon", "p0.jpg"))
    table = tmp_path / "catalog" / "catalog.csv"  # a path that tells a position, with the name of the animal
    text = table.read_text().replace("p0.jpg", "aika/41.51234_76.11234/p0.jpg")
    table.write_text(text.replace("bars", "bars of 41.51234 76.11234"))
    survey = make_survey(snowmatch.open_catalog(tmp_path / "catalog").data)
    asked = {**OPTIONS["darwin_core"], "individuals": "false"}
    export_survey(survey, "darwin_core", tmp_path / "placed", options=asked, coordinates=Coordinates(5000.0))
    told = (tmp_path / "placed" / "manifest.json").read_text()
    assert not any(secret in told for secret in ("aika", "bars"))
    (tmp_path / "b").mkdir()
    out, _ = export(tmp_path / "b", "darwin_core", options={"individuals": "true"})
    assert {row["organismID"] for row in read_rows(out / "occurrence.csv")} == {"aika", "bars", "cholpon"}
    meta = ElementTree.fromstring((out / "meta.xml").read_text())
    space = "{http://rs.tdwg.org/dwc/text/}"
    for table, file in (("core", "occurrence.csv"), ("extension", "multimedia.csv")):
        terms = [field.get("term").rpartition("/")[2] for field in meta.findall(f"{space}{table}/{space}field")]
        head = [name.rpartition(":")[2] for name in read_rows(out / file)[0]]
        assert terms == head


def read_archive(folder):
    """Return the tables of a Darwin Core archive, read by its meta.xml alone: (row type, key, rows by term) of each.

    Source: Darwin Core text guide, https://dwc.tdwg.org/text/.
    """
    space = "{http://rs.tdwg.org/dwc/text/}"
    root = ElementTree.fromstring((folder / "meta.xml").read_text(encoding="utf-8"))
    assert root.tag == f"{space}archive"
    assert [child.tag.removeprefix(space) for child in root] == ["core", "extension"]
    tables = []
    for part in root:
        about = part.attrib
        (location,) = part.findall(f"{space}files/{space}location")
        text = (folder / location.text).read_bytes().decode(about["encoding"])
        ending = about["linesTerminatedBy"].encode().decode("unicode_escape")
        assert text.endswith(ending)
        assert "\r" not in text
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=about["fieldsTerminatedBy"],
                                quotechar=about["fieldsEnclosedBy"], strict=True))  # fmt: skip
        head, lines = lines[: int(about["ignoreHeaderLines"])], lines[int(about["ignoreHeaderLines"]) :]
        fields = {int(f.attrib["index"]): f.attrib["term"] for f in part.findall(f"{space}field")}
        assert len(set(fields.values())) == len(fields) == len(part.findall(f"{space}field"))
        assert {len(line) for line in lines} <= {len(fields)}
        assert set(fields) == set(range(len(fields)))
        # The heading is for people; each column has to be the term that meta.xml says
        assert [name.rpartition(":")[2] for name in head[0]] == [
            fields[n].rpartition("/")[2] for n in range(len(fields))
        ]
        key = part.find(f"{space}{'id' if part.tag.endswith('core') else 'coreid'}")
        at = int(key.attrib["index"])
        rows = [{fields[n]: value for n, value in enumerate(line)} for line in lines]
        tables.append((about["rowType"], [line[at] for line in lines], rows))
    return tables


def test_nothing_in_darwin_core_depends_on_the_names_of_animals_unless_asked(tmp_path):
    """Else whoever knows the names could try which of them gives the identifiers that are written."""
    rows = [*ROWS, ("bars", "left_flank", "S1", "2023-05-02T10:00:00", "e1", "")]  # beside aika, at the same time
    others = {"aika": "zura", "bars": "altyn", "cholpon": "Kara"}
    renamed = [(others.get(name, name), *more) for name, *more in rows]
    files = {}
    for folder, own in (("a", rows), ("b", renamed)):
        (tmp_path / folder).mkdir()
        out, _ = export(tmp_path / folder, "darwin_core", own)
        files[folder] = [(out / name).read_bytes() for name in ("occurrence.csv", "multimedia.csv")]
        (tmp_path / folder / "out").rename(tmp_path / folder / "hidden")
        out, _ = export(tmp_path / folder, "darwin_core", own, options={"individuals": "true"})
        files[f"{folder} named"] = (out / "occurrence.csv").read_bytes()
    assert files["a"] == files["b"]
    assert files["a named"] != files["b named"]
    occurrences = read_rows(tmp_path / "a" / "hidden" / "occurrence.csv")
    assert len({row["occurrenceID"] for row in occurrences}) == len(occurrences)
    media = read_rows(tmp_path / "a" / "hidden" / "multimedia.csv")
    assert len({row["identifier"] for row in media}) == len(media)


def test_darwin_core_is_an_archive_by_its_own_description(tmp_path):
    rows = [(name and f'"{name}", the cat', *more) for name, *more in ROWS]  # quotes and commas in names
    out, survey = export(tmp_path, "darwin_core", rows, options={"individuals": "true", "license": "CC0-1.0"})
    (core, keys, occurrences), (extension, links, media) = read_archive(out)
    dwc, ac = "http://rs.tdwg.org/dwc/terms/", "http://rs.tdwg.org/ac/terms/"
    assert (core, extension) == (f"{dwc}Occurrence", f"{ac}Multimedia")
    assert len(set(keys)) == len(keys) == len(survey.captures)
    assert set(links) <= set(keys)
    assert {row[f"{dwc}organismID"] for row in occurrences} == {c.individual for c in survey.captures}
    assert {row[f"{dwc}basisOfRecord"] for row in occurrences} == {"MachineObservation"}
    for row in occurrences:  # what GBIF asks of every occurrence
        assert row[f"{dwc}occurrenceID"]
        assert row[f"{dwc}scientificName"]
        assert -90 <= float(row[f"{dwc}decimalLatitude"]) <= 90
        assert -180 <= float(row[f"{dwc}decimalLongitude"]) <= 180
        assert all(datetime.fromisoformat(moment).tzinfo for moment in row[f"{dwc}eventDate"].split("/"))
    assert {row[f"{ac}accessURI"] for row in media} == {p for c in survey.captures for p in c.photos}
