"""MobileNetV2: the network from torchvision's names, its file, and models that are taught on it."""

import csv
import hashlib

import numpy as np
import pytest
from click.testing import CliRunner
from old_torch import old_torch_of
from PIL import Image

from snowmatch.catalog.species import NOTHING
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.models.registry import known_weights
from snowmatch.screening.classifiers import mobilenet_v2
from snowmatch.screening.classifiers._layers import CLASSES, FEATURES
from snowmatch.screening.classifiers._mobilenet import STAGES, mobilenet_onnx
from snowmatch.screening.classifiers.learned import Learned
from snowmatch.screening.classifiers.mobilenet_v2 import DEVIATION, MEAN, V2, MobilenetV2
from snowmatch.screening.head import Head, load_head, save_head
from snowmatch.screening.scenes import Finders
from snowmatch.testing import CLASSIFIER_CHECKS
from snowmatch.testing.detectors import scene

WIDTHS = (16, 24, 32, 64, 96, 160, 320)  # channels after each stage. Source: table 2 of the paper
PARTS = ("weight", "bias", "running_mean", "running_var")


def shapes():
    """Return the shapes of all tensors in torchvision's file, by name."""
    found = {}

    def conv(name, norm, out, into, kernel):
        found[f"{name}.weight"] = (out, into, kernel, kernel)
        found.update({f"{norm}.{part}": (out,) for part in PARTS})
        found[f"{norm}.num_batches_tracked"] = ()

    conv("features.0.0", "features.0.1", 32, 3, 3)
    width, number = 32, 1
    for (repeats, _, expansion), out in zip(STAGES, WIDTHS, strict=True):
        for _ in range(repeats):
            block, inner, part = f"features.{number}.conv", width * expansion, int(expansion > 1)
            if part:
                conv(f"{block}.0.0", f"{block}.0.1", inner, width, 1)
            conv(f"{block}.{part}.0", f"{block}.{part}.1", inner, 1, 3)
            conv(f"{block}.{part + 1}", f"{block}.{part + 2}", out, inner, 1)
            width, number = out, number + 1
    conv("features.18.0", "features.18.1", FEATURES, width, 1)
    return {**found, "classifier.1.weight": (CLASSES, FEATURES), "classifier.1.bias": (CLASSES,)}


@pytest.fixture(scope="module")
def tensors():
    """Return random tensors; signals neither die nor explode on their way."""
    rng = np.random.default_rng(0)
    made = {}
    for name, shape in shapes().items():
        if name.endswith("num_batches_tracked"):
            made[name] = np.array(7, np.int64)
        elif name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            made[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif len(shape) == 1:
            made[name] = rng.normal(0, 0.1, shape).astype(np.float32)
        else:
            made[name] = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
    return made


@pytest.fixture(scope="module")
def made_file(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "made.pth"
    path.write_bytes(old_torch_of(tensors))
    return path


@pytest.fixture
def made(made_file, monkeypatch):
    """Return the classifier with random values in the place of its weights."""
    monkeypatch.setattr(mobilenet_v2, "find_weights", lambda name: made_file)
    return MobilenetV2(size=96)


def run(path, image):
    return V2.run(path, hashlib.sha256(path.read_bytes()).hexdigest(), image)


@pytest.mark.parametrize("check", CLASSIFIER_CHECKS.values(), ids=list(CLASSIFIER_CHECKS))
def test_the_network_of_random_values_conforms(check, made):
    check(made)


def test_the_network_has_the_size_of_the_published_one():
    numbers = sum(int(np.prod(shape)) for name, shape in shapes().items() if "running" not in name and shape)
    assert numbers == 3_504_872  # parameters, as torchvision's documentation has them


def test_the_network_is_that_of_torchvision(tensors, made_file):
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision.models")
    theirs = models.mobilenet_v2(weights=None)
    theirs.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    theirs.eval()
    image, _ = V2.prepared(scene(224, 160), 224)
    with torch.no_grad():
        maps = theirs.features(torch.from_numpy(image)).numpy()[0]
        expected = theirs(torch.from_numpy(image)).numpy()[0]
    features, logits = run(made_file, image)
    assert np.abs(features - maps).max() < 1e-2
    assert np.abs(logits.mean(axis=(1, 2)) - expected).max() < 1e-3


def test_the_file_for_torch_and_the_onnx_file_are_one_network(tensors, made_file, tmp_path):
    path = tmp_path / "made.onnx"
    path.write_bytes(mobilenet_onnx(tensors))
    image, _ = V2.prepared(scene(96, 64), 96)
    for one, other in zip(run(made_file, image), run(path, image), strict=True):
        assert (one == other).all()


def test_colours_are_those_of_imagenet():
    image, shape = V2.prepared(np.full((40, 64, 3), 255, np.uint8), 64)
    assert image.shape == (1, 3, 64, 64)
    assert shape == (1, 2)
    expected = (255 - np.array(MEAN)) / np.array(DEVIATION)
    assert image[0, :, 0, 0] == pytest.approx(expected)
    assert (image[0, :, 50] == 0).all()  # below the photo


@pytest.mark.parametrize(
    "wrong",
    [
        lambda t: {name: values for name, values in t.items() if name != "features.3.conv.1.0.weight"},
        lambda t: {**t, "classifier.1.weight": t["classifier.1.weight"][:999]},
        lambda t: {**t, "features.18.0.weight": t["features.18.0.weight"][:, :7]},
        lambda t: {},
    ],
)
def test_other_tensors_are_one_clear_line(tensors, tmp_path, wrong):
    path = tmp_path / "net.pth"
    path.write_bytes(old_torch_of(wrong(tensors)))
    with pytest.raises(SnowmatchError, match="is not MobileNetV2") as caught:
        V2.run(path, hashlib.sha256(path.read_bytes()).hexdigest(), np.zeros((1, 3, 32, 32), np.float32))
    assert "\n" not in str(caught.value)


def test_missing_weights_are_one_clear_line_with_the_address(tmp_path, monkeypatch):
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    entry = known_weights("mobilenet-v2")
    assert entry.files[0].addresses
    with pytest.raises(SnowmatchError, match="mobilenet-v2") as caught:
        MobilenetV2().check()
    assert "\n" not in str(caught.value)


def test_another_file_under_the_same_name_changes_the_mark(tmp_path, monkeypatch):
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    save_head(tmp_path / "a.npz", Head(("fox", NOTHING), np.ones((2, FEATURES)), np.zeros(2), "mobilenet_v2"))
    plugins = MobilenetV2(), Learned(str(tmp_path / "a.npz"))
    marks = set()
    for content in (b"\x80one", b"\x80another"):
        (tmp_path / mobilenet_v2.FILE).write_bytes(content)
        marks |= {Finders(plugin).mark for plugin in plugins}
    assert len(marks) == 4


def test_a_wrong_size_is_refused():
    with pytest.raises(ValueError, match="size is 5"):
        MobilenetV2(size=5)


# Species that are taught on it


def test_a_model_keeps_its_network_and_older_files_have_the_default(tmp_path):
    head = Head(("fox", NOTHING), np.ones((2, 3)), np.zeros(2), "mobilenet_v2")
    save_head(tmp_path / "a.npz", head)
    assert load_head(tmp_path / "a.npz").network == "mobilenet_v2"
    save_head(tmp_path / "b.npz", Head(head.names, head.weights, head.bias))
    with np.load(tmp_path / "b.npz") as archive:
        assert sorted(archive.files) == ["bias", "names", "weights"]  # as before networks had names
    assert load_head(tmp_path / "b.npz").network == "efficientnet_lite0"


def test_a_model_for_an_unknown_network_is_one_clear_line(tmp_path):
    save_head(tmp_path / "a.npz", Head(("fox", NOTHING), np.ones((2, FEATURES)), np.zeros(2), "resnet"))
    with pytest.raises(SnowmatchError, match="for the network 'resnet', expected one of") as caught:
        Learned(str(tmp_path / "a.npz")).check()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("made")
def test_a_catalog_teaches_a_model_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr(MobilenetV2.__init__, "__defaults__", (96,))
    folder = tmp_path / "catalog"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(12):
        photo = np.full((48, 64, 3), 90.0)
        if n % 2:
            photo[:, ::8] = photo[:, 1::8] = 240
        Image.fromarray((photo + rng.integers(-9, 10, photo.shape)).astype(np.uint8)).save(folder / f"{n}.png")
    with open(folder / "catalog.csv", "w", newline="") as file:
        rows = [(f"{n}.png", f"S{n // 2 % 4}", "fox" if n % 2 else "empty") for n in range(12)]
        csv.writer(file).writerows([("path", "station", "species"), *rows])
    out = tmp_path / "ours.npz"
    words = ["screen", str(folder), "--learn", str(out), "--classifier", "mobilenet_v2", "--workers", "1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "learned from fox 6, nothing 6" in result.output
    assert load_head(out).network == "mobilenet_v2"
    with Image.open(folder / "1.png") as photo:
        told = Learned(str(out), size=96).classify(np.asarray(photo))
    assert told.names[int(told.probabilities.argmax())] == "fox"
    words[words.index("mobilenet_v2")] = "resnet"
    wrong = CliRunner().invoke(main, words)
    assert wrong.exit_code == 1
    assert "no species can be learned on 'resnet', expected one of" in wrong.output
