"""The map of stations, as pages draw it: positions to each other, without coordinates."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from urllib.parse import urlencode

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import STATIONS_NAME
from snowmatch.review.identities import Identities
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.layout import Layout, Site, site_among, station_layout
from snowmatch.views.station_map import StationMap, make_map
from snowmatch.web.state import State
from snowmatch.web.texts import Translate, figures


def layout_of(state: State, identities: Identities) -> tuple[Layout, str]:
    """Return the layout of the catalog's stations, and what is wrong with their table.

    Both are kept until the table or the order of its dates changes.
    """
    dates = identities.data.settings.dates
    try:
        status = (state.folder / STATIONS_NAME).stat()
        stamp: object = (status.st_mtime_ns, status.st_size, dates)
    except OSError:
        stamp = None
    kept: tuple[object, Layout, str] | None = state.kept.get("layout")
    if kept is None or kept[0] != stamp:
        try:
            kept = (stamp, station_layout(state.folder, dates), "")
        except SnowmatchError as error:
            kept = (stamp, Layout({}, ()), " ".join(str(error).splitlines()))
        state.kept["layout"] = kept
    return kept[1], kept[2]


def map_of(
    state: State, identities: Identities, numbers: Iterable[int] | None = None
) -> tuple[StationMap | None, int, str]:
    """Return the map of stations, the number of stations without a position, and a problem of their table.

    numbers: of the sightings of one animal, whose way is drawn; None: all sightings of the catalog.
    """
    layout, problem = layout_of(state, identities)
    sightings = identities.who.sightings
    chosen = sightings if numbers is None else [sightings[n] for n in numbers]
    sites = [site_among(layout.places, s.location, s.station) for s in chosen]
    visits = [] if numbers is None else [(s.time, site) for s, site in zip(chosen, sites, strict=True)]
    made = make_map(layout, Counter(sites), visits)
    lost = {site for site, s in zip(sites, chosen, strict=True) if s.station and site not in layout.places}
    return made, len(lost), problem


def metres_apart(state: State, identities: Identities, one: int, other: int) -> int | None:
    """Return the distance of the stations of two sightings (m); None at one station, or if a position is not known.

    It is rounded: distances to the metre would tell more of the positions than the map of stations does.
    """
    layout, _ = layout_of(state, identities)
    pair = [identities.who.sightings[n] for n in (one, other)]
    sites = [site_among(layout.places, s.location, s.station) for s in pair]
    if sites[0] == sites[1] or not all(site in layout.places for site in sites):
        return None
    metres = math.dist(*(layout.places[site] for site in sites))
    step = next(step for most, step in ((1_000, 50), (10_000, 100), (math.inf, 1_000)) if metres < most)
    return max(round(metres / step), 1) * step


def exactness_of(how: Coordinates | None, t: Translate) -> str:
    """Return in words how exact the positions are that leave the catalog; "" if none do."""
    if how is None:
        return ""
    return t("take.positions.round", km=figures(t, f"{how.step / 1000:g}")) if how.step else t("take.positions.exact")


def photos_at(identities: Identities) -> Callable[[Site], str]:
    """Return the function from a station to the address of its photos. The location is left out of it if only the table
    of stations tells it of some of them: with it, the page would not list them.
    """
    locations: dict[str, set[str]] = defaultdict(set)
    for a in identities.named:
        locations[a.station].add(a.location)

    def address(site: Site) -> str:
        location, station = site
        told = locations.get(station, set())
        bare = not location or ("" in told and told <= {"", location})
        return "/photos?" + urlencode({"station": station} if bare else {"location": location, "station": station})

    return address
