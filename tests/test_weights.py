"""Files of pretrained networks are found, checked and added."""

import io
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import SHARED
from weights_server import GOOD, PAGE, cache, entry, given, left_in, net, no_network, safetensors, sum_of, use

from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.models import cache as weights_cache
from snowmatch.models import registry
from snowmatch.models.cache import add_weights, find_weights, held_weights, weights_folder
from snowmatch.models.download import download_weights
from snowmatch.models.registry import WeightsFile, known_weights

__all__ = ["cache", "given", "net", "no_network"]  # fixtures

# The registry


def test_names_and_file_names_are_unique_and_safe():
    names = [e.name for e in registry.registry()]
    files = [n for e in registry.registry() for f in e.files for n in f.names]
    assert len(set(names)) == len(names) == 21
    assert len(set(files)) == len(files)
    sums = [f.sha256 for e in registry.registry() for f in e.files if f.sha256]
    assert len(set(sums)) == len(sums)
    for name in [*names, *files]:
        assert Path(name).name == name
    for e in registry.registry():
        assert e.licence
        assert e.files
        for f in e.files:
            assert f.size >= 0
            assert not f.sha256 or (len(f.sha256) == 64 and set(f.sha256) <= set("0123456789abcdef"))
            for address in f.addresses:
                assert urlsplit(address).scheme == "https"
                assert address.endswith("/" + f.name)
                assert "/blob/" not in address  # GitHub's page about a file, not the file


def test_only_superpoint_v1_is_restricted():
    assert [e.name for e in registry.registry() if e.licence not in ("Apache-2.0", "BSD-3-Clause", "MIT")] == [
        "superpoint_v1"
    ]


@pytest.mark.real
def test_the_available_files_are_those_of_the_registry(cache, monkeypatch):
    folder = SHARED.parent / "weights"
    if not folder.is_dir():
        pytest.skip("no weights beside the project")
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(folder))
    found = [held for held in held_weights() if held.path is not None]
    assert found
    for held in found:
        assert held.checked
        assert not held.problem
        assert held.size == next(f.size for f in held.weights.files if f.name == held.path.name)


# Folders


def test_the_folder_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = weights_folder()
    assert folder.name == "weights"
    assert folder.is_absolute()
    assert folder.parts.count("snowmatch") == 1
    if sys.platform.startswith("linux"):
        assert folder == tmp_path / "snowmatch" / "weights"
        assert not folder.parent.exists()  # this call makes no folder


@pytest.mark.parametrize("name", ["net.pth", "net-v1"])
@pytest.mark.usefixtures("net", "no_network")
def test_files_are_found_under_every_accepted_name(name, cache):
    cache.mkdir(parents=True)
    (cache / name).write_bytes(GOOD)
    assert find_weights("net") == cache / name


@pytest.mark.usefixtures("net")
def test_the_given_folder_comes_first_and_is_never_written(given, cache):
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(GOOD)
    (given / "net.pth").write_bytes(GOOD)
    assert find_weights("net") == given / "net.pth"
    (given / "net.pth").unlink()
    assert find_weights("net") == cache / "net.pth"
    (cache / "net.pth").unlink()
    source = given.parent / "net.pth"
    source.write_bytes(GOOD)
    add_weights(source)
    assert not list(given.iterdir())
    assert find_weights("net") == cache / "net.pth"


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.usefixtures("net")
def test_a_given_path_that_is_no_folder_is_an_error(tmp_path, monkeypatch, made):
    wrong = tmp_path / "wrong"
    if made:
        wrong.write_bytes(b"a file")
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(wrong))
    for call in (lambda: find_weights("net"), held_weights, lambda: download_weights("net")):
        with pytest.raises(SnowmatchError, match=r"\$SNOWMATCH_WEIGHTS is .*wrong.*expected a folder"):
            call()


@pytest.mark.usefixtures("net")
def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", "")
    with pytest.raises(SnowmatchError, match="not on this computer"):
        find_weights("net")


@pytest.mark.usefixtures("cache", "no_network")
def test_the_error_of_a_missing_file_has_the_command():
    with pytest.raises(SnowmatchError) as caught:
        find_weights("aliked-n16")
    assert str(caught.value) == (
        "ALIKED aliked-n16 needs aliked-n16.pth, which is not on this computer: "
        "download it, or put the file into the folder $SNOWMATCH_WEIGHTS"
    )
    assert advice(caught.value.code, caught.value.data) == "snowmatch weights download aliked-n16"
    with pytest.raises(SnowmatchError, match="get the file from its authors and add it") as caught:
        find_weights("xfeat-lighterglue-L3")
    assert advice(caught.value.code, caught.value.data) == "snowmatch weights add FILE"


@pytest.mark.usefixtures("no_network")
def test_the_error_of_a_damaged_file_has_both_checksums(net, cache, given):
    wrong = GOOD[:-1] + b"!"
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(wrong)
    with pytest.raises(SnowmatchError) as caught:
        find_weights("net")
    text = str(caught.value)
    assert str(cache / "net.pth") in text
    assert sum_of(wrong)[:12] in text
    assert sum_of(GOOD)[:12] in text
    assert text.endswith((": get the file from its authors and add it", ": download it"))
    assert caught.value.code == "get-weights"
    (given / "net.pth").write_bytes(wrong)
    with pytest.raises(SnowmatchError, match="or remove it"):  # a download would not be used
        find_weights("net")
    with pytest.raises(SnowmatchError, match="or remove it"):
        download_weights("net")


def test_an_unchanged_file_is_hashed_only_once(net, cache, monkeypatch):
    asked = []
    real = weights_cache.file_sha256
    monkeypatch.setattr(weights_cache, "file_sha256", lambda path: asked.append(path) or real(path))
    cache.mkdir(parents=True)
    path = cache / "net.pth"
    path.write_bytes(GOOD)
    os.utime(path, ns=(1, 1_000_000_000))
    for _ in range(3):
        assert find_weights("net") == path
    assert len(asked) == 1
    path.write_bytes(GOOD[:-1] + b"!")
    os.utime(path, ns=(1, 2_000_000_000))
    with pytest.raises(SnowmatchError, match="damaged"):
        find_weights("net")
    assert len(asked) == 2


@pytest.mark.parametrize("content", [b"", PAGE, b"version https://git-lfs.github.com/spec/v1\noid sha256:0"])
def test_without_a_known_checksum_the_first_bytes_must_be_right(cache, monkeypatch, content, tmp_path):
    use(monkeypatch, entry("net", WeightsFile("net.pth")), entry("st", WeightsFile("st.safetensors")))
    cache.mkdir(parents=True)
    for name, good in (("net", GOOD), ("st", safetensors())):
        file = cache / known_weights(name).files[0].name
        file.write_bytes(good)
        assert find_weights(name) == file
        file.write_bytes(content)
        with pytest.raises(SnowmatchError, match="not a file of weights"):
            find_weights(name)
        other = tmp_path / file.name
        other.write_bytes(content)
        with pytest.raises(SnowmatchError, match=r"not a file of weights|is empty"):
            add_weights(other)


@pytest.mark.usefixtures("no_network")
def test_either_of_two_files_is_accepted_with_its_own_checksum(cache, monkeypatch):
    second = safetensors()
    both = entry("two", WeightsFile("two.pt", 0, sum_of(GOOD)), WeightsFile("two.safetensors", 0, sum_of(second)))
    use(monkeypatch, both)
    cache.mkdir(parents=True)
    (cache / "two.safetensors").write_bytes(second)
    assert find_weights("two") == cache / "two.safetensors"
    (cache / "two.safetensors").write_bytes(GOOD)  # the other file's content under this name
    with pytest.raises(SnowmatchError, match="damaged or a different"):
        find_weights("two")
    (cache / "two.pt").write_bytes(GOOD)
    assert find_weights("two") == cache / "two.pt"


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("name", ["nett", "", "..", "../net", "a/b", "x" * 300, "nul\0"])
def test_the_error_of_an_unknown_name_lists_the_known_names(name):
    with pytest.raises(SnowmatchError, match="no weights and no file called") as caught:
        find_weights(name)
    assert "the weights are: net" in str(caught.value)
    assert ("did you mean 'net'?" in str(caught.value)) == (name in ("nett", "../net"))


def test_a_path_is_used_unchanged(net, tmp_path):
    path = tmp_path / "somewhere.pth"
    path.write_bytes(b"anything: whoever reads it will tell")
    assert find_weights(str(path)) == path


# Added by the user


@pytest.mark.parametrize("name", ["net.pth", "net-v1", "aliked (1).pth", "Снежный барс.bin"])
@pytest.mark.usefixtures("net", "no_network")
def test_add_recognises_a_file_by_its_content_under_any_name(name, tmp_path, cache):
    source = tmp_path / name
    source.write_bytes(GOOD)
    told = []
    text = add_weights(source, lambda done, total: told.append((done, total)))
    assert "contains net: copied to" in text
    assert left_in(cache) == ["net.pth"]
    assert (cache / "net.pth").read_bytes() == GOOD == source.read_bytes()
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == (len(GOOD), len(GOOD))
    assert "is already stored" in add_weights(source)


@pytest.mark.usefixtures("net")
def test_add_refuses_the_right_name_with_the_wrong_content(tmp_path, cache):
    source = tmp_path / "net.pth"
    source.write_bytes(GOOD[:-5])
    with pytest.raises(SnowmatchError, match="damaged") as caught:
        add_weights(source)
    assert sum_of(GOOD)[:12] in str(caught.value)
    assert not cache.exists()


@pytest.mark.usefixtures("no_network")
def test_add_uses_the_name_if_no_checksum_is_known(tmp_path, cache, monkeypatch):
    use(monkeypatch, entry("net", WeightsFile("net.pth", aliases=("net-v1",))))
    source = tmp_path / "net-v1"
    source.write_bytes(GOOD)
    add_weights(source)
    assert left_in(cache) == ["net.pth"]
    assert [(h.checked, h.problem) for h in held_weights()] == [(False, "")]


@pytest.mark.usefixtures("net", "cache")
def test_add_refuses_other_files_than_weights(tmp_path):
    other = tmp_path / "nett.pth"
    other.write_bytes(GOOD + b"other")
    with pytest.raises(SnowmatchError, match=r"expected one of net\.pth, or .*did you mean 'net\.pth'\?"):
        add_weights(other)
    with pytest.raises(SnowmatchError, match="is a folder"):
        add_weights(tmp_path)
    with pytest.raises(SnowmatchError, match="does not exist"):
        add_weights(tmp_path / "nowhere.pth")
    (tmp_path / "net.pth").touch()
    with pytest.raises(SnowmatchError, match="is empty"):
        add_weights(tmp_path / "net.pth")


@pytest.mark.usefixtures("net")
def test_add_replaces_a_damaged_file(tmp_path, cache):
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(PAGE)
    source = tmp_path / "new"
    source.write_bytes(GOOD)
    add_weights(source)
    assert find_weights("net") == cache / "net.pth"


@pytest.mark.usefixtures("net")
def test_a_file_that_changes_while_it_is_copied_is_refused(tmp_path, cache, monkeypatch):
    source = tmp_path / "net.pth"
    source.write_bytes(GOOD)

    def change(done, total):
        with open(source, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"!")

    with pytest.raises(SnowmatchError, match="is being written"):
        add_weights(source, change)
    assert left_in(cache) == []


@pytest.mark.usefixtures("net")
def test_a_read_error_is_not_reported_as_a_full_disk(tmp_path, cache, monkeypatch):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() and size > 9:
                raise OSError(5, "Input/output error")
            return super().read(size)

    source = tmp_path / "net.pth"
    source.write_bytes(GOOD)
    monkeypatch.setattr(weights_cache, "open", lambda *_: Failing(GOOD), raising=False)
    with pytest.raises(SnowmatchError, match=r"net\.pth cannot be read: Input/output error"):
        add_weights(source)
    assert left_in(cache) == []


@pytest.mark.usefixtures("net", "no_network")
def test_a_network_that_the_user_trained(tmp_path, cache, given):
    source = tmp_path / "irbis v2.safetensors"
    source.write_bytes(safetensors({"snowmatch": "0.1"}))
    assert "contains irbis v2: copied to" in add_weights(source)
    assert left_in(cache) == ["irbis v2.safetensors"]
    for name in ("irbis v2", "irbis v2.safetensors"):
        assert find_weights(name) == cache / "irbis v2.safetensors"
    assert [h.weights.name for h in held_weights()] == ["net", "irbis v2"]
    (given / "irbis v2.safetensors").write_bytes(source.read_bytes())
    assert find_weights("irbis v2") == given / "irbis v2.safetensors"
    assert [h.weights.name for h in held_weights()] == ["net", "irbis v2"]
    source.write_bytes(safetensors({"snowmatch": "0.2"}))
    add_weights(source)
    assert (cache / "irbis v2.safetensors").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        safetensors(),
        safetensors({"format": "pt"}),
        b"",
        b"\xff" * 8,
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (40_000).to_bytes(8, "little") + b"[" * 40_000,
        (60).to_bytes(8, "little") + b'{"__metadata__": 3}'.ljust(60),
        (20).to_bytes(8, "little") + b'{"__metadata__": {"snowmatch"',
    ],
    ids=range(9),
)
@pytest.mark.usefixtures("net")
def test_safetensors_of_other_programs_are_refused(content, tmp_path, cache):
    source = tmp_path / "mine.safetensors"
    source.write_bytes(content)
    with pytest.raises(SnowmatchError, match=r"is not a known file of weights|is empty"):
        add_weights(source)
    cache.mkdir(parents=True)
    (cache / "mine.safetensors").write_bytes(content)
    assert len(held_weights()) == 1


@pytest.mark.usefixtures("net")
def test_a_users_network_cannot_hide_a_public_one(tmp_path, cache):
    source = tmp_path / "net.safetensors"
    source.write_bytes(safetensors({"snowmatch": "0.1"}))
    with pytest.raises(SnowmatchError, match="rename it"):
        add_weights(source)
    cache.mkdir(parents=True)
    (cache / source.name).write_bytes(source.read_bytes())
    assert [h.path for h in held_weights()] == [None]


@pytest.mark.usefixtures("net")
def test_a_folder_that_cannot_be_written_is_an_error_with_advice(tmp_path, cache, monkeypatch):
    cache.parent.mkdir()
    cache.write_bytes(b"a file where the folder should be")
    source = tmp_path / "net.pth"
    source.write_bytes(GOOD)
    with pytest.raises(SnowmatchError, match=r"cannot write in .*SNOWMATCH_WEIGHTS"):
        add_weights(source)
    cache.unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("snowmatch.core.files.os.fsync", full)
    with pytest.raises(SnowmatchError, match=r"No space left on device; .*SNOWMATCH_WEIGHTS") as caught:
        add_weights(source)
    assert "catalog" not in str(caught.value)
    assert left_in(cache) == []


@pytest.mark.usefixtures("net")
def test_two_processes_do_not_write_at_the_same_time(tmp_path, cache):
    source = tmp_path / "net.pth"
    source.write_bytes(GOOD)
    with weights_cache.writing(), pytest.raises(SnowmatchError, match="another snowmatch process is writing"):
        add_weights(source)
    add_weights(source)
