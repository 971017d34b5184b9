"""Reading weights: good files load exactly, bad files are an error of one line, and no code of a file ever runs."""

import io
import pickle
import warnings
import zipfile

import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from torch import nn

from snowmatch.core.errors import SnowmatchError
from snowmatch.models.torch_io import fill, lightglue_names, pick_device, read_tensors, repeatable


def net():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(3, 4))


def values(seed=0):
    torch.manual_seed(seed)
    return {name: tensor.clone() for name, tensor in net().state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def saved(path, held, **options):
    torch.save(held, path, **options)
    return path


# Reading


@pytest.mark.parametrize("old", [False, True], ids=["zip", "pickle"])
def test_torch_files_load_as_they_were_saved(tmp_path, old):
    path = saved(tmp_path / "Барс 1.pth", values(), _use_new_zipfile_serialization=not old)
    assert same(read_tensors(path), values())


def test_safetensors_load_as_they_were_saved(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors_torch.save_file(values(), path, metadata={"snowmatch": "0.1"})
    assert same(read_tensors(path), values())
    path.unlink()  # the file is not open any more; Windows could not delete an open file


def test_one_part_of_a_file_can_be_read(tmp_path):
    path = saved(tmp_path / "a.pth", {"extractor": values(), "other": {}})
    assert same(read_tensors(path, "extractor"), values())
    for key, words in (
        ("", "contains 'extractor'"),
        ("other", "instead of named tensors"),
        ("none", "no entry 'none'"),
    ):
        with pytest.raises(SnowmatchError, match=words):
            read_tensors(path, key)
    flat = saved(tmp_path / "b.pth", torch.zeros(3))
    with pytest.raises(SnowmatchError, match="no entry 'extractor'"):
        read_tensors(flat, "extractor")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("old", [False, True, None], ids=["zip", "old", "plain pickle"])
def test_no_code_in_a_file_runs(tmp_path, old):
    mark = tmp_path / "ran"
    path = tmp_path / "evil.pth"
    if old is None:
        path.write_bytes(pickle.dumps({"a": Evil(mark)}))
    else:
        saved(path, {"a": Evil(mark)}, _use_new_zipfile_serialization=not old)
    with pytest.raises(SnowmatchError, match=r"evil\.pth is damaged or is not a file of weights") as caught:
        read_tensors(path)
    assert not mark.exists()
    assert "\n" not in str(caught.value)


def broken():
    held = io.BytesIO()
    torch.save(values(), held)
    zipped = held.getvalue()
    held = io.BytesIO()
    torch.save(values(), held, _use_new_zipfile_serialization=False)
    old = held.getvalue()
    packed = safetensors_torch.save(values())
    module = io.BytesIO()
    torch.save(net(), module)
    other_zip = io.BytesIO()
    with zipfile.ZipFile(other_zip, "w") as archive:
        archive.writestr("a.txt", "a")
    cases = {
        "empty": b"",
        "text": b"this is no network\n" * 20,
        "html": b"<!DOCTYPE html><html></html>",
        "zeros": bytes(4096),
        "pickled list": pickle.dumps([1, 2]),
        "pickled text": pickle.dumps("a"),
        "a module": module.getvalue(),
        "another zip": other_zip.getvalue(),
        "huge header": (1 << 60).to_bytes(8, "little") + packed[8:],
    }
    for name, content in (("zip", zipped), ("old", old), ("packed", packed)):
        for part in (1, 9, len(content) // 3, len(content) // 2, len(content) - 40):
            cases[f"{name} cut at {part}"] = content[:part]
    return cases


@pytest.mark.parametrize("ending", ["pth", "pt", "safetensors", "SafeTensors"])
@pytest.mark.parametrize(("name", "content"), broken().items(), ids=broken().keys())
def test_a_broken_file_is_an_error_of_one_line(tmp_path, name, content, ending):
    path = tmp_path / f"broken.{ending}"
    path.write_bytes(content)
    with pytest.raises(SnowmatchError) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_changed_byte_never_causes_a_traceback(tmp_path, ending):
    held = io.BytesIO()
    torch.save(values(), held, _use_new_zipfile_serialization=False)
    content = held.getvalue() if ending == "pth" else safetensors_torch.save(values())
    path = tmp_path / f"flipped.{ending}"
    refused = 0
    for at in range(0, len(content), 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        try:
            tensors = read_tensors(path)
        except SnowmatchError:
            refused += 1
        else:
            try:
                fill(net(), tensors, path)
            except SnowmatchError:
                refused += 1
    assert refused > 10


def test_torchscript_is_refused_without_a_warning(tmp_path):
    path = tmp_path / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(2, 2)).save(path)
    with pytest.raises(SnowmatchError, match=r"not a file of weights \(RuntimeError\)"):
        read_tensors(path)


def test_missing_files_and_folders_are_an_error_of_one_line(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(SnowmatchError, match=r"cannot be read: .*list the available weights"):
            read_tensors(path)


@pytest.mark.parametrize(
    "wrong",
    [{"a": 1}, {"a": {"b": torch.zeros(1)}}, {1: torch.zeros(1)}, {"a": torch.eye(3).to_sparse()}, {}],
    ids=["number", "nested", "no name", "sparse", "nothing"],
)
def test_only_plain_named_tensors_are_accepted(tmp_path, wrong):
    with pytest.raises(SnowmatchError, match=r"a\.pth contains"):
        read_tensors(saved(tmp_path / "a.pth", wrong))


# Filling


def test_fill_loads_every_value_and_sets_evaluation_mode(tmp_path):
    module = net().train()
    assert fill(module, values(3), tmp_path / "a.pth") is module
    assert same(dict(module.state_dict()), values(3))
    assert not any(m.training for m in module.modules())
    assert not any(p.requires_grad for p in module.parameters())


def test_half_precision_becomes_single_precision():
    halves = {name: t.half() if t.is_floating_point() else t for name, t in values().items()}
    module = fill(net(), halves, "a.pth")
    assert module[0].weight.dtype == torch.float32
    assert torch.equal(module[0].weight, halves["0.weight"].float())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("2.bias"), r"2\.bias of shape \(4,\) is missing;"),
        (lambda t: t.pop("1.running_mean"), r"1\.running_mean of shape \(2,\) is missing;"),
        (lambda t: t.update({"3.weight": torch.zeros(5, 6)}), r"3\.weight of shape \(5, 6\) is unexpected;"),
        (
            lambda t: t.update({"2.weight": torch.zeros(4, 5)}),
            r"2\.weight has shape \(4, 5\), expected \(4, 3\);",
        ),
        (lambda t: t.update({"2.weight": torch.zeros(4, 3).long()}), r"2\.weight is of torch\.int64, expected torch"),
        (lambda t: t["0.bias"].fill_(float("nan")), r"0\.bias contains NaN or infinite"),
        (lambda t: t["1.running_var"][1:].fill_(float("inf")), r"1\.running_var contains NaN or infinite"),
        (
            lambda t: t.update({"0.bias": torch.full((2,), 1e300, dtype=torch.float64)}),
            r"0\.bias contains NaN or infinite",
        ),
        (
            lambda t: [t.pop(n) for n in ("0.bias", "2.bias", "2.weight")],
            r"0\.bias .* is missing, and 2 more problems;",
        ),
    ],
    ids=["missing", "missing buffer", "surplus", "shape", "kind", "nan", "inf", "too large", "several"],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_is_loaded(change, words):
    tensors = values(1)
    change(tensors)
    module = net()
    before = {name: t.clone() for name, t in module.state_dict().items()}
    with pytest.raises(SnowmatchError, match=r"file\.pth does not fit Sequential: " + words):
        fill(module, tensors, "file.pth")
    assert same(dict(module.state_dict()), before)


def test_optional_names_and_prefixes():
    tensors = values(1)
    del tensors["2.bias"], tensors["1.weight"], tensors["1.num_batches_tracked"]
    tensors |= {"9.a": torch.zeros(1), "9.b": torch.zeros(1)}
    with pytest.raises(SnowmatchError, match=r"1\.weight .* and 2 more"):
        fill(net(), tensors, "a.pth", optional=("2.bias",))
    with pytest.raises(SnowmatchError, match=r"2\.bias"):
        fill(net(), tensors, "a.pth", optional=("2", "2.b", "bias", "1.", "9."))
    module = fill(net(), tensors, "a.pth", optional=("2.bias", "1.", "9."))
    assert torch.equal(module[2].weight, tensors["2.weight"])
    tensors["2.bias"] = torch.zeros(7)
    with pytest.raises(SnowmatchError, match=r"2\.bias has shape"):  # it may be missing, but not have another shape
        fill(net(), tensors, "a.pth", optional=("2.bias", "1.", "9."))


# Names of LightGlue


def test_official_names_become_names_of_the_module():
    old = {
        "input_proj.weight": 1,
        "posenc.Wr.weight": 2,
        "self_attn.0.Wqkv.weight": 3,
        "self_attn.10.ffn.0.bias": 4,
        "cross_attn.1.to_qk.bias": 5,
        "transformers.2.self_attn.ffn.3.bias": 6,
        "log_assignment.0.matchability.weight": 7,
        "log_assignment.0.r": 8,
        "token_confidence.0.token.0.weight": 9,
    }
    new = {
        "input_proj.weight": 1,
        "posenc.Wr.weight": 2,
        "transformers.0.self_attn.Wqkv.weight": 3,
        "transformers.10.self_attn.ffn.0.bias": 4,
        "transformers.1.cross_attn.to_qk.bias": 5,
        "transformers.2.self_attn.ffn.3.bias": 6,
        "log_assignment.0.matchability.weight": 7,
        "token_confidence.0.token.0.weight": 9,
    }
    assert lightglue_names(old) == new
    assert lightglue_names(new) == new
    bundle = {f"matcher.{name}": value for name, value in old.items()} | {"extractor.model.net.block1.0.bias": 10}
    assert lightglue_names(bundle) == new


def test_official_files_fit_kornias_module():
    kornia = pytest.importorskip("kornia.feature")
    options = {"input_dim": 128, "descriptor_dim": 64, "num_heads": 2, "n_layers": 3}
    wanted = kornia.LightGlue(None, **options).state_dict()
    official = {}
    for name, tensor in wanted.items():
        parts = name.split(".")
        if parts[0] == "transformers":
            name = ".".join([parts[2], parts[1], *parts[3:]])
        if name != "confidence_thresholds":
            official[name] = torch.randn_like(tensor)
    official |= {f"log_assignment.{i}.r": torch.zeros(1) for i in range(3)}
    module = fill(
        kornia.LightGlue(None, **options), lightglue_names(official), "a.pth", optional=("confidence_thresholds",)
    )
    got = module.state_dict()
    assert torch.equal(got["transformers.2.cross_attn.to_v.weight"], official["cross_attn.2.to_v.weight"])
    assert torch.equal(got["confidence_thresholds"], wanted["confidence_thresholds"])


# Running


def test_devices(monkeypatch):
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    for name in ("cuda", "cuda:0", "mps"):
        with pytest.raises(
            SnowmatchError, match=f"device is '{name}', but torch sees no .* on this computer: use the device cpu"
        ):
            pick_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")
    assert [str(pick_device(n)) for n in ("cuda", "cuda:1", "mps", "cpu")] == ["cuda", "cuda:1", "mps", "cpu"]
    with pytest.raises(SnowmatchError, match=r"'cuda:2', but torch sees 2 CUDA GPUs \(the first is cuda:0\)"):
        pick_device("cuda:2")


@pytest.mark.parametrize(
    "name", ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:x", "cuda:1:1", "cpu:0", "meta", "cuda:¹"]
)
def test_unknown_devices_are_refused(name):
    with pytest.raises(SnowmatchError, match="expected auto, cpu, cuda"):
        pick_device(name)


def test_repeatable_changes_settings_only_inside_its_block():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with repeatable():
            assert torch.get_num_threads() == 1
            assert torch.is_inference_mode_enabled()
            with repeatable():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), repeatable():
            _ = 1 / 0
        assert torch.get_num_threads() == 2
        assert not torch.is_inference_mode_enabled()
    finally:
        torch.set_num_threads(before)
