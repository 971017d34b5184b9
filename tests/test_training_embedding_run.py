"""Training a deep model: held-out individuals, training photos, continuing after a stop, the command line."""

import csv
import importlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embedding.weights import name_operators
from PIL import Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
name_operators(torch)  # before timm: with some builds of torch its import needs this
pytest.importorskip("timm")
pytest.importorskip("kornia")

import checkpoints
from embedding import feeding, networks
from embedding import train as training_module
from embedding.command import main
from embedding.inputs import Shape, normalised
from embedding.networks import RANDOM, build, load_network
from embedding.settings import PRESETS, Training
from embedding.train import describe, judge, train
from held_out import divide, of_each

ROOT = Path(__file__).parents[1]
TINY = Training(
    loss="triplet", backbone="test_resnet", dimensions=8, width=64, height=32, epochs=2, batch=8, validation=0.4
)
LOSSES = ["triplet", "cosface", "adaptive"]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    """Restore the settings that results depend on and that main changes for its process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def coats(names, photos=2, flanks=("left_flank", "right_flank")):
    """Return `photos` photos of each flank of each animal. Each is an encounter."""
    rows = [(name, flank, i) for name in names for flank in flanks for i in range(photos)]
    return [
        Annotation(row, f"{name}-{flank}-{i}.png", name, flank, encounter=f"{name}{i}")
        for row, (name, flank, i) in enumerate(rows)
    ]


def looks(annotations, seed=0, shape=TINY.shape):
    """Return (N, height, width, depth) uint8: noise around a colour. All photos of a flank have the same colour."""
    random = np.random.default_rng(seed)
    colours = {}
    for a in annotations:
        colours.setdefault((a.individual, a.body_part), random.integers(60, 196, shape.depth))
    noise = random.integers(-60, 60, (len(annotations), shape.height, shape.width, shape.depth))
    return (np.array([colours[a.individual, a.body_part] for a in annotations])[:, None, None] + noise).astype(np.uint8)


LEARNED, VALIDATED = coats("abc"), coats("xy")
PIXELS = (looks(LEARNED), looks(VALIDATED, seed=1))


def start(training=TINY):
    return build(training.backbone, training.dimensions, training.shape, RANDOM, training.seed)


def run(folder, training=TINY, network=None, learned=LEARNED, pixels=PIXELS):
    """Run a training in `folder`. Return its result and the network of the last epoch."""
    network = network or start(training)
    return train(network, learned, VALIDATED, pixels, training, folder, CPU), network


def held_by(path):
    return checkpoints.read_tensors(path)[1]


def same_bytes(one, other):
    return one.keys() == other.keys() and all(
        one[name].contiguous().numpy().tobytes() == other[name].contiguous().numpy().tobytes() for name in one
    )


# division of individuals


def test_no_animal_is_on_both_sides_and_unnamed_animals_are_on_none():
    annotations = [*coats("abcdefgh"), Annotation(32, "x.png"), Annotation(33, "y.png")]
    learned, validated = divide(annotations, 0.25, 0)
    names = [{a.individual for a in side} for side in (learned, validated)]
    assert not names[0] & names[1]
    assert names[0] | names[1] == set("abcdefgh")
    assert len(names[1]) == 2
    assert sorted(a.row for a in learned + validated) == list(range(32))
    assert divide(annotations, 0.25, 0) == (learned, validated)
    assert divide(annotations[::-1], 0.25, 0)[1] == validated[::-1]  # the catalog's order has no effect
    assert len({divide(annotations, 0.25, seed)[1][0].individual for seed in range(9)}) > 2


def test_the_share_counts_individuals_and_is_at_least_two():
    assert len(divide(coats("abcdefghij", photos=1), 0.4, 0)[1]) == 8  # 4 animals with 2 photos each
    assert len({a.individual for a in divide(coats("abcdefgh"), 0.01, 0)[1]}) == 2


def test_joined_catalogs_are_told_apart_by_their_folders():
    one, other = coats("abcd"), coats("efghij")
    joined = [replace(a, path=f"one/{a.path}") for a in one] + [replace(a, path=f"one-b/{a.path}") for a in other]
    assert of_each(joined, "data/one;data/two,name=one-b") == [joined[: len(one)], joined[len(one) :]]
    assert of_each(joined, "data/one") == [joined]


@pytest.mark.parametrize(("names", "share"), [("abc", 0.2), ("", 0.2), ("abcdefgh", 0.9)])
def test_too_few_individuals_are_an_error(names, share):
    with pytest.raises(SnowmatchError, match=f"{len(names)} individuals are too few: expected at least 2 for training"):
        divide(coats(names), share, 0)


# learning


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return, for each loss, the folder of a training, its result and its network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folders = {loss: tmp_path_factory.mktemp(loss) for loss in LOSSES}
    made = {loss: (folders[loss], *run(folders[loss], replace(TINY, loss=loss))) for loss in LOSSES}
    torch.set_num_threads(threads)
    return made


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_trains_a_network_and_keeps_a_log(trained, loss):
    folder, result, network = trained[loss]
    assert result.best in (1, 2)
    assert result.seconds > 0
    with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert rows == [{name: str(value) for name, value in row.items()} for row in result.log]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    best, described = load_network(folder / "best.safetensors")
    assert best.shape == TINY.shape
    assert (described["loss"], described["backbone"], described["dimensions"]) == (loss, "test_resnet", 8)
    moved = start().state_dict()
    assert not torch.equal(network.state_dict()["backbone.conv1.0.weight"], moved["backbone.conv1.0.weight"])
    assert not torch.equal(network.head.weight, moved["head.weight"])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_directions_of_the_classes_are_learned(trained, loss):
    held = held_by(trained[loss][0] / "checkpoint.safetensors")
    assert ("weights.classes" in held) == (loss != "triplet")
    if loss != "triplet":
        assert held["weights.classes"].shape == (6, 8)
        assert held["exp_avg.classes"].any(dim=1).all()  # Adam has moved each of them


def test_learning_rates_follow_a_cosine_but_are_constant_for_triplets(trained):
    rates = {loss: [row["rate"] for row in trained[loss][1].log] for loss in LOSSES}
    assert rates["triplet"] == [8e-4, 8e-4]
    assert rates["cosface"] == rates["adaptive"] == [1e-3, 5e-4]  # (1 + cos 0) / 2 and (1 + cos 90°) / 2


def test_a_margin_and_a_rate_can_be_set(tmp_path, monkeypatch):
    seen = []
    triplet_loss = training_module.triplet_loss
    monkeypatch.setattr(
        training_module, "triplet_loss", lambda e, labels, m: seen.append(m) or triplet_loss(e, labels, m)
    )
    result, _ = run(tmp_path, replace(TINY, epochs=1, margin=0.4, rate=2e-4))
    assert set(seen) == {0.4}
    assert result.log[0]["rate"] == 2e-4


@pytest.mark.parametrize(("loss", "expected"), [("cosface", (0.35, 0.35)), ("adaptive", (0.28, 0.28 / 11))])
def test_each_loss_has_its_margin(tmp_path, monkeypatch, loss, expected):
    """The margin at cosine 0 and at cosine 1."""
    margins = []

    class Watched(training_module.CosFace):
        def __init__(self, dimensions, classes, margin):
            super().__init__(dimensions, classes, margin)
            margins.append(margin)

    monkeypatch.setattr(training_module, "CosFace", Watched)
    run(tmp_path, replace(TINY, epochs=1, loss=loss))
    assert margins[0](torch.tensor([0.0, 1.0])).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_makes_photos_of_a_flank_more_similar_than_others(tmp_path, loss):
    training = replace(TINY, loss=loss, epochs=12, batch=12)
    flanks = np.array([a.individual + a.body_part for a in LEARNED])
    same = flanks[:, None] == flanks

    def apart(network):
        """Return how much more similar two photos of one flank are than two photos of different flanks."""
        with torch.inference_mode():
            made = network.train()(feeding.as_tensor(PIXELS[0], TINY.shape))
        unit = torch.nn.functional.normalize(made).numpy()
        alike = unit @ unit.T
        return alike[same & ~np.eye(len(same), dtype=bool)].mean() - alike[~same].mean()

    assert apart(run(tmp_path, training)[1]) > apart(start(training)) + 0.15


@pytest.fixture
def watched(monkeypatch):
    """Record each photo that a training shows, as (pixel, label). The first pixel identifies the photo."""
    seen = []
    as_tensor, triplet_loss = feeding.as_tensor, training_module.triplet_loss
    shown = []

    def tensor(pixels, shape, device):
        shown[:] = pixels[:, 0, 0, 0].tolist()
        return as_tensor(pixels, shape, device)

    class Watched(training_module.CosFace):
        def forward(self, embeddings, labels):
            seen.append((list(shown), labels.tolist()))
            self.classes = len(self.weight)
            classes.append(len(self.weight))
            return super().forward(embeddings, labels)

    def triplets(embeddings, labels, margin):
        seen.append((list(shown), labels.tolist()))
        return triplet_loss(embeddings, labels, margin)

    classes = []
    monkeypatch.setattr(feeding, "as_tensor", tensor)
    monkeypatch.setattr(training_module, "CosFace", Watched)
    monkeypatch.setattr(training_module, "triplet_loss", triplets)
    return seen, classes


@pytest.mark.parametrize("loss", LOSSES)
def test_single_photos_of_a_class_are_used_only_with_triplets(tmp_path, watched, loss):
    seen, classes = watched
    learned = [*LEARNED, *coats("d", photos=1), *coats("e", photos=1, flanks=("left_flank",))]
    learned = learned[-3:-2] + learned[:-3] + learned[-2:]  # one of them first, so that classes get other numbers
    pixels = looks(learned)
    pixels[:, 0, 0, 0] = np.arange(len(learned))  # so that a photo can be identified
    run(tmp_path, replace(TINY, loss=loss, epochs=1), learned=learned, pixels=(pixels, PIXELS[1]))
    label = dict(pair for shown, labels in seen for pair in zip(shown, labels, strict=True))
    photos = [photo for shown, _ in seen for photo in shown]
    assert len(photos) == len(set(photos)) == (15 if loss == "triplet" else 12)
    flank = {i: (a.individual, a.body_part) for i, a in enumerate(learned)}
    counted = [i for i in range(15) if loss == "triplet" or flank[i][0] not in "de"]
    assert sorted(label) == counted
    assert all((label[i] == label[j]) == (flank[i] == flank[j]) for i in counted for j in counted)
    if loss != "triplet":
        assert set(classes) == {6}
        assert set(label.values()) == set(range(6))


def test_epochs_have_other_batches_and_other_augmentation(tmp_path, watched, monkeypatch):
    changed = []

    class Watched(feeding.Augmentation):
        def __call__(self, values):
            changed.append(super().__call__(values))
            return changed[-1]

    monkeypatch.setattr(feeding, "Augmentation", Watched)
    reached = []
    network = start()
    network.backbone.register_forward_pre_hook(
        lambda module, shown: reached.append(shown[0]) if module.training else None
    )
    pixels = PIXELS[0].copy()
    pixels[:, 0, 0, 0] = np.arange(len(LEARNED))
    run(tmp_path, network=network, pixels=(pixels, PIXELS[1]))
    batches = [shown for shown, _ in watched[0]]
    assert batches[:2] != batches[2:]
    assert len(batches) == len(changed) == len(reached) == 4
    for augmented, shown in zip(changed, reached, strict=True):
        torch.testing.assert_close(shown, normalised(augmented, TINY.shape))


@pytest.mark.parametrize("loss", LOSSES)
def test_too_few_photos_for_training_are_an_error(tmp_path, loss):
    learned = coats("abcdef", photos=1)
    with pytest.raises(SnowmatchError, match="no flank has two photos or more for training"):
        run(tmp_path, replace(TINY, loss=loss), learned=learned, pixels=(looks(learned), PIXELS[1]))


def test_one_class_is_too_few_for_cosface(tmp_path):
    learned = [*coats("a", flanks=("left_flank",)), *coats("bc", photos=1)]
    with pytest.raises(SnowmatchError, match="cosface needs two flanks with two photos or more for training"):
        run(tmp_path, replace(TINY, loss="cosface"), learned=learned, pixels=(looks(learned), PIXELS[1]))


def test_the_best_epoch_is_kept_or_the_first_of_equal_ones(tmp_path, monkeypatch):
    states, judged = [], iter([0.2, 0.5, 0.4, 0.5])

    def judge(network, annotations, pixels, device):
        states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return {"top1": 1.0, "dt5ap": next(judged)}

    monkeypatch.setattr(training_module, "judge", judge)
    result, network = run(tmp_path, replace(TINY, epochs=4))
    assert result.best == 2
    assert same_bytes(held_by(tmp_path / "best.safetensors"), states[1])
    assert same_bytes(network.state_dict(), states[3])
    assert not same_bytes(states[1], states[3])


def test_a_training_that_recognises_no_animal_still_has_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(training_module, "judge", lambda *_: {"top1": 0.0, "dt5ap": 0.0})
    result, _ = run(tmp_path)
    assert result.best == 1
    assert load_network(tmp_path / "best.safetensors")[1] == json.loads(json.dumps(describe(TINY))) | {
        "shape": {"width": 64, "height": 32, "channels": "rgb", "background": "kept"}
    }


def test_a_networks_file_has_no_path():
    assert describe(replace(TINY, weights="far/away/resnet.safetensors"))["weights"] == "resnet.safetensors"
    assert describe(TINY)["weights"] == RANDOM


# stopping and continuing


def stop_in_epoch(monkeypatch, number):
    """Stop the training by Ctrl-C when the epoch's weights have changed but are not saved yet."""
    judge = training_module.judge
    calls = []

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return judge(*arguments)

    monkeypatch.setattr(training_module, "judge", stopped)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_stopped_and_continued_training_gives_the_same_bytes(trained, tmp_path, monkeypatch, loss):
    folder, whole, network = trained[loss]
    training = replace(TINY, loss=loss)
    with monkeypatch.context() as patched:
        stop_in_epoch(patched, 2)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, training)
    assert len((tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()) == 2
    torch.manual_seed(99)  # whatever was drawn in between
    result, gone_on = run(tmp_path, training)
    assert same_bytes(gone_on.state_dict(), network.state_dict())
    for name in ("checkpoint", "best"):
        assert same_bytes(held_by(tmp_path / f"{name}.safetensors"), held_by(folder / f"{name}.safetensors"))
    assert result.best == whole.best
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in made.log] for made in (result, whole)]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_result_depends_on_the_seed(trained, tmp_path, loss):
    network = start()
    torch.manual_seed(99)  # whatever was drawn in between
    again = run(tmp_path / "again", replace(TINY, loss=loss), network)[1]
    assert same_bytes(again.state_dict(), trained[loss][2].state_dict())
    # the same start, but other batches and augmentation
    other = run(tmp_path / "other", replace(TINY, loss=loss, seed=1), network=start())[1]
    assert not same_bytes(other.state_dict(), trained[loss][2].state_dict())


def test_a_finished_training_is_only_read(trained, monkeypatch):
    folder, whole, network = trained["adaptive"]
    monkeypatch.setattr(training_module, "judge", None)
    result, read = run(folder, replace(TINY, loss="adaptive"))
    assert result == whole
    assert same_bytes(read.state_dict(), network.state_dict())


def one_step(tensors):
    optimizer = torch.optim.Adam(tensors.values(), lr=0.1)
    sum((t**2).sum() for t in tensors.values()).backward()
    optimizer.step()
    return optimizer


def test_a_checkpoint_restores_weights_and_means(tmp_path):
    made = {"a": torch.nn.Parameter(torch.tensor([1.0, -2])), "b": torch.nn.Parameter(torch.ones(2, 3))}
    optimizer = one_step(made)
    done = {"step": 1, "epoch": 1, "log": [{"loss": 0.5}]}
    checkpoints.save_checkpoint(tmp_path / "sub" / "c.safetensors", made, optimizer, done)
    empty = {name: torch.nn.Parameter(torch.zeros_like(t)) for name, t in made.items()}
    again = torch.optim.Adam(empty.values(), lr=0.1)
    assert checkpoints.restore(tmp_path / "sub" / "c.safetensors", empty, again) == done
    for name, tensor in made.items():
        assert torch.equal(empty[name], tensor)
        assert optimizer.state[tensor].keys() == again.state[empty[name]].keys()
        for key, value in optimizer.state[tensor].items():
            assert torch.equal(torch.as_tensor(again.state[empty[name]][key]), torch.as_tensor(value)), key
    # by hand: the gradient is twice the weight, Adam's first mean is a tenth of it
    assert again.state[empty["a"]]["exp_avg"].tolist() == pytest.approx([0.2, -0.4])
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize(
    "wanted", [{"a": (2,), "other": (2,)}, {"a": (3,)}, {"a": (2, 2)}], ids=["name", "length", "spread"]
)
def test_a_checkpoint_of_another_network_is_refused(tmp_path, wanted):
    made = {"a": torch.nn.Parameter(torch.ones(2))}
    checkpoints.save_checkpoint(tmp_path / "c.safetensors", made, one_step(made), {"step": 1})
    tensors = {name: torch.nn.Parameter(torch.zeros(size)) for name, size in wanted.items()}
    with pytest.raises(SnowmatchError, match=r"c\.safetensors .*it is a checkpoint of another network, delete it"):
        checkpoints.restore(tmp_path / "c.safetensors", tensors, torch.optim.Adam(tensors.values()))


def test_other_files_than_checkpoints_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    tensors = {"a": torch.nn.Parameter(torch.zeros(2))}
    optimizer = torch.optim.Adam(tensors.values())
    for content in (None, b"", b"nothing of the kind"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SnowmatchError, match=r"c\.safetensors does not load \(.*\): expected a file that training"):
            checkpoints.restore(path, tensors, optimizer)
    safetensors.save_file({"weights.a": torch.zeros(2)}, path)  # without the other tensors that training writes
    with pytest.raises(SnowmatchError, match="expected a file that training wrote"):
        checkpoints.restore(path, tensors, optimizer)


# judging


class Colour(torch.nn.Module):
    """Replaces a network: a photo's vector is the mean of its colours, in any mode."""

    shape = Shape(32, 32)

    def forward(self, values):
        assert not self.training
        return values.mean(dim=(2, 3))


def plain(colours):
    return np.broadcast_to(np.array(colours, np.uint8)[:, None, None], (len(colours), 32, 32, 3))


def test_the_validation_of_epochs_by_hand():
    """A red animal a and a green animal b; the third photo of a is nearer to green.

    Queries a1, a2 find an a first; a3 (yellowish green) finds both b first; b1 and b2 find each other first.
    DT5AP: a1 has two right answers: 1 of 1, 1 of 2 or 2 of 2. Cosines of a1 (1, 0): a2 (200, 20) 0.995, a3 (100, 200)
    0.447, b 0: right, right: (1 + 1) / 2. So for a2. a3: b1 (0, 255) 0.894, b2 (10, 250) 0.911, a1 0.447, a2 0.535:
    wrong, wrong: 0. b1: b2 0.999 first, one right answer: 1. b2: b1: 1.
    """
    annotations = [
        Annotation(i, f"{i}.png", name, "left_flank", encounter=str(i))
        for i, name in enumerate(["a", "a", "a", "b", "b"])
    ]
    colours = [(255, 0, 0), (200, 20, 0), (100, 200, 0), (0, 255, 0), (10, 250, 0)]
    assert judge(Colour(), annotations, plain(colours), CPU) == {"top1": 0.8, "dt5ap": 0.8}


def test_own_encounters_and_other_flanks_cannot_answer():
    """Every photo's double has the same encounter or the other flank, so the wrong animal comes first."""
    rows = [("a", "left_flank", "1"), ("a", "left_flank", "1"), ("a", "left_flank", "2")]
    rows += [("b", "left_flank", "3"), ("b", "left_flank", "4"), ("a", "right_flank", "5")]
    annotations = [Annotation(i, "x.png", n, part, encounter=e) for i, (n, part, e) in enumerate(rows)]
    red, near_red, green, near_green = (255, 0, 0), (255, 60, 0), (0, 255, 0), (60, 255, 0)
    # a: red twice in encounter 1, green in 2; b: near each of them
    judged = judge(Colour(), annotations, plain([red, red, green, near_red, near_green, red]), CPU)
    assert judged == {"top1": 0.0, "dt5ap": 0.0}


def test_without_an_animal_to_recognise_figures_are_0():
    annotations = coats("ab", photos=1)
    assert judge(Colour(), annotations, plain([(255, 0, 0)] * 4), CPU) == {"top1": 0.0, "dt5ap": 0.0}


def test_photos_are_embedded_in_portions(monkeypatch):
    annotations = coats("abc")
    pixels = looks(annotations, shape=Colour.shape)
    whole = judge(Colour(), annotations, pixels, CPU)
    monkeypatch.setattr(networks, "EMBED_AT_ONCE", 5)
    assert judge(Colour(), annotations, pixels, CPU) == whole


# settings and the command line


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"loss": "triplets"},
            r"loss is 'triplets', expected one of triplet, cosface, adaptive \(did you mean 'triplet'",
        ),
        ({"dimensions": 0}, "dimensions is 0, expected at least 1"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"batch": 7}, "batch is 7, expected at least 8: two individuals"),
        ({"margin": -0.1}, r"margin is -0\.1, expected 0 \(the loss's own\) or more"),
        ({"rate": float("nan")}, "rate is nan, expected 0"),
        ({"validation": 0.0}, r"validation is 0\.0, expected between 0 and 1"),
        ({"validation": 1.0}, r"validation is 1\.0, expected between 0 and 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(SnowmatchError, match=message) as caught:
        Training(**settings)
    assert "\n" not in str(caught.value)


def test_presets_are_settings():
    for preset in PRESETS.values():
        assert Training(**preset).epochs >= (12 if preset.get("frozen") else 40)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Return a catalog of five animals (two photos a flank, 80 x 40 px, half with masks) and one unnamed animal."""
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "photos").mkdir()
    (folder / "masks").mkdir()
    annotations = [*coats("abcde"), Annotation(20, "unknown.png", encounter="u")]
    for i, (annotation, pixels) in enumerate(zip(annotations, looks(annotations, shape=Shape(80, 40)), strict=True)):
        Image.fromarray(pixels).save(folder / "photos" / annotation.path)
        if i % 2:
            Image.fromarray(np.pad(np.full((20, 40), 255, np.uint8), ((10, 10), (20, 20)))).save(
                folder / "masks" / annotation.path
            )
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "individual", "body_part", "encounter", "mask"])
        for i, a in enumerate(annotations):
            mask = f"masks/{a.path}" if i % 2 else ""
            writer.writerow([f"photos/{a.path}", a.individual or "", a.body_part, a.encounter, mask])
    return folder


def command(catalog, work, *more, preset="small"):
    short = "--width 64 --height 32 --dimensions 8 --batch 8 --threads 1 --device cpu"
    return [
        str(catalog),
        "--work",
        str(work),
        "--out",
        str(work / "net.safetensors"),
        "--preset",
        preset,
        *short.split(),
        *more,
    ]


def test_a_repeated_command_reads_the_trained_network(catalog, tmp_path, capsys, monkeypatch):
    arguments = command(catalog, tmp_path, "--epochs", "1")
    main(arguments)
    told = capsys.readouterr().out
    assert "adaptive, resnet18 (11.2 M weights, start: random) on cpu: 12 photos of 3 individuals, 8 of 2 for" in told
    assert f"{tmp_path / 'net.safetensors'}: epoch 1 of 1, validation DT5AP " in told
    network, described = load_network(tmp_path / "net.safetensors")
    assert network.shape == Shape(64, 32)
    assert {
        "loss": "adaptive",
        "backbone": "resnet18",
        "dimensions": 8,
        "weights": RANDOM,
        "photos": 12,
        "individuals": 3,
        "epoch": 1,
        "device": "cpu",
        "threads": 1,
        "data": catalog.name,
    }.items() <= described.items()
    assert len(described["validation"]) == 2
    assert set(described["validation"]) < set("abcde")
    assert str(tmp_path) not in json.dumps(described)
    (folder,) = tmp_path.glob("adaptive-*")
    assert {p.name for p in folder.iterdir()} == {"best.safetensors", "checkpoint.safetensors", "log.csv"}
    assert same_bytes(held_by(tmp_path / "net.safetensors"), held_by(folder / "best.safetensors"))

    before = (tmp_path / "net.safetensors").read_bytes()
    monkeypatch.setattr(training_module, "judge", None)
    main(arguments)
    assert (tmp_path / "net.safetensors").read_bytes() == before


def test_given_settings_replace_those_of_the_preset(catalog, tmp_path, capsys):
    """Another training in the same folder is separate. If masks are missing, the program prints that."""
    more = ["--backbone", "test_resnet", "--epochs", "1", "--loss", "triplet", "--background", "removed"]
    main(command(catalog, tmp_path, *more, "--channels", "rgb+edges", "--seed", "3"))
    told = capsys.readouterr().out
    assert "10 of 20 annotations have no mask and keep their background" in told
    network, described = load_network(tmp_path / "net.safetensors")
    assert network.shape == Shape(64, 32, "rgb+edges", "removed")
    assert (described["backbone"], described["loss"], described["seed"]) == ("test_resnet", "triplet", 3)
    main(command(catalog, tmp_path, *more, "--channels", "edges"))
    assert len(list(tmp_path.glob("triplet-*"))) == 2
    assert load_network(tmp_path / "net.safetensors")[0].shape.channels == "edges"


def test_the_best_epochs_network_is_written(catalog, tmp_path, monkeypatch, capsys):
    judged = iter([0.5, 0.25])
    monkeypatch.setattr(training_module, "judge", lambda *_: {"top1": 0.75, "dt5ap": next(judged)})
    main(command(catalog, tmp_path, "--backbone", "test_resnet", "--epochs", "2"))
    assert ": epoch 1 of 2, validation DT5AP 0.5, top-1 0.75; " in capsys.readouterr().out
    (folder,) = tmp_path.glob("adaptive-*")
    written, last = held_by(tmp_path / "net.safetensors"), held_by(folder / "checkpoint.safetensors")
    assert same_bytes(written, held_by(folder / "best.safetensors"))
    assert not torch.equal(written["head.weight"], last["weights.head.weight"])
    assert load_network(tmp_path / "net.safetensors")[1]["epoch"] == 1
    # the same training is not repeated; now the last epoch is requested
    main(command(catalog, tmp_path, "--backbone", "test_resnet", "--epochs", "2", "--last"))
    assert ": epoch 2 of 2, validation DT5AP 0.25, top-1 0.75; " in capsys.readouterr().out
    assert torch.equal(held_by(tmp_path / "net.safetensors")["head.weight"], last["weights.head.weight"])
    assert load_network(tmp_path / "net.safetensors")[1]["epoch"] == 2


def test_animals_of_each_joined_catalog_are_held_out(catalog, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(catalog, other)
    held = (other / "catalog.csv").read_text(encoding="utf-8").splitlines()
    capital = [line if i == 0 else re.sub(r",([a-e]),", lambda m: m[0].upper(), line) for i, line in enumerate(held)]
    (other / "catalog.csv").write_text("\n".join(capital), encoding="utf-8")
    more = ["--backbone", "test_resnet", "--epochs", "1"]
    main(command(f"{catalog},name=one;{other},name=two", tmp_path, *more))
    described = load_network(tmp_path / "net.safetensors")[1]
    assert (described["data"], described["photos"], described["individuals"]) == ("one+two", 24, 6)
    assert sum(name.isupper() for name in described["validation"]) == 2
    assert sum(name.islower() for name in described["validation"]) == 2


def test_a_training_ends_after_its_minutes_and_goes_on_later(catalog, tmp_path, capsys):
    more = ["--backbone", "test_resnet", "--epochs", "3", "--loss", "cosface"]
    main(command(catalog, tmp_path, *more, "--minutes", "1e-9"))
    assert "stopped after epoch 1 (--minutes 1e-09): the same command continues it" in capsys.readouterr().out
    described = load_network(tmp_path / "net.safetensors")[1]
    assert (described["done"], described["epoch"], described["epochs"]) == (1, 1, 3)
    main(command(catalog, tmp_path, *more, "--minutes", "10"))
    assert "stopped" not in capsys.readouterr().out
    (log,) = tmp_path.glob("cosface-*/log.csv")
    rows = list(csv.DictReader(log.read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    described = load_network(tmp_path / "net.safetensors")[1]
    assert described["done"] == 3
    assert described["dt5ap"] == float(rows[described["epoch"] - 1]["dt5ap"]) == max(float(r["dt5ap"]) for r in rows)
    other = tmp_path / "other"
    main(command(catalog, other, *more))  # at once: the rates fall in the same way
    assert same_bytes(held_by(tmp_path / "net.safetensors"), held_by(other / "net.safetensors"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--batch", "4"], "batch is 4, expected at least 8"),
        (["--width", "20"], "width is 20, expected at least 32"),
        (["--backbone", "resnet19"], "backbone is 'resnet19', expected efficientnetv2_b2"),
        (["--weights", "none.safetensors"], r"weights=none\.safetensors is no file, expected timm's file of resnet18"),
        (["--validation", "0.9"], "5 individuals are too few"),
        (["--device", "cuda:77"], "device is 'cuda:77'"),
        (["--device", "tpu"], "tpu"),
        (["--threads", "0"], "threads is 0, expected at least 1"),
        (["--minutes", "0"], "minutes is 0, expected more than 0"),
    ],
)
def test_bad_settings_are_an_error_of_one_line(catalog, tmp_path, more, message):
    with pytest.raises(SnowmatchError, match=message) as caught:
        main(command(catalog, tmp_path, *more))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "net.safetensors").exists()


def test_a_removed_background_without_masks_is_an_error(catalog, tmp_path):
    with pytest.raises(SnowmatchError, match="no annotation has a mask: add masks to the catalog, or background=kept"):
        main(command(f"{catalog},masks=no", tmp_path, "--background", "removed"))


def test_wrong_choices_are_refused(catalog, tmp_path, capsys):
    for more in (["--loss", "softmax"], ["--channels", "grey"], ["--preset", "big"], ["--background", "gone"]):
        with pytest.raises(SystemExit, match="2"):
            main(command(catalog, tmp_path, *more))
        assert "invalid choice" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "(full: 1028)" in capsys.readouterr().out


def training(*arguments):
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, str(ROOT / "training"), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )


def test_the_folder_is_a_command(tmp_path):
    alone, unknown = training(), training("embeding")
    assert alone.returncode == 0
    for name in ("embedding", "lightglue"):
        assert f"  {name} " in alone.stdout
    assert unknown.returncode == 1
    assert unknown.stderr.strip() == "error: no command 'embeding'"
    assert unknown.stdout == alone.stdout
    bad = training("embedding", *command("nowhere", tmp_path, "--batch", "4"))
    assert (bad.returncode, bad.stderr.strip()) == (1, "error: batch is 4, expected at least 8: two individuals")


def test_a_missing_package_is_an_error_of_one_line(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "training"))
    entry = runpy.run_path(str(ROOT / "training" / "__main__.py"))

    def absent(name):
        raise ImportError("no timm")

    monkeypatch.setattr(importlib, "import_module", absent)
    monkeypatch.setattr(sys, "argv", ["training", "embedding"])
    with pytest.raises(SystemExit, match=r"^error: no timm: python -m pip install -e '\.\[bench-deep\]'$"):
        entry["main"]()
