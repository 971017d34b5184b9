"""Files of pretrained networks are found, checked, added and downloaded (from a server in the test)."""

import hashlib
import http.server
import io
import json
import os
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
import pytest
from click.testing import CliRunner
from conftest import SHARED

from snowmatch.cli import main
from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.models import cache as weights_cache
from snowmatch.models import download, registry
from snowmatch.models.cache import add_weights, find_weights, held_weights, weights_folder
from snowmatch.models.download import download_weights
from snowmatch.models.registry import Weights, WeightsFile, known_weights

GOOD = b"PK\x03\x04" + bytes(range(256)) * 700  # starts like torch's files; several blocks long
PAGE = b"<!DOCTYPE html><title>Sign in</title>"


def sum_of(content):
    return hashlib.sha256(content).hexdigest()


def safetensors(metadata=None, content=b"\0" * 8):
    header = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    text = json.dumps(header if metadata is None else {"__metadata__": metadata, **header}).encode()
    return len(text).to_bytes(8, "little") + text + content


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the user's folder, which does not exist yet. $SNOWMATCH_WEIGHTS is not set."""
    monkeypatch.delenv("SNOWMATCH_WEIGHTS", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def given(tmp_path, monkeypatch, cache):
    folder = tmp_path / "given"
    folder.mkdir()
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(folder))
    return folder


def entry(name="net", *files):
    files = files or (WeightsFile("net.pth", len(GOOD), sum_of(GOOD), ("http://127.0.0.1:9/net.pth",), ("net-v1",)),)
    return Weights(name, "Net", "for tests", "Test-1.0", files)


def use(monkeypatch, *entries):
    monkeypatch.setattr(registry, "_collected", lambda: entries)


@pytest.fixture
def net(monkeypatch, cache):
    use(monkeypatch, entry())
    return entry()


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def server():
    """Answers each path with a test's `answers`: (status, headers, body). `asked` has the requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            running.asked.append((self.path, self.headers["User-Agent"]))
            status, headers, body = running.answers.get(self.path, (404, {}, b"nothing here"))
            self.send_response(status)
            for key, value in ({"Content-Length": str(len(body))} | headers).items():
                if value is not None:
                    self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        running.answers, running.asked = {}, []
        running.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def at(server, *paths, **changes):
    """Return a registry entry with its file at `paths` of the server."""
    file = WeightsFile("net.pth", len(GOOD), sum_of(GOOD), tuple(server.address + p for p in paths), ("net-v1",))
    return entry("net", replace(file, **changes))


def left_in(folder):
    return sorted(p.name for p in folder.glob("*") if p.name != "writer.lock")


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


# Downloaded


def test_a_download(server, monkeypatch, cache):
    use(monkeypatch, at(server, "/net.pth"))
    server.answers["/net.pth"] = (200, {"Content-Type": "application/octet-stream"}, GOOD)
    told = []
    text = download_weights("net", lambda done, total: told.append((done, total)))
    assert text == f"downloaded net from {server.address}/net.pth to {cache / 'net.pth'}"
    assert find_weights("net").read_bytes() == GOOD
    assert left_in(cache) == ["net.pth"]
    assert told[-1] == (len(GOOD), len(GOOD))
    assert len(told) > 1
    assert {total for _, total in told} == {len(GOOD)}
    assert server.asked[0][1].startswith("snowmatch/")
    assert "is already stored" in download_weights("net")
    assert len(server.asked) == 1


def test_download_replaces_a_damaged_file(server, monkeypatch, cache):
    use(monkeypatch, at(server, "/net.pth"))
    server.answers["/net.pth"] = (200, {}, GOOD)
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(GOOD[:99])
    download_weights("net")
    assert find_weights("net").read_bytes() == GOOD


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, {}, b"no"), "HTTP 404 Not Found"),
        ((500, {}, b"no"), "HTTP 500"),
        ((200, {"Content-Type": "text/html; charset=utf-8"}, GOOD), "a web page instead of the file"),
        ((200, {}, GOOD[:-1] + b"!"), f"expected {sum_of(GOOD)[:12]}"),
        ((200, {"Content-Length": str(len(GOOD))}, GOOD[:70_000]), f"ended after 70000 of {len(GOOD)} bytes"),
        ((200, {"Content-Length": None}, GOOD[:70_000]), f"70000 bytes, expected {len(GOOD)}"),
        ((200, {}, GOOD + b"!"), f"more than {len(GOOD)} bytes"),
        ((302, {"Location": "file:///etc/hostname"}, b""), "HTTP 302"),
        ((302, {"Location": "/net.pth"}, b""), "HTTP 302"),
    ],
    ids=["404", "500", "html", "sum", "short", "short, unannounced", "long", "to a local file", "in circles"],
)
def test_a_download_that_fails_leaves_nothing(server, monkeypatch, cache, answer, reason):
    use(monkeypatch, at(server, "/net.pth"))
    server.answers["/net.pth"] = answer
    with pytest.raises(SnowmatchError) as caught:
        download_weights("net")
    text = str(caught.value)
    assert f"{server.address}/net.pth: " in text
    assert reason in text
    assert advice(caught.value.code, caught.value.data) == "snowmatch weights add FILE"
    assert "\n" not in text
    assert left_in(cache) == []


@pytest.mark.parametrize("content", [PAGE, b"", b"not found"])
def test_without_a_known_checksum_a_download_must_start_like_weights(server, monkeypatch, cache, content):
    use(monkeypatch, at(server, "/net.pth", size=0, sha256=""))
    server.answers["/net.pth"] = (200, {}, content)
    with pytest.raises(SnowmatchError, match="not a file of weights"):
        download_weights("net")
    assert left_in(cache) == []
    server.answers["/net.pth"] = (200, {"Content-Length": None}, GOOD)
    download_weights("net")
    assert find_weights("net").read_bytes() == GOOD


@pytest.mark.parametrize("first", [(404, {}, b""), (200, {}, GOOD[::-1])], ids=["404", "wrong content"])
def test_the_second_address_is_tried_after_the_first(server, monkeypatch, cache, first):
    use(monkeypatch, at(server, "/gone.pth", "/net.pth"))
    server.answers |= {"/gone.pth": first, "/net.pth": (200, {}, GOOD)}
    assert f"{server.address}/net.pth" in download_weights("net")
    assert [path for path, _ in server.asked] == ["/gone.pth", "/net.pth"]
    assert left_in(cache) == ["net.pth"]


def test_if_no_server_answers_the_error_has_both_addresses(monkeypatch, cache):
    with socket.socket() as closed:  # bound, but no server listens
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        use(monkeypatch, entry("net", WeightsFile("net.pth", addresses=(f"{address}a", f"{address}b", "no address"))))
        with pytest.raises(SnowmatchError) as caught:
            download_weights("net")
    text = str(caught.value)
    assert f"{address}a: " in text
    assert f"{address}b: " in text
    assert "unknown url type" in text
    assert left_in(cache) == []


def test_a_server_that_sends_nothing_is_an_error(monkeypatch, cache):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/net.pth"
        use(monkeypatch, entry("net", WeightsFile("net.pth", addresses=(address,))))
        started = time.monotonic()
        with pytest.raises(SnowmatchError, match="timed out"):
            download_weights("net")
    assert time.monotonic() - started < 10


def test_a_full_disk_is_not_reported_as_a_failing_address(server, monkeypatch, cache):
    use(monkeypatch, at(server, "/net.pth", "/second.pth"))
    server.answers["/net.pth"] = (200, {}, GOOD)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("snowmatch.core.files.os.fsync", full)
    with pytest.raises(SnowmatchError, match=r"cannot write in .*No space left"):
        download_weights("net")
    assert len(server.asked) == 1
    assert left_in(cache) == []


def test_a_download_that_is_stopped_leaves_nothing(server, monkeypatch, cache):
    use(monkeypatch, at(server, "/net.pth"))
    server.answers["/net.pth"] = (200, {}, GOOD)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_weights("net", stop)
    assert left_in(cache) == []


@pytest.mark.usefixtures("no_network", "cache")
def test_networks_without_an_address_or_a_name_are_an_error():
    with pytest.raises(SnowmatchError, match="no official address"):
        download_weights("xfeat-lighterglue-L3")
    with pytest.raises(SnowmatchError, match=r"no public weights called 'alikd-n16'; .*did you mean 'aliked-n16'\?"):
        download_weights("alikd-n16")


# The command


def run(*arguments):
    result = CliRunner().invoke(main, ["weights", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.usefixtures("no_network")
def test_list_and_where_print_states_and_folders(cache, given):
    result = run("list")
    assert result.exit_code == 0
    for e in registry.registry():
        assert e.name in result.stdout
    assert result.stdout.count("missing") == len(registry.registry())
    for text in (result.stdout, run("where").stdout):
        assert f"cache folder: {cache}" in text
        assert f"$SNOWMATCH_WEIGHTS: {given}" in text
    assert not cache.exists()
    for file in (file for entry in registry.registry() for file in entry.files if file.addresses):
        assert f"  {file.name}  {file.sha256 or '(checksum unknown)'}" in result.output
        assert all(address in result.output for address in file.addresses)


@pytest.mark.usefixtures("no_network")
def test_list_prints_each_state(cache, given, monkeypatch):
    use(monkeypatch, *(entry(n, WeightsFile(f"{n}.pth", 5_000_000, sum_of(GOOD))) for n in ("good", "bad", "none")))
    use(monkeypatch, *registry.registry(), entry("odd", WeightsFile("odd.pth")))
    (given / "good.pth").write_bytes(GOOD)
    (given / "odd.pth").write_bytes(GOOD)
    cache.mkdir(parents=True)
    (cache / "bad.pth").write_bytes(GOOD[1:])
    (cache / "mine.safetensors").write_bytes(safetensors({"snowmatch": "0.1"}))
    result = run("list")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert "checked  " in rows["good"]
    assert "good.pth in $SNOWMATCH_WEIGHTS" in rows["good"]
    assert "unusable" in rows["bad"]
    assert "bad.pth in cache folder" in rows["bad"]
    assert "missing" in rows["none"]
    assert "5.0" in rows["none"]
    assert "present  " in rows["odd"]
    assert "your own" in rows["mine"]
    assert "Test-1.0" in rows["good"]
    assert "bad: " in result.stdout
    assert "damaged or a different file" in result.stdout


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user whom permissions bind")
@pytest.mark.usefixtures("net")
def test_the_list_marks_a_file_that_cannot_be_read(cache):
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(GOOD)
    (cache / "net.pth").chmod(0)
    result = run("list")
    assert result.exit_code == 0
    assert "unreadable" in result.stdout


@pytest.mark.usefixtures("net", "no_network")
def test_several_files_can_be_added(tmp_path, cache):
    (tmp_path / "a.bin").write_bytes(GOOD)
    (tmp_path / "b.safetensors").write_bytes(safetensors({"snowmatch": "0.1"}))
    result = run("add", tmp_path / "a.bin", tmp_path / "b.safetensors")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 2
    assert left_in(cache) == ["b.safetensors", "net.pth"]
    result = run("add", tmp_path / "none.bin")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_the_command_downloads_and_prints_the_licence(server, monkeypatch, cache):
    use(monkeypatch, at(server, "/net.pth"))
    server.answers["/net.pth"] = (200, {}, GOOD)
    result = run("download", "net")
    assert result.exit_code == 0, result.output
    assert "Test-1.0" in result.stderr
    assert str(cache / "net.pth") in result.stdout
    server.answers.clear()
    (cache / "net.pth").unlink()
    result = run("download", "net")
    assert result.exit_code == 1
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1


def test_a_name_from_the_network_cannot_write_to_another_folder(server, monkeypatch, cache, tmp_path):
    use(monkeypatch, at(server, "/net.pth"))
    server.answers["/net.pth"] = (200, {"Content-Disposition": 'attachment; filename="../../evil"'}, GOOD)
    download_weights("net")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file() and p.name != "writer.lock") == ["net.pth"]
