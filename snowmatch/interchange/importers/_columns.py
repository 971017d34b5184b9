"""Photo tables with any headings: which column means what, and the row of a photo from its cells."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from snowmatch.catalog import stations
from snowmatch.catalog.cells import are_shares
from snowmatch.catalog.positions import is_position, same_coordinate
from snowmatch.catalog.species import BLANK, NO_ANIMAL, SNOW_LEOPARD, SYNONYMS
from snowmatch.catalog.times import plain_time
from snowmatch.core.imported import ImportedRow, Unit
from snowmatch.core.text import unclear_comma
from snowmatch.interchange.importers._values import MISSING, Box, four_numbers, joined_time, name_or_none, side

# The usual headings of each column, the surest first
SPELLINGS = {
    "path": "path file_path filepath image_path photo_path source_file file filename file_name image_name photo_name "
    "image_file photo image picture img",
    "folder": "relative_path directory folder dir",
    "individual": "individual individual_id individual_name identity animal_id animal_name cat_id cat_name cat "
    "leopard_id leopard_name leopard snow_leopard snow_leopard_id sl_id animal name",
    "body_part": "body_part bodypart flank side viewpoint view orientation position",
    "location": "location area study_area region valley reserve park",
    "station": "station station_id station_name camera_station trap_station site site_id site_name trap trap_id "
    "placename trapgroup location_id location_name",
    "camera": "camera camera_id camera_name cam cam_id",
    "timestamp": "timestamp date_time datetime date_time_original datetimeoriginal date_taken time_taken taken "
    "capture_time",
    "date": "date day photo_date capture_date",
    "time": "time time_of_day clock",
    "encounter": "encounter",
    "bbox": "bbox box bounding_box roi",
    "bbox_x": "bbox_x box_x x_min xmin",
    "bbox_y": "bbox_y box_y y_min ymin",
    "bbox_width": "bbox_width bbox_w box_width box_w",
    "bbox_height": "bbox_height bbox_h box_height box_h",
    "bbox_x_max": "x_max xmax",
    "bbox_y_max": "y_max ymax",
    "mask": "mask",
    "split": "split",
    "annotation": "annotation",
    "sex": "sex gender",
    "species": "species common_name scientific_name species_name",
    "quality": "quality",
    "source_id": "image_id photo_id record_id uuid id",
    # A column called x or y may be that of a box: see `photo_table`
    **{name: stations.SPELLINGS[name].removeprefix(f"{name} ") for name in ("x", "y")},
    "crs": stations.SPELLINGS["crs"],
}
COPIED = ("location", "station", "camera", "encounter", "mask", "split", "annotation", "sex", "species", "quality")
COORDINATES = ("x", "y", "crs")
EDGES = {"w", "h", "width", "height"}  # beside them, columns called x and y are of a box
BARE = ("cat", "leopard", "snow_leopard", "animal", "name")  # may hold names, or say whether or how many are there
NAME = "name"
PLACES = ("position", "location")  # may hold coordinates, which are of stations
# What cells of BARE may hold in place of names: kinds that camera traps for patterned animals usually meet, gathered by
# hand, common and scientific; a kind that is missing is read as a name
KINDS = {
    SNOW_LEOPARD, *SYNONYMS, "leopard", "panthera pardus",
    "clouded leopard", "neofelis nebulosa", "leopard cat", "prionailurus bengalensis", "tiger", "panthera tigris",
    "lion", "panthera leo", "jaguar", "panthera onca", "ocelot", "leopardus pardalis", "cheetah", "acinonyx jubatus",
    "serval", "leptailurus serval", "puma", "cougar", "puma concolor", "lynx", "eurasian lynx", "lynx lynx", "рысь",
    "bobcat", "lynx rufus", "pallas's cat", "pallas cat", "manul", "otocolobus manul", "манул", "wild cat", "wildcat",
    "felis silvestris", "cat", "domestic cat", "wolf", "grey wolf", "gray wolf", "canis lupus", "волк", "jackal",
    "dhole", "cuon alpinus", "wild dog", "african wild dog", "lycaon pictus", "fox", "red fox", "vulpes vulpes", "лиса",
    "лисица", "dog", "domestic dog", "собака", "bear", "brown bear", "ursus arctos", "медведь", "marten",
    "stone marten", "badger", "wolverine", "hyena", "hyaena", "spotted hyena", "crocuta crocuta", "ibex",
    "siberian ibex", "capra sibirica", "козерог", "argali", "ovis ammon", "архар", "аргали", "blue sheep", "bharal",
    "pseudois nayaur", "markhor", "deer", "red deer", "roe deer", "musk deer", "wild boar", "кабан", "marmot", "сурок",
    "hare", "заяц", "pika", "giraffe", "zebra", "nyala", "tragelaphus angasii", "impala", "kudu", "elephant", "yak",
    "як", "horse", "лошадь", "cow", "cattle", "sheep", "goat", "livestock", "bird", "птица", "snowcock", "mammal",
    "rodent", "animal", "other",
}  # fmt: skip
YES_NO = {"true", "false", "yes", "no", "y", "n", "x", "да", "нет"}


@dataclass
class PhotoTable:
    """How the columns of one table are read, and what was met in them.

    meaning: heading -> column of the catalog. counts, kinds: headings of BARE that were passed over, since their cells
    are no names. like_kinds: cells of the column of names, one of BARE, that are usually kinds of animals. placed:
    headings of PLACES with coordinates in a cell, which are left out. lines: all that were met. repeated: how often a
    photo occurred. missing: how many cells of a column are MISSING. positions: by location and station.
    """

    meaning: Mapping[str, str]
    headings: Sequence[str]
    counts: Sequence[str]
    kinds: Sequence[str] = ()
    like_kinds: Sequence[str] = ()
    placed: Sequence[str] = ()
    lines: set[tuple[str, ...]] = field(default_factory=set)
    repeated: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    positions: dict[tuple[str, str], Counter[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(Counter))

    def is_repeat(self, cells: Mapping[str, str]) -> bool:
        """Return whether the table has had the same line before."""
        line = tuple(cells.values())
        known = line in self.lines
        self.lines.add(line)
        return known

    def photo(self, cells: Mapping[str, str]) -> str:
        """Return the name of the photo: the folder and the file, joined."""
        folder, file = self.cell(cells, "folder"), self.cell(cells, "path")
        return f"{folder.rstrip('/').rstrip(chr(92))}/{file}" if folder and file else file

    def cell(self, cells: Mapping[str, str], column: str) -> str:
        """Return the text in the column with this meaning; "" if there is none."""
        return next((cells[heading] for heading, name in self.meaning.items() if name == column), "")

    def _filled(self, cells: Mapping[str, str], column: str) -> str:
        """Return the text in the column with this meaning; "" for a missing value, which is counted."""
        text = self.cell(cells, column)
        self.missing[column] += text in MISSING
        return "" if text in MISSING else text

    def row(
        self, cells: Mapping[str, str], where: str, unit: Unit, problems: list[str], photo: str = ""
    ) -> ImportedRow:
        """Return the row of a photo. A box that is none is a problem.

        photo: its name, if it is not in the columns path and folder.
        """
        photo = photo or self.photo(cells)
        kept = {name: value for name in COPIED if (value := self._filled(cells, name))}
        kept["individual"] = self.cell(cells, "individual")
        if part := self.cell(cells, "body_part"):
            kept["body_part"] = side(part)
        time = plain_time(self._filled(cells, "timestamp"))
        kept["timestamp"] = time or joined_time(self._filled(cells, "date"), self._filled(cells, "time"))
        kept.update({name: cells[h] for h, name in self._further().items() if cells[h]})
        box, unit = self._box(cells, where, unit, problems)
        position = tuple(self._filled(cells, name) for name in COORDINATES)
        if any(position[:2]):
            self.positions[kept.get("location", ""), kept.get("station", "")][position] += 1
        self.repeated[photo] += 1
        number = self.repeated[photo]
        identifier = self._filled(cells, "source_id") or (photo if number == 1 else f"{photo}#{number}")
        return ImportedRow(photo, identifier, kept, box, unit, None, where)

    def _box(self, cells: Mapping[str, str], where: str, unit: Unit, problems: list[str]) -> tuple[Box | None, Unit]:
        edges = ("x", "y", "width", "height", "x_max", "y_max")
        texts = [self._filled(cells, f"bbox_{name}") for name in edges]
        commas = [text for text in texts if "," in text]
        if commas and all(map(unclear_comma, commas)):
            problems.append(f"{where}: {commas[0]!r} of a box may have a comma of thousands; expected px without one")
            return None, unit
        x, y, width, height, x_max, y_max = (text.replace(",", ".") for text in texts)
        parts = [x, y, width or x_max, height or y_max]
        given = self._filled(cells, "bbox")
        if not given and any(parts) and not all(parts):
            problems.append(f"{where}: {sum(map(bool, parts))} of the 4 values of a box; expected all, or none")
            return None, unit
        text = given or " ".join(parts).strip()
        try:
            box = four_numbers(text)
            if box is not None and not given:
                box = box[0], box[1], box[2] - box[0] * (not width), box[3] - box[1] * (not height)
        except ValueError:
            box = (0.0, 0.0, 0.0, 0.0)
        if box is not None and not (box[2] > 0 and box[3] > 0):
            problems.append(f"{where}: {text!r} is no box; expected x,y,width,height, or an empty cell")
            return None, unit
        return box, "share" if box is not None and are_shares(box) else unit

    def columns(self) -> frozenset[str]:
        """Return the columns of the catalog's table that this table has something for."""
        found = {name.partition("_")[0] if name.startswith("bbox_") else name for name in self.meaning.values()}
        found |= {"timestamp"} if found & {"date", "time"} else set()
        found |= {"body_part_there"} if "body_part" in found else set()
        return frozenset({*found, *self._further().values()})

    def _further(self) -> dict[str, str]:
        """Return the headings that mean nothing, and the columns that keep them: none that another heading means."""
        taken = {"path", "bbox", "individual", "body_part", "timestamp", *COPIED} & {*self.meaning.values()}
        bare = [heading for heading in self.headings if heading and heading not in self.meaning]
        return {heading: f"{heading}_there" if heading in taken else heading for heading in bare}

    def stations(self) -> tuple[list[dict[str, str]], list[str]]:
        """Return the stations with a position, and the names of those with several."""
        found, several = [], []
        for (location, station), seen in sorted(self.positions.items()):
            if not station:
                continue
            first, *others = seen
            if not all(all(map(same_coordinate, COORDINATES, first, other)) for other in others):
                several.append(station)
                continue
            x, y, crs = first
            cells = {"station": station, "location": location, "x": x, "y": y, "crs": crs}
            found.append({**cells, "deployment": f"{location}/{station}" if location else station})
        return found, several


def photo_table(
    headings: Sequence[str], rows: Iterable[Mapping[str, str]], own: Mapping[str, str] | None = None
) -> PhotoTable:
    """Return how a table with these headings is read. rows: cells by heading.

    own: heading -> column of those whose meaning is known. A column has one other heading: the one that stands first in
    SPELLINGS. One of BARE is that of names unless its cells are yes and no, or whole numbers with a 0 among them, or
    all are kinds of animals: it then holds the species, if no other one has a text. `name` is never one of kinds: an
    animal may be called Lynx. One of PLACES with a position in a cell is left out, unless it is among `own`.
    """
    found = dict(own or {})
    rows = list(rows)
    placed = [h for h in PLACES if h in headings and h not in found and any(is_position(cells[h]) for cells in rows)]
    found |= dict.fromkeys(placed, "-")
    texts = {} if "individual" in found.values() else _texts(headings, rows)
    counts = [heading for heading, seen in texts.items() if _are_counts(seen)]
    kinds = [h for h, seen in texts.items() if h != NAME and KINDS & seen and seen <= KINDS | BLANK | NO_ANIMAL]
    for column, words in SPELLINGS.items():
        if column in found.values():
            continue
        able = (word for word in words.split() if word in headings and word not in {*found, *counts, *kinds})
        heading = next(able, None)
        if heading is not None:
            found[heading] = column
    species = next((heading for heading, column in found.items() if column == "species"), None)
    if kinds and (species is None or (species not in (own or {}) and not any(cells[species] for cells in rows))):
        found |= {kinds[0]: "species"} | ({} if species is None else {species: "-"})
    used = {*found, *found.values()}
    if {"x", "y"} <= set(headings) and not {"x", "y"} & used and not EDGES & set(headings):
        found |= {"x": "x", "y": "y"}
    named = next((heading for heading, column in found.items() if column == "individual"), None)
    surer = list(takewhile(lambda word: word != named, SPELLINGS["individual"].split()))
    counted = [word for word in surer if word in counts and word not in found]
    like_kinds = sorted(KINDS & texts.get(named or "", set()))
    return PhotoTable(found, headings, counted, [word for word in surer if word in kinds], like_kinds, placed)


def _texts(headings: Collection[str], rows: Iterable[Mapping[str, str]]) -> dict[str, set[str]]:
    """Return the cells of the headings of BARE that are there, in lower case, without those that mean nothing."""
    texts: dict[str, set[str]] = {heading: set() for heading in BARE if heading in headings}
    for cells in rows if texts else ():
        for heading, seen in texts.items():
            seen.add(" ".join(name_or_none(cells[heading]).lower().replace("_", " ").split()))
    return {heading: seen - {""} for heading, seen in texts.items()}


def _are_counts(texts: Collection[str]) -> bool:
    """Return whether texts are yes and no, or whole numbers with a 0 among them; without a 0 they may be names.

    So may several letters, such as X and Y, but for Y and N.
    """
    letters = {text for text in texts if len(text) == 1}
    flags = YES_NO.issuperset(texts) and (len(letters) < 2 or letters == {"y", "n"})
    return bool(texts) and (flags or ("0" in texts and all(map(str.isdecimal, texts))))


def has_photos(headings: Collection[str]) -> bool:
    """Return whether a table has a column of photos."""
    return any(word in headings for word in SPELLINGS["path"].split())
