"""Draw where a trained network looks, and which spots snowmatch matches, for right and wrong best answers.

Every identified annotation of SOURCE is a query (cross-encounter). The network ranks the others by cosine similarity.
The pictures show its most similar right answers and its most similar wrong answers; the best pair of each individual
comes first. A picture has two rows. The upper row: Grad-CAM of the similarity in both photos, as the network gets them.
The lower row: the verified matches of the same two photos, their score and rank in the gallery, and snowmatch's own
answer.

A cosine does not depend on an embedding's length. So parts that raise it and parts that lower it nearly cancel (fully,
if the maps are averaged and a linear layer without bias follows). Red marks where a photo is more similar to the other
photo than the rest of it is.

Pictures and index.html show the catalog's photos: write them only to --out, and never commit them with the project.

Example:
    python benchmarks/deep explain ../shared/data/nyala,every=2,from=1 --network net.safetensors --work w --out page

Source: Grad-CAM; Selvaraju et al., ICCV 2017, sections 3 and 3.1 (here with a similarity in the place of a class).
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, open_prepared, prepare
from embedding.inputs import Shape, check_masks, read_inputs
from embedding.networks import EmbeddingNetwork, embeddings, load_network
from embedding.vectors import check_vectors, pair_scores
from PIL import Image
from tqdm import tqdm

from deep.answers import Pair, Seen, ask, best_pairs, choose
from deep.gradcam import check_maps, heats_of
from deep.pictures import draw, page
from snowmatch.api import DEFAULT_EXTRACTOR, Catalog
from snowmatch.confidence.trial import Trial, make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file, unwritable
from snowmatch.core.plugins import make_plugin
from snowmatch.features.extractors import check_extractor
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.models.torch_io import pick_device

PROTOCOL = "cross-encounter"
PICTURE = re.compile(r"\d{2,}-(right|wrong)\.jpg")  # files of an earlier page, which may be removed


def answers(
    network: EmbeddingNetwork, catalog: Catalog, trial: Trial, work: Path, device: torch.device
) -> tuple[list[Pair], dict[int, np.ndarray]]:
    """Return `best_pairs` by the network, and each query's embedding by its row. The inputs are kept in `work`.

    Raises SnowmatchError if no query has a right answer.
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
    """Index the photos that are not indexed yet. Return snowmatch's gallery, matcher and geometric check."""
    with tqdm(desc="index", unit="photo") as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        catalog.index(extractor, workers=workers, progress=step)
    session = catalog.session(extractor=extractor)
    return session.gallery, session.method.matcher, session.method.geometry


def write(
    folder: Path, about: Sequence[str], drawn: Iterable[tuple[Pair, Seen, Image.Image]]
) -> list[tuple[Pair, Seen]]:
    """Write index.html and pictures/ to `folder`, and remove earlier pictures of this command. Return what was shown.

    If nothing was drawn, the page has no pictures. Raises SnowmatchError if the folder cannot be written.
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
            picture.save(pictures / file, quality=88, subsampling=0)  # subsampled colours would blur thin lines
        except OSError as error:
            raise unwritable(folder, error) from error
        shown.append((pair, seen, file))
    text = page(about, shown)
    replace_file(folder / "index.html", lambda file: file.write(text.encode("utf-8", "backslashreplace")))
    return [(pair, seen) for pair, seen, _ in shown]


def describe(
    dataset: Dataset, file: Path, described: Mapping[str, Any], shape: Shape, maps: tuple[int, int], bare: int
) -> list[str]:
    """Return title and first lines of the page: dataset and network. `bare` is the number without a mask."""
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
    importlib.import_module("captum.attr")  # report a missing package or unknown extractor before the work
    check_extractor(make_plugin("extractors", given.extractor))
    network = network.to(device)
    maps = check_maps(network, device)
    dataset = prepare(given.source, given.work)
    catalog = open_prepared(dataset.folder)
    trial = make_trial(catalog.data.annotations, PROTOCOL)
    bare = check_masks([trial.annotations[int(row)] for row in trial.queries], network.shape)
    pairs, vectors = answers(network, catalog, trial, given.work, device)
    gallery, matcher, geometry = index(catalog, given.extractor, given.threads)
    first = sum(pair.right for pair in pairs)
    ranked = f"the network ranks a right photo first for {first} of {len(pairs)} queries that have one"

    def drawn() -> Iterator[tuple[Pair, Seen, Image.Image]]:
        for pair in tqdm(choose(pairs, given.pairs), desc="pictures", unit="pair"):
            seen = ask(trial, pair, gallery, matcher, geometry)
            heats = heats_of(network, catalog.folder, pair, vectors, device)
            yield pair, seen, draw(catalog.folder, pair, heats, seen, network.shape)

    about = [*describe(dataset, given.network, described, network.shape, maps, bare), f"{ranked.capitalize()}."]
    shown = write(given.out, about, drawn())
    print(f"{given.out / 'index.html'}: {len(shown)} pairs; {ranked}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="deep explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="photos with names: SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--network", type=Path, required=True, help="network of `training embedding`, .safetensors")
    parser.add_argument("--work", type=Path, required=True, help="folder for the catalog's index and the inputs")
    parser.add_argument("--out", type=Path, required=True, help="folder for index.html and pictures/")
    parser.add_argument(
        "--pairs", type=int, default=6, help="right pairs, and as many wrong ones; default: %(default)s"
    )
    parser.add_argument("--extractor", default=DEFAULT_EXTRACTOR, help="extractor of snowmatch; default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda, cuda:1, mps")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="cores; default: all")
    return parser.parse_args(arguments)
