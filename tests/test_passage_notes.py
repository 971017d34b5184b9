"""Whether the photo that decides a query may be of the query's own passage."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from camera_files import table

from snowmatch.catalog.settings import CatalogSettings
from snowmatch.core.types import Annotation
from snowmatch.identify.allow import passage_notes
from snowmatch.photos.facts import NO_FACTS

NOON = datetime(2023, 5, 1, 12)
BEST = Annotation(0, "aika.jpg", "aika", timestamp=NOON, encounter="known")


def noted(best=BEST, *, row=None, taken=None, serials=("", ""), station=None, timestamp=None):
    """Return the texts of the notes. row: of the query photo, if it is on record. serials: of the query and of best."""
    session = SimpleNamespace(
        data=SimpleNamespace(settings=CatalogSettings(), facts={best.path: NO_FACTS._replace(serial=serials[1])}),
        of_encounter=lambda name: [row],
    )
    encounters = frozenset() if row is None else frozenset({row.encounter})
    photo = SimpleNamespace(facts=NO_FACTS._replace(taken=taken, serial=serials[0]), encounters=encounters)
    question = SimpleNamespace(station=station, timestamp=timestamp)
    return [note.text for note in passage_notes(session, question, [photo], best)]


def best(**fields):
    return Annotation(**{"row": 0, "path": "aika.jpg", "timestamp": NOON, "encounter": "known", **fields})


def asked(**fields):
    time = NOON + timedelta(minutes=1)
    return Annotation(**{"row": 1, "path": "one.jpg", "timestamp": time, "encounter": "own", **fields})


def test_a_photo_on_record_without_a_station_may_be_of_the_passage_that_answers():
    (text,) = noted(row=asked())
    assert text.startswith("aika.jpg was taken within 60 min of the query, whose station is not known: ")
    assert noted(row=asked(station="S1"))[0].split(": ")[0].endswith("and its own station is not known")
    assert noted(best(station="S1"), row=asked())
    assert not noted(row=asked(timestamp=NOON + timedelta(minutes=61)))
    assert not noted(row=asked(timestamp=NOON + timedelta(days=1)), taken=NOON)  # the time on record was mended
    assert noted(row=asked(timestamp=datetime(2023, 5, 1), dated=True))
    assert not noted(row=asked(timestamp=None))


@pytest.mark.parametrize(
    "known",
    [
        {"best": best(station="S1"), "row": asked(station="S2")},
        {"best": best(station="S1"), "row": asked(station="S1")},  # the catalog has compared their times
        {"best": best(location="naryn"), "row": asked(location="sarychat")},
        {"row": asked(), "serials": ("1", "2")},
        {"taken": NOON, "serials": ("1", "2")},
        {"best": best(camera="A"), "row": asked(camera="B"), "serials": ("1", "1")},
    ],
)
def test_nothing_is_said_of_passages_that_are_known_to_differ(known):
    given = dict(known)
    assert not noted(given.pop("best", BEST), **given)


@pytest.mark.parametrize(
    ("query", "answer", "told"), [(24, 25, True), (25, 24, True), (0, 25, True), (24, 26, False), (25, 23, False)]
)
def test_a_photo_beside_the_cut_of_a_long_chain_may_be_of_the_passage_that_answers(tmp_path, query, answer, told):
    """One photo an hour: the chain is cut after hour 24. query, answer: hours of two photos."""
    hours = [f"{n}.jpg,S1,{(NOON + timedelta(hours=n)).isoformat()}\n" for n in range(34)]
    data = table(tmp_path, f"path,station,timestamp\n{''.join(hours)}")
    rows = {int(a.path.removesuffix(".jpg")): a for a in data.annotations}
    assert len({a.encounter for a in rows.values()}) == 2
    session = SimpleNamespace(data=data, of_encounter=lambda name: [a for a in rows.values() if a.encounter == name])
    asked = [SimpleNamespace(facts=NO_FACTS, encounters=frozenset({rows[query].encounter}))]
    only = SimpleNamespace(station=None, timestamp=None)
    texts = [note.text for note in passage_notes(session, only, asked, rows[answer])]
    assert ["together last longer than 24 h, the most of one: " in text for text in texts] == [True] * told


@pytest.mark.parametrize("names", [("one", "other"), ("one", "")])
def test_encounters_that_the_table_names_are_parted_by_a_person(tmp_path, names):
    """One photo an hour; the second name is for those after midnight."""
    times = [NOON + timedelta(hours=n) for n in range(34)]
    lines = [f"{n}.jpg,S1,{t.isoformat()},{names[t.date() > NOON.date()]}\n" for n, t in enumerate(times)]
    data = table(tmp_path, f"path,station,timestamp,encounter\n{''.join(lines)}")
    rows = {int(a.path.removesuffix(".jpg")): a for a in data.annotations}
    session = SimpleNamespace(data=data, of_encounter=lambda name: [a for a in rows.values() if a.encounter == name])
    only = SimpleNamespace(station=None, timestamp=None)
    for query, answer in ((11, 12), (12, 11)):
        assert rows[query].encounter != rows[answer].encounter
        asked = [SimpleNamespace(facts=NO_FACTS, encounters=frozenset({rows[query].encounter}))]
        assert not passage_notes(session, only, asked, rows[answer])


def test_two_cameras_of_one_station_may_have_seen_one_passage():
    assert noted(best(station="S1"), taken=NOON, serials=("1", "2"))
    assert noted(best(station="S1", camera="A"), row=asked(camera="B"))
    assert noted(row=asked(station="S1"), serials=("1", "2"))
    assert noted(station="S1", taken=NOON, serials=("1", "2"))


def test_the_name_of_a_camera_counts_before_its_serial_number():
    assert noted(best(camera="A"), row=asked(camera="A"), serials=("1", "2"))
    assert noted(best(camera="A"), taken=NOON)
    assert noted(best(camera="A"), row=asked(), serials=("1", "1"))


def test_a_given_time_counts_without_a_station():
    assert noted(timestamp=NOON)
    assert not noted(timestamp=NOON + timedelta(hours=2))
    assert not noted(timestamp=NOON + timedelta(hours=2), taken=NOON)


def test_a_given_station_tells_nothing_of_a_photo_without_one():
    (text,) = noted(station="S1", taken=NOON)
    assert "fill in its station" in text
    assert not noted(best(station="S2"), station="S1", taken=NOON)
