"""Wild-ID, embeddings from a file and the deep networks as methods of the benchmarks."""

import importlib.util
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import snowmatch
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def methods(monkeypatch):
    """Make the folder benchmarks/methods importable; it is not part of the package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a method, by name, on a trial and returns the outcome."""

    def run(name, folder, trial, threads=1, **settings):
        import importlib

        from methods import Given

        module = importlib.import_module(f"methods.{name}")
        return module.run(Given(folder, trial, threads, tmp_path / "work"), module.DEFAULTS | settings)

    return run


def trial_of(folder, protocol="cross-encounter"):
    return make_trial(snowmatch.open_catalog(folder).data.annotations, protocol)


def first_places(trial, scores):
    """Return the numbers of queries answered rightly, of queries, and of right answers expected by guessing.

    A query is right if its best annotation shows the own individual. A tie with another individual is wrong.
    """
    own = trial.own() & trial.allowed
    asked = own.any(axis=1)
    right = np.where(own, scores, -np.inf).max(axis=1) > np.where(trial.allowed & ~own, scores, -np.inf).max(axis=1)
    return right[asked].sum(), asked.sum(), (own.sum(axis=1)[asked] / trial.allowed.sum(axis=1)[asked]).sum()


def four(paths=("a.jpg", "b.jpg", "c.jpg", "sub/d.jpg"), bbox=None):
    """Return a trial of two animals with two photos each. Every photo is an encounter."""
    names = ("ann", "ann", "bob", "bob")
    return make_trial(
        [Annotation(i, p, n, encounter=f"e{i}", bbox=bbox) for i, (p, n) in enumerate(zip(paths, names, strict=True))],
        "cross-encounter",
    )


VECTORS = np.array([[3, 4], [4, 3], [0, 2], [-5, 0]], float)


def write_npz(path, trial, vectors=VECTORS, **more):
    paths = more.pop("paths", [a.path for a in trial.annotations])
    np.savez(path, paths=np.array(paths), embeddings=vectors, **more)
    return str(path)


# Wild-ID

SMALL = {"chip_size": 400, "max_features": 300}  # enough for synthetic animals, and fast


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["cross-encounter", "cross-station"])
def test_wildid_finds_the_animals_and_leaves_out_forbidden_pairs(run, survey, protocol):
    trial = trial_of(survey / "catalog", protocol)
    outcome = run("wildid", survey / "catalog", trial, **SMALL)
    scores = outcome.tables[0].scores
    right, asked, chance = first_places(trial, scores)
    assert asked > 10
    assert right > 2.5 * chance  # the survey has decoys and shared scenery, and this method uses no masks
    assert np.array_equal(np.isnan(scores), ~trial.allowed)
    assert np.isfinite(scores[trial.allowed]).all()
    assert (scores[trial.allowed] >= 0).all()
    assert np.array_equal(scores, scores.T, equal_nan=True)
    assert set(outcome.seconds) == {"extract", "pair", "query"}
    assert outcome.numbers["pairs"] == np.triu(trial.allowed | trial.allowed.T).sum()


@pytest.mark.slow
def test_wildid_scores_do_not_depend_on_threads_or_the_order_of_the_catalog(run, survey):
    before = cv2.getNumThreads()
    trial = trial_of(survey / "catalog")
    first = run("wildid", survey / "catalog", trial, **SMALL).tables[0].scores
    assert run("wildid", survey / "catalog", trial, threads=3, **SMALL).tables[0].scores.tobytes() == first.tobytes()
    assert cv2.getNumThreads() == before

    backwards = [a.__class__(**{**vars(a), "row": i}) for i, a in enumerate(reversed(trial.annotations))]
    turned = make_trial(backwards, "cross-encounter")
    scores = run("wildid", survey / "catalog", turned, **SMALL).tables[0].scores
    assert scores[::-1, ::-1].tobytes() == first.tobytes()


def test_wildid_never_matches_a_forbidden_pair(run, survey, monkeypatch):
    from methods import wildid

    trial = trial_of(survey / "catalog")
    seen = []
    monkeypatch.setattr(wildid, "_pattern", lambda folder, annotation, settings: [annotation.row])
    monkeypatch.setattr(wildid, "_score", lambda a, b, settings: float(seen.append({a[0], b[0]}) or 1))
    run("wildid", survey / "catalog", trial, **SMALL)
    allowed = [{int(trial.queries[q]), int(trial.gallery[g])} for q, g in np.argwhere(trial.allowed)]
    assert all(pair in allowed for pair in seen)
    assert all(pair in seen for pair in allowed)
    assert len(seen) == len({frozenset(pair) for pair in seen})


def test_wildid_scores_photos_without_features_minus_infinity(run, survey, tmp_path):
    folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
    trial = trial_of(folder)
    # one blank photo, and one box of a few pixels
    Image.new("RGB", (800, 533), (90, 90, 90)).save(folder / trial.annotations[int(trial.queries[0])].path)
    tiny = int(trial.queries[-1])
    annotations = [a.__class__(**{**vars(a), "bbox": (5, 5, 1, 1)}) if a.row == tiny else a for a in trial.annotations]
    trial = make_trial(annotations, "cross-encounter")
    outcome = run("wildid", folder, trial, **SMALL)
    scores = outcome.tables[0].scores
    for row in (int(trial.queries[0]), tiny):
        query, answer = trial.queries == row, trial.gallery == row
        assert np.isneginf(scores[query][trial.allowed[query]]).all()
        assert np.isneginf(scores[:, answer][trial.allowed[:, answer]]).all()
    assert outcome.numbers["without_features"] == 2
    assert np.isfinite(scores).sum() > 0


def test_wildid_counts_the_matches_that_fit_an_affine_map():
    from methods import wildid

    rng = np.random.default_rng(5)
    here = rng.uniform(0, 500, (60, 2)).astype(np.float32)
    there = (here @ np.array([[0.8, 0.1], [-0.1, 0.9]]) + 20).astype(np.float32)
    there[40:] = rng.uniform(0, 500, (20, 2))  # these matches look alike but do not fit the map
    descriptors = rng.integers(0, 120, (60, 128)).astype(np.float32)
    first, second = pattern(here, descriptors), pattern(there, descriptors)
    settings = wildid.DEFAULTS | {"tolerance": 0.005}
    assert 40 <= wildid._score(first, second, settings) < 43
    assert wildid._score(first, pattern(there, np.roll(descriptors, 1, axis=0)), settings) < 10
    assert wildid._score(pattern(here[:2], descriptors[:2]), second, settings) < 1
    assert wildid._score(pattern(here[:1], descriptors[:1]), second, settings) == 0


def test_wildid_finds_the_same_matches_as_opencv():
    from methods import wildid

    rng = np.random.default_rng(0)
    common = rng.integers(0, 256, (150, 128))
    sides = []
    for _ in range(2):
        seen = np.clip(common + rng.integers(-25, 26, common.shape), 0, 255)
        sides.append(np.concatenate([seen, rng.integers(0, 256, (100, 128))]))
    sides[1][3] = sides[1][4]  # two equal descriptors: neither passes the ratio test
    first, second = (side.astype(np.float32) for side in sides)
    here, there, ratios = wildid._matches(pattern(np.zeros((250, 2)), first), pattern(np.zeros((250, 2)), second), 0.8)

    def passing(a, b):
        pairs = cv2.BFMatcher().knnMatch(a, b, k=2)
        return {(m.queryIdx, m.trainIdx): m.distance / n.distance for m, n in pairs if m.distance < 0.8 * n.distance}

    forth, back = passing(first, second), passing(second, first)
    expected = {pair: max(ratio, back[pair[::-1]]) for pair, ratio in forth.items() if pair[::-1] in back}
    assert 100 < len(expected) < 150
    assert set(zip(here.tolist(), there.tolist(), strict=True)) == set(expected)
    assert ratios == pytest.approx([expected[pair] for pair in zip(here.tolist(), there.tolist(), strict=True)], 1e-4)


def pattern(keypoints, descriptors):
    from methods import wildid

    return wildid.Pattern(np.asarray(keypoints, np.float32), *wildid._sides(np.float32(descriptors)), 700.0)


def test_wildid_refuses_a_ratio_above_1(run, survey):
    with pytest.raises(SnowmatchError, match=r"^method wildid: ratio is 1\.2, expected above 0, at most 1$"):
        run("wildid", survey / "catalog", trial_of(survey / "catalog"), ratio=1.2)


def test_wildid_with_masks_uses_fewer_features(run, survey):
    trial = trial_of(survey / "catalog")
    everything = run("wildid", survey / "catalog", trial, chip_size=200, max_features=0)
    masked = run("wildid", survey / "catalog", trial, chip_size=200, max_features=0, masks=True)
    assert 0 < masked.numbers["features"] < everything.numbers["features"]


# Embeddings from a file


def test_embedding_scores_are_cosines_or_negative_distances(run, tmp_path):
    trial = four()
    file = write_npz(tmp_path / "e.npz", trial)
    cosine = run("embedding", tmp_path, trial, file=file).tables[0].scores
    nan = np.nan
    expected = [[nan, 0.96, 0.8, -0.6], [0.96, nan, 0.6, -0.8], [0.8, 0.6, nan, 0.0], [-0.6, -0.8, 0.0, nan]]
    assert np.allclose(cosine, expected, atol=1e-6, equal_nan=True)
    distance = run("embedding", tmp_path, trial, file=file, metric="euclidean").tables[0].scores
    assert distance[0, 1] == pytest.approx(-(2**0.5))
    assert distance[2, 3] == pytest.approx(-(29**0.5))


@pytest.mark.parametrize("header", ["", "path,x,y\n"])
def test_embeddings_from_csv_and_npz_give_the_same_scores(run, tmp_path, header):
    trial = four()
    file = tmp_path / "e.csv"
    lines = [f"{a.path},{x},{y}\n" for a, (x, y) in zip(trial.annotations, VECTORS, strict=True)]
    file.write_text(header + "".join(reversed(lines)), encoding="utf-8")
    from_csv = run("embedding", tmp_path, trial, file=str(file)).tables[0].scores
    from_npz = run("embedding", tmp_path, trial, file=write_npz(tmp_path / "e.npz", trial)).tables[0].scores
    assert from_csv.tobytes() == from_npz.tobytes()


def test_embedding_accepts_absolute_paths_but_prefers_exact_paths(run, tmp_path):
    trial = four()
    plain = run("embedding", tmp_path, trial, file=write_npz(tmp_path / "e.npz", trial)).tables[0].scores
    absolute = [str(tmp_path / a.path) for a in trial.annotations]
    file = write_npz(tmp_path / "long.npz", trial, paths=absolute)
    assert run("embedding", tmp_path, trial, file=file).tables[0].scores.tobytes() == plain.tobytes()
    backslashes = [path.replace("/", "\\") for path in absolute]
    file = write_npz(tmp_path / "windows.npz", trial, paths=backslashes)
    assert run("embedding", tmp_path, trial, file=file).tables[0].scores.tobytes() == plain.tobytes()
    both = [a.path for a in trial.annotations] + ["elsewhere/a.jpg"]
    file = write_npz(tmp_path / "both.npz", trial, np.vstack([VECTORS, [1, 1]]), paths=both)
    assert run("embedding", tmp_path, trial, file=file).tables[0].scores.tobytes() == plain.tobytes()


def test_embeddings_of_one_photo_are_identified_by_their_boxes(run, tmp_path):
    boxes = [(0, 0, 10, 10), (20, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10)]
    paths = ["a.jpg", "a.jpg", "c.jpg", "d.jpg"]
    trial = make_trial(
        [
            Annotation(i, path, name, encounter=f"e{i}", bbox=box)
            for i, (path, name, box) in enumerate(zip(paths, ("ann", "bob", "ann", "bob"), boxes, strict=True))
        ],
        "cross-encounter",
    )
    order = [1, 0, 3, 2]
    file = write_npz(
        tmp_path / "e.npz", trial, VECTORS[order], paths=[paths[i] for i in order], bboxes=np.array(boxes)[order]
    )
    assert run("embedding", tmp_path, trial, file=file).tables[0].scores[0, 2] == pytest.approx(0.8)

    without = write_npz(tmp_path / "without.npz", trial)
    with pytest.raises(SnowmatchError, match=r"a\.jpg shows 2 annotations of the catalog, expected bboxes"):
        run("embedding", tmp_path, trial, file=without)
    other = write_npz(tmp_path / "other.npz", trial, bboxes=np.array(boxes) + [0, 0, 0, 5])
    with pytest.raises(SnowmatchError, match=r"4 of 4 annotations have no embedding \(a\.jpg \(box 0,0,10,10\), "):
        run("embedding", tmp_path, trial, file=other)


def bad(vector):
    vectors = VECTORS.copy()
    vectors[1] = vector
    return {"embeddings": vectors}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"paths": ["a.jpg", "x.jpg", "y.jpg", "z.jpg"]}, r"3 of 4 .* no embedding \(b\.jpg, c\.jpg, sub/d\.jpg\), "),
        ({"paths": ["a.jpg", "b.jpg", "c.jpg", "xsub/d.jpg"]}, r"1 of 4 annotations have no embedding \(sub/d\.jpg\)"),
        ({"paths": ["a.jpg", "b.jpg", "x/sub/d.jpg", "y/sub/d.jpg"]}, r"2 embeddings fit sub/d\.jpg"),
        (bad([np.nan, 1]), r"1 of 4 embeddings have NaN or infinite values \(b\.jpg\)"),
        (bad([np.inf, 1]), r"1 of 4 embeddings have NaN or infinite values \(b\.jpg\)"),
        (bad([0, 0]), r"1 of 4 embeddings have only zeros \(b\.jpg\)"),
        ({"embeddings": VECTORS[:3]}, r"has paths <U9 \(4,\), embeddings float64 \(3, 2\); expected paths \(N,\)"),
        ({"paths": np.array(["a", "b", "c", "d"], object)}, r"does not load .*without pickles"),
        ({"bboxes": np.zeros((4, 3))}, r"bboxes float64 \(4, 3\); expected paths"),
    ],
)
def test_embedding_refuses_a_wrong_npz_file(run, tmp_path, arrays, message):
    trial = four()
    content = {"paths": [a.path for a in trial.annotations], "embeddings": VECTORS} | arrays
    np.savez(tmp_path / "e.npz", **{name: np.asarray(value) for name, value in content.items()})
    with pytest.raises(SnowmatchError, match=message):
        run("embedding", tmp_path, trial, file=str(tmp_path / "e.npz"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg,1,2\nb.jpg,1\n", r"e\.csv, line 2: expected a path and 2 numbers"),
        ("path,x,y\na.jpg,1,2\nb.jpg,1,two\n", r"e\.csv, line 3: expected a path and 2 numbers"),
        ("a.jpg\n", r"has no lines of data"),
        ("", r"has no lines of data"),
    ],
)
def test_embedding_refuses_a_wrong_csv_file(run, tmp_path, text, message):
    (tmp_path / "e.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SnowmatchError, match=message):
        run("embedding", tmp_path, four(), file=str(tmp_path / "e.csv"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"file is not set, expected file=FILE\.npz or file=FILE\.csv$"),
        ({"file": "none.npz"}, r"file=none\.npz, expected an \.npz or \.csv file that exists$"),
        ({"file": "e.pkl"}, r"file=e\.pkl, expected an \.npz or \.csv"),
        ({"metric": "cosin"}, r"metric is 'cosin', expected one of cosine, euclidean \(did you mean 'cosine'\?\)$"),
    ],
)
def test_embedding_refuses_wrong_settings(run, tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.pkl").touch()
    with pytest.raises(SnowmatchError, match=message):
        run("embedding", tmp_path, four(), **settings)


def test_embedding_refuses_a_damaged_npz_file(run, tmp_path):
    (tmp_path / "e.npz").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(SnowmatchError, match=r"e\.npz does not load"):
        run("embedding", tmp_path, four(), file=str(tmp_path / "e.npz"))


# Networks

NETWORKS = {
    "megadescriptor": ("BVRA/MegaDescriptor-L-384", "pytorch_model.bin"),
    "miewid": ("conservationxlabs/miewid-msv3", "model.safetensors"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_without_weights_raises_an_error_with_the_download_command(run, tmp_path, name):
    repository, file = NETWORKS[name]
    advice = f"expected {file} of {repository}: hf download {repository} {file} --local-dir weights/{name}, then "
    with pytest.raises(SnowmatchError) as error:
        run(name, tmp_path, four())
    assert str(error.value).startswith(f"method {name}: weights is not set, {advice}weights=weights/{name}/{file}")
    with pytest.raises(SnowmatchError, match=r"no/such\.bin is no file, expected"):
        run(name, tmp_path, four(), weights="no/such.bin")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_without_packages_raises_an_error_with_the_install_command(run, tmp_path, name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "w.bin").touch()
    with pytest.raises(SnowmatchError, match=r"needs torch, timm .*: python -m pip install torch torchvision timm"):
        run(name, tmp_path, four(), weights=str(tmp_path / "w.bin"))


def test_crops_are_resized_and_normalised():
    from methods import megadescriptor, miewid

    grey = np.full((30, 50, 3), 51, np.uint8)
    assert megadescriptor.prepare(grey).shape == (3, 384, 384)
    assert np.allclose(megadescriptor.prepare(grey), (0.2 - 0.5) / 0.5, atol=1e-6)
    prepared = miewid.prepare(grey)
    assert prepared.shape == (3, 440, 440)
    assert prepared.dtype == np.float32
    assert np.allclose(prepared[:, 7, 9], (0.2 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], atol=1e-6)


def test_a_crop_is_the_box_clipped_to_the_photo(tmp_path):
    from embedding.crops import crop

    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    assert np.array_equal(crop(tmp_path, Annotation(0, "p.png", bbox=(5, 4, 7, 6))), pixels[4:10, 5:12])
    assert np.array_equal(crop(tmp_path, Annotation(0, "p.png", bbox=(25, 4, 50, 6))), pixels[4:10, 25:])
    assert np.array_equal(crop(tmp_path, Annotation(0, "p.png")), pixels)
    with pytest.raises(SnowmatchError, match=r"^p\.png: box 90,0,5,5 lies outside"):
        crop(tmp_path, Annotation(0, "p.png", bbox=(90, 0, 5, 5)))


def test_megadescriptor_reads_weights_with_old_and_new_names():
    from methods import megadescriptor

    block = "layers.2.blocks.0.norm1.bias"
    new = {"layers.1.downsample.norm.weight": 1, block: 2, "layers.3.downsample.norm.weight": 3}
    old = {"layers.0.downsample.norm.weight": 1, block: 2, "layers.2.downsample.norm.weight": 3}
    dropped = {"head.fc.weight": 4, "layers.0.blocks.1.attn_mask": 5, "layers.0.attn.relative_position_index": 6}
    assert megadescriptor.renamed(new | dropped) == megadescriptor.renamed(old | dropped) == new


def photos(folder):
    rng = np.random.default_rng(2)
    for name in ("a.jpg", "b.jpg", "c.jpg", "sub/d.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(folder / name)


@pytest.fixture
def small_networks(monkeypatch):
    """Replace each large network by a small one, and return the small networks. Needs torch, timm and safetensors."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    if importlib.util.find_spec("timm") is None:
        pytest.skip("no timm")
    from embedding.weights import packages
    from methods import megadescriptor, miewid

    timm = packages("test")[1]

    monkeypatch.setattr(megadescriptor, "NETWORK", "swin_tiny_patch4_window7_224")
    monkeypatch.setattr(megadescriptor, "SIDE", 224)
    monkeypatch.setattr(miewid, "NETWORK", "efficientnet_lite0")
    monkeypatch.setattr(miewid, "SIDE", 64)
    torch.manual_seed(0)
    return {
        "megadescriptor": timm.create_model("swin_tiny_patch4_window7_224", num_classes=0),
        "miewid": miewid.build(torch, timm),
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_scores_pairs_by_the_cosine_of_its_outputs(run, tmp_path, name, small_networks):
    import torch
    from safetensors.torch import save_file

    network = small_networks[name]
    tensors = network.state_dict()
    save_file(tensors, tmp_path / "w.safetensors")
    if name == "miewid":  # the published file has a head too, and another name for the pooling
        tensors = {**tensors, "final.weight": torch.zeros(10, 3), "backbone.global_pool.p": tensors["pooling.p"]}
        del tensors["pooling.p"]
    torch.save(tensors, tmp_path / "w.bin")
    photos(tmp_path)
    trial = four(bbox=(3, 4, 30, 30))
    outcome = run(name, tmp_path, trial, weights=str(tmp_path / "w.safetensors"))
    scores = outcome.tables[0].scores
    assert np.isfinite(scores[trial.allowed]).all()
    assert np.abs(scores[trial.allowed]).max() <= 1.000001
    again = run(name, tmp_path, trial, weights=str(tmp_path / "w.bin")).tables[0].scores
    assert again.tobytes() == scores.tobytes()

    from embedding.crops import crop
    from methods import megadescriptor, miewid

    prepare = {"megadescriptor": megadescriptor, "miewid": miewid}[name].prepare
    crops = [prepare(crop(tmp_path, trial.annotations[i])) for i in (0, 1)]
    with torch.inference_mode():
        a, b = network.eval()(torch.from_numpy(np.stack(crops)))
    assert scores[0, 1] == pytest.approx(float(torch.nn.functional.cosine_similarity(a, b, dim=0)), abs=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_refuses_the_weights_of_another(run, tmp_path, name, small_networks):
    import torch

    tensors = small_networks[name].state_dict()
    file = tmp_path / "w.bin"
    gone = next(iter(tensors))
    torch.save({key: value for key, value in tensors.items() if key != gone} | {"more": torch.zeros(1)}, file)
    with pytest.raises(SnowmatchError, match=rf"is not .*: 1 missing \({gone} \.\.\.\), 1 unknown \(more \.\.\.\)"):
        run(name, tmp_path, four(), weights=str(file))
    torch.save({"code": print}, file)
    with pytest.raises(SnowmatchError, match=r"does not load"):
        run(name, tmp_path, four(), weights=str(file))
    (tmp_path / "w.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(SnowmatchError, match=r"does not load"):
        run(name, tmp_path, four(), weights=str(tmp_path / "w.safetensors"))


def test_miewid_pools_by_generalised_mean(small_networks):
    import torch

    network = small_networks["miewid"].eval()
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        maps = network.backbone.forward_features(pixels).clamp(min=1e-6).numpy()
        values = network(pixels).numpy()
    pooled = (maps.astype(np.float64) ** 3).mean(axis=(2, 3)) ** (1 / 3)
    assert np.allclose(values, pooled / np.sqrt(1 + 1e-5), rtol=1e-3, atol=1e-5)
