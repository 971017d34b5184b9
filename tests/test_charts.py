"""Charts of a survey: nothing leaves the drawing, and axes end at or above the largest value."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.core.text import shortened
from snowmatch.decisions.sightings import Sighting
from snowmatch.survey.co_use import CoUse
from snowmatch.views.charts import ANIMALS, BOTTOM, HEIGHT, TOP, WIDTH, make_bars, make_pairs, make_steps
from snowmatch.views.timeline import make_timeline

NUMBER = re.compile(r"-?\d+\.?\d*")


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=1, max_size=40), st.floats(0.01, 1e5))
def test_bars_and_their_curve_stay_inside(values, height):
    chart = make_bars(values, [str(n) for n in range(len(values))], 3, [0, height, height / 2])
    assert [bar.value for bar in chart.bars] == values
    for bar in chart.bars:
        assert TOP - 0.2 <= bar.y <= HEIGHT - BOTTOM + 0.1
        assert bar.y + bar.height == pytest.approx(HEIGHT - BOTTOM, abs=0.2)
        assert 0 < bar.x < bar.x + bar.width <= WIDTH
    ys = [float(NUMBER.findall(point)[1]) for point in chart.curve[1:].split("L")]
    assert all(TOP - 0.2 <= y <= HEIGHT - BOTTOM + 0.1 for y in ys)
    top = max(float(text) for _, text in chart.ticks)
    assert top >= max([height, *(v for v in values if v is not None)]) * (1 - 1e-5)
    assert 2 <= len(chart.ticks) <= 7
    assert len(chart.marks) == -(-len(values) // 3)


def test_heights_are_in_proportion():
    chart = make_bars([1.0, 2.0, 0.0], ["a", "b", "c"])
    assert chart.bars[1].height == pytest.approx(2 * chart.bars[0].height, abs=0.2)
    assert chart.bars[2].height == 0
    assert chart.curve == ""


def test_no_values_make_an_empty_chart():
    assert make_bars([], []).bars == ()
    assert make_steps({}).lines == ()
    assert make_pairs([]) is None


def test_steps_rise_to_their_last_value():
    chart = make_steps({"1": [0, 2, 4], "2": [1]})
    assert [(name, last) for _, name, last, _ in chart.lines] == [("1", 4), ("2", 1)]
    assert chart.lines[0][3] < chart.lines[1][3]
    assert chart.lines[0][0].count("H") == 3


def test_pairs_are_drawn_on_both_sides_and_the_rest_is_counted():
    def met(a, b, n):
        return CoUse("1", a, b, "S1", n, 1.0, 0, datetime(2023, 5, 1))

    chart = make_pairs([met("a", "b", 6), met("a", "b", 3), met("a", "c", 1)])
    found = {(p.first, p.second): (p.count, p.shade) for p in chart.pairs}
    assert found == {("a", "b"): (9, 3), ("b", "a"): (9, 3), ("a", "c"): (1, 1), ("c", "a"): (1, 1)}
    assert chart.hidden == 0
    many = make_pairs([met(f"x{n:02d}", f"y{n:02d}", n + 1) for n in range(10)])
    assert len(many.names) == ANIMALS
    assert many.hidden == 20 - ANIMALS


NOW = datetime(2026, 1, 2)


def seen(time, location="naryn", station="S1"):
    return Sighting("k", "e", "e", (0,), ("k",), ("left_flank",), None, location, station, time)


@pytest.mark.parametrize(
    "times", [["9999-12-31"], ["9999-12-31T23:59:59.999999"], ["0001-01-01", "9999-12-31T23:59:59.999999"]]
)
def test_sightings_at_the_ends_of_the_calendar_are_drawn(times):
    drawn = make_timeline([seen(time) for time in times], range(len(times)), NOW)
    assert len(drawn.dots) == len(times)
    assert all(drawn.left < x <= drawn.width for x, _ in drawn.ticks)
    assert drawn.ticks


@pytest.mark.parametrize("wrong", ["1900-01-01", "2000-01-01T00:00:07", "2026-01-03T04:05:06", "9999-12-31"])
def test_a_sighting_with_an_impossible_time_does_not_hide_when_the_others_were(wrong):
    times = ["2024-05-01", "2026-01-02T23:00:00", "2024-05-09", "", wrong]
    right = make_timeline([seen(time) for time in times[:-1]], range(4), NOW)
    drawn = make_timeline([seen(time) for time in times], range(5), NOW)
    assert (drawn.dots, drawn.ticks) == (right.dots, right.ticks)
    assert (drawn.left_out, right.left_out) == ((4,), ())


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([("naryn", "S1"), ("naryn", "S2")], ["S1", "S2"]),
        ([("naryn", "S1"), ("sarychat", "S1"), ("", "")], ["naryn/S1", "sarychat/S1", "–"]),
        ([("naryn", "S1"), ("", "S1"), ("naryn", "")], ["S1", "naryn"]),  # either may leave the location out
        ([("naryn", "S1"), ("", "S1"), ("sarychat", "S1")], ["S1", "naryn/S1", "sarychat/S1"]),
    ],
)
def test_each_station_has_a_row_of_its_own_by_which_it_can_be_told(places, expected):
    drawn = make_timeline([seen("2024-05-01", *place) for place in places], range(len(places)), NOW)
    assert [name for _, _, name in drawn.rows] == expected
    assert {dot.y for dot in drawn.dots} == {y for y, _, _ in drawn.rows}


def test_names_that_are_cut_keep_the_beginning_and_the_end():
    names = [f"sarychat-ertash/S{n:02d}" for n in range(20)] + ["Aika of the north", "Bars of the north"]
    for most in (13, 14, 18):
        short = [shortened(name, most) for name in names]
        assert len(set(short)) == len(names)
        assert max(map(len, short)) == most
    assert shortened("sarychat/S1", 14) == "sarychat/S1"
