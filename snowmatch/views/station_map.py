"""The stations as positions for a drawing, with a scale bar; and the way of one animal between them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from snowmatch.core.text import printable
from snowmatch.survey.hot_spots import REACH, HotSpots
from snowmatch.survey.layout import Layout, Site

WIDTH, LEAST, MOST, EDGE = 560, 200, 420, 46  # px of the drawing: width, height from to, empty edge
SMALLEST, LARGEST = 5.0, 15.0  # px, radius of a station
LETTER, LINE = 8.6, 17  # px that a letter of a label takes, and a line of text
NARROW = 1000.0  # m; a drawing shows at least that much
WAYS = 60  # last steps of an animal that are drawn
SHADES, LINKS = 5, 120  # of hot spots; lines between stations
BEND = 0.16  # of a step's length: how far its curve bends, so that there and back are two curves


@dataclass(frozen=True)
class Dot:
    """One station in the drawing. label: where its name stands, or None if there is no room; anchor: of that text."""

    x: int
    y: int
    radius: float
    site: Site
    name: str
    count: int
    label: tuple[int, int] | None
    anchor: str


@dataclass(frozen=True)
class Way:
    """One step between two stations. number: from 1, in the order of time. path: of the curve; mark: of its number."""

    number: int
    path: str
    mark: tuple[int, int]
    first: str
    then: str


@dataclass(frozen=True)
class Hexagon:
    """One hexagon in the drawing. points: of its outline. shade: 0 (no sightings) to SHADES. rate: its meaning."""

    points: str
    shade: int
    rate: float


@dataclass(frozen=True)
class Link:
    """Steps between two stations, in either direction. width: px."""

    path: str
    width: float
    first: str
    second: str
    count: int


@dataclass(frozen=True)
class StationMap:
    """A drawing of stations; north is up. bar: length (px) and length (m) of the scale bar."""

    width: int
    height: int
    dots: tuple[Dot, ...]
    ways: tuple[Way, ...]
    bar: tuple[int, int]
    hexagons: tuple[Hexagon, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def highest(self) -> float:
        """The highest rate of the hexagons; 0 without any."""
        return max((cell.rate for cell in self.hexagons), default=0.0)


def make_map(
    layout: Layout,
    counts: Mapping[Site, int],
    visits: Sequence[tuple[str, Site]] = (),
    spots: HotSpots | None = None,
    steps: Mapping[tuple[Site, Site], int] | None = None,
) -> StationMap | None:
    """Return the drawing of all stations with a position; None without any.

    counts: sightings at each station: they tell the size of its dot. visits: (time, station) of one animal, in any
    order; steps between different stations are drawn in the order of time. spots: hot spots, in the metres of the
    layout. steps: how often animals went between two stations; the most frequent LINKS are drawn.
    """
    if not layout.places:
        return None
    pad = REACH * spots.width if spots else 0.0
    places = {site: (x + pad, y + pad) for site, (x, y) in layout.places.items()}
    across, up = (max(point[k] for point in places.values()) + pad for k in (0, 1))
    scale = min((WIDTH - 2 * EDGE) / max(across, NARROW), (MOST - 2 * EDGE) / max(up, NARROW / 4))
    height = max(round(up * scale) + 2 * EDGE, LEAST)
    left, low = (WIDTH - across * scale) / 2, (height + up * scale) / 2
    at = {site: (round(left + x * scale), round(low - y * scale)) for site, (x, y) in places.items()}
    most = max([counts.get(site, 0) for site in places] + [1])
    radius = {site: _radius(counts.get(site, 0), most) for site in places}
    names = _names(places)
    labels = _labels(at, radius, names, height)
    order = sorted(places, key=lambda site: -radius[site])  # small ones are drawn last, so that none is covered
    dots = tuple(Dot(*at[site], radius[site], site, names[site], counts.get(site, 0), *labels[site]) for site in order)
    hexagons = (
        () if spots is None else _hexagons(spots, lambda x, y: (left + (x + pad) * scale, low - (y + pad) * scale))
    )
    links = _links(at, steps or {}, names)
    return StationMap(WIDTH, height, dots, _ways(at, radius, visits), _bar(scale), hexagons, links)


def _hexagons(spots: HotSpots, place: Callable[[float, float], tuple[float, float]]) -> tuple[Hexagon, ...]:
    most = max(rate for _, _, rate in spots.cells)
    corners = [(spots.radius * math.sin(k * math.pi / 3), spots.radius * math.cos(k * math.pi / 3)) for k in range(6)]
    found = []
    for x, y, rate in spots.cells:
        outline = [place(x + dx, y + dy) for dx, dy in corners]
        shade = min(int(SHADES * rate / most) + 1, SHADES) if rate > 0 else 0
        found.append(Hexagon(" ".join(f"{px:.1f},{py:.1f}" for px, py in outline), shade, rate))
    return tuple(found)


def _links(
    at: Mapping[Site, tuple[int, int]], steps: Mapping[tuple[Site, Site], int], names: Mapping[Site, str]
) -> tuple[Link, ...]:
    total: dict[tuple[Site, Site], int] = defaultdict(int)
    for (one, other), n in steps.items():
        if one in at and other in at and at[one] != at[other]:
            total[min(one, other), max(one, other)] += n
    chosen = sorted(total.items(), key=lambda each: (-each[1], each[0]))[:LINKS]
    most = max((n for _, n in chosen), default=1)
    return tuple(
        Link("M{} {}L{} {}".format(*at[a], *at[b]), round(1 + 5 * n / most, 1), names[a], names[b], n)
        for (a, b), n in chosen
    )


def _radius(count: int, most: int) -> float:
    return round(SMALLEST + (LARGEST - SMALLEST) * math.sqrt(count / most), 1) if count else SMALLEST


def _names(places: Mapping[Site, object]) -> dict[Site, str]:
    stations = Counter(station for _, station in places)
    return {
        (location, station): printable(station if stations[station] == 1 else f"{location}/{station}")
        for location, station in places
    }


def _labels(
    at: Mapping[Site, tuple[int, int]], radius: Mapping[Site, float], names: Mapping[Site, str], height: int
) -> dict[Site, tuple[tuple[int, int] | None, str]]:
    """Return where each name stands: right, left, above or below its dot, wherever it covers nothing."""
    taken = [(x - radius[site], y - radius[site], x + radius[site], y + radius[site]) for site, (x, y) in at.items()]
    found: dict[Site, tuple[tuple[int, int] | None, str]] = {}
    for site, (x, y) in at.items():
        wide, r = LETTER * len(names[site]), round(radius[site]) + 4
        found[site] = (None, "start")
        for dx, dy, anchor, start in (
            (r, 4, "start", 0.0),
            (-r, 4, "end", -wide),
            (0, -r, "middle", -wide / 2),
            (0, r + 11, "middle", -wide / 2),
        ):
            box = (x + dx + start, y + dy - LINE + 4, x + dx + start + wide, y + dy + 4)
            inside = box[0] >= 2 and box[2] <= WIDTH - 2 and box[1] >= 0 and box[3] <= height
            if inside and not any(_meet(box, other) for other in taken):
                taken.append(box)
                found[site] = ((x + dx, y + dy), anchor)
                break
    return found


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ways(
    at: Mapping[Site, tuple[int, int]], radius: Mapping[Site, float], visits: Sequence[tuple[str, Site]]
) -> tuple[Way, ...]:
    known = [(time, site) for time, site in sorted(visits) if time and site in at]
    steps = [(a, b) for a, b in pairwise(known) if a[1] != b[1] and at[a[1]] != at[b[1]]]
    found = []
    for number, ((first, origin), (then, target)) in enumerate(steps, start=1):
        (x0, y0), (x1, y1) = at[origin], at[target]
        bend_x, bend_y = (y1 - y0) * BEND, (x0 - x1) * BEND
        middle = (x0 + x1) / 2 + bend_x, (y0 + y1) / 2 + bend_y
        away = math.hypot(x1 - middle[0], y1 - middle[1])
        short = max(1 - (radius[target] + 2) / away, 0)  # the arrow ends at the dot, not below it
        end = middle[0] + (x1 - middle[0]) * short, middle[1] + (y1 - middle[1]) * short
        path = f"M{x0} {y0}Q{middle[0]:.0f} {middle[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
        mark = round((x0 + x1) / 2 + bend_x / 2), round((y0 + y1) / 2 + bend_y / 2)
        found.append(Way(number, path, mark, first[:10], then[:10]))
    return tuple(found[-WAYS:])


def _bar(scale: float) -> tuple[int, int]:
    """Return the length (px, m) of a scale bar: 1, 2 or 5 of a power of ten, at most a quarter of the drawing."""
    most = WIDTH / 4 / scale
    power = 10 ** math.floor(math.log10(most))
    metres = max(n * power for n in (1, 2, 5) if n * power <= most)
    return round(metres * scale), round(metres)
