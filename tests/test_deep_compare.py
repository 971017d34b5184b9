"""The decision same or different, the table of all methods, and shortlists, on made-up scores without a network."""

import hashlib
import importlib.util
import json

import measure
import numpy as np
import pytest
import scoring
from datasets import prepare
from deep import compare, decision, page, shortlist

import snowmatch
from snowmatch.confidence.score_table import make_table
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.matching.scores import REJECTED

NAN = np.nan


def four_animals():
    """Return two photos of each of four animals. Every photo is an encounter and has one right answer of seven."""
    return [Annotation(i, f"{i}.jpg", individual="ABCD"[i // 2], encounter=f"E{i}") for i in range(8)]


def table_of(scores):
    return make_table(make_trial(four_animals(), "cross-encounter"), np.array(scores, float))


def perfect():
    same = np.arange(8)[:, None] // 2 == np.arange(8) // 2
    return np.where(same, 1.0, 0.0)


def test_the_threshold_maximises_f1():
    scores = np.array([[0.9, 0.8, 0.5, 0.4, NAN]])
    same = np.array([[True, False, True, False, False]])
    # F1 if pairs from this score up are "same": 0.9: 2 / (1 + 2); 0.8: 2 / (2 + 2); 0.5: 4 / (3 + 2); 0.4: 4 / (4 + 2)
    assert decision.choose_threshold(scores, same) == pytest.approx((0.5 + 0.4) / 2)


def test_tied_scores_are_accepted_together():
    scores = np.array([[0.9, 0.5, 0.5, 0.5]])
    same = np.array([[True, True, False, False]])
    # 0.9 alone: 2 / (1 + 2); all four: 4 / (4 + 2), which is equal, so the first is used. A tie cannot be split.
    assert decision.choose_threshold(scores, same) == pytest.approx((0.9 + 0.5) / 2)


def test_the_threshold_depends_on_the_share_of_same_pairs_in_the_test():
    scores = np.array([[0.9, 0.8, 0.7, 0.6]])
    same = np.array([[True, False, True, False]])
    # one different pair for each same pair: the first three give 4 / (3 + 2), the first alone 2 / (1 + 2)
    assert decision.choose_threshold(scores, same) == pytest.approx(0.65)
    # ten different pairs for each same pair, so each counts as ten: 4 / (2 + 10 + 2) against 2 / (1 + 2)
    assert decision.choose_threshold(scores, same, 10.0) == pytest.approx(0.85)
    # the same as if each different pair were present ten times
    more = np.concatenate([scores, np.repeat([[0.8, 0.6]], 9, axis=0).reshape(1, -1)], axis=1)
    more_same = np.concatenate([same, np.zeros((1, 18), bool)], axis=1)
    assert decision.choose_threshold(more, more_same) == pytest.approx(0.85)


def test_pairs_without_features_are_never_the_same():
    scores, same = np.array([[-np.inf, 2.0, 1.0]]), np.array([[True, True, False]])
    threshold = decision.choose_threshold(scores, same)
    assert threshold == pytest.approx(1.5)
    counts = decision.decide(scores, same, threshold)
    assert (counts.same_right[0], counts.same_wrong[0], counts.different_wrong[0], counts.different_right[0]) == (
        *(1, 0, 1, 1),
    )


def test_without_a_same_pair_the_threshold_is_infinite():
    scores, same = np.array([[3.0, 1.0]]), np.zeros((1, 2), bool)
    threshold = decision.choose_threshold(scores, same)
    assert threshold == np.inf
    figures = decision.rates(decision.decide(scores, same, threshold), np.array(["a"]))
    assert np.isnan(figures["precision"].value)
    assert np.isnan(figures["recall"].value)
    assert figures["accuracy"].value == 1


def test_precision_recall_and_accuracy_are_as_computed_by_hand():
    scores = np.array([[5.0, 4.0, NAN, 1.0], [3.0, NAN, 2.0, 1.0]])
    same = np.array([[True, False, False, True], [True, False, False, False]])
    counts = decision.decide(scores, same, 3.0)
    # accepted: scores 5 and 3 rightly, 4 wrongly; refused: 1 of query 0 wrongly, 2 and 1 of query 1 rightly
    figures = decision.rates(counts, np.array(["a", "b"]))
    assert figures["precision"].value == pytest.approx(2 / 3)
    assert figures["recall"].value == pytest.approx(2 / 3)
    assert figures["accuracy"].value == pytest.approx(4 / 6)
    # a resample with only the first query gives 1/2, with only the second 1
    assert figures["precision"].low == pytest.approx(0.5)
    assert figures["precision"].high == pytest.approx(1.0)


def test_pairs_can_be_limited_to_some_individuals():
    table = decision.among(table_of(perfect()), {"A", "B"})
    scores, same = decision.pairs_of(table)
    assert (~np.isnan(scores)).sum() == 4 * 3
    assert same.sum() == 4
    assert not same[4:].any()


@pytest.fixture
def halves(survey, tmp_path):
    """Return two halves of a survey as sources, and a folder with a file of perfect and a file of random vectors.

    In good.npz, each flank of each individual has its own vector.
    """
    source = survey / "catalog"
    annotations = snowmatch.open_catalog(source).data.annotations
    keys = sorted({(a.individual, a.body_part) for a in annotations}, key=str)
    vectors = np.eye(len(keys))[[keys.index((a.individual, a.body_part)) for a in annotations]]
    paths = np.array([a.path for a in annotations])
    np.savez(tmp_path / "good.npz", paths=paths, embeddings=vectors + 0.1)
    random = np.random.default_rng(0)
    np.savez(tmp_path / "bad.npz", paths=paths, embeddings=random.normal(size=vectors.shape))
    return f"{source},every=2,name=learned", f"{source},every=2,from=1,name=asked", tmp_path


def compared(halves, *arguments):
    training, test, folder = halves
    compare.main(
        ["--training", training, "--test", test, "--work", str(folder / "work")] + ["--name", "tried", *arguments]
    )
    return json.loads((folder / "work" / "deep-tried.json").read_text(encoding="utf-8"))


def label_of_file(path):
    return f"embedding file={path.name}@{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


def test_files_of_one_name_are_different_methods(tmp_path):
    def shown(method):
        return scoring.shown_of(method, scoring.parse_method(method)[1])

    labels = []
    for seed in ("1", "2"):
        path = tmp_path / seed / "net.safetensors"
        path.parent.mkdir()
        path.write_text(seed)
        labels.append(shown(f"trained,file={path}"))
    assert len(set(labels)) == 2
    assert all(label.startswith("trained,file=net.safetensors@") for label in labels)
    assert shown("trained,file=nets/a.npz,device=cpu") == "trained,file=nets/a.npz,device=cpu"


def test_methods_that_another_engine_has_measured_are_dropped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "engine_commit", lambda: "abc1234")
    methods = {"new": {"commit": "abc1234"}, "old": {"commit": "0ld5678"}, "unknown": {"commit": ""}}
    path = tmp_path / "deep-tried.json"
    path.write_text(json.dumps({"protocol": "split", "data": {}, "methods": methods}))
    assert set(compare.earlier(path, "split", {})) == {"new"}
    told = capsys.readouterr().out
    assert "dropped: old, which is of commit 0ld5678" in told
    assert "dropped: unknown, which is of commit unknown" in told


@pytest.mark.slow
def test_every_method_gets_the_same_table(halves, monkeypatch):
    monkeypatch.setattr(measure, "engine_commit", lambda: "abc1234")
    good_label, bad_label = (label_of_file(halves[2] / name) for name in ("good.npz", "bad.npz"))
    files = [f"embedding,file={halves[2] / name}.npz" for name in ("good", "bad")]
    carried = ("--transfer", halves[1].replace("asked", "carried"))
    result = compared(halves, "--method", files[0], *carried)
    good = result["methods"][good_label]
    for figures in good["sets"].values():
        assert all(figures[name]["value"] == 1 for name in ("dt5ap", "top5", "top1", "precision", "recall", "accuracy"))
    assert set(good["sets"]) == {"test", "carried"}
    assert good["chosen_on"]["same"] < good["chosen_on"]["pairs"]
    # a second method is added to the first; the file names no folder of this computer
    result = compared(halves, "--method", files[1], *carried)
    assert set(result["methods"]) == {good_label, bad_label}
    assert result["methods"][bad_label]["sets"]["test"]["dt5ap"]["value"] < 1
    assert str(halves[2]) not in json.dumps(result)
    assert result["published"]["adaptive"] == {"dt5ap": 0.8814, "top5": 0.9533}
    # other photos under the same name would mix two tests in one table
    with pytest.raises(SnowmatchError, match=r"deep-tried\.json was made of learned, asked, carried .*--fresh"):
        compared(halves, "--method", files[1])
    shown = page.deep_table(compared(halves, "--method", files[1], "--fresh"))
    assert bad_label in shown
    assert "good" not in shown


@pytest.mark.slow
def test_a_changed_file_of_the_same_name_is_read_again(halves):
    file = halves[2] / "good.npz"
    first = compared(halves, "--method", f"embedding,file={file}")["methods"][label_of_file(file)]
    file.write_bytes((halves[2] / "bad.npz").read_bytes())
    again = compared(halves, "--method", f"embedding,file={file}")["methods"][label_of_file(file)]
    assert again["sets"]["test"]["dt5ap"]["value"] < first["sets"]["test"]["dt5ap"]["value"] == 1


def test_individuals_of_the_test_must_not_be_in_the_training(halves):
    method = f"embedding,file={halves[2] / 'good.npz'}"
    same = (halves[0], halves[0].replace("learned", "again"), halves[2])
    with pytest.raises(SnowmatchError, match=r"individuals of the test are in the training \(.*\), expected none"):
        compared(same, "--method", method)
    with pytest.raises(SnowmatchError, match=r"photos of carried are in the training"):
        compared(halves, "--method", method, "--transfer", halves[0].replace("learned", "carried"))
    with pytest.raises(SnowmatchError, match=r"has the name 'test' of another set: add ,name=NAME"):
        compared(halves, "--method", method, "--transfer", halves[1].replace("asked", "test"))
    with pytest.raises(SnowmatchError, match=r"have one name, 'learned': add ,name=NAME"):
        compared((halves[0], halves[1].replace("asked", "learned"), halves[2]), "--method", method)


def test_a_shortlist_has_the_best_of_the_compared_photos():
    scores = np.array([[0.1, 0.9, NAN, 0.5, 0.5], [NAN, NAN, NAN, NAN, 0.2]])
    chosen = shortlist.best_of(scores, 2)
    assert chosen.tolist() == [[False, True, False, True, False], [False, False, False, False, True]]
    assert shortlist.best_of(scores, 9).sum() == 5


def test_photos_on_the_shortlist_rank_before_the_others():
    embedding = np.array([[0.9, 0.8, 0.7, NAN, 0.1]])
    local = np.array([[NAN, 2.0, 0.0, NAN, NAN]])
    chosen = np.array([[False, True, True, False, False]])
    places = shortlist.reranked(embedding, local, chosen)[0]
    assert np.isnan(places[3])
    assert places[[1, 2, 0, 4]].tolist() == [4, 3, 2, 1]
    # equal local scores are ordered by the embedding; photos without features (-inf) stay on the list
    local = np.array([[NAN, -np.inf, -np.inf, NAN, NAN]])
    assert shortlist.reranked(embedding, local, chosen)[0][[1, 2, 0, 4]].tolist() == [4, 3, 2, 1]


@pytest.mark.parametrize("votes", [True, False])
def test_calibrated_log_odds_rise_with_the_score(votes):
    random = np.random.default_rng(1)
    same = random.random((40, 60)) < 0.2
    if votes:  # like the engine's scores: rejected candidates are far below the accepted ones and keep their order
        accepted = random.random(same.shape) < np.where(same, 0.6, 0.05)
        before = np.where(same, random.gamma(2, 2, same.shape), random.gamma(1, 2, same.shape))
        scores = np.where(accepted, before, before * REJECTED)
        scores[0, :5] = (0, 0, -np.inf, -np.inf, 0)
    else:
        scores = np.where(same, 0.6, 0.3) + random.normal(0, 0.1, same.shape)
    log_odds = shortlist.calibrate(scores, same, votes)
    odds = log_odds(np.sort(scores.ravel()))
    assert odds[0] < 0 < odds[-1]
    assert (np.diff(odds) >= 0).all()  # also from the scores that the geometric check rejected to those it accepted
    # the expected number of same pairs is the true number, above probability 0.5 and below
    expected = 1 / (1 + np.exp(-log_odds(scores)))
    surer = expected > 0.5
    assert expected[surer].sum() == pytest.approx(same[surer].sum(), rel=0.1)
    assert expected[~surer].sum() == pytest.approx(same[~surer].sum(), rel=0.1)
    assert np.isnan(log_odds(np.array([[NAN, 0.5]]))).tolist() == [[True, False]]
    with pytest.raises(SnowmatchError, match="needs pairs of the same animal"):
        shortlist.calibrate(scores, np.zeros_like(same), votes)


def test_log_odds_keep_the_order_where_rejected_pairs_are_more_often_the_same_animal():
    """So it was with photos of a few leopards: 52 % of the rejected pairs, 27 % of the accepted ones."""
    random = np.random.default_rng(2)
    accepted = random.random((40, 60)) < 0.9
    same = random.random(accepted.shape) < np.where(accepted, 0.27, 0.52)
    before = np.exp(random.normal(-3.5, 0.5, same.shape))
    scores = np.where(accepted, before, before * REJECTED)
    ordered = np.sort(scores.ravel())
    odds = shortlist.calibrate(scores, same, votes=True)(ordered)
    assert (np.diff(odds)[np.diff(ordered) > 0] > 0).all()


def test_high_scores_count_where_low_ones_say_nothing():
    """So it is with leopards: without the score itself as a feature the log odds were flat."""
    random = np.random.default_rng(3)
    kind = random.choice(3, (40, 60), p=[0.05, 0.92, 0.03])  # rejected, accepted, accepted with a high score
    same = random.random(kind.shape) < np.array([0.5, 0.25, 0.95])[kind]
    low = np.exp(random.normal(-3.7, 0.5, kind.shape))
    scores = np.choose(kind, [low * REJECTED, low, random.uniform(0.3, 0.6, kind.shape)])
    odds = shortlist.calibrate(scores, same, votes=True)(np.array([0.03, 0.5]))
    assert odds[0] == pytest.approx(np.log(0.25 / 0.75), abs=0.3)
    assert odds[1] > 1.5


def test_a_ranking_with_some_of_the_photos_has_no_dt5ap():
    names, figure = [name for name, _ in page.RANKED + page.DECIDED], {"value": 0.5, "low": None}
    held = {"sets": {"a": dict.fromkeys(names, figure)}, "family": ""}
    methods = [(label, held) for label in ("hotspotter", "hotspotter every_annotation=yes")]
    lines = page._ranking({"published": {}}, methods, "a", False).splitlines()
    assert lines[2].startswith("| hotspotter | – | 50 % |")
    assert lines[3].startswith("| hotspotter every_annotation=yes | 0.500 | 50 % |")


def figures_of_the_engine(halves):
    return compared(halves, "--method", "snowmatch_engine")["methods"]["snowmatch"]["sets"]["test"]


@pytest.mark.slow
def test_shortlists_are_measured_end_to_end(halves):
    training, test, folder = halves
    arguments = ["--training", training, "--test", test, "--embedding", f"embedding,file={folder / 'good.npz'}"]
    arguments += ["--work", str(folder / "work"), "--name", "tried"]
    shortlist.main([*arguments, "--lengths", "1,4"])
    result = json.loads((folder / "work" / "shortlist-tried.json").read_text(encoding="utf-8"))
    rows = {(row["label"], row["length"]): row for row in result["rows"]}
    assert rows["snowmatch on its best", 1]["held"] == 1
    # the list has one photo, the right one: it is first with any local score
    assert rows["snowmatch on its best", 1]["figures"]["top1"]["value"] == 1
    assert rows[label_of_file(folder / "good.npz"), None]["figures"]["dt5ap"]["value"] == 1
    assert {length for _, length in rows} == {None, 1, 4}
    # with all photos on the list, the figures equal those of `run.py`
    assert rows["snowmatch", None]["figures"]["dt5ap"] == figures_of_the_engine(halves)["dt5ap"]
    assert "shortlist" in page.shortlist_table(result)
    with pytest.raises(SnowmatchError, match=r"compares pair by pair.*: add --lists-only"):
        shortlist.main([*arguments, "--local", "snowmatch_engine,matcher=mutual"])
    with pytest.raises(SnowmatchError, match="cannot compare chosen annotations only"):
        shortlist.main([*arguments, "--local", f"embedding,file={folder / 'good.npz'}"])
    shortlist.main([*arguments, "--lengths", "2", "--lists-only", "--queries", "3"])
    result = json.loads((folder / "work" / "shortlist-tried.json").read_text(encoding="utf-8"))
    assert [row["length"] for row in result["rows"]] == [None, 2]
    assert result["queries"] == 3


def test_the_engine_of_a_shortlist_has_the_settings_of_its_method(tmp_path, monkeypatch):
    def stop(folder, **settings):
        raise SnowmatchError(str(settings))

    monkeypatch.setattr(shortlist, "open_catalog", stop)
    with pytest.raises(SnowmatchError, match="'classifier': 'none', 'segmenter': 'none', 'boxes': False"):
        shortlist.Engine(tmp_path, "snowmatch_engine,classifier=none,boxes=no")


def test_a_thinned_table_has_only_some_queries():
    table = table_of(perfect())
    thin = shortlist.thinned(table, 3)
    assert thin.queries.tolist() == [0, 3, 7]
    assert np.array_equal(thin.scores, table.scores[[0, 3, 7]], equal_nan=True)
    assert shortlist.thinned(table, 0) is table
    scores, right = decision.pairs_of(thin)
    row = shortlist.row("x", 7, thin, scores, right, ~np.isnan(scores), 0.1)
    assert row["figures"]["top1"]["value"] == row["held"] == 1


def test_the_threshold_of_a_trained_network_comes_from_animals_it_has_not_learned_from(halves):
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")

    if importlib.util.find_spec("timm") is None:
        pytest.skip("no timm")
    from embedding.inputs import Shape
    from embedding.networks import build, save_network

    training, _, folder = halves
    learned = snowmatch.open_catalog(prepare(training, folder / "work").folder).data.annotations
    names = sorted({a.individual for a in learned if a.individual})
    network = build("test_resnet", 8, Shape(64, 32), "random", 0)
    metadata = {"backbone": "test_resnet", "dimensions": 8, "loss": "adaptive", "weights": "random", "channels": "rgb"}
    metadata |= {
        "learned": names[:1],
        "validation": names[1:],
        "seconds": 5.0,
        "photos": 4,
        "individuals": 1,
        "epoch": 2,
    }
    metadata |= {"background": "kept"}
    save_network(folder / "net.safetensors", network, metadata)
    method = f"trained,file={folder / 'net.safetensors'},device=cpu"
    result = compared(halves, "--method", method, "--method", "backbone,name=test_resnet,width=64,height=32,device=cpu")
    trained, naive = result["methods"].values()
    assert trained["seconds"]["training"] == 5
    assert trained["chosen_on"]["pairs"] < naive["chosen_on"]["pairs"]
    shown = page.deep_table(result)
    assert "adaptive, test_resnet, rgb; 4 photos of 1 animals, from scratch, epoch 2" in shown
    assert "random weights, nothing learned" in shown
    assert "0.8814 / 0.9533" in shown
    assert "0.0198 / 0.0944" in shown
    save_network(folder / "other.safetensors", network, {k: v for k, v in metadata.items() if k != "learned"})
    with pytest.raises(SnowmatchError, match="does not list its training animals"):
        compared(halves, "--method", f"trained,file={folder / 'other.safetensors'}")
    save_network(
        folder / "seen.safetensors", network, metadata | {"learned": names + ["nobody"], "validation": ["nobody"]}
    )
    with pytest.raises(
        SnowmatchError, match="needs individual 'nobody' to choose a threshold, but --training does not have it"
    ):
        compared(halves, "--method", f"trained,file={folder / 'seen.safetensors'}")
