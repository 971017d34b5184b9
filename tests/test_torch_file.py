"""Files in torch's old format: read to the same arrays without torch; any other file is refused and runs nothing."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from old_torch import EMPTY_DICT, View, head, numbers, old_torch, old_torch_of, plain, rebuilt, state, storage, tensor

from snowmatch.core.errors import SnowmatchError
from snowmatch.models.torch_file import read_torch

FLOATS = np.arange(24, dtype=np.float32) / 3
WHOLE = np.array([7, -5, 2**60], np.int64)
STORAGES = {"10": FLOATS, "9": WHOLE}
VIEWS = {
    "all": View("10", 0, (2, 3, 4), (12, 4, 1)),
    "turned": View("10", 0, (4, 3), (1, 4)),
    "middle": View("10", 5, (2, 2), (7, 3)),
    "last": View("10", 23, (1,), (1,)),
    "repeated": View("10", 4, (3, 2), (0, 1)),
    "scalar": View("10", 2, (), ()),
    "counts": View("9", 0, (3,), (1,)),
    "batches": View("9", 2, (), ()),
}
EXPECTED = {
    "all": FLOATS.reshape(2, 3, 4),
    "turned": FLOATS[:12].reshape(3, 4).T,
    "middle": FLOATS[[[5, 8], [12, 15]]],
    "last": FLOATS[23:],
    "repeated": np.stack([FLOATS[4:6]] * 3),
    "scalar": FLOATS[2],
    "counts": WHOLE,
    "batches": np.int64(2**60),
}
GOOD = old_torch(VIEWS, STORAGES)


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(SnowmatchError) as caught:
        read_torch(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert text.endswith("get the file again")
    return text


def same(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert isinstance(found[name], np.ndarray), name
        assert found[name].dtype == values.dtype, name
        assert found[name].shape == values.shape, name
        assert (found[name] == values).all(), name


def test_views_strides_scalars_and_whole_numbers_are_read(tmp_path):
    (tmp_path / "net.pth").write_bytes(GOOD)
    same(read_torch(tmp_path / "net.pth"), EXPECTED)


def test_tensors_of_one_storage_share_it_and_cannot_be_written(tmp_path):
    (tmp_path / "net.pth").write_bytes(GOOD)
    found = read_torch(tmp_path / "net.pth")
    assert np.shares_memory(found["all"], found["turned"])
    assert not np.shares_memory(found["all"], found["counts"])
    with pytest.raises(ValueError, match="read-only"):
        found["repeated"][0] = 1


def test_a_file_without_tensors_gives_none(tmp_path):
    (tmp_path / "net.pth").write_bytes(old_torch({}, {}))
    assert read_torch(tmp_path / "net.pth") == {}


@given(st.lists(st.lists(st.integers(1, 4), max_size=4), max_size=4), st.booleans())
def test_arrays_of_any_shape_are_read(tmp_path_factory, shapes, whole):
    rng = np.random.default_rng(len(shapes))
    kind = np.int64 if whole else np.float32
    arrays = {f"t{n}": np.asarray(rng.normal(0, 99, shape), kind) for n, shape in enumerate(shapes)}
    path = tmp_path_factory.mktemp("any") / "net.pth"
    path.write_bytes(old_torch_of(arrays))
    same(read_torch(path), arrays)


def test_what_torch_writes_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = {
        "whole": whole,
        "turned": whole.T,
        "part": whole[1:3, ::2],
        "scalar": torch.tensor(2.5),
        "batches": torch.tensor(77),
        "repeated": whole[0].expand(3, 6),
    }
    torch.save(tensors, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    same(read_torch(tmp_path / "net.pth"), {name: values.numpy() for name, values in tensors.items()})
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(network.state_dict(), tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    same(read_torch(tmp_path / "net.pth"), {name: v.numpy() for name, v in network.state_dict().items()})
    torch.save(tensors, tmp_path / "new.pth")
    refused(tmp_path / "new.pth", (tmp_path / "new.pth").read_bytes())
    torch.save({"half": torch.zeros(3, dtype=torch.float16)}, tmp_path / "h", _use_new_zipfile_serialization=False)
    refused(tmp_path / "h", (tmp_path / "h").read_bytes())


# Files that would run code


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


PLACES = {  # which of the five pickles of a file is replaced
    "first": lambda evil: evil,
    "version": lambda evil: head()[: len(pickle.dumps(0x1950A86A20F9469CFC6C, 2))] + evil,
    "tensors": lambda evil: head() + evil,
    "keys": lambda evil: head() + state({}) + evil,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_a_function_runs_nothing(tmp_path, place, protocol):
    mark = tmp_path / "mark"
    for call in (Call(os.mkdir, str(mark)), Call(eval, f"__import__('os').mkdir({str(mark)!r})"), Call(exec, "1")):
        refused(tmp_path / "net.pth", PLACES[place](pickle.dumps(call, protocol)))
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        ("builtins", "eval"),
        ("os", "system"),
        ("numpy", "ndarray"),
        ("torch", "IntStorage"),
        ("torch", "load"),
        ("torch", "FloatStorage.__init__"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_parameter"),
        ("collections", "deque"),
        ("collections", "OrderedDict.fromkeys"),
        ("snowmatch.models.torch_file", "read_torch"),
    ],
    ids=".".join,
)
def test_any_other_name_is_refused(tmp_path, name):
    for pickled in (named_by_lines, named_on_stack):
        (tmp_path / "good.pth").write_bytes(head() + pickled("collections", "OrderedDict") + numbers({}))
        assert read_torch(tmp_path / "good.pth") == {}
        refused(tmp_path / "net.pth", head() + pickled(*name) + numbers({}))


def named_by_lines(module, attribute):
    """Return the pickle of an empty dictionary, before which the name of another object is read and dropped."""
    return b"\x80\x02" + f"c{module}\n{attribute}\n0".encode() + EMPTY_DICT + b"."


def named_on_stack(module, attribute):
    """Return the same in protocol 4, in which the parts of a name may come from anywhere in the pickle."""
    parts = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, attribute))
    return b"\x80\x04" + parts + b"\x930" + EMPTY_DICT + b"."


# Damaged files


def test_a_file_that_ends_early_is_refused_wherever_it_ends(tmp_path):
    for length in range(len(GOOD)):
        refused(tmp_path / "net.pth", GOOD[:length])


def test_a_storage_with_only_one_of_its_numbers_is_refused(tmp_path):
    whole = old_torch({"t": View("0", 0, (24,), (1,))}, {"0": FLOATS})
    refused(tmp_path / "net.pth", whole[: -23 * FLOATS.itemsize])  # numpy would repeat the one number


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"PK\x03\x04" + bytes(99), b"<!DOCTYPE html>", bytes(500), pickle.dumps(5), pickle.dumps({"a": 1})],
    ids=["empty", "line", "zip", "page", "zeros", "number", "dictionary"],
)
def test_other_files_are_refused(tmp_path, content):
    refused(tmp_path / "net.pth", content)


def test_a_wrong_magic_number_is_refused(tmp_path):
    end = GOOD[len(head()) :]
    refused(tmp_path / "net.pth", head(magic=0x1950A86A20F9469CFC6D) + end)
    refused(tmp_path / "net.pth", head(magic="x") + end)
    (tmp_path / "net.pth").write_bytes(head() + end)
    same(read_torch(tmp_path / "net.pth"), EXPECTED)


def test_a_file_that_does_not_exist_or_is_a_folder_is_an_error(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(SnowmatchError, match="cannot be read"):
            read_torch(path)


@pytest.mark.parametrize("count", [0, 1, 23, 25, 2**62, -1])
def test_a_storage_of_a_wrong_length_is_refused(tmp_path, count):
    view = View("0", 0, (1,), (1,))
    declared = state({"t": tensor(view, FLOATS, count)})
    refused(tmp_path / "net.pth", head() + declared + numbers({"0": FLOATS}))
    if count >= 0:
        written = numbers({"0": FLOATS}, counts={"0": count})
        refused(tmp_path / "net.pth", head() + state({"t": tensor(view, FLOATS)}) + written)


def test_a_storage_without_numbers_and_numbers_without_a_storage_are_refused(tmp_path):
    entries = {name: tensor(view, STORAGES[view.key]) for name, view in VIEWS.items()}
    for keys in (["10"], ["9"], [], ["10", "10", "9"], ["10", "10"], ["10", "9", "10"]):
        refused(tmp_path / "net.pth", head() + state(entries) + numbers(STORAGES, keys))
    more = {**STORAGES, "8": FLOATS}
    refused(tmp_path / "net.pth", head() + state(entries) + numbers(more))
    refused(tmp_path / "net.pth", head() + state(entries) + pickle.dumps(7, 2))


BEYOND = {
    "one too many": View("0", 0, (25,), (1,)),
    "from the end": View("0", 24, (1,), (1,)),
    "last row": View("0", 1, (4, 6), (6, 1)),
    "stride": View("0", 0, (2,), (24,)),
    "before the start": View("0", -1, (1,), (1,)),
    "from before the start": View("0", -1, (10,), (1,)),
    "far before": View("0", -25, (25,), (1,)),
    "backwards": View("0", 23, (24,), (-1,)),
    "backwards and forwards": View("0", 3, (3, 3), (-2, 3)),
    "no side": View("0", 0, (0,), (1,)),
    "negative side": View("0", 5, (-2,), (1,)),
    "two sides, one stride": View("0", 0, (2, 2), (1,)),
    "one side, two strides": View("0", 0, (2,), (1, 1)),
    "huge": View("0", 0, (2**40, 2**40), (1, 1)),
    "huge offset": View("0", 2**70, (1,), (1,)),
    "fraction": View("0", 0, (2,), (0.5,)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, name):
    refused(tmp_path / "net.pth", old_torch({"t": BEYOND[name]}, {"0": FLOATS}))


def test_a_view_of_a_view_is_refused(tmp_path):
    """Such a view could lie beyond the storage: a stride of 0 makes an array longer than its memory."""
    inner = tensor(View("0", 0, (1000,), (0,)), FLOATS)
    entries = state({"t": rebuilt(inner, View("0", 0, (1000,), (1,)))})
    refused(tmp_path / "net.pth", head() + entries + numbers({"0": FLOATS}))


@pytest.mark.parametrize(
    "value",
    [
        plain(5),
        plain(None),
        plain("text"),
        plain([1.5]),
        EMPTY_DICT,
        b"ctorch\nFloatStorage\n",
        b"ctorch\nFloatStorage\n)R",
    ],
    ids=["number", "None", "text", "list", "dictionary", "class", "number of numpy"],
)
def test_anything_but_tensors_is_refused(tmp_path, value):
    entries = {"t": tensor(View("0", 0, (24,), (1,)), FLOATS)}
    end = numbers({"0": FLOATS})
    (tmp_path / "good.pth").write_bytes(head() + state(entries) + end)
    same(read_torch(tmp_path / "good.pth"), {"t": FLOATS})
    refused(tmp_path / "net.pth", head() + state({**entries, "x": value}) + end)


def test_names_that_are_no_texts_and_objects_that_are_no_dictionaries_are_refused(tmp_path):
    one = tensor(View("0", 0, (24,), (1,)), FLOATS)
    end = numbers({"0": FLOATS})
    refused(tmp_path / "net.pth", head() + b"\x80\x02" + EMPTY_DICT + b"(" + plain(5) + one + b"u." + end)
    refused(tmp_path / "net.pth", head() + b"\x80\x02" + one + b"." + end)
    refused(tmp_path / "net.pth", head() + b"\x80\x02" + storage("0", FLOATS) + b"." + end)
    refused(tmp_path / "net.pth", head() + b"\x80\x02" + storage("0", FLOATS)[:-1] + b"." + end)
