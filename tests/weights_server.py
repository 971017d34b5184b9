"""What tests of weights share: contents, folders and a server of files."""

import hashlib
import http.server
import json
import socket
import threading
from dataclasses import replace

import platformdirs
import pytest

from snowmatch.models import registry
from snowmatch.models.registry import Weights, WeightsFile

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
