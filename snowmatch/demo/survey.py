"""A synthetic camera-trap survey with known answers, for the demo, the tests and the benchmarks.

snowmatch draws every animal, rock and photo. The info bar, the EXIF data and README.txt state that they are synthetic.

The survey contains two traps for bad methods. The rocks of a station are the same for all animals, so a method that
matches scenery makes mistakes. A few animals are decoys: one flank has the coat of another animal's other flank, and
the other flank has pieces of this coat in another order. So a method that ignores body parts or geometry makes
mistakes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from snowmatch.demo.coats import SOLES, Pose, draw_animal, grow_coat, smooth_noise
from snowmatch.demo.stations import write_stations

NAMES = "aika bars cholpon dastan elnura farida gulzat ilbirs jyldyz kanat lola meerim".split()  # noqa: SIM905
SIDES = ("left", "right")
FUR = np.array([[26, 27, 30], [238, 234, 226]], np.float32)  # darkest spot, lightest fur
LOCATIONS = ("naryn", "sarychat")
BAR = 24  # the height of the info bar is the photo's height divided by this number
MARGIN = 24  # px of scenery outside the frame, because the camera moves a little
COLUMNS = ("path", "individual", "body_part", "location", "station", "camera", "timestamp", "encounter", "bbox", "mask")
README = """SYNTHETIC PHOTOS: no real animal, no real place. snowmatch drew all photos from the random seed {seed}.

{decoys} of the animals are decoys. One flank has the coat of another animal's other flank. The other flank has pieces
of the same coat in another order. A method that compares left with right, or does not check geometry, confuses a decoy
with the other animal.
"""


@dataclass(frozen=True)
class Survey:
    """The content of a survey: the rows of catalog.csv and of queries.csv, and the animal that each decoy imitates.

    A row maps each of COLUMNS to its text. Its key "animal" gives the true individual, even if `individual` is empty.
    empty: rows of the photos without an animal, which are not in catalog.csv.
    """

    catalog: tuple[dict[str, str], ...]
    queries: tuple[dict[str, str], ...]
    decoys: dict[str, str]
    empty: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class _Passage:
    """One passage of an animal in front of a camera. named: True if its rows name the individual."""

    number: int
    individual: int
    side: str
    folder: Path
    named: bool
    station: int
    start: datetime
    photos: int


def make_survey(
    folder: Path,
    *,
    individuals: int = 12,
    stations: int = 6,
    encounters: int = 4,
    photos: tuple[int, int] = (1, 3),
    seed: int = 0,
    size: tuple[int, int] = (960, 640),
    decoys: int = 0,
    unidentified: int = 0,
    queries: Path | None = None,
    query_encounters: int = 2,
    new_individuals: int = 0,
    passages: Sequence[tuple[int, str]] | None = None,
    places: Sequence[int] | None = None,
    days: int = 300,
    empty: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Draw a survey: write a catalog of JPEG photos, PNG masks and catalog.csv into `folder`, and return its content.

    individuals, stations: numbers of animals and of camera stations.
    encounters: passages of each individual. The flanks alternate.
    photos: (fewest, most) photos in a passage. size: (width, height) of the photos (px).
    decoys: number of individuals that imitate another one, at most half of all.
    unidentified: number of passages without a name in the catalog, of known and unknown animals in turn.
    queries: a folder for queries and queries.csv, which names every animal; None for no queries.
    query_encounters: passages in `queries` of each individual and of each new individual.
    new_individuals: number of animals that are only in `queries`.
    passages: (number of an individual, `left` or `right`) of each named passage, in order of time. They replace
    `encounters`. Unidentified passages and queries follow after them.
    places: the number of the station of each passage of `passages`; None draws them.
    days: how long the survey takes, at least; two passages are always more than one hour apart.
    empty: photos without an animal at each station.
    progress: a function that is called with (photos written, photos in total).

    The same arguments give the same files. Raises ValueError if a size or number is too small, if there are too many
    decoys, or if a passage has an unknown individual or flank.
    """
    if not (individuals > 0 and stations > 0 and encounters > 0 and 1 <= photos[0] <= photos[1] and min(size) >= 240):
        raise ValueError("expected one individual, station, encounter and photo or more, and photos of 240 px or more")
    if decoys * 2 > individuals:
        raise ValueError(f"{decoys} decoys among {individuals} individuals: expected at most half")
    if places is not None and (passages is None or len(places) != len(passages)):
        raise ValueError(f"{len(places)} places, expected one for each of `passages`")
    for individual, side in passages or ():
        if not (0 <= individual < individuals and side in SIDES):
            raise ValueError(f"passage {(individual, side)}: expected one of {individuals} individuals, left or right")
    rng = np.random.default_rng([seed, 3])
    strangers = individuals + new_individuals
    named = passages
    if named is None:
        named = [(i, _side(i, e, individuals, decoys)) for i in range(individuals) for e in range(encounters)]
    wanted = [(individual, side, folder, True) for individual, side in named]
    for n in range(unidentified):
        wanted.append((int(rng.integers(individuals)) if n % 2 == 0 else strangers + n, SIDES[n % 2], folder, False))
    if queries is not None:
        wanted += [(i, SIDES[(i + e) % 2], queries, True) for i in range(strangers) for e in range(query_encounters)]
    order = np.arange(len(wanted)) if passages is not None else rng.permutation(len(wanted))
    plan = _schedule(rng, wanted, order, stations, photos, days, places or ())
    total, done = sum(p.photos for p in plan) + stations * empty, 0
    nothing: list[dict[str, str]] = []
    rows: dict[int, list[dict[str, str]]] = {}
    coat = lru_cache(maxsize=64)(lambda individual, side: _coat(seed, individual, side, individuals, decoys))
    for target in {p.folder for p in plan}:
        for name in ("images", "masks"):
            (target / name).mkdir(parents=True, exist_ok=True)
        (target / "README.txt").write_text(README.format(seed=seed, decoys=decoys), encoding="utf-8")
    for number in range(stations):  # one station after the other, so that its scenery is drawn once
        at_station = [p for p in plan if p.station == number]
        if not at_station and not empty:
            continue
        scene = _Scene.draw(np.random.default_rng([seed, 2, number]), size)
        for passage in at_station:
            rows[passage.number] = _photograph(passage, scene, coat(passage.individual, passage.side), seed, size)
            done += passage.photos
            if progress:
                progress(done, total)
        nothing += _photograph_nothing(folder, number, empty, scene, seed, size, days)
        done += empty
    if progress and empty:
        progress(done, total)
    catalog = tuple(row for p in plan if p.folder == folder for row in rows[p.number])
    asked = tuple(row for p in plan if p.folder != folder for row in rows[p.number])
    _write_csv(folder / "catalog.csv", catalog)
    if queries is not None:
        _write_csv(queries / "queries.csv", asked)
    return Survey(catalog, asked, {_name(individuals - 1 - d): _name(d) for d in range(decoys)}, tuple(nothing))


def make_demo(
    folder: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    size: tuple[int, int] = (960, 640),
) -> Survey:
    """Draw the survey of `snowmatch demo` in folder/catalog (at most 120 photos; stations.csv) and folder/queries."""
    made = make_survey(
        folder / "catalog",
        individuals=11,
        stations=5,
        encounters=5,
        photos=(1, 2),
        seed=seed,
        size=size,
        decoys=4,
        unidentified=3,
        queries=folder / "queries",
        query_encounters=2,
        new_individuals=2,
        progress=progress,
    )
    write_stations(folder / "catalog", (*made.catalog, *made.queries), seed)
    return made


def _name(individual: int) -> str:
    return NAMES[individual] if individual < len(NAMES) else f"cat{individual + 1:04d}"


def _side(individual: int, encounter: int, individuals: int, decoys: int) -> str:
    """Return the visible flank. The flanks alternate; a decoy shows the imitated coat in two of three passages."""
    model = individuals - 1 - individual
    if model >= decoys:
        return SIDES[(individual + encounter) % 2]
    return SIDES[(model + (encounter % 3 < 2)) % 2]


def _coat(seed: int, individual: int, side: str, individuals: int, decoys: int) -> np.ndarray:
    """Return the coat of one flank. The last `decoys` individuals imitate the first ones."""
    model = individuals - 1 - individual
    if not 0 <= model < decoys:
        return grow_coat(seed, individual, side)
    worn = SIDES[model % 2]  # the flank of the other animal (`model`) that is imitated
    if side == worn:
        return grow_coat(seed, model, worn, shuffled=True)
    return grow_coat(seed, model, worn, turned=True)


def _schedule(
    rng: np.random.Generator,
    wanted: list[tuple[int, str, Path, bool]],
    order: np.ndarray,
    stations: int,
    photos: tuple[int, int],
    days: int,
    places: Sequence[int],
) -> list[_Passage]:
    """Return the passages, each with a station and a time. Two passages are more than one hour apart.

    order: (N,), position in time of each of the N `wanted` passages. places: stations of the first ones.
    """
    step = max(150.0, days * 24 * 60 / len(wanted))  # minutes between passages
    plan = []
    for number, what in enumerate(wanted):
        minutes = int(step * (order[number] + 0.5 * rng.random()))
        start = datetime(2023, 3, 1) + timedelta(minutes=minutes, seconds=int(rng.integers(60)))
        station, count = int(rng.integers(stations)), int(rng.integers(photos[0], photos[1] + 1))
        station = places[number] if number < len(places) else station
        plan.append(_Passage(number, *what, station, start, count))
    return plan


def _photograph(
    passage: _Passage, scene: _Scene, coat: np.ndarray, seed: int, size: tuple[int, int]
) -> list[dict[str, str]]:
    """Draw and write the photos of one passage, and return their rows."""
    rng = np.random.default_rng([seed, 4, passage.number])
    station, animal = f"st{passage.station + 1:02d}", _name(passage.individual)
    pose = _first_pose(rng, passage.side, size)
    weather = _Weather.draw(rng, size, night=not 5 <= passage.start.hour < 22)
    when, rows = passage.start, []
    for shot in range(1, passage.photos + 1):
        photo, mask = _expose(rng, scene, coat, pose, weather)
        name = f"{station}_{passage.start:%Y%m%d_%H%M%S}_{shot}"
        _info_bar(photo, f"{when:%Y-%m-%d %H:%M:%S}  M {shot}/{passage.photos}  {station.upper()}  SYNTHETIC")
        _save(passage.folder, name, photo, mask, when, quality=int(rng.integers(45, 90)))
        row = {
            "path": f"images/{name}.jpg",
            "individual": animal if passage.named else "",
            "body_part": f"{passage.side}_flank",
            "location": LOCATIONS[passage.station % 2],
            "station": station,
            "camera": f"{station}-a",
            "timestamp": when.isoformat(),
            "encounter": f"e{passage.number + 1:04d}",
            "bbox": ",".join(map(str, cv2.boundingRect(mask))),
            "mask": f"masks/{name}.png",
            "animal": animal,
        }
        rows.append(row)
        when += timedelta(seconds=int(rng.integers(1, 4)))
        pose = _next_pose(rng, pose, size)
    return rows


def _photograph_nothing(
    folder: Path, number: int, count: int, scene: _Scene, seed: int, size: tuple[int, int], days: int
) -> list[dict[str, str]]:
    """Draw and write photos of a station without an animal, as moving grass makes them, and return their rows."""
    rows = []
    for shot in range(1, count + 1):
        rng = np.random.default_rng([seed, 5, number, shot])
        minutes = int(days * 24 * 60 * (shot - rng.random()) / count)
        when = datetime(2023, 3, 1) + timedelta(minutes=minutes)
        weather = _Weather.draw(rng, size, night=not 5 <= when.hour < 22)
        photo, mask = _expose(rng, scene, None, _first_pose(rng, "left", size), weather)
        station = f"st{number + 1:02d}"
        name = f"{station}_{when:%Y%m%d_%H%M%S}_empty"
        _info_bar(photo, f"{when:%Y-%m-%d %H:%M:%S}  M 1/1  {station.upper()}  SYNTHETIC")
        _save(folder, name, photo, mask, when, quality=int(rng.integers(45, 90)))
        place = {"location": LOCATIONS[number % 2], "station": station, "camera": f"{station}-a"}
        rows.append({"path": f"images/{name}.jpg", **place, "timestamp": when.isoformat(), "animal": ""})
    return rows


def _first_pose(rng: np.random.Generator, side: str, size: tuple[int, int]) -> Pose:
    w, h = size
    length = w * rng.uniform(0.20, 0.46)
    x = rng.uniform(0.22, 0.78) * w
    if rng.random() < 0.25:  # at the edge of the frame: half of the torso is visible
        x = rng.choice([0.03, 0.97]) * w
    slant = rng.uniform(-0.3, 1.0)
    light = np.array([0.0, -slant, 0.9])
    return Pose(
        side,
        length,
        x,
        h * rng.uniform(0.86, 0.94) - SOLES * length,
        yaw=float(np.clip(rng.normal(0, 0.38), -0.75, 0.75)),
        roll=rng.normal(0, 0.16),
        pitch=rng.normal(0, 0.07),
        gait=rng.uniform(0, 2 * np.pi),
        bend=rng.normal(0, 0.05),
        tail=rng.random(),
        stretch=int(rng.integers(2**31)),
        light=tuple(light / np.linalg.norm(light)),
    )


def _next_pose(rng: np.random.Generator, pose: Pose, size: tuple[int, int]) -> Pose:
    """Return the pose 1 to 3 seconds later: a few steps on and slightly turned, but still in the frame."""
    x = pose.x + (-1 if pose.side == "left" else 1) * pose.length * rng.uniform(0.1, 0.45)
    return replace(
        pose,
        length=pose.length * rng.uniform(0.95, 1.05),
        x=float(np.clip(x, 0.03 * size[0], 0.97 * size[0])),
        yaw=float(np.clip(pose.yaw + rng.normal(0, 0.15), -0.75, 0.75)),
        roll=pose.roll + rng.normal(0, 0.05),
        pitch=pose.pitch + rng.normal(0, 0.02),
        gait=pose.gait + rng.uniform(1, 5),
        tail=rng.random(),
        stretch=int(rng.integers(2**31)),
    )


@dataclass(frozen=True)
class _Weather:
    """The light of one passage.

    night: True for a photo with flash. light: (H, W) float32, gain of each pixel. tint: (3,), factors of RGB.
    slant: horizontal direction of the shadow. noise: standard deviation of the grain (grey levels).
    """

    night: bool
    light: np.ndarray
    tint: np.ndarray
    slant: float
    noise: float

    @staticmethod
    def draw(rng: np.random.Generator, size: tuple[int, int], night: bool) -> _Weather:
        w, h = size
        y, x = np.mgrid[0:h, 0:w].astype(np.float32)
        if night:  # the flash is at the camera, so the middle is bright
            far = np.hypot((x / w - rng.uniform(0.4, 0.6)), (y / h - rng.uniform(0.5, 0.7)) * 0.7)
            light = rng.uniform(0.85, 1.25) * (1.15 - 1.1 * far)
            return _Weather(True, light, np.ones(3, np.float32), 0.0, rng.uniform(6, 16))
        light = np.full((h, w), rng.uniform(0.8, 1.15), np.float32)
        if rng.random() < 0.5:  # the shadow of a cliff, with an irregular edge
            angle = rng.uniform(0, 2 * np.pi)
            edge = (x - rng.uniform(0.3, 0.7) * w) * np.cos(angle) + (y - rng.uniform(0.5, 0.8) * h) * np.sin(angle)
            edge += 0.05 * w * smooth_noise(rng, light.shape, 7)
            light *= 1 - rng.uniform(0.35, 0.6) * np.clip(edge / 8 + 0.5, 0, 1)
        tint = np.array([1, rng.uniform(0.95, 1.0), rng.uniform(0.82, 1.05)], np.float32)
        return _Weather(False, light, tint, rng.uniform(-1.2, 1.2), rng.uniform(2, 8))


def _expose(
    rng: np.random.Generator, scene: _Scene, coat: np.ndarray | None, pose: Pose, weather: _Weather
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one photo. Return it, (H, W, 3) uint8 RGB, and the animal's mask, (H, W) uint8, 0 or 255.

    coat: None draws the scenery alone.
    """
    h, w = weather.light.shape
    # The camera moves a little on its strap, so the scenery is never at exactly the same pixels.
    turn: np.ndarray = cv2.getRotationMatrix2D((w / 2, h / 2), rng.normal(0, 0.3), 1 + rng.normal(0, 0.004))
    turn[:, 2] += rng.normal(0, 4, 2) - turn[:, :2] @ [MARGIN, MARGIN]
    ground = cv2.warpAffine(scene.pixels, turn, (w, h), borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    front, sky = cv2.split(cv2.warpAffine(scene.layers, turn, (w, h)).astype(np.float32) / 255)
    nothing: np.ndarray = np.zeros((h, w), np.float32)
    bright, opacity = (nothing, nothing) if coat is None else draw_animal(coat, pose, (w, h))
    if (opacity * front).sum() > 0.5 * opacity.sum():  # the boulder hides too much: draw the animal in front of it
        front[:] = 0
    visible = opacity * (1 - front)
    mask = np.where(visible > 0.5, 255, 0).astype(np.uint8)
    mask[-(h // BAR) :] = 0
    # The shadow of the animal: its outline, projected on the ground.
    feet = pose.y + SOLES * pose.length
    slant = weather.slant if not weather.night else 0.15
    flat = np.array([[1, slant, -slant * feet], [0, 0.22, 0.80 * feet]], np.float32)
    shadow = cv2.blur(cv2.warpAffine(opacity, flat, (w, h)), (9, 9)) * (1 - front)
    ground *= (1 - (0.35 if weather.night else 0.5) * shadow)[..., None]
    blur = rng.uniform(0, 0.035) * pose.length if rng.random() < 0.45 else 0
    if blur > 2:
        kernel = np.zeros((15, 15), np.float32)
        reach, lift = min(blur / 2, 7), rng.uniform(-0.3, 0.3)
        cv2.line(kernel, (round(7 - reach), round(7 - lift * reach)), (round(7 + reach), round(7 + lift * reach)), 1.0)
        kernel /= kernel.sum()
        bright = cv2.filter2D(bright * opacity, -1, kernel)
        opacity = cv2.filter2D(opacity, -1, kernel)
        bright = bright / np.maximum(opacity, 1e-3)
        visible = opacity * (1 - front)
    fur = FUR[0] + bright[..., None] * (FUR[1] - FUR[0])
    if weather.night:
        ground *= 0.8
        fur *= 1.1
    photo = ground + visible[..., None] * (fur - ground)
    # No shadow on the sky
    light = weather.light if weather.night else weather.light + sky * (1 - visible) * (1 - weather.light)
    photo *= light[..., None] * weather.tint
    if weather.night:
        grey = cv2.GaussianBlur(photo.mean(axis=2), (0, 0), 1.1)
        photo = np.repeat((20 + 0.85 * grey)[..., None], 3, axis=2)
    photo += _grain(rng, (h, w), weather.noise)[..., None]
    return np.clip(photo, 0, 255).astype(np.uint8), mask


def _grain(rng: np.random.Generator, shape: tuple[int, int], strength: float) -> np.ndarray:
    tile = strength * rng.standard_normal((256, 256)).astype(np.float32)
    return np.tile(tile, (shape[0] // 256 + 1, shape[1] // 256 + 1))[: shape[0], : shape[1]]


def _info_bar(photo: np.ndarray, text: str) -> None:
    height = photo.shape[0] // BAR
    photo[-height:] = 8
    place, size = (8, photo.shape[0] - height // 4), height / 40
    cv2.putText(photo, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (235, 235, 235), 1, cv2.LINE_AA)


def _save(folder: Path, name: str, photo: np.ndarray, mask: np.ndarray, when: datetime, quality: int) -> None:
    exif = Image.Exif()
    exif[0x010E] = "synthetic picture drawn by snowmatch; no real animal"  # ImageDescription
    exif[0x010F] = "snowmatch (synthetic)"  # Make
    exif.get_ifd(0x8769)[0x9003] = when.strftime("%Y:%m:%d %H:%M:%S")  # DateTimeOriginal
    Image.fromarray(photo).save(folder / "images" / f"{name}.jpg", quality=quality, exif=exif)
    Image.fromarray(mask).convert("1").save(folder / "masks" / f"{name}.png")


def _write_csv(path: Path, rows: tuple[dict[str, str], ...]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@dataclass(frozen=True)
class _Scene:
    """The scenery of a station, with MARGIN px more on every side.

    pixels: (H, W, 3) uint8 RGB. layers: (H, W, 2) uint8, opacity of the objects in front of an animal, and of the sky.
    """

    pixels: np.ndarray
    layers: np.ndarray

    @staticmethod
    def draw(rng: np.random.Generator, size: tuple[int, int]) -> _Scene:
        w, h = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
        y, x = np.mgrid[0:h, 0:w].astype(np.float32)
        rock = np.array(
            [(146, 122, 98), (128, 128, 126), (164, 136, 100), (118, 112, 108)][rng.integers(4)], np.float32
        )
        wall = 0.80 + 0.30 * _facets(rng, x, y, w / 7, 1.8) + 0.16 * _facets(rng, x, y, w / 24, 1.5)
        wall += 0.06 * _facets(rng, x, y, w / 70, 1.0)
        lichen = np.clip(2 * smooth_noise(rng, wall.shape, 25) - 1.2, 0, 0.4)[..., None]
        pixels = _relief(wall)[..., None] * (rock + lichen * (np.array([40, 5, -45], np.float32)))
        # Distant slopes and sky beside the cliff.
        edge = rng.uniform(0.55, 0.9) * w + 0.05 * w * smooth_noise(rng, wall.shape, 6) + 0.3 * (y - 0.3 * h)
        far = np.clip((x - edge if rng.random() < 0.5 else (w - edge) - x) / 3, 0, 1)
        ridge = (0.12 + 0.2 * x / w) * h + 0.04 * h * smooth_noise(rng, wall.shape, 5)
        hill = 160 + 8 * smooth_noise(rng, wall.shape, 12) + 5 * smooth_noise(rng, wall.shape, 50)
        hill = hill[..., None] + np.array([6, 0, -12], np.float32)
        sky = np.where((y < ridge)[..., None], np.array([214, 222, 232], np.float32), hill)
        pixels += far[..., None] * (sky - pixels)
        # Scree: small and dense far away, larger near the camera.
        level = h * rng.uniform(0.56, 0.66) + rng.uniform(-0.08, 0.08) * (x - w / 2)
        depth = np.clip((y - level) / h, -0.1, 1) + 0.25
        level += 0.02 * h * smooth_noise(rng, wall.shape, 7)
        scree = 0.72 + 0.26 * _facets(rng, (x - w / 2) / depth * 0.45 + w, h * 0.3 / depth, w / 40, 1.0)
        scree += 0.12 * _facets(rng, (x - w / 2) / depth * 0.45 + w, h * 0.3 / depth, w / 110, 1.0)
        scree += 0.08 * smooth_noise(rng, wall.shape, 60)
        soil = 0.6 * rock + 0.4 * np.array([172, 156, 134], np.float32)
        cover = np.clip((y - level) / 4, 0, 1)[..., None]
        pixels += cover * (_relief(scree)[..., None] * soil - pixels)
        pixels *= (1 - 0.35 * np.exp(-(((y - level) / (0.02 * h)) ** 2)))[..., None]
        front = np.zeros((h, w), np.float32)
        if rng.random() < 0.6:  # a boulder near the camera
            cx, cy = rng.choice([rng.uniform(0.0, 0.25), rng.uniform(0.75, 1.0)]) * w, h * 1.02
            round_ = np.hypot((x - cx) / (rng.uniform(0.12, 0.2) * w), (y - cy) / (rng.uniform(0.26, 0.4) * h))
            front = np.clip((1 - round_ + 0.12 * _facets(rng, x, y, w / 16, 1.2)) * 60, 0, 1)
            face = 0.75 - 0.25 * round_ + 0.25 * _facets(rng, x, y, w / 12, 1.3) + 0.1 * _facets(rng, x, y, w / 60, 1.0)
            pixels += front[..., None] * (_relief(face)[..., None] * rock * 0.9 - pixels)
        layers = np.stack([front, far * (y < ridge) * (1 - cover[..., 0])], axis=2)
        return _Scene(np.clip(pixels, 0, 255).astype(np.uint8), (255 * layers).astype(np.uint8))


def _facets(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, cell: float, tall: float) -> np.ndarray:
    """Return the texture of broken stone at the coordinates (x, y), about -1 to 1.

    cell: size of a face of the stone (px). tall: factor of the height of a face. Faces have different brightness, and
    the cracks between them are dark. The texture is a square that repeats, so any coordinates are valid.
    """
    n, across = 1024, float(np.clip(cell, 20, 64))  # side of the square (px), and of a face in it (px)
    count = int((n / across) ** 2)
    px, py = rng.integers(0, n, (2, count))
    points = np.ones((n, n), np.uint8)
    points[py, px] = 0
    _, label = cv2.distanceTransformWithLabels(points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # Each face is a tilted plane: tone + slope * x + drop * y. The coordinates start at the corner of the square.
    slope, drop = rng.normal(0, 0.5 / across, (2, count + 1)).astype(np.float32)
    tone = rng.uniform(-0.5, 0.5, count + 1).astype(np.float32)
    number = label[py, px]
    tone[number] -= slope[number] * px + drop[number] * py
    gy, gx = np.mgrid[0:n, 0:n].astype(np.float32)
    stone = tone[label] + slope[label] * gx + drop[label] * gy
    crack = (label != np.roll(label, 1, 0)) | (label != np.roll(label, 1, 1))
    stone -= 1.2 * cv2.GaussianBlur(crack.astype(np.float32), (0, 0), 1.2)
    stone += 0.15 * smooth_noise(rng, stone.shape, 90) + 0.12 * smooth_noise(rng, stone.shape, 300)
    scale = across / cell
    u = (x + 0.12 * cell * smooth_noise(rng, x.shape, 30)) * scale
    v = (y + 0.12 * cell * smooth_noise(rng, x.shape, 30)) * scale / tall
    return cv2.remap(stone, u % n, v % n, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _relief(stone: np.ndarray) -> np.ndarray:
    """Return the brightness of stone with the height `stone` in light from the upper left.

    Edges towards the light are bright; the other edges are dark.
    """
    soft = cv2.GaussianBlur(stone, (0, 0), 1.5)
    return stone + np.clip(0.5 * (cv2.Sobel(soft, -1, 1, 0) + cv2.Sobel(soft, -1, 0, 1)), -0.35, 0.35)
