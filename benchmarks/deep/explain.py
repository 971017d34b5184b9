"""Where a trained network looks, beside the spots that snowmatch matches: pictures of right and wrong best answers.

Every identified annotation of SOURCE is asked about (cross-encounter) and the network ranks the others by cosine
similarity. For its most similar right answers and its most similar wrong ones, one of each individual first, a picture
has two rows. Above: Grad-CAM of that similarity in both photos, which are shown as the network gets them. Below: the
verified matches of the same two photos, their score and rank in the gallery, and whom snowmatch answers itself.

A cosine does not change with an embedding's length, so what raises it and what lowers it nearly cancel (fully where the
maps are averaged and a linear layer without bias follows): red is where a photo is more like the other one than the
rest of it is.

Pictures and index.html show the catalog's photos: they go to --out alone and are never committed with the project.

Example:
    python benchmarks/deep explain ../shared/data/nyala,every=2,from=1 --network net.safetensors --work w --out page

Source: Grad-CAM; Selvaraju et al., ICCV 2017, sections 3 and 3.1 (here with a similarity in the place of a class).
"""

from __future__ import annotations

import argparse
import html
import importlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from datasets import Dataset, prepare
from embedding.crops import crop
from embedding.inputs import Shape, as_tensor, check_masks, read_input, read_inputs
from embedding.networks import EmbeddingNetwork, embeddings, load_network
from embedding.vectors import check_vectors, pair_scores
from PIL import Image, ImageDraw
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from snowmatch.api import DEFAULT_EXTRACTOR, DEFAULT_MATCHER, Catalog, open_catalog
from snowmatch.confidence.trial import Trial, make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file, unwritable
from snowmatch.core.plugins import make_plugin
from snowmatch.core.text import printable
from snowmatch.core.types import Annotation
from snowmatch.features.extractors import check_extractor
from snowmatch.identify.answer import Candidate
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import score_query
from snowmatch.models.torch_io import pick_device
from snowmatch.views.failures import head, side_of
from snowmatch.views.lettering import write_text as write_text
from snowmatch.views.pictures import BACKGROUND, FAINT, GAP, TEXT, WARNING, draw_pair

PROTOCOL = "cross-encounter"
ROUNDING = 1e-6  # of a cosine: less than this in a whole map of attributions is float32's rounding, not a place

TALLEST = 520  # px, the most a photo of the upper row takes: both rows fit a screen's height or two
STRIP, CAPTION = 92, 40  # px, heights above the photos: headline with legend, and what each photo is
COVER = 0.6  # opacity of the hottest place: the coat stays in sight below it
VERDICTS = {True: ("right", (90, 205, 120)), False: ("wrong", (240, 110, 90))}
PICTURE = re.compile(r"\d{2,}-(right|wrong)\.jpg")  # what we may clear away of an earlier page


@dataclass(frozen=True)
class Pair:
    """A query and the photo that the network finds most similar; `number` is the query's in the trial."""

    number: int
    query: Annotation
    photo: Annotation
    similarity: float

    @property
    def right(self) -> bool:
        """Whether both photos show one individual."""
        return self.query.individual == self.photo.individual


@dataclass(frozen=True)
class Seen:
    """What snowmatch says: the verified matches of a pair, with this photo's score and rank, and its own answer.

    best: the photo that it puts first, None where no photo has any match; verified: whether that one passed the
    geometric check. answering: how many photos could answer.
    """

    candidate: Candidate
    best: Annotation | None
    verified: bool
    right: bool
    answering: int


# The network's answers


def best_pairs(trial: Trial, scores: np.ndarray) -> list[Pair]:
    """Each query that has a right answer, with its best photo by the scores (Q, G); a wrong photo that ties is better.

    None where no individual was met twice.
    """
    given, own = np.where(trial.allowed, scores, -np.inf), trial.own()
    pairs = []
    for n in np.flatnonzero((own & trial.allowed).any(axis=1)):
        first = np.flatnonzero(trial.allowed[n] & (given[n] == given[n].max()))
        column = min(first, key=lambda c, n=n: (own[n, c], c))
        query, photo = (trial.annotations[int(row)] for row in (trial.queries[n], trial.gallery[column]))
        pairs.append(Pair(int(n), query, photo, float(given[n, column])))
    return pairs


def choose(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Up to `count` right pairs and then up to `count` wrong ones, each kind the most similar first.

    Of each individual the most similar, then of each the second ..., until there are enough; only then other photos of
    two encounters that were shown already: frames of a burst are alike. A pair that answers in both directions is one.
    """
    return [pair for right in (True, False) for pair in _spread([p for p in pairs if p.right == right], count)]


def _spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    met: set[frozenset[int]] = set()
    shown: Counter[frozenset[str]] = Counter()
    place: Counter[tuple[int, str | None]] = Counter()
    turns = []
    for order, pair in enumerate(sorted(pairs, key=lambda p: (-p.similarity, p.query.row))):
        photos = frozenset((pair.query.row, pair.photo.row))
        if photos in met:
            continue
        met.add(photos)
        encounters = frozenset(a.encounter or a.path for a in (pair.query, pair.photo))
        again, name = shown[encounters], pair.query.individual
        turns.append((again, place[again, name], order, pair))
        shown[encounters] += 1
        place[again, name] += 1
    turns.sort(key=lambda turn: turn[:3])
    return [turn[-1] for turn in sorted(turns[:count], key=lambda turn: turn[2])]


# Where it looks


def check_maps(network: EmbeddingNetwork, device: torch.device) -> tuple[int, int]:
    """(h, w) of the network's last feature maps; SnowmatchError where it has none, as a transformer's tokens are."""
    needed = "Grad-CAM needs a convolutional backbone"
    try:
        layer, channels = network.last_maps(), network.backbone.feature_info[-1]["num_chs"]
    except (AttributeError, LookupError) as error:
        raise SnowmatchError(f"the network's backbone does not name its feature maps: {needed}") from error
    found: list[Any] = []
    handle = layer.register_forward_hook(lambda module, given, out: found.append(out))
    shape = network.shape
    with torch.inference_mode():
        network(torch.zeros((1, shape.depth, shape.height, shape.width), device=device))
    handle.remove()
    size = tuple(getattr(found[-1], "shape", ()))
    if len(size) != 4 or size[1] != channels:
        raise SnowmatchError(
            f"the last layer of the network's backbone gives {size}, expected maps (1, {channels}, h, w): {needed}"
        )
    return size[2:]


def grad_cam(network: nn.Module, values: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """Where a photo is similar to another: (height, width) float32, 0 to 1, by its own maximum.

    values: what the network is shown, (1, depth, height, width) from 0 to 1; other: the other photo's embedding
    (dimensions,), fixed. All zeros where no place raises the similarity.

    Source: Selvaraju et al., ICCV 2017, equations 1 and 2.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    def similarity(shown: torch.Tensor) -> torch.Tensor:
        """(B,) cosines."""
        return functional.cosine_similarity(network(shown), other.detach()[None])

    maps = LayerGradCam(similarity, network.last_maps()).attribute(values, relu_attributions=True).detach().float()
    heat = LayerAttribution.interpolate(maps, tuple(values.shape[2:]), "bilinear")[0, 0].cpu().numpy()
    if float(maps.sum()) < ROUNDING:
        return np.zeros_like(heat)
    return heat / heat.max()


def heats_of(
    network: EmbeddingNetwork, folder: Path, pair: Pair, vectors: Mapping[int, np.ndarray], device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """`grad_cam` of the query towards its photo's embedding, and of the photo towards the query's."""
    found = []
    for shown, fixed in ((pair.query, pair.photo), (pair.photo, pair.query)):
        values = as_tensor(read_input(folder, shown, network.shape)[None], network.shape).to(device)
        found.append(grad_cam(network, values, torch.from_numpy(vectors[fixed.row]).to(device)))
    return found[0], found[1]


# What snowmatch says


def ask(trial: Trial, pair: Pair, gallery: Gallery, matcher: Any, geometry: Geometry) -> Seen:
    """Ask about the pair's query as the trial allows, and look at this one photo.

    A photo without features has no match. Ties count against: the right photo is behind all that score the same.
    """
    entry_of = {a.row: i for i, a in enumerate(gallery.annotations)}
    entries = [entry_of[int(row)] for row in trial.gallery[trial.allowed[pair.number]] if int(row) in entry_of]
    answering = int(trial.allowed[pair.number].sum())
    none, no_points = np.zeros(0, np.float32), np.zeros((0, 2), np.float32)
    candidate = Candidate(
        answering,
        pair.photo.individual,
        *(0.0, 0, False, False),
        pair.photo,
        0,
        *(no_points, no_points, none, none, none),
    )
    query, entry = entry_of.get(pair.query.row, -1), entry_of.get(pair.photo.row, -1)
    subject = gallery.subject(query) if query >= 0 else None
    if subject is None or not len(subject) or not entries:
        return Seen(candidate, None, False, False, answering)
    allowed = np.zeros(len(gallery.annotations), bool)
    allowed[entries] = True
    answer = score_query([subject], gallery, allowed, pair.query.body_part, matcher, geometry)
    if entry >= 0:
        accepted = bool(answer.accepted[entry])
        matches = answer.matches[0].take(answer.matches[0].annotation == entry)
        features = gallery.reader.read(gallery.keys[entry])
        candidate = replace(
            candidate,
            rank=int((answer.ranking[entries] >= answer.ranking[entry]).sum()),
            score=float((answer.scores if accepted else answer.pre_scores)[entry]),
            inliers=len(matches),
            accepted=accepted,
            checked=bool(answer.checked[entry]),
            keypoints0=subject.features.keypoints[matches.keypoint0],
            keypoints1=features.keypoints[matches.keypoint1],
            scales0=subject.features.scales[matches.keypoint0],
            scales1=features.scales[matches.keypoint1],
            weights=matches.weights.astype(np.float32),
        )
    best = min(
        entries,
        key=lambda e: (-answer.ranking[e], gallery.annotations[e].individual == pair.query.individual, e),
    )
    if answer.ranking[best] <= 0:
        return Seen(candidate, None, False, False, answering)
    first = gallery.annotations[best]
    return Seen(candidate, first, bool(answer.accepted[best]), first.individual == pair.query.individual, answering)


# Pictures


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the pixels (H, W, 3) with the heat (h, w), 0 to 1, over them; untouched where it is 0."""
    height, width = pixels.shape[:2]
    heat = np.clip(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    cover = COVER * heat[:, :, None]
    return np.rint(pixels * (1 - cover) + _colours(heat) * cover).astype(np.uint8)


def _colours(heat: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 RGB of heat from 0 to 1: blue, green, yellow, red."""
    levels = np.rint(40 + 190 * heat).astype(np.uint8)
    return cv2.applyColorMap(levels.reshape(-1, 1), cv2.COLORMAP_TURBO)[:, 0, ::-1].reshape(*heat.shape, 3)


def draw(folder: Path, pair: Pair, heats: tuple[np.ndarray, np.ndarray], seen: Seen, shape: Shape) -> Image.Image:
    """Both rows of one pair: the network's above, snowmatch's below."""
    lower = _matches_row(folder, pair, seen)
    upper = _network_row(folder, pair, heats, shape, lower.width)
    picture = Image.new("RGB", (lower.width, upper.height + GAP + lower.height), BACKGROUND)
    picture.paste(upper, (0, 0))
    ImageDraw.Draw(picture).line((0, upper.height + GAP // 2, lower.width, upper.height + GAP // 2), FAINT)
    picture.paste(lower, (0, upper.height + GAP))
    return picture


def _network_row(
    folder: Path, pair: Pair, heats: tuple[np.ndarray, np.ndarray], shape: Shape, width: int
) -> Image.Image:
    """The two photos as the network gets them, in their own aspect, with their heat."""
    panel = (width - GAP) // 2
    panels = []
    for annotation, heat in zip((pair.query, pair.photo), heats, strict=True):
        seen = read_input(folder, annotation, replace(shape, channels="rgb"))
        height, across = crop(folder, annotation).shape[:2]
        scale = min(panel / across, TALLEST / height)
        size = max(round(across * scale), 1), max(round(height * scale), 1)
        panels.append(overlay(cv2.resize(seen, size, interpolation=cv2.INTER_CUBIC), heat))
    row = Image.new("RGB", (width, STRIP + CAPTION + max(len(p) for p in panels)), BACKGROUND)
    draw = ImageDraw.Draw(row)
    word, colour = VERDICTS[pair.right]
    right = write_text(draw, (width - 16, 10), word, 32, colour, anchor="right")
    right = write_text(draw, (right - 24, 10), f"similarity {pair.similarity:.3f}", 32, TEXT, anchor="right")
    write_text(draw, (16, 10), f"Network's answer: {_name(pair.photo)}", 32, TEXT, room=right - 48)
    right = write_text(draw, (width - 16, 58), "most", 18, FAINT, anchor="right") - 8
    for step, shade in enumerate(_colours(np.linspace(0, 1, 160))):
        draw.line((right - 160 + step, 60, right - 160 + step, 76), fill=tuple(int(v) for v in shade))
    right = write_text(draw, (right - 168, 58), "none", 18, FAINT, anchor="right")
    told = "Grad-CAM: what makes each photo like the other, by its own maximum"
    write_text(draw, (16, 58), told, 18, FAINT, room=right - 32)
    for side, (annotation, heat, pixels) in enumerate(zip((pair.query, pair.photo), heats, panels, strict=True)):
        left = side * (panel + GAP)
        row.paste(Image.fromarray(pixels), (left + (panel - pixels.shape[1]) // 2, STRIP + CAPTION))
        title = f"{('QUERY', 'CATALOG')[side]}   {_name(annotation)}   {annotation.body_part}"
        end = write_text(draw, (left + 16, STRIP + 4), title, 20, TEXT, room=panel - 24)
        if not heat.any():
            room = left + panel - end - 24
            write_text(
                draw, (end + 24, STRIP + 4), "zero everywhere: no place raises the similarity", 20, WARNING, room=room
            )
    return row


def _matches_row(folder: Path, pair: Pair, seen: Seen) -> Image.Image:
    """What snowmatch answers itself, above the pair as it draws it."""
    sides = [side_of(folder, a, name) for a, name in ((pair.query, "QUERY"), (pair.photo, "CATALOG"))]
    strongest = float(seen.candidate.weights.max(initial=0.0))
    drawn = draw_pair(seen.candidate, *sides, strongest)["matches" if seen.candidate.accepted else "plain"]
    row = Image.new("RGB", (drawn.width, STRIP + drawn.height), BACKGROUND)
    row.paste(drawn, (0, STRIP))
    draw = ImageDraw.Draw(row)
    right = row.width - 16
    if seen.best is not None:
        word, colour = VERDICTS[seen.right]
        right = write_text(draw, (right, 10), word, 32, colour, anchor="right")
    write_text(draw, (16, 10), f"snowmatch's answer: {_answered(seen)}", 32, TEXT, room=right - 48)
    told = f"below: the network's pair, rank {seen.candidate.rank} of {seen.answering} photos"
    if not seen.candidate.accepted:
        told += ", no verified match"
    colour = FAINT if seen.candidate.accepted else WARNING
    write_text(draw, (16, 58), told, 18, colour)
    return row


def _answered(seen: Seen) -> str:
    if seen.best is None:
        return "no match with any photo"
    return _name(seen.best) + ("" if seen.verified else " (unverified)")


def _name(annotation: Annotation) -> str:
    return printable(annotation.individual or "unidentified")


# The page


def page(about: Sequence[str], shown: Sequence[tuple[Pair, Seen, str]]) -> str:
    """The page of all pairs, each with its picture's file name; no pairs, a page that says so."""
    title = f"Where the network looks: {about[0] if about else ''}"
    parts = [
        *head(title),
        f"<h1>{_html(title)}</h1>",
        *(f"<p>{_html(line)}</p>" for line in about[1:]),
        '<p class="small">Above: Grad-CAM of the similarity; red is where a photo is more like the other one than the '
        "rest of it is, by its own maximum. Below: the verified matches of the same two photos.</p>",
    ]
    for right, heading in ((True, "Right best answers"), (False, "Wrong best answers")):
        members = [each for each in shown if each[0].right == right]
        parts.append(f"<h2>{heading} ({len(members)})</h2>")
        parts += [_article(*each) for each in members]
    return "\n".join([*parts, "</body></html>", ""])


def _article(pair: Pair, seen: Seen, file: str) -> str:
    asked = f"{_name(pair.query)} {pair.query.body_part}"
    kind = "right" if pair.right else "wrong"
    match = seen.candidate
    told = "no verified match of the two"
    if match.accepted:
        told = f"score {match.score:.2f}, {match.inliers} inliers, rank {match.rank} of {seen.answering}"
    verdict = "" if seen.best is None else ", right" if seen.right else ", wrong"
    return (
        f'<article><h3>{_html(asked)}: <span class="{kind}">{_html(_name(pair.photo))}, {kind}</span></h3>'
        f'<p class="small">network: similarity {pair.similarity:.3f}; snowmatch: {told}; '
        f"its own answer: {_html(_answered(seen))}{verdict}<br>query: {_html(pair.query.path)}; "
        f"photo: {_html(pair.photo.path)}</p>"
        f'<a href="pictures/{file}"><img loading="lazy" src="pictures/{file}" alt="query and best photo"></a></article>'
    )


def _html(text: str) -> str:
    """`text` as HTML: names are data, not markup, and invisible characters are shown."""
    return html.escape(printable(text))


# The command


def answers(
    network: EmbeddingNetwork, catalog: Catalog, trial: Trial, work: Path, device: torch.device
) -> tuple[list[Pair], dict[int, np.ndarray]]:
    """`best_pairs` by the network, and every queried annotation's embedding by its row; the inputs are kept in `work`.

    SnowmatchError where no query has a right answer.
    """
    asked = [trial.annotations[int(row)] for row in trial.queries]
    found = embeddings(network, read_inputs(catalog.folder, asked, network.shape, work), device)
    check_vectors(found, [a.path for a in asked], "the network")
    vectors = {a.row: vector for a, vector in zip(asked, found, strict=True)}
    pairs = best_pairs(trial, pair_scores(trial, vectors, "cosine"))
    if not pairs:
        raise SnowmatchError("no individual has photos of one flank from two encounters: no answer can be right")
    return pairs, vectors


def index(catalog: Catalog, extractor: str, workers: int) -> tuple[Gallery, Any, Geometry]:
    """What snowmatch compares with, how it matches and how it checks; indexes what is not indexed yet."""
    with tqdm(desc="index", unit="photo") as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        catalog.index(extractor, workers=workers, progress=step)
    (plugin,), matcher, geometry = catalog.method(extractor, DEFAULT_MATCHER, {})
    return catalog.gallery(plugin), matcher, geometry


def write(
    folder: Path, about: Sequence[str], drawn: Iterable[tuple[Pair, Seen, Image.Image]]
) -> list[tuple[Pair, Seen]]:
    """index.html and pictures/ in `folder`, made if absent; earlier pictures of this command go. Gives what was shown.

    Nothing drawn, a page without pictures. SnowmatchError where the folder cannot be written.
    """
    shown, numbers = [], Counter()
    pictures = folder / "pictures"
    try:
        pictures.mkdir(parents=True, exist_ok=True)
        for path in sorted(pictures.iterdir()):
            if PICTURE.fullmatch(path.name):
                path.unlink()
    except OSError as error:
        raise unwritable(folder, error) from error
    for pair, seen, picture in drawn:
        kind = "right" if pair.right else "wrong"
        numbers[kind] += 1
        file = f"{numbers[kind]:02d}-{kind}.jpg"
        try:
            picture.save(pictures / file, quality=88, subsampling=0)  # subsampled colours would smear thin lines
        except OSError as error:
            raise unwritable(folder, error) from error
        shown.append((pair, seen, file))
    text = page(about, shown)
    replace_file(folder / "index.html", lambda file: file.write(text.encode("utf-8", "backslashreplace")))
    return [(pair, seen) for pair, seen, _ in shown]


def describe(
    dataset: Dataset, file: Path, described: Mapping[str, Any], shape: Shape, maps: tuple[int, int], bare: int
) -> list[str]:
    """Title and first lines of the page: the data, and the network by its file's name; `bare` have no mask."""
    made = ", ".join(str(described[key]) for key in ("loss", "backbone") if key in described)
    trained = f", trained on {described['data']}" if "data" in described else ""
    lines = [
        dataset.name,
        f"{PROTOCOL}; {file.name}: {made}{trained}; shown {shape.width} x {shape.height} px, {shape.channels}, "
        f"background {shape.background}; last maps {maps[1]} x {maps[0]}.",
    ]
    return [*lines, f"{bare} annotations have no mask and keep their background."] if bare else lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the page."""
    given = parse(arguments)
    for name in ("pairs", "threads"):
        if getattr(given, name) < 1:
            raise SnowmatchError(f"{name} is {getattr(given, name)}, expected at least 1")
    torch.set_num_threads(given.threads)
    device = pick_device(given.device)
    network, described = load_network(given.network)
    importlib.import_module("captum.attr")  # what is missing or unknown is told before the work
    check_extractor(make_plugin("extractors", given.extractor))
    network = network.to(device)
    maps = check_maps(network, device)
    dataset = prepare(given.source, given.work)
    catalog = open_catalog(dataset.folder)
    trial = make_trial(catalog.data.annotations, PROTOCOL)
    bare = check_masks([trial.annotations[int(row)] for row in trial.queries], network.shape)
    pairs, vectors = answers(network, catalog, trial, given.work, device)
    gallery, matcher, geometry = index(catalog, given.extractor, given.threads)
    first = sum(pair.right for pair in pairs)
    told = f"the network puts a right photo first for {first} of {len(pairs)} queries that have one"

    def drawn() -> Iterator[tuple[Pair, Seen, Image.Image]]:
        for pair in tqdm(choose(pairs, given.pairs), desc="pictures", unit="pair"):
            seen = ask(trial, pair, gallery, matcher, geometry)
            heats = heats_of(network, catalog.folder, pair, vectors, device)
            yield pair, seen, draw(catalog.folder, pair, heats, seen, network.shape)

    about = [*describe(dataset, given.network, described, network.shape, maps, bare), f"{told.capitalize()}."]
    shown = write(given.out, about, drawn())
    print(f"{given.out / 'index.html'}: {len(shown)} pairs; {told}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="deep explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="labelled photos, written as in datasets.py: SOURCE,key=value,...")
    parser.add_argument("--network", type=Path, required=True, help="what `train` wrote, .safetensors")
    parser.add_argument("--work", type=Path, required=True, help="folder for the catalog's index and the inputs")
    parser.add_argument("--out", type=Path, required=True, help="folder for index.html and pictures/")
    parser.add_argument("--pairs", type=int, default=6, help="right and wrong ones, each; default: %(default)s")
    parser.add_argument("--extractor", default=DEFAULT_EXTRACTOR, help="snowmatch's; default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1, mps")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="cores; default: all")
    return parser.parse_args(arguments)
