"""Unlikely pairs of sightings: when they are asked about, in which order, and when that ends."""

from dataclasses import replace
from itertools import combinations

import pytest

from snowmatch.review import turns
from snowmatch.review.identities import decide, open_identities, undo
from snowmatch.review.likely import LEAST, Evidence, Likely
from snowmatch.review.queue import Queue, answer_item

pytestmark = pytest.mark.usefixtures("seen_once")


def unlikely_catalog(tmp_path, count, named=0):
    names = [f"a{n:02d}" for n in range(count)]
    rows = "".join(
        f"{name}.jpg,left_flank,e{name},{name},{f'cat{n}' if n < named else ''}\n" for n, name in enumerate(names)
    )
    (tmp_path / "catalog.csv").write_text(f"path,body_part,encounter,annotation,individual\n{rows}", encoding="utf-8")
    return open_identities(tmp_path)


def quiet_pairs(pairs):
    return Evidence({p: Likely(*p, LEAST, 0.01, 0.001, 5, ("", "")) for p in pairs}, 0.002, -6.0, 0)


@pytest.mark.slow
def test_unlikely_pairs_are_asked_about_until_hardly_any_is_one_animal(tmp_path):
    names = [f"a{n:02d}" for n in range(80)]
    table = "".join(f"{name}.jpg,left_flank,e{name},{name}\n" for name in names)
    (tmp_path / "catalog.csv").write_text(f"path,body_part,encounter,annotation\n{table}", encoding="utf-8")
    # 20 pairs speak a little, 20 do not at all: all are beyond what two answers could change, and within three
    likely = {
        (2 * n, 2 * n + 1): Likely(2 * n, 2 * n + 1, -1.0 if n < 20 else LEAST, 0.01, 0.001, 5, ("", ""))
        for n in range(40)
    }

    def asked(one_animal):
        who = open_identities(tmp_path, tmp_path / f"{one_animal}.sqlite")
        queue, found = Queue(who, Evidence(likely, 0.002, -6.0, 0), "Anna", repeats=0), []
        left = queue.left()
        while items := queue.next():
            (item,) = items
            assert item.why == "unlikely"
            found.append((item.a, item.b))
            answer = "same" if item.a // 2 < one_animal else "different"
            who, stored = decide(who, [answer_item(queue, item, answer, "", hidden=False)])
            queue.take(who, item, stored.rows[0])
        again = Queue(open_identities(tmp_path, tmp_path / f"{one_animal}.sqlite"), queue.evidence, "Boris")
        assert not again.next()  # whoever answered
        return found, left, queue

    found, left, queue = asked(0)
    more = "".join(
        f"{name}.jpg,left_flank,e{name},{name}\n" for name in ("b00", "b01", *(f"c{n:02d}" for n in range(20)))
    )
    with (tmp_path / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write(more)  # a fifth more sightings: the answers of before do not tell about them
    new = {**likely, (80, 81): Likely(80, 81, LEAST, 0.01, 0.001, 5, ("", ""))}
    grown = Queue(open_identities(tmp_path, tmp_path / "0.sqlite"), Evidence(new, 0.002, -6.0, 0), "Anna", repeats=0)
    assert (80, 81) in [(each.a, each.b) for each in grown.next(50)]
    (tmp_path / "catalog.csv").write_text(f"path,body_part,encounter,annotation\n{table}", encoding="utf-8")
    assert len(found) == left == 30
    assert {a // 2 for a, _ in found[:20]} == set(range(20))  # first those for which the photos speak at all
    assert len(asked(20)[0]) == 40  # 20 of 40 were one animal, and none of the last 20 would have ended it at 49
    file = tmp_path / "undone.sqlite"
    who = open_identities(tmp_path, file)
    queue = Queue(who, Evidence(likely, 0.002, -6.0, 0), "Anna", repeats=0)
    for _ in range(30):
        (item,) = queue.next()
        who, stored = decide(who, [answer_item(queue, item, "different", "", hidden=False)])
        queue.take(who, item, stored.rows[0])
    assert not queue.next()
    who, _ = decide(who, undo(who, [stored.rows[0].id], "Anna"))
    assert queue.take_back(who, stored.rows[0])
    assert [(each.a, each.b) for each in queue.next()] == [(item.a, item.b)]  # it is a question again


def test_two_names_are_never_an_unlikely_question(tmp_path):
    who = unlikely_catalog(tmp_path, 30, named=20)
    pairs = [*combinations(range(20), 2), *((n, 20 + n) for n in range(10))]
    evidence = replace(quiet_pairs(pairs), expected=0.2)  # so that also two names are not settled
    queue = Queue(who, evidence, "Anna", repeats=0)
    assert queue.left() == 10
    asked = [(each.a, each.b) for each in queue.next(50) if each.why == "unlikely"]
    assert sorted(asked) == [(n, 20 + n) for n in range(10)]


def test_held_pairs_and_names_do_not_hide_unlikely_questions(tmp_path):
    who = unlikely_catalog(tmp_path, 30, named=8)
    odds = dict.fromkeys(combinations(range(8), 2), 2.2) | {(20, 21): -1.0, (22, 23): -1.4, (24, 25): -1.4}
    likely = {p: Likely(*p, of, 0.01, 0.001, 5, ("", "")) for p, of in odds.items()}
    queue = Queue(who, Evidence(likely, 0.002, -6.0, 0), "Anna", repeats=0)
    rest = [(20, 21), (22, 23), (24, 25)]
    asked = [(each.a, each.b) for each in queue.next(50) if each.why == "unlikely"]
    assert asked == rest
    assert queue.left() == 3
    keys = queue.keys_of(next(each for each in queue.next(50) if (each.a, each.b) == (20, 21)))
    turns.take(tmp_path, "Boris", keys)
    asked = [(each.a, each.b) for each in queue.next(50) if each.why == "unlikely"]
    assert asked == rest[1:]


def test_a_sighting_of_which_nothing_could_be_told_comes_last_among_many_unlikely_ones(tmp_path):
    who = unlikely_catalog(tmp_path, 40)
    likely = {(0, n): Likely(0, n, -1.0, 0.01, 0.001, 5, ("", "")) for n in range(1, 30)}
    likely[30, 31] = Likely(30, 31, -1.4, 0.01, 0.001, 5, ("", ""))
    queue = Queue(who, Evidence(likely, 0.002, -6.0, 0), "Anna", repeats=0)
    for _ in range(3):
        (item,) = queue.next()
        assert item.a == 0
        who, stored = decide(who, [answer_item(queue, item, "cannot_tell", "", hidden=False)])
        queue.take(who, item, stored.rows[0])
    assert [(each.a, each.b) for each in queue.next()] == [(30, 31)]


def test_skipped_unlikely_questions_do_not_hide_the_others(tmp_path):
    who = unlikely_catalog(tmp_path, 100)
    queue = Queue(who, quiet_pairs([(2 * n, 2 * n + 1) for n in range(50)]), "Anna", repeats=0)
    first = queue.next(20)
    for item in first:
        turns.skip(tmp_path, "Anna", queue.keys_of(item))
    then = queue.next(20)
    assert len(then) == 20
    assert {each.a for each in then}.isdisjoint(each.a for each in first)


def test_an_unlikely_pair_that_was_taken_back_is_an_unlikely_question_again(tmp_path):
    who = unlikely_catalog(tmp_path, 8)
    queue = Queue(who, quiet_pairs([(0, 1), (2, 3), (4, 5), (6, 7)]), "Anna", repeats=0)
    for answer in ("different", "same", "cannot_tell"):
        (item,) = queue.next()
        who, stored = decide(who, [answer_item(queue, item, answer, "", hidden=False)])
        queue.take(who, item, stored.rows[0])
        assert {each.why for each in queue.next(10)} == {"unlikely"}
        who, _ = decide(who, undo(who, [stored.rows[0].id], "Anna"))
        assert queue.take_back(who, stored.rows[0])
        assert [(each.a, each.b, each.why) for each in queue.next(10)] == [(n, n + 1, "unlikely") for n in (0, 2, 4, 6)]


def test_answers_that_told_nothing_do_not_end_the_unlikely_questions(tmp_path):
    who = unlikely_catalog(tmp_path, 80)
    queue = Queue(who, quiet_pairs([(2 * n, 2 * n + 1) for n in range(40)]), "Anna", repeats=0)
    number = 0
    while items := queue.next():
        who, stored = decide(who, [answer_item(queue, items[0], "cannot_tell", "", hidden=False)])
        queue.take(who, items[0], stored.rows[0])
        number += 1
    assert number == 40
