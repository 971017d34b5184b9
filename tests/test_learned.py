"""Extractors and matchers that are networks: same results as kornia, alone or in batches; checks of their weights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
kornia = pytest.importorskip("kornia")

import random_weights
from conftest import AUTHORS_WEIGHTS, the_pair
from kornia.feature import ALIKED, DISK, LightGlue
from kornia.feature.xfeat import XFeat
from PIL import Image
from safetensors.torch import load_file

import snowmatch
from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin
from snowmatch.core.types import Chip, Subject
from snowmatch.features.extractors import extract_chips, extract_from_photo
from snowmatch.features.extractors._superpoint_network import MagicLeap, Retrained, keypoint_map, sample, suppress
from snowmatch.matching.matchers.lightglue import OFFICIAL, Lightglue, find_trained
from snowmatch.models.torch_io import repeatable
from snowmatch.photos.chips import make_chip
from snowmatch.testing.extractors import chip_for, coat

BOX = (40, 30, 300, 200)
authors = pytest.mark.skipif(not AUTHORS_WEIGHTS.is_dir(), reason="no weights of the authors beside the project")


def photo(seed=0):
    return np.dstack([coat(400, 280, seed)] * 3)


def their_input(chip):
    return torch.from_numpy(chip.pixels).permute(2, 0, 1)[None].float().contiguous() / 255


def back(keypoints, chip):
    """Map from chip to photo; independent of the package's own code."""
    return (keypoints + 0.5) * np.array(chip.scale) - 0.5 + np.array(chip.origin)


def by_score(keypoints, scores, descriptors):
    order = np.lexsort((keypoints[:, 0], keypoints[:, 1], -scores))
    return keypoints[order], scores[order], descriptors[order]


def same_as_theirs(ours, theirs, chip):
    keypoints, scores, descriptors = by_score(*(t.numpy() for t in theirs))
    assert len(ours) == len(keypoints) > 50
    np.testing.assert_allclose(ours.keypoints, back(keypoints, chip), atol=1e-3)
    np.testing.assert_array_equal(ours.scores, scores)
    np.testing.assert_array_equal(ours.descriptors, descriptors)


@authors
@pytest.mark.parametrize("model", ["t16", "n16", "n16rot", "n32"])
def test_aliked_equals_kornia(weights, model):
    plugin = make_plugin("extractors", "aliked", {"model": model, "chip_size": "320", "max_features": "0"})
    chip = make_chip(photo(), BOX, None, 320, "rgb")
    network = ALIKED(f"aliked-{model}", detection_threshold=0.2).eval()
    network.load_state_dict(torch.load(weights / f"aliked-{model}.pth", weights_only=True), strict=False)
    with repeatable():
        (found,) = network(their_input(chip))
    ours = extract_from_photo(plugin, photo(), BOX, None)
    same_as_theirs(ours, (found.keypoints, found.keypoint_scores, found.descriptors), chip)


@authors
def test_xfeat_equals_kornia(weights):
    plugin = make_plugin("extractors", "xfeat", {"chip_size": "320", "max_features": "500"})
    chip = make_chip(photo(), BOX, None, 320, "rgb")
    network = XFeat(top_k=500)
    del network.net.fine_matcher
    network.net.load_state_dict(load_file(weights / "xfeat.safetensors"))
    network.eval()
    with repeatable():
        found = network.detectAndCompute(their_input(chip))[0]
    ours = extract_from_photo(plugin, photo(), BOX, None)
    # kornia's coordinates start at pixel corners; 320 x 213 was resized to 320 x 192
    corner = found["keypoints"] + torch.tensor([0.5 * 320 / 320 - 0.5, 0.5 * 213 / 192 - 0.5])
    same_as_theirs(ours, (corner, found["scores"], found["descriptors"]), chip)


def test_disk_equals_kornia(weights):
    plugin = make_plugin("extractors", "disk", {"chip_size": "320", "max_features": "0"})
    chip = make_chip(photo(), BOX, None, 320, "rgb")
    network = DISK().eval()
    network.load_state_dict(torch.load(weights / "depth-save.pth", weights_only=True)["extractor"])
    with repeatable():
        (found,) = network(their_input(chip), pad_if_not_divisible=True)
    ours = extract_from_photo(plugin, photo(), BOX, None)
    same_as_theirs(ours, (found.keypoints, found.detection_scores, found.descriptors), chip)


@authors
def test_matches_of_lighterglue_equal_kornia(weights):
    extractor = make_plugin("extractors", "xfeat", {"chip_size": "320", "max_features": "300"})
    described = {"name": "xfeat"}
    warped = np.roll(photo(), (7, -5), axis=(0, 1))
    one, other = (Subject(extract_from_photo(extractor, p, BOX, None), BOX) for p in (photo(), warped))
    pair = the_pair(Lightglue(), one, other, described)
    keypoint0, keypoint1, scores = pair.keypoint0, pair.keypoint1, pair.weights
    network = LightGlue(
        None, input_dim=64, descriptor_dim=96, num_heads=1, n_layers=3, depth_confidence=-1, width_confidence=-1
    )
    network.load_state_dict(load_file(weights / "xfeat-lighterglue-L3.safetensors"))
    network.eval()
    sides = {
        f"image{i}": {
            "keypoints": torch.from_numpy(s.features.keypoints - np.float32(BOX[:2]))[None].clamp(min=0),
            "descriptors": torch.from_numpy(s.features.descriptors)[None],
            "image_size": torch.tensor([BOX[2:]]),
        }
        for i, s in enumerate((one, other))
    }
    with repeatable():
        found = network(sides)
    theirs = found["matches"][0].numpy()
    assert len(theirs) > 50
    np.testing.assert_array_equal(np.column_stack([keypoint0, keypoint1]), theirs)
    np.testing.assert_allclose(scores, found["scores"][0].numpy(), atol=1e-4)
    moved = other.features.keypoints[keypoint1] - one.features.keypoints[keypoint0]
    assert (np.linalg.norm(moved - [-5, 7], axis=1) < 3).mean() > 0.9


@pytest.mark.parametrize("name", ["aliked", "disk", "superpoint", "xfeat"])
def test_features_of_a_chip_do_not_depend_on_its_batch(weights, name):
    plugin = make_plugin("extractors", name)
    try:
        plugin.check()
    except SnowmatchError as error:
        pytest.skip(str(error))
    greys = [coat(160, 128, seed) for seed in range(3)] + [coat(128, 160, 7), np.full((128, 160), 9)]
    masks = [None, np.arange(128)[:, None].repeat(160, 1) > 60, None, None, None]
    chips = [chip_for(plugin, grey, mask) for grey, mask in zip(greys, masks, strict=True)]
    for chip, together in zip(chips, extract_chips(plugin, chips), strict=True):
        alone = plugin.extract(chip)
        assert len(alone) == len(together)
        np.testing.assert_allclose(together.keypoints, alone.keypoints, atol=1e-3)
        np.testing.assert_allclose(together.descriptors, alone.descriptors, atol=1e-4)


def test_a_batch_too_large_for_the_device_is_halved(weights, monkeypatch):
    plugin = make_plugin("extractors", "disk")
    sizes = []
    detect = type(plugin).detect

    def scarce(self, network, images):
        sizes.append(len(images))
        if len(images) > 1:
            raise torch.OutOfMemoryError("no room")
        return detect(self, network, images)

    monkeypatch.setattr(type(plugin), "detect", scarce)
    chips = [chip_for(plugin, coat(96, 96, seed)) for seed in range(3)]
    assert [len(f) > 0 for f in plugin.extract_many(chips)] == [True] * 3
    assert sizes == [3, 1, 2, 1, 1]

    def hopeless(self, network, images):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(type(plugin), "detect", hopeless)
    with pytest.raises(MemoryError, match="96 x 96 px on auto"):
        plugin.extract(chips[0])


def test_superpoint_accepts_only_its_two_models(weights):
    for model, network in (("v1", MagicLeap), ("v6_from_tf", Retrained)):
        assert isinstance(make_plugin("extractors", "superpoint", {"model": model}).network(), network)
    with pytest.raises(SnowmatchError, match="model is 'v2', expected one of v6_from_tf, v1"):
        make_plugin("extractors", "superpoint", {"model": "v2"})


def test_superpoints_heat_map_orders_pixels_by_row_in_each_cell():
    logits = torch.full((1, 65, 2, 3), -20.0)
    logits[0, 64] = 0.0
    logits[0, 8 * 3 + 5, 1, 2] = 20.0  # row 3, column 5 of the cell in row 1, column 2
    heat = keypoint_map(logits)[0]
    assert heat.shape == (16, 24)
    assert torch.nonzero(heat > 0.5).tolist() == [[8 + 3, 16 + 5]]


def test_superpoint_keeps_the_stronger_of_two_near_keypoints_and_both_of_two_distant_ones():
    heat = torch.zeros(1, 40, 40)
    for row, column, value in ((10, 10, 0.9), (12, 13, 0.5), (30, 30, 0.4), (10, 17, 0.3)):
        heat[0, row, column] = value
    assert torch.nonzero(suppress(heat, 4)[0]).tolist() == [[10, 10], [10, 17], [30, 30]]


def test_superpoints_descriptors_are_interpolated_between_cell_centres():
    dense = torch.zeros(2, 3, 4)
    dense[0, 1, 1] = dense[1, 1, 2] = 1.0
    middle = torch.tensor([[8 + 3.5, 8 + 3.5], [8 + 7.5, 8 + 3.5]])  # centre of the cell, and half way to the next
    assert sample(dense, middle).tolist() == [[1, 0], pytest.approx([2**-0.5] * 2)]


def test_superpoint_takes_chips_of_any_size(weights):
    plugin = make_plugin("extractors", "superpoint")
    for size in ((64, 64), (67, 101), (100, 33)):
        features = plugin.extract(chip_for(plugin, coat(*size)))
        assert (features.keypoints <= np.array(size) - 1 - 4).all()
        assert (features.keypoints >= 4).all()


@pytest.mark.parametrize("name", ["superpoint", "disk", "aliked", "sift"])
def test_lightglue_reads_the_authors_names(name, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    tensors = random_weights.lightglue(name)
    torch.save(tensors, tmp_path / f"{name}_lightglue.pth")
    trained = next(t for t in OFFICIAL if t.extractor == name)
    described = {"name": name, **trained.needs}
    Lightglue(device="cpu").check(described)
    assert find_trained("auto", described)[1].name == f"{name}_lightglue.pth"
    rng = np.random.default_rng(0)
    from test_pairs import asked, spots

    features = spots(20, 0)
    wide = rng.standard_normal((20, trained.build["input_dim"])).astype(np.float32)
    subject = asked(type(features)(features.keypoints, wide, *features_rest(features)))
    the_pair(Lightglue(certainty=0.0), subject, subject, described)
    missing = dict(tensors)
    del missing["cross_attn.3.to_v.weight"]
    torch.save(missing, tmp_path / f"{name}_lightglue.pth")
    with pytest.raises(SnowmatchError, match=r"transformers\.3\.cross_attn\.to_v\.weight"):
        Lightglue(device="cpu", certainty=0.2).check(described)


def features_rest(features):
    return features.scores, features.scales, features.oris, features.shapes, features.image_size


@authors
def test_a_network_without_confidence_layers_cannot_stop_early(weights):
    with pytest.raises(SnowmatchError, match="did not learn when to stop early"):
        Lightglue(fast=True).check({"name": "xfeat"})


def test_missing_weights_stop_a_run_before_it_starts_with_the_download_command(own_survey, monkeypatch, tmp_path):
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("snowmatch.models.cache.platformdirs.user_cache_path", lambda *a, **k: tmp_path / "cache")
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    for name in ("disk", "xfeat", "aliked", "superpoint"):
        with pytest.raises(SnowmatchError, match="not on this computer: download it") as refused:
            catalog.index(name)
        assert advice(refused.value.code, refused.value.data).startswith("snowmatch weights download")


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("aliked", "model", "n64"),
        ("aliked", "threshold", "1.5"),
        ("aliked", "threshold", "0"),
        ("disk", "device", "abacus"),
        ("disk", "model", "deep"),
        ("disk", "threshold", "-1"),
        ("xfeat", "threshold", "-0.1"),
        ("xfeat", "chip_size", "8"),
        ("superpoint", "threshold", "nan"),
        ("superpoint", "max_features", "-2"),
    ],
)
def test_settings_of_networks_out_of_range_are_refused(name, setting, value):
    with pytest.raises(SnowmatchError, match=f"{setting}'? is"):
        make_plugin("extractors", name, {setting: value})


def test_a_network_indexes_a_catalog_and_answers(own_survey, weights):
    """Boxes and masks work as for other extractors. The weights of DISK are random here."""
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    options = {"chip_size": "160", "max_features": "200"}
    assert not catalog.index("disk", options, workers=1).failed
    reader = catalog.session(extractor="disk", options=options).gallery.reader
    assert reader.dtype == np.float32
    assert not reader.frames
    assert reader.counts.max() <= 200
    row = catalog.data.annotations[0]
    for matcher in ("lnbnn", "mutual"):
        answer = catalog.query(own_survey / "catalog" / row.path, bbox=row.bbox, extractor="disk", matcher=matcher)
        assert answer.extractor["name"] == "disk"
        assert answer.candidates


def test_memory_alignment_of_arrays_does_not_change_results(plain_lightglue):
    from test_pairs import asked, seen_again, spots

    def shifted(array, start):
        """Return the same values, `start` bytes behind an aligned address."""
        room = np.zeros(array.nbytes + 128, np.uint8)
        start += -room.ctypes.data % 64
        there = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        there[...] = array
        return there

    one, other = spots(60, 0), seen_again(spots(60, 0), np.arange(40), 0.4)
    names = ("keypoints", "descriptors", "scores", "scales", "oris", "shapes")
    found = []
    for start in (0, 4, 20, 36):
        moved = [type(f)(*(shifted(getattr(f, n), start) for n in names), f.image_size) for f in (one, other)]
        matcher = Lightglue(weights=str(plain_lightglue), certainty=0.0)
        found.append(the_pair(matcher, *map(asked, moved), {"name": "hesaff"}).weights.tobytes())
    assert len(set(found)) == 1


@authors
def test_a_damaged_file_is_an_error_and_no_other_network_replaces_it(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    (tmp_path / "xfeat-lighterglue-L3.safetensors").symlink_to(weights / "xfeat-lighterglue-L3.safetensors")
    assert Lightglue().check({"name": "xfeat"}).startswith("xfeat-lighterglue-L3.safetensors ")
    (tmp_path / "xfeat-lighterglue.pt").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(SnowmatchError, match=r"xfeat-lighterglue\.pt is damaged"):
        Lightglue().check({"name": "xfeat"})


@authors
def test_aliked_finds_nothing_below_its_threshold(weights):
    """If nothing is above the threshold, kornia returns all keypoints above the mean."""
    plugin = make_plugin("extractors", "aliked")
    rng = np.random.default_rng(0)
    faint = chip_for(plugin, 128 + rng.integers(0, 2, (96, 96)))
    with repeatable():
        (found,) = plugin.network()(their_input(faint))
    assert len(found.keypoints) > 0
    assert (found.keypoint_scores <= 0.2).all()
    assert len(plugin.extract(faint)) == 0


def test_too_little_cpu_memory_fails_only_one_photo(weights, monkeypatch):
    plugin = make_plugin("extractors", "disk")

    def hopeless(self, network, images):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(type(plugin), "detect", hopeless)
    with pytest.raises(MemoryError, match="96 x 96 px on auto"):
        plugin.extract(chip_for(plugin, coat(96, 96)))

    def broken(self, network, images):
        raise RuntimeError("sizes do not fit")

    monkeypatch.setattr(type(plugin), "detect", broken)
    with pytest.raises(RuntimeError, match="sizes do not fit"):
        plugin.extract(chip_for(plugin, coat(96, 96)))


def test_a_chip_of_one_grey_value_has_no_features(weights):
    for name in ("disk", "superpoint"):
        plugin = make_plugin("extractors", name)
        grey = np.full((64, 64), 200, np.uint8)
        pixels = grey if plugin.CHANNELS == "grey" else np.dstack([grey] * 3)
        assert len(plugin.extract(Chip(pixels, None, (0, 0), (1.0, 1.0), (64, 64)))) == 0


# Another file of weights under the official name


@pytest.mark.parametrize(("name", "file"), [("superpoint", "superpoint_v6_from_tf.pth"), ("disk", "epipolar-save.pth")])
def test_features_of_other_weights_are_not_mixed(tmp_path, monkeypatch, name, file):
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    make = {"superpoint": random_weights.superpoint_v6, "disk": random_weights.disk}[name]
    torch.save(make(), tmp_path / file)
    first = (tmp_path / file).read_bytes()
    folder = tmp_path / "catalog"
    folder.mkdir()
    for n in range(3):
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (64, 64, 3), np.uint8)).save(folder / f"{n}.png")
    (folder / "catalog.csv").write_text("path,individual\n0.png,aika\n1.png,bars\n")
    options = {"model": "epipolar"} if name == "disk" else {}
    catalog = snowmatch.open_catalog(folder)
    catalog.index(extractor=name, options=options, workers=1)
    (noted,) = folder.glob(f".snowmatch/features/{name}-*/weights-*")
    ask = {"extractor": name, "matcher": "mutual"}
    assert len(catalog.query(folder / "2.png", **ask).candidates) == 2

    (tmp_path / file).unlink()
    assert catalog.session(**ask).galleries  # the stored features are of use without the weights
    torch.save(make(), tmp_path / file)
    for work in (lambda: catalog.index(extractor=name, options=options, workers=1), lambda: catalog.session(**ask)):
        with pytest.raises(SnowmatchError, match=f"were made with another file of weights of {name}") as caught:
            work()
        assert "\n" not in str(caught.value)

    (tmp_path / file).write_bytes(first)
    catalog.index(extractor=name, options=options, workers=1)
    noted.unlink()  # features of an earlier version of snowmatch: there is no note yet
    catalog.session(**ask)
    catalog.index(extractor=name, options=options, workers=1)
    assert noted.exists()
