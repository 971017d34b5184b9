"""Networks on animals left out: the gain of one more witness, the whole command on drawn animals, and its tables."""

import deep_tables
import numpy as np
import pytest
import store
from embedding.weights import name_operators

from snowmatch.confidence.score_table import make_table
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.demo.survey import make_survey

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors.torch")
name_operators(torch)  # before timm: with some builds of torch its import needs this
pytest.importorskip("timm")
pytest.importorskip("kornia")

from deep import left_out
from embedding.command import main as train
from embedding.networks import load_network, save_network
from embedding.settings import LOSSES, PRESETS


def table_of(scores):
    """Return the table of two photos of each of four animals; every photo is an encounter of its own."""
    photos = [Annotation(i, f"{i}.jpg", individual="ABCD"[i // 2], encounter=f"E{i}") for i in range(8)]
    return make_table(make_trial(photos, "cross-encounter"), np.array(scores, float))


SAME = np.arange(8)[:, None] // 2 == np.arange(8) // 2


def test_the_gain_is_the_difference_for_the_same_queries():
    wrong, right = np.where(SAME, 0.0, 1.0), np.where(SAME, 1.0, 0.0)
    half = np.concatenate([right[:4], wrong[4:]])
    table = table_of(half)
    scores = np.where(np.isnan(table.scores), np.nan, half)
    better = np.where(np.isnan(table.scores), np.nan, right)
    assert left_out.figures_of(table, scores)["top1"] == [0.5, 0.0, 1.0]
    gains = left_out.gains_of(table, scores, better)
    assert (gains["top1"][0], gains["dt5ap"][0]) == (0.5, 0.5)
    assert gains["top1"][1] < gains["top1"][2]
    assert left_out.gains_of(table, better, better) == {name: [0, 0, 0] for name in ("dt5ap", "top5", "top1")}
    assert left_out.gains_of(table, better, scores)["top1"][0] == -0.5


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a catalog of 12 drawn animals, three photos each."""
    folder = tmp_path_factory.mktemp("drawn") / "catalog"
    make_survey(folder, individuals=12, stations=3, encounters=3, photos=(1, 1), seed=3, size=(480, 320))
    return folder


@pytest.fixture
def small(drawn, tmp_path, monkeypatch):
    """Put drawn animals, a tiny network and a quick method in the place of the real sets, and return a folder."""
    third = f"{drawn},masks=no,every=3"
    sets = {"known": third, "asked": f"{third},from=2"}
    for name, text in sets.items():
        monkeypatch.setitem(left_out.source_of.__globals__["DATASETS"], name, (text, "drawn"))
    monkeypatch.setattr(left_out, "LEARNED", f"{third},name=one;{third},from=1,name=two")
    monkeypatch.setattr(left_out, "HALVES", (left_out.Half("known", "asked", 6),))
    monkeypatch.setattr(left_out, "COMPARED", {left_out.OURS: left_out.OURS, "other": "wildid"})
    monkeypatch.setattr(left_out, "RATES", (1e-4, 1e-2))
    settings = {"backbone": "test_resnet", "dimensions": 8, "width": 64, "height": 32, "epochs": 1, "batch": 8}
    for preset in (left_out.ON_PROCESSOR, left_out.ON_CARD):
        monkeypatch.setitem(PRESETS, preset, {**settings, "validation": 0.4})
    return tmp_path


@pytest.mark.slow
def test_networks_are_trained_compared_and_measured_as_witnesses(small, capsys, monkeypatch):
    words = ["--data", str(small), "--work", str(small / "w"), "--out", str(small / "deep.json"), "--device", "cpu"]
    left_out.main(words)
    (row,) = store.read_runs(small / "deep.json")
    assert row["run"] == "asked"
    assert [held["label"] for held in row["methods"]] == ["snowmatch", "other", "imagenet", *LOSSES]
    assert [held["label"] for held in row["witness"]] == ["imagenet", *LOSSES]
    assert row["queries"] == 6
    ours, *others = row["methods"]
    assert ours["network"] is None
    assert others[-1]["network"]["loss"] == "adaptive"
    for held in row["witness"]:
        for name, (gain, low, high) in held["gains"].items():
            assert gain == pytest.approx(held["figures"][name][0] - ours["figures"][name][0], abs=2e-4)
            assert low <= gain <= high
    assert str(small) not in (small / "deep.json").read_text(encoding="utf-8")
    learned = load_network(small / "w" / "networks" / "adaptive-imagenet.safetensors")[1]
    assert (learned["loss"], learned["data"]) == ("adaptive", "one+two")
    networks, out = small / "w" / "networks", small / "again.json"
    assert {path.name for path in networks.iterdir()} == {f"{loss}-imagenet.safetensors" for loss in LOSSES}
    monkeypatch.setattr(left_out, "train", None)  # networks of another computer are only read
    left_out.main([*words[:4], "--out", str(out), "--device", "cpu", "--networks", str(networks)])
    (again,) = store.read_runs(out)
    assert [held["figures"] for held in again["methods"]] == [held["figures"] for held in row["methods"]]
    assert again["witness"] == row["witness"]
    monkeypatch.setattr(left_out, "train", train)
    monkeypatch.setattr(left_out, "LEARNED", left_out.LEARNED.replace("from=1", "from=2"))
    with pytest.raises(SnowmatchError, match="individuals of the test are in the training"):
        left_out.main(words)


def test_on_a_graphics_card_each_rate_is_tried_and_validation_chooses(small):
    words = ["--data", str(small), "--work", str(small / "w"), "--device", "cpu", "--preset", left_out.ON_CARD]
    files = left_out.candidates(left_out.parse(words), left_out.LEARNED)
    assert {loss: [path.name for path in paths] for loss, paths in files.items()} == {
        loss: [f"{loss}-imagenet-full-{rate}.safetensors" for rate in ("0.0001", "0.01")] for loss in LOSSES
    }
    assert files == left_out.found(small / "w" / "networks")
    for paths in files.values():
        told = [load_network(path)[1] for path in paths]
        assert [each["rate"] for each in told] == [1e-4, 1e-2]
        best = max(each["dt5ap"] for each in told)
        assert load_network(left_out.best_of(paths))[1]["dt5ap"] == best
    first, second = files["cosface"]
    network, told = load_network(second)
    save_network(second, network, {**told, "dt5ap": load_network(first)[1]["dt5ap"] + 0.01})
    assert left_out.best_of(files["cosface"]) == second
    first.unlink()
    second.unlink()
    with pytest.raises(SnowmatchError, match=r"has no cosface-NAME\.safetensors: train it"):
        left_out.found(small / "w" / "networks")


def run_of(name, ours, network):
    def held(label, value, facts=None):
        figures = {key: [value, value - 0.1, value + 0.1] for key in ("dt5ap", "top5", "top1")}
        return {"label": label, "figures": figures, "network": facts, "seconds": {"training": 61.4}, "notes": []}

    facts = {"backbone": "lite", "weights": "imagenet", "width": 64, "height": 32, "photos": 9, "individuals": 3}
    facts |= {"epoch": 2, "epochs": 12, "device": "cpu", "threads": 1}
    return {
        "run": name,
        "dataset": {"name": name, "annotations": 20, "individuals": 5, "encounters": 18},
        "queries": 20,
        "answerable": 17,
        "methods": [held("snowmatch", ours), held("hotspotter", 0.4), held("triplet", network, facts)],
        "witness": [
            {
                "label": "triplet",
                "figures": {key: [ours - 0.015, 0.1, 0.9] for key in ("dt5ap", "top5", "top1")},
                "gains": {key: [-0.015, -0.03, 0.01] for key in ("dt5ap", "top5", "top1")},
            }
        ],
    }


def test_the_tables_say_who_is_ahead_and_what_a_witness_gains():
    parts = deep_tables.deep_parts([run_of("one", 0.6, 0.2), run_of("other", 0.3, 0.35)])
    text = "\n\n".join(parts)
    assert "| snowmatch | 0.60 (0.50–0.70) | 60 % (50–70) | 60 % (50–70) | 0.30 (0.20–0.40) |" in text
    assert text.index("| snowmatch |") < text.index("| network, triplets |") < text.index("| hotspotter |")
    assert "| hotspotter | – | 40 % (30–50) | 40 % (30–50) | – |" in text  # most photos have no score there
    assert "- other: hotspotter, DT5AP 0.40 against 0.30, top-5 40 % against 30 % and top-1 40 % against 30 %." in text
    assert "so its DT5AP is not in the table" in text
    assert "- other: network, triplets, DT5AP 0.35 against 0.30" in text
    assert "- one: " not in text
    assert "0.58 (−0.015; −0.030 to +0.010) | 58 % (−1.5; −3.0 to +1.0)" in text
    assert "9 photos of 3 animals, epoch 2 of 12; 61.4 s of training on cpu (1 thread)" in text
    assert "20 photos of 5 individuals in 18 encounters; 20 queries, 17 with a right answer" in text
