"""Questions about pairs of sightings: their order, what hides names, repetitions, turns, undo and the end."""

import json
import math
import random
import re
import time
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from blank_survey import run, true_names, without_names
from fake_extractor import age
from PIL import Image

from snowmatch.api import open_catalog
from snowmatch.catalog.ids import give_ids, load_ids, save_ids
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.records import Records, load_records, save_records, take_fingerprint
from snowmatch.cli.identities_ask import _ask_all, _draw, _outlook
from snowmatch.confidence.levels import Levels
from snowmatch.core.home import home_of
from snowmatch.core.plain import with_json_sum
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import SAMPLE
from snowmatch.review import turns
from snowmatch.review.accuracy import ACCURACY, accuracy_by_name, truth_tag
from snowmatch.review.auto import Policy, auto_drafts
from snowmatch.review.identities import (
    answer_pair,
    decide,
    draft,
    find_sides,
    name_sightings,
    need_unchanged,
    open_identities,
    undo,
)
from snowmatch.review.likely import Evidence, Likely, gather_evidence
from snowmatch.review.queue import Queue, _chosen, answer_item
from snowmatch.views import pairs
from snowmatch.views.identities import format_item, format_pair

pytestmark = pytest.mark.usefixtures("seen_once")


@pytest.fixture
def catalog(own_survey):
    return without_names(own_survey)


def test_a_training_ends_with_q_and_a_number(own_survey):
    told = run(own_survey / "catalog", "train", "--observer", "Anna", input="q4\n")
    assert "Nobody has answered pairs" in told


def test_training_ends_when_others_change_which_sightings_there_are(own_survey, monkeypatch):
    folder = own_survey / "catalog"
    who = open_identities(folder)
    parts = next(s.annotations for s in who.who.sightings if len(s.annotations) > 1)

    def boris_divides_a_sighting(*words, **options):
        decide(open_identities(folder), [find_sides(who, *parts[:2], "different", "Boris")])
        return "s"

    monkeypatch.setattr("click.prompt", boris_divides_a_sighting)
    told = run(folder, "train", "--observer", "Anna", "--number", "4")
    assert "which sightings there are has changed meanwhile: run it again" in told
    assert told.index("run it again") < told.index("Anna", told.index("run it again"))  # what was measured
    assert [row.observer for row in open_identities(folder).rows] == ["Boris", "Anna"]


def test_a_photo_that_is_missing_ends_no_training(own_survey, tmp_path):
    folder = own_survey / "catalog"
    annotations = open_identities(folder).annotations
    gone = min(a.individual for a in annotations if a.individual is not None)
    for a in annotations:
        if a.individual == gone:
            (folder / a.path).unlink()
    words = ("train", "--observer", "Anna", "--number", "8", "--draw", str(tmp_path / "q"))
    told = run(folder, *words, input="s\n" * 8, code=1)
    assert "Traceback" not in told
    out = told.count(" of 8 is left out: ")
    assert 0 < out < 8
    assert len(open_identities(folder).rows) == told.count("one animal?") == 8 - out
    assert f" left out, without a picture: {folder}" in told
    assert told.index("observer") < told.index(" left out, without")  # after the results


def test_an_answer_in_training_about_a_photo_that_has_changed_is_not_stored(own_survey, monkeypatch):
    folder = own_survey / "catalog"
    monkeypatch.setattr("snowmatch.cli.identities_observers.gathered", gathered_once(folder))
    for a in open_identities(folder).annotations:
        (folder / a.path).write_bytes((folder / a.path).read_bytes() + b"\0")
    told = run(folder, "train", "--observer", "Anna", "--number", "4", input="s\n" * 4)
    assert told.count("has changed since it was indexed") == 4
    assert not open_identities(folder).rows


def gathered_once(folder):
    """Return what `gathered` gives of a catalog now, whatever is changed afterwards."""
    session = open_catalog(folder).session()
    evidence = gather_evidence(session, open_identities(folder).who.sightings)
    return lambda *_: (session, evidence)


def test_a_question_whose_photo_is_missing_is_left_out_and_leaves_no_picture(tmp_path, monkeypatch, capsys):
    folder, out = tmp_path / "c", tmp_path / "questions"
    write_two_sightings(folder, ["2023-05-01"] * 2 + ["2023-06-02"] * 4)
    table = (folder / "catalog.csv").read_text("utf-8")
    (folder / "catalog.csv").write_text(table.replace(",aika,", ",,"), "utf-8")
    (folder / "aika-4.png").unlink()
    likely = [Likely(0, 1, 3.0, 0.6, 0.5, 9, ("a0", "a2")), Likely(1, 2, 2.0, 0.6, 0.5, 9, ("a2", "a4"))]
    evidence = Evidence({(each.one, each.other): each for each in likely}, 0.3, -6.0, 0)
    monkeypatch.setattr(pairs, "spots_between", lambda *_: pairs.NO_SPOTS)
    monkeypatch.setattr("click.prompt", lambda *_, **__: "s")
    for count, pictures in (1, ["question-lines.jpg", "question.jpg"]), (0, []):
        answered, undrawn = _ask_all(Queue(open_identities(folder), evidence, "Anna", repeats=0), None, None, out)
        assert (answered, len(undrawn)) == (count, 1)
        assert sorted(path.name for path in out.iterdir()) == pictures  # that of another question would mislead
        assert "left out: " in capsys.readouterr().err


@pytest.mark.parametrize("right", [0, 1])
def test_a_clock_that_is_behind_is_told_once_while_questions_are_answered(tmp_path, monkeypatch, capsys, right):
    folder = tmp_path / "c"
    write_two_sightings(folder, ["2023-05-01"] * 8)
    table = (folder / "catalog.csv").read_text("utf-8")
    (folder / "catalog.csv").write_text(table.replace(",aika,", ",,"), "utf-8")
    who = open_identities(folder)
    decide(who, [answer_pair(who, 2, 3, "different", "Boris")])
    likely = [Likely(0, n, 3.0, 0.6, 0.5, 9, ("a0", f"a{2 * n}")) for n in (1, 2, 3)]
    evidence = Evidence({(each.one, each.other): each for each in likely}, 0.3, -6.0, 0)
    asked = []
    monkeypatch.setattr("click.prompt", lambda *words, **__: (asked.append(words), "c")[1])
    now = time.time_ns()
    behind = lambda: now - 3600 * 10**9 if len(asked) > right else now  # noqa: E731  set back after so many answers
    monkeypatch.setattr("snowmatch.decisions.file.time.time_ns", behind)
    answered, _ = _ask_all(Queue(open_identities(folder), evidence, "Anna", repeats=0), None, 2 + right, None)
    assert answered == 2 + right
    assert capsys.readouterr().err.count("behind the last decision: set it") == 1


def test_a_clock_that_is_behind_is_told_once_while_answers_are_taken_back_and_in_training(own_survey, monkeypatch):
    folder = own_survey / "catalog"
    monkeypatch.setattr("snowmatch.cli.identities_ask.gathered", gathered_once(folder))
    monkeypatch.setattr("snowmatch.cli.identities_observers.gathered", gathered_once(folder))
    who = open_identities(folder)
    decide(who, [answer_pair(who, 0, 1, "cannot_tell", "Anna") for _ in range(2)])
    now = time.time_ns()
    monkeypatch.setattr("snowmatch.decisions.file.time.time_ns", lambda: now - 3600 * 10**9)
    for words, said in ((("ask",), "u\nu\nq\n"), (("train", "--number", "4"), "s\n" * 4)):
        told = run(folder, *words, "--observer", "Anna", input=said)
        assert told.count("behind the last decision: set it") == 1
    assert len(open_identities(folder).rows) == 8


def test_questions_end_if_no_picture_of_20_pairs_in_a_row_can_be_drawn(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "c"
    write_two_sightings(folder, ["2023-05-01"] * 48)  # 24 sightings
    table = (folder / "catalog.csv").read_text("utf-8")
    (folder / "catalog.csv").write_text(table.replace(",aika,", ",,"), "utf-8")
    likely = [Likely(0, n, 30.0 - n, 0.6, 0.5, 9, ("a0", f"a{2 * n}")) for n in range(1, 24)]
    evidence = Evidence({(each.one, each.other): each for each in likely}, 0.3, -6.0, 0)
    monkeypatch.setattr("click.prompt", lambda *_, **__: "c")
    for drawn, count in (0, 20), (1, 21):  # a picture that is drawn begins the row anew
        pictures = iter(["away"] * drawn + [[]] * drawn)
        monkeypatch.setattr("snowmatch.cli.identities_ask._draw", lambda *_, of=pictures: next(of, "away"))
        queue = Queue(open_identities(folder), evidence, "Anna", repeats=0)
        answered, undrawn = _ask_all(queue, None, None, tmp_path / "q")
        assert (answered, len(undrawn)) == (drawn, count)
        assert "stopped: no picture of 20 pairs in a row could be drawn" in capsys.readouterr().err


def test_an_odd_number_of_pairs_is_told_to_be_odd_not_that_no_more_are_left(own_survey):
    for number, note, other in ((3, "3 is odd", "are left"), (999, "pairs are left to train with", "is odd")):
        told = run(own_survey / "catalog", "train", "--observer", "Anna", "--number", str(number), input="q\n")
        assert note in told
        assert other not in told


def test_a_question_replaces_no_picture_of_somebody_else(own_survey, tmp_path):
    mine = tmp_path / "question.jpg"
    mine.write_text("mine")
    told = run(own_survey / "catalog", "train", "--observer", "A", "--draw", str(tmp_path), input="q\n", code=1)
    assert "choose another folder" in told
    assert "--force" not in told  # the command has no such option
    assert mine.read_text() == "mine"


def test_a_check_of_the_machine_and_a_repetition_look_like_new_questions(tmp_path):
    head = "path,individual,body_part,location,timestamp,encounter,annotation\n"
    rows = [f"p{n}.jpg,,left_flank,naryn,2023-05-0{n + 1},e{n},a{n}\n" for n in range(4)]
    (tmp_path / "catalog.csv").write_text(head + "".join(rows), encoding="utf-8")
    who = open_identities(tmp_path)
    machine = {"role": "machine", "tags": ("sample",)}
    drafts = [answer_pair(who, 0, 1, "same", "machine", **machine), answer_pair(who, 2, 3, "same", "Anna")]
    who, _ = decide(who, drafts)
    queue = Queue(who, Evidence({}, 0.001, -6.0, 0), "Anna", repeats=0.0)
    (check,) = queue.next()
    queue.repeats, queue._order = 1.0, [(2, 3)] * 30
    repeat = queue.next()[0]
    for item, why, pair in ((check, "check", "e0 (1 sighting) and e1"), (repeat, "repeat", "e2 (1 sighting) and e3")):
        told = format_item(who, item, hidden=False)
        assert item.why == why
        assert "unnamed" not in told
        assert f"`same` joins {pair} (1 sighting)" in told


def write_two_sightings(folder, times):
    """Write a catalog of one animal in two encounters of two photos, whose paths and encounters have its name."""
    folder.mkdir()
    lines = ["path,individual,body_part,timestamp,encounter,annotation"]
    for n, moment in enumerate(times):
        Image.new("RGB", (60, 40), (40 * n, 90, 90)).save(folder / f"aika-{n}.png")
        lines.append(f"aika-{n}.png,aika,left_flank,{moment},aika {n // 2},a{n}")
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_identities(folder)


def test_a_hidden_question_and_its_picture_tell_neither_names_nor_the_photos_that_agree_best(tmp_path, monkeypatch):
    times = ["2023-05-01T10:00:00", "2023-05-01T10:00:05", "2023-06-02", "2023-06-02"]
    who = write_two_sightings(tmp_path / "c", times)
    told, read = [], []
    for module in ("pairs", "side_by_side"):
        monkeypatch.setattr(f"snowmatch.views.{module}.write_text", lambda draw, at, text, *_, **__: told.append(text))
    photo = pairs.read_photo
    monkeypatch.setattr(pairs, "read_photo", lambda path: (read.append(path.name), photo(path))[1])
    monkeypatch.setattr(pairs, "spots_between", lambda *_: pairs.NO_SPOTS)
    best = Likely(0, 1, 3.0, 0.9, 0.9, 12, ("a1", "a3"))
    for hidden, names, files in (
        (True, ["aika-0.png", "aika-2.png"], ["question.jpg"]),
        (False, ["aika-1.png", "aika-3.png"], ["question.jpg", "question-lines.jpg"]),
    ):
        told.clear(), read.clear()
        written = pairs.write_pair(None, who, 0, 1, best, tmp_path / "questions", hidden=hidden)
        assert [path.name for path in written] == files
        assert read[:2] == names
        assert ("aika" in " ".join(told)) is not hidden
        assert any("2023-05-01 10:00" in text for text in told)
    for mode, files in (("blind", 1), ("adjudicate", 2)):
        queue = Queue(who, Evidence({(0, 1): best}, 0.001, -6.0, 0), "Anna", mode=mode)
        _draw(None, queue, queue.about(0, 1), tmp_path / mode)
        assert len(list((tmp_path / mode).glob("*.jpg"))) == files
    timeless = write_two_sightings(tmp_path / "d", [""] * 4)
    assert "aika" not in format_pair(timeless, 0, 1, hidden=True)
    assert "aika" in format_pair(timeless, 0, 1, hidden=False)


def test_lines_of_an_earlier_question_are_not_left_beside_a_hidden_one(tmp_path, monkeypatch):
    who = write_two_sightings(tmp_path / "c", ["2023-05-01"] * 2 + ["2023-06-02"] * 2)
    monkeypatch.setattr(pairs, "spots_between", lambda *_: pairs.NO_SPOTS)
    folder, lines = tmp_path / "questions", tmp_path / "questions" / "question-lines.jpg"
    pairs.write_pair(None, who, 0, 1, None, folder, hidden=False)
    assert lines.exists()
    pairs.write_pair(None, who, 0, 1, None, folder, hidden=True)
    assert [path.name for path in folder.iterdir()] == ["question.jpg"]
    lines.write_text("of somebody else")
    pairs.write_pair(None, who, 0, 1, None, folder, hidden=True)
    assert lines.read_text() == "of somebody else"


def asked(queue):
    return [(item.a, item.b) for item in queue.next(1)]


def test_no_second_repetition_follows_a_repetition_when_the_queue_is_started_again(tmp_path):
    head = "path,individual,body_part,location,timestamp,encounter,annotation\n"
    rows = [f"p{n}.jpg,,left_flank,naryn,2023-05-{n + 1:02},e{n},a{n}\n" for n in range(24)]
    (tmp_path / "catalog.csv").write_text(head + "".join(rows), encoding="utf-8")
    who = open_identities(tmp_path)
    name = next(n for n in map(str, range(99)) if _chosen(n, 23, 0.5) and not _chosen(n, 24, 0.5))
    who, _ = decide(who, [answer_pair(who, 0, n, "different", name) for n in range(1, 24)])
    queue = Queue(who, Evidence({}, 0.001, -6.0, 0), name, repeats=0.5)
    (item,) = queue.next()
    assert item.why == "repeat"
    after, stored = decide(who, [answer_item(queue, item, "different", "", hidden=False)])
    queue.take(after, item, stored.rows[0])
    assert not queue.next()
    queue.start_again(after)
    assert not queue.next()


def test_what_joins_two_groups_of_several_sightings_is_asked_first_the_largest_before_the_surest(catalog):
    who = open_identities(catalog)
    sightings = who.who.sightings
    left = [n for n, s in enumerate(sightings) if s.body_parts == ("left_flank",)][:9]
    groups = left[:2], left[2:4], left[4:7], left[7:]
    pairs = [(groups[0][0], groups[1][0], 0.99), (groups[1][1], groups[2][1], 0.8), (groups[2][2], groups[3][0], 0.4)]
    likely = {(a, b): Likely(a, b, 3.0, p, p, 30, ("", "")) for a, b, p in pairs}
    evidence = Evidence(likely, 0.1, -4.0, 0)
    assert not list(Queue(who, evidence, "Anna")._joining())  # all sightings are alone
    for members in groups:
        for a, b in pairwise(members):
            who, _ = decide(who, [answer_pair(who, a, b, "same", "Anna")])
    queue = Queue(who, evidence, "Anna", repeats=0)
    first = [(item.a, item.b, item.why) for item in queue.next(2)]
    assert first == [(*pairs[1][:2], "confirm"), (*pairs[0][:2], "confirm")]  # 2 x 3 sightings, then 2 x 2
    item = queue.next()[0]
    after, stored = decide(queue.identities, [answer_item(queue, item, "different", "", hidden=False)])
    queue.take(after, item, stored.rows[0])
    assert (queue.next()[0].a, queue.next()[0].b) == pairs[0][:2]
    named = after
    for name, n in (("Aika", groups[0][0]), ("Bars", groups[1][0])):
        named, _ = decide(named, [name_sightings(named, [n], name, "Anna")])
    assert not list(Queue(named, evidence, "Anna")._joining())  # somebody named them as two animals


def test_persons_check_at_least_one_pair_of_few_that_the_machine_joins(catalog):
    who = open_identities(catalog)
    left = [n for n, s in enumerate(who.who.sightings) if s.body_parts == ("left_flank",)]
    pairs = list(pairwise(left))[:5]
    evidence = Evidence({p: Likely(*p, 9.0, 0.9999, 0.9995, 60, ("", "")) for p in pairs}, 0.1, -4.0, 0)

    def sampled(share):
        drafts = auto_drafts(who, evidence, Levels(0.999, 0.99, 0.9), Policy(sample=share))
        assert len(drafts) == len(pairs)
        return [SAMPLE in each.tags for each in drafts]

    assert [sum(sampled(share)) for share in (0.0, 1e-9, 1.0)] == [0, 1, len(pairs)]
    assert sampled(1e-9) == sampled(1e-9)


def test_the_machine_decides_again_what_was_taken_back_unless_a_person_answers_it(catalog):
    who = open_identities(catalog)
    a, b = [n for n, s in enumerate(who.who.sightings) if s.body_parts == ("left_flank",)][:2]
    evidence = Evidence({(a, b): Likely(a, b, 9.0, 0.9999, 0.9995, 60, ("", ""))}, 0.1, -4.0, 0)
    who, appended = decide(who, auto_drafts(who, evidence, Levels(0.999, 0.99, 0.9), Policy()))
    who, _ = decide(who, undo(who, [row.id for row in appended.rows], "Anna"))
    assert len(auto_drafts(who, evidence, Levels(0.999, 0.99, 0.9), Policy())) == 1
    for answer in ("different", "cannot_tell"):
        answered, _ = decide(who, [answer_pair(who, a, b, answer, "Anna")])
        assert auto_drafts(answered, evidence, Levels(0.999, 0.99, 0.9), Policy()) == ()


def test_nothing_is_left_to_ask_only_if_a_new_queue_has_nothing_either(tmp_path):
    draw, names = random.Random(12), [f"a{n:02d}" for n in range(16)]
    table = "".join(f"{name}.jpg,left_flank,e{name},{name}\n" for name in names)
    (tmp_path / "catalog.csv").write_text(f"path,body_part,encounter,annotation\n{table}", encoding="utf-8")
    animal = [draw.randrange(5) for _ in names]
    likely = {}
    for a, b in combinations(range(16), 2):
        if draw.random() < 0.6:
            odds = draw.gauss(0.2 if animal[a] == animal[b] else -1.2, 0.8)
            share = 1 / (1 + math.exp(1 - odds))
            likely[a, b] = Likely(a, b, odds, share, share, 20, (names[a], names[b]))
    evidence, who = Evidence(likely, 0.3, -6.0, 0), open_identities(tmp_path)
    queue, told = Queue(who, evidence, "Anna", repeats=0), []
    while not told or told[-1] != "nothing left to ask":
        while items := queue.next():
            answer = "same" if animal[items[0].a] == animal[items[0].b] else "different"
            who, stored = decide(who, [answer_item(queue, items[0], answer, "", hidden=False)])
            queue.take(who, items[0], stored.rows[0])
        told.append(_outlook(queue))
        assert len(told) < 5
    assert "about 1 more" in told[0]
    assert not Queue(who, evidence, "Anna", repeats=0).next()


def test_what_is_left_to_ask_is_told_with_the_accuracies_that_a_further_run_takes(tmp_path):
    names = ("a", "b", "c", "d")
    table = "".join(f"{name}.jpg,left_flank,e{name},{name}\n" for name in names)
    (tmp_path / "catalog.csv").write_text(f"path,body_part,encounter,annotation\n{table}", encoding="utf-8")
    who = open_identities(tmp_path)
    queue = Queue(who, Evidence({}, 0.3, -6.0, 0), "Anna", repeats=0)
    test = draft("pair", "Anna", "same", side_a=("a",), side_b=("b",), mode="training", tags=(truth_tag("different"),))
    queue.identities, _ = decide(who, [test])
    while items := queue.next():
        said = answer_item(queue, items[0], "different", "", hidden=False)
        after, stored = decide(queue.identities, [said])
        queue.take(after, items[0], stored.rows[0])
    _outlook(queue)
    assert queue.accuracy("Anna") == accuracy_by_name(queue.identities.rows)("Anna") < ACCURACY


@pytest.mark.parametrize(("encounter", "comes_back"), [("ea", True), ("eb", True), ("ec", False), ("ed", False)])
def test_a_pair_that_could_not_be_told_comes_back_only_with_a_new_photo_of_either_side(tmp_path, encounter, comes_back):
    """The new photo, in `encounter`, is of the first or the second side, of another sighting, or a new sighting."""
    table = tmp_path / "catalog.csv"
    text = "path,body_part,encounter,annotation\n" + "".join(f"{x}.jpg,left_flank,e{x},{x}\n" for x in "abc")
    table.write_text(text, encoding="utf-8")
    evidence = Evidence({(0, 1): Likely(0, 1, 2.0, 0.6, 0.5, 9, ("a", "b"))}, 0.3, -6.0, 0)

    def asked(queue):
        return [each for each in queue.next(9) if (each.a, each.b) == (0, 1)]

    def tell_nothing(queue):
        (item,) = asked(queue)
        who, stored = decide(queue.identities, [answer_item(queue, item, "cannot_tell", "", hidden=False)])
        queue.take(who, item, stored.rows[0])
        assert not asked(queue)
        assert not asked(Queue(who, evidence, "Anna", repeats=0))

    tell_nothing(Queue(open_identities(tmp_path), evidence, "Anna", repeats=0))
    table.write_text(f"{text}new.jpg,left_flank,{encounter},new\n", encoding="utf-8")
    queue = Queue(open_identities(tmp_path), evidence, "Anna", repeats=0)
    assert bool(asked(queue)) is comes_back
    if comes_back:
        tell_nothing(queue)


def test_a_second_answer_is_given_once_also_when_a_new_photo_arrives(tmp_path):
    table = tmp_path / "catalog.csv"
    text = "path,body_part,encounter,annotation\n" + "".join(f"{x}.jpg,left_flank,e{x},{x}\n" for x in "ab")
    table.write_text(text, encoding="utf-8")
    who = open_identities(tmp_path)
    who, _ = decide(who, [answer_pair(who, 0, 1, "same", "Boris")])
    evidence = Evidence({}, 0.3, -6.0, 0)
    queue = Queue(who, evidence, "Anna", mode="blind")
    (item,) = queue.next(9)
    decide(who, [answer_item(queue, item, "cannot_tell", "", hidden=True)])
    table.write_text(f"{text}new.jpg,left_flank,ea,new\n", encoding="utf-8")
    assert not Queue(open_identities(tmp_path), evidence, "Anna", mode="blind").next(9)


def test_what_an_observer_could_not_tell_twice_comes_last(catalog):
    """Nobody can tell anything about one sighting, which may be any of six animals; all other answers are right."""
    truth = true_names(catalog)
    who = open_identities(catalog)
    evidence = gather_evidence(open_catalog(catalog).session(), who.who.sightings)
    poor, body_parts = 0, who.who.sightings[0].body_parts
    six: dict[str, int] = {}
    for number, each in enumerate(who.who.sightings):
        if each.body_parts == body_parts and truth[each.encounter] != truth[who.who.sightings[poor].encounter]:
            six.setdefault(truth[each.encounter], number)
    doubtful = {(poor, n): Likely(poor, n, 2.0, 0.4, 0.0, 9, ("", "")) for n in list(six.values())[:6]}
    assert len(doubtful) == 6
    queue = Queue(who, replace(evidence, pairs={**evidence.pairs, **doubtful}), "Anna", repeats=0)
    asked = []
    while items := queue.next():
        (item,) = items
        vague = poor in (item.a, item.b)
        if sum(asked) >= 3 and vague:  # only such questions are left
            assert all(poor in (each.a, each.b) for each in queue.next(50))
        asked.append(vague)
        sightings = queue.identities.who.sightings
        same = truth[sightings[item.a].encounter] == truth[sightings[item.b].encounter]
        answer = "cannot_tell" if vague else "same" if same else "different"
        after, appended = decide(queue.identities, [answer_item(queue, item, answer, "", hidden=False)])
        queue.take(after, item, appended.rows[0])
    assert sum(asked) > 3  # they are asked in the end
    assert not all(asked[: sum(asked)])


def test_what_could_not_be_told_stays_known_after_answers_are_corrected_and_taken_back(catalog):
    """After each answer, the queue knows what a queue that starts afresh knows."""
    who = open_identities(catalog)
    part = who.who.sightings[0].body_parts
    a, b, c, d = [n for n, each in enumerate(who.who.sightings) if each.body_parts == part][:4]
    evidence = Evidence({(a, b): Likely(a, b, 4.0, 0.6, 0.5, 9, ("", ""))}, 0.3, -6.0, 0)
    queue = Queue(who, evidence, "Anna", repeats=0)

    def known(queue):
        return set(queue._unclear), +queue._told

    rows = []
    for pair, answer in (
        ((a, b), "different"),
        ((a, c), "cannot_tell"),
        ((a, b), "cannot_tell"),
        ((a, c), "different"),
        ((b, d), "different"),
    ):
        item = queue.about(*pair)
        after, appended = decide(queue.identities, [answer_item(queue, item, answer, "", hidden=False)])
        queue.take(after, item, appended.rows[0])
        rows += appended.rows
        assert known(queue) == known(Queue(after, evidence, "Anna", repeats=0)), (pair, answer)
    after, _ = decide(queue.identities, undo(queue.identities, [rows[-1].id], "Anna"))
    assert queue.take_back(after, rows[-1])
    assert known(queue) == known(Queue(after, evidence, "Anna", repeats=0))
    assert known(queue)[0] == {(a, b)}


def test_a_contradiction_that_was_taken_back_is_no_longer_asked_about(catalog):
    who = open_identities(catalog)
    part = who.who.sightings[0].body_parts
    a, b, c = [n for n, each in enumerate(who.who.sightings) if each.body_parts == part][:3]
    who, _ = decide(who, [answer_pair(who, *pair, "same", "Boris") for pair in ((a, b), (b, c))])
    unsure = {(a, b): Likely(a, b, 1.0, 0.4, 0.3, 9, ("", ""))}
    queue = Queue(who, Evidence(unsure, 0.3, -6.0, 0), "Anna", repeats=0)
    before = queue.next(9)
    item = queue.about(a, c)
    after, appended = decide(who, [answer_item(queue, item, "different", "", hidden=False)])
    queue.take(after, item, appended.rows[0])
    assert len(queue._quarrels) == 1
    after, _ = decide(after, undo(after, [appended.rows[0].id], "Anna"))
    assert queue.take_back(after, appended.rows[0])
    assert queue.next(9) == before


def test_two_individuals_that_an_observer_could_not_tell_apart_twice_come_last(catalog):
    who = open_identities(catalog)
    part = who.who.sightings[0].body_parts
    a, b, c, d, e, f = [n for n, each in enumerate(who.who.sightings) if each.body_parts == part][:6]
    drafts = [answer_pair(who, *pair, "same", "Boris") for pair in ((a, b), (c, d))]
    vague = [answer_pair(who, *pair, "cannot_tell", "Anna") for pair in ((a, c), (b, d))]
    odds = {(a, d): 4.0, (e, f): 3.0}
    evidence = Evidence({pair: Likely(*pair, of, 0.6, 0.5, 9, ("", "")) for pair, of in odds.items()}, 0.3, -6.0, 0)

    def first(who):
        (item,) = Queue(who, evidence, "Anna", repeats=0).next()
        return {item.a, item.b}

    who, _ = decide(who, [*drafts, vague[0]])
    assert first(who) <= {a, b, c, d}
    who, _ = decide(who, [vague[1]])
    assert first(who) == {e, f}


def test_after_the_clock_was_set_back_no_pair_is_held(tmp_path):
    pair = ("a", "b")
    assert turns.take(tmp_path, "Anna", pair, now=100_000)
    assert turns.held_by_others(tmp_path, "Boris", now=100_010) == {pair}
    assert turns.held_by_others(tmp_path, "Boris", now=99_990) == {pair}
    assert turns.held_by_others(tmp_path, "Boris", now=10_000) == frozenset()
    assert turns.take(tmp_path, "Boris", pair, now=10_000)


def test_identifiers_with_blanks_are_skipped_and_reserved_as_others(tmp_path):
    lines = [f"p{n}.jpg,left_flank,e{n},photo {n}" for n in range(4)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    who = open_identities(tmp_path)
    odds = {(0, 1): 3.0, (2, 3): 2.0}
    evidence = Evidence({pair: Likely(*pair, of, 0.6, 0.5, 9, ("", "")) for pair, of in odds.items()}, 0.3, -6.0, 0)
    queue = Queue(who, evidence, "Anna", repeats=0)
    pair = queue.keys_of(queue.next()[0])
    turns.skip(tmp_path, "Anna", pair)
    assert turns.skipped_by(tmp_path, "Anna") == (pair,)
    second = queue.keys_of(queue.next()[0])
    assert second != pair
    assert turns.take(tmp_path, "Ben", second)
    assert turns.held_by_others(tmp_path, "Anna") == {second}
    assert queue.keys_of(queue.next()[0]) == pair  # what was skipped comes last, and is free


def test_pairs_on_the_screens_of_others_are_left_to_ask(tmp_path):
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(3)]
    (tmp_path / "catalog.csv").write_text("\n".join(["path,body_part,encounter,annotation", *lines]) + "\n")
    who = open_identities(tmp_path)
    who, _ = decide(who, [answer_pair(who, 0, n, "different", "Anna") for n in (1, 2)])
    queue = Queue(who, Evidence({}, 0.3, -6.0, 0), "Boris", mode="blind")
    one, other = queue.next(2)
    assert turns.take(tmp_path, "Clara", queue.keys_of(one))
    assert queue.held() == 1
    queue.identities, stored = decide(who, [answer_item(queue, other, "same", "", hidden=True)])
    queue.take(queue.identities, other, stored.rows[0])
    assert queue.next() == []
    assert _outlook(queue).startswith("nothing left but 1 pair on other observers' screens")
    assert turns.take(tmp_path, "Clara", ("a", "b"))  # she has another pair now
    assert queue.held() == 0
    assert _outlook(queue) == "about 1 more to ask"


def test_turns_of_an_older_version_are_read(tmp_path):
    old = {"held": {"a b": ["Ben", time.time()]}, "skipped": {"Anna": ["a c", "photo 1 photo 2"]}}
    home_of(tmp_path).mkdir()
    (home_of(tmp_path) / "turns.json").write_text(json.dumps(with_json_sum(old)), encoding="utf-8")
    assert turns.held_by_others(tmp_path, "Anna") == {("a", "b")}
    assert turns.skipped_by(tmp_path, "Anna") == (("a", "c"),)  # of the other, nobody can say which pair it was


def test_undo_while_asking_takes_back_the_last_answer_of_this_mode_and_tells_it(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(6)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    who = open_identities(tmp_path)
    blind = draft("pair", "Anna", "same", side_a=("a2",), side_b=("a3",), mode="blind")
    who, _ = decide(who, [answer_pair(who, 0, 1, "same", "Anna"), answer_pair(who, 0, 1, "same", "Boris"), blind])
    who, _ = decide(who, [name_sightings(who, [3], "Aika", "Anna")])
    odds = {(0, 2): 3.0, (4, 5): 1.0}
    evidence = Evidence({pair: Likely(*pair, of, 0.6, 0.5, 9, ("", "")) for pair, of in odds.items()}, 0.3, -6.0, 0)
    said = iter(["d", "u", "u", "u", "q"])
    monkeypatch.setattr("click.prompt", lambda *words, **options: next(said))
    assert _ask_all(Queue(who, evidence, "Anna", repeats=0), None, None, None) == (0, ())
    told = capsys.readouterr().err
    first, second = told.split("taken back:")[1:]
    assert first.startswith(" different\n  e0")
    assert "  e2 " in first
    assert second.startswith(" same\n  e0")
    assert "  e1 " in second
    assert "nothing to take back" in second
    after = open_identities(tmp_path)
    assert [row.kind for row in after.rows] == ["pair", "pair", "pair", "name", "pair", "undo", "undo"]
    assert {row.kind for row in in_effect(after.rows) if row.observer == "Anna"} == {"pair", "name"}


def test_asking_ends_when_others_change_which_sightings_there_are(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n // 2},a{n}" for n in range(6)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    who = open_identities(tmp_path)
    evidence = Evidence({(1, 2): Likely(1, 2, 3.0, 0.6, 0.5, 9, ("", ""))}, 0.3, -6.0, 0)

    def boris_divides_the_first(*words, **options):
        decide(open_identities(tmp_path), [find_sides(who, "p0.jpg", "p1.jpg", "different", "Boris")])
        return "s"

    monkeypatch.setattr("click.prompt", boris_divides_the_first)
    assert _ask_all(Queue(who, evidence, "Anna", repeats=0), None, None, None) == (1, ())
    assert "which sightings there are has changed meanwhile: run it again" in capsys.readouterr().err
    assert [row.observer for row in open_identities(tmp_path).rows] == ["Boris", "Anna"]  # the answer is stored


def test_each_skipped_question_comes_once_more_before_asking_ends(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(6)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    pairs = {(a, a + 1): Likely(a, a + 1, 9.0 - a, 0.9, 0.9, 9, ("", "")) for a in (0, 2, 4)}
    said = iter(["k", "k", "k", "k", "s", "k"])
    monkeypatch.setattr("click.prompt", lambda *words, **options: next(said))
    queue = Queue(open_identities(tmp_path), Evidence(pairs, 0.3, -6.0, 0), "Anna", repeats=0)
    assert _ask_all(queue, None, None, None) == (1, ())
    assert next(said, None) is None
    assert capsys.readouterr().err.count("you skipped this one: k leaves it for another run") == 3
    (row,) = open_identities(tmp_path).rows
    assert (row.side_a, row.side_b) == (("a2",), ("a3",))
    assert _outlook(queue).startswith("about 2 more")


def test_questions_that_were_skipped_in_an_earlier_run_come_one_after_the_other(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(6)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    pairs = {(a, a + 1): Likely(a, a + 1, 9.0 - a, 0.9, 0.9, 9, ("", "")) for a in (0, 2, 4)}
    queue = Queue(open_identities(tmp_path), Evidence(pairs, 0.3, -6.0, 0), "Anna", repeats=0)
    for a, b in pairs:
        turns.skip(tmp_path, "Anna", (f"a{a}", f"a{b}"))
    monkeypatch.setattr("click.prompt", lambda *words, **options: "k")
    assert _ask_all(queue, None, None, None) == (0, ())
    out, err = capsys.readouterr()
    assert re.findall(r"^ +e([024]) ", out, re.MULTILINE) == ["0", "2", "4"] * 2
    assert err.count("you skipped this one: k leaves it for another run") == 3


def test_an_answer_about_a_photo_that_has_changed_is_not_stored_and_asking_goes_on(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(4)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    photos = [tmp_path / f"p{n}.jpg" for n in range(4)]
    for photo in photos:
        photo.write_text(photo.name)
        age(photo)
    save_records(tmp_path, Records({photo.name: take_fingerprint(photo, photo=False) for photo in photos}))
    asked = []

    def the_second_photo_changes_meanwhile(*words, **options):
        asked.append(words)
        photos[1].write_text("another")
        assert len(asked) < 9
        return "s"

    monkeypatch.setattr("click.prompt", the_second_photo_changes_meanwhile)
    pairs = {(a, a + 1): Likely(a, a + 1, 9.0 - a, 0.9, 0.9, 9, ("", "")) for a in (0, 2)}
    queue = Queue(open_identities(tmp_path), Evidence(pairs, 0.3, -6.0, 0), "Anna", repeats=0)
    assert _ask_all(queue, None, None, None) == (1, ())
    assert len(asked) == 2
    told = capsys.readouterr().err
    assert told.count("p1.jpg has changed since it was indexed") == told.count(f"snowmatch index {tmp_path}") == 1
    (row,) = open_identities(tmp_path).rows
    assert (row.side_a, row.side_b) == (("a2",), ("a3",))
    assert _outlook(queue).startswith("about 1 more")


def test_an_answer_about_a_photo_that_was_indexed_meanwhile_as_another_one_is_not_stored(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n}" for n in range(4)]
    (tmp_path / "catalog.csv").write_text("\n".join(["path,body_part,encounter", *lines]) + "\n", encoding="utf-8")
    photos = [tmp_path / f"p{n}.jpg" for n in range(4)]

    def write_and_index(contents):
        for photo, content in zip(photos, contents, strict=True):
            photo.write_text(content)
            age(photo)
        before, kept = load_records(tmp_path), load_ids(tmp_path)
        taken = {photo.name: take_fingerprint(photo, photo=False) for photo in photos}
        kept = [replace(each, path="") if taken[each.path].sha256 != each.sha256 else each for each in kept]
        save_records(tmp_path, Records(taken), before)
        annotations = load_catalog(tmp_path).annotations
        save_ids(tmp_path, give_ids(annotations, {path: each.sha256 for path, each in taken.items()}, kept), kept)

    write_and_index("abcd")
    who = open_identities(tmp_path)
    first = [a.annotation for a in who.annotations]
    asked = []

    def two_files_change_their_names_and_are_indexed(*words, **options):
        asked.append(words)
        write_and_index("bacd")
        assert len(asked) < 9
        return "s"

    monkeypatch.setattr("click.prompt", two_files_change_their_names_and_are_indexed)
    pairs = {(a, b): Likely(a, b, odds, 0.9, 0.9, 9, ("", "")) for a, b, odds in ((0, 2, 9.0), (2, 3, 8.0))}
    assert _ask_all(Queue(who, Evidence(pairs, 0.3, -6.0, 0), "Anna", repeats=0), None, None, None) == (1, ())
    assert capsys.readouterr().err.count("p0.jpg is another photo since an index run of just now") == 1
    after = open_identities(tmp_path)
    assert [a.annotation for a in after.annotations] == [first[1], first[0], *first[2:]]
    (row,) = after.rows
    assert {*row.side_a, *row.side_b} == {first[2], first[3]}


def test_undo_while_asking_takes_back_nothing_that_was_taken_back_elsewhere(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(4)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    who = open_identities(tmp_path)
    who, _ = decide(who, [answer_pair(who, 0, 1, "same", "Anna"), answer_pair(who, 0, 2, "different", "Anna")])
    said = iter(["u", "q"])

    def taken_back_in_the_app(*words, **options):
        now = open_identities(tmp_path)
        if len(now.rows) == 2:
            decide(now, undo(now, [now.rows[-1].id], "Anna"))
        return next(said)

    monkeypatch.setattr("click.prompt", taken_back_in_the_app)
    pairs = {(2, 3): Likely(2, 3, 9.0, 0.9, 0.9, 9, ("", ""))}
    assert _ask_all(Queue(who, Evidence(pairs, 0.3, -6.0, 0), "Anna", repeats=0), None, None, None) == (0, ())
    assert "taken back: same" in capsys.readouterr().err
    rows = open_identities(tmp_path).rows
    assert [row.answer for row in rows if row.kind == "undo"] == [rows[1].id, rows[0].id]


def test_a_decision_about_a_renamed_photo_that_the_table_identifies_is_stored_before_the_next_index_run(tmp_path):
    def write_table(first):
        lines = [f"{path},left_flank,e{n},a{n}" for n, path in enumerate((first, "p1.jpg"))]
        (tmp_path / "catalog.csv").write_text("\n".join(["path,body_part,encounter,annotation", *lines]) + "\n")
        return load_catalog(tmp_path).annotations

    photos = ["p0.jpg", "p1.jpg"]
    for path in photos:
        (tmp_path / path).write_text(path)
    taken = {path: take_fingerprint(tmp_path / path, photo=False) for path in photos}
    save_records(tmp_path, Records(taken), Records({}))
    save_ids(tmp_path, give_ids(write_table("p0.jpg"), {path: each.sha256 for path, each in taken.items()}, ()))
    (tmp_path / "p0.jpg").rename(tmp_path / "lynx.jpg")
    write_table("lynx.jpg")
    who = open_identities(tmp_path)
    assert [a.annotation for a in who.annotations] == ["a0", "a1"]
    need_unchanged(who, ["a0", "a1"])


def likely_pairs(folder, count):
    """Return who is who in a catalog of sightings, and evidence that all but the last one are one animal."""
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(count)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (folder / "catalog.csv").write_text(table, encoding="utf-8")
    pairs = combinations(range(count - 1), 2)
    return open_identities(folder), {(a, b): Likely(a, b, 9.0 - a - b, 0.9, 0.9, 9, ("", "")) for a, b in pairs}


def test_asking_knows_what_others_answer_meanwhile(tmp_path, monkeypatch):
    who, pairs = likely_pairs(tmp_path, 4)

    def boris_joins_the_first_and_the_third(*words, **options):
        if len(open_identities(tmp_path).rows) == 0:
            decide(open_identities(tmp_path), [answer_pair(who, 0, 2, "same", "Boris")])
        return "s"

    monkeypatch.setattr("click.prompt", boris_joins_the_first_and_the_third)
    queue = Queue(who, Evidence(pairs, 0.3, -2.0, 0), "Anna", repeats=0)
    assert _ask_all(queue, None, None, None) == (1, ())
    (anna,) = [row for row in open_identities(tmp_path).rows if row.observer == "Anna"]
    assert {*anna.side_a, *anna.side_b} == {"a0", "a1"}  # that a1 and a2 are one animal follows


def test_a_pair_that_others_answered_before_it_is_shown_is_not_asked(tmp_path, monkeypatch):
    who, pairs = likely_pairs(tmp_path, 5)
    queue = Queue(who, Evidence(pairs, 0.3, -2.0, 0), "Anna", repeats=0)
    drafts = [answer_pair(who, 0, 1, "different", "Boris")]
    decide(who, [*drafts, *(answer_pair(who, n, 4, "same", "Boris") for n in (0, 2))])  # 0 and 2 are one animal
    monkeypatch.setattr("click.prompt", lambda *words, **options: "d")
    _ask_all(queue, None, None, None)
    asked = [(row.side_a, row.side_b) for row in open_identities(tmp_path).rows if row.observer == "Anna"]
    assert asked
    assert not {frozenset((*a, *b)) for a, b in asked} & {frozenset(("a0", "a1")), frozenset(("a0", "a2"))}
