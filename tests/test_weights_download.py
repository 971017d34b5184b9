"""Files of pretrained networks are downloaded, from a server in the test."""

import socket
import time
from dataclasses import replace

import pytest
from weights_server import GOOD, PAGE, at, cache, entry, left_in, net, no_network, server, sum_of, use

from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.models import download
from snowmatch.models.cache import find_weights
from snowmatch.models.download import download_weights
from snowmatch.models.registry import WeightsFile

__all__ = ["cache", "net", "no_network", "server"]  # fixtures

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


def test_a_file_without_an_address_does_not_stand_for_the_one_that_is_downloaded(server, monkeypatch, cache):
    use(monkeypatch, replace(known := at(server, "/net.pth"), files=(*known.files, WeightsFile("net.onnx"))))
    server.answers["/net.pth"] = (200, {}, GOOD)
    cache.mkdir(parents=True)
    (cache / "net.onnx").write_bytes(b"\x08\x07onnx")
    assert find_weights("net") == cache / "net.onnx"
    assert download_weights("net").startswith("downloaded net")
    assert find_weights("net") == cache / "net.pth"
    assert "is already stored" in download_weights("net")


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
    with pytest.raises(SnowmatchError, match=r"no public weights called 'alikd-n16'; .*did you mean 'aliked-n16', "):
        download_weights("alikd-n16")


def test_a_name_from_the_network_cannot_write_to_another_folder(server, monkeypatch, cache, tmp_path):
    use(monkeypatch, at(server, "/net.pth"))
    server.answers["/net.pth"] = (200, {"Content-Disposition": 'attachment; filename="../../evil"'}, GOOD)
    download_weights("net")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file() and p.name != "writer.lock") == ["net.pth"]
