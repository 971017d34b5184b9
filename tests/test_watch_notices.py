"""Notices of sightings: sent beside the watching, to this computer or a named host only, again if that fails."""

import json
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from snowmatch.core.errors import SnowmatchError
from snowmatch.review import folder_changes, notices
from snowmatch.review.folder_changes import Changes, is_local
from snowmatch.review.hook import post, read_hook
from snowmatch.review.notices import Notices, notes_on_chosen, show_on_desktop

EVENT = {"id": "1", "decision": "individual", "individual": "aika"}
NEW = {"id": "2", "decision": "new", "individual": ""}


@pytest.fixture
def listener():
    """Return a server that remembers what it was sent; `answers` are its next status codes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.free.wait(60)
            self.server.got.append((self.path, json.loads(body)))
            self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
            self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.answers, server.free = [], [], threading.Event()
    server.free.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.free.set()
    server.shutdown()
    thread.join()
    server.server_close()


def hook_of(server):
    return read_hook(f"http://127.0.0.1:{server.server_port}/seen?key=1")


def test_the_json_arrives(listener):
    assert post(hook_of(listener), json.dumps(EVENT)) == ""
    assert listener.got == [("/seen?key=1", EVENT)]
    assert "key" not in hook_of(listener).shown


def test_no_redirect_is_followed(listener):
    listener.answers = [307]
    assert "redirects are not followed" in post(hook_of(listener), "{}")
    assert len(listener.got) == 1


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1/a", "https://localhost:9/a", "http://[::1]:8/a", "http://127.9.9.9"]
)
def test_this_computer_is_allowed(address):
    assert read_hook(address).local


@pytest.mark.parametrize(
    "address",
    ["http://example.org/a", "http://10.0.0.7", "http://127.0.0.1.example.org", "http://0.0.0.0/", "http://127.1/",
     "http://[::ffff:127.0.0.1]/", "http://localhost.example.org/"],
)  # fmt: skip
def test_another_computer_must_be_named(address):
    with pytest.raises(SnowmatchError, match="not this computer"):
        read_hook(address)
    with pytest.raises(SnowmatchError, match="not this computer"):
        read_hook(address, ["other.org"])


def test_a_named_host_is_allowed():
    hook = read_hook("https://Example.org/a", ["example.ORG"])
    assert (hook.host, hook.port, hook.secure, hook.local) == ("example.org", 443, True, False)
    assert read_hook("http://10.0.0.7:8080", ["10.0.0.7:8080"]).path == "/"
    with pytest.raises(SnowmatchError):
        read_hook("http://10.0.0.7:8081", ["10.0.0.7:8080"])


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "127.0.0.1:80", "http://", "http://127.0.0.1/a b", "http://127.0.0.1\r\nX: y",
                "http://127.0.0.1:99999/", "ftp://127.0.0.1", "http://user:secret@127.0.0.1/"],
)  # fmt: skip
def test_what_is_no_address_is_refused_on_one_line(address):
    with pytest.raises(SnowmatchError) as error:
        read_hook(address)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_leads_elsewhere_is_not_told(monkeypatch):
    elsewhere = [(2, 1, 6, "", ("10.1.1.1", 80))]
    monkeypatch.setattr("snowmatch.review.hook.socket.getaddrinfo", lambda *_, **__: elsewhere)
    assert "does not lead to this computer" in post(read_hook("http://localhost/"), "{}")


def test_only_the_chosen_cause_notices(listener):
    told = Notices(["new"], hook_of(listener), desktop=False)
    told.tell(EVENT, "aika")
    told.tell(NEW, "new")
    assert told.close(5) == ["\a"]
    assert [body["id"] for _, body in listener.got] == ["2"]


def test_a_name_is_chosen_however_its_blanks_and_letters_are_written():
    event = {"id": "3", "decision": "individual", "individual": "Zo\u00eb 1"}
    for chosen, rings in ((" Zoe\u0308  1 ", True), ("zo\u00eb 1", False)):
        told = Notices([chosen], None, desktop=False)
        told.tell(event, "seen")
        assert told.close(5) == (["\a"] if rings else [])
        known = [SimpleNamespace(individual=event["individual"])]
        assert [note.code for note in notes_on_chosen([chosen], known)] == ([] if rings else ["nobody-called"])


def test_without_names_every_sighting_goes_to_the_hook_and_no_bell_rings(listener):
    told = Notices([], hook_of(listener))
    told.tell(EVENT, "aika")
    told.tell(NEW, "new")
    assert told.close(5) == []
    assert len(listener.got) == 2
    alone = Notices([], None)
    alone.tell(EVENT, "aika")
    assert alone.close(5) == []


def test_a_failure_is_tried_again_then_told_and_blocks_nobody(listener):
    listener.answers = [500, 503]
    told = Notices([], hook_of(listener), waits=(0.01, 0.01, 0.01))
    told.tell(EVENT, "aika")
    assert told.close(60) == []
    assert len(listener.got) == 3
    listener.answers = [500] * 9
    told = Notices([], hook_of(listener), waits=(0.01, 0.01))
    listener.free.clear()
    told.tell(EVENT, "aika")
    told.tell(
        NEW, "new"
    )  # both return while the other side gives no answer: else it would be a time limit that is told
    assert len(listener.got) == 3
    listener.free.set()
    said = told.close(60)
    assert len(said) == 2
    assert "was not told of aika" in said[0]
    assert "status 500" in said[0]
    assert len(listener.got) == 3 + 3 + 1  # while the other side is away, one try


@pytest.mark.parametrize(("count", "words"), [(1, "1 notice "), (3, "3 notices ")])
def test_notices_that_were_not_sent_are_counted(listener, count, words):
    listener.free.clear()
    told = Notices([], hook_of(listener))
    for _ in range(count):
        told.tell(EVENT, "aika")
    assert told.close(0.3) == [words + "may not have been sent: the program stopped"]


def test_nobody_listens():
    told = Notices([], read_hook("http://127.0.0.1:9/"), waits=())
    told.tell(EVENT, "aika")
    (said,) = told.close(10)
    assert "http://127.0.0.1:9/" in said


def test_a_side_that_does_not_answer_costs_a_moment(listener):
    import socket

    silent = socket.create_server(("127.0.0.1", 0))
    started = time.monotonic()
    assert post(read_hook(f"http://127.0.0.1:{silent.getsockname()[1]}/"), "{}", seconds=0.2)
    assert time.monotonic() - started < 5
    silent.close()


@pytest.mark.skipif(os.name == "nt", reason="a program of the shell")
def test_the_desktop_is_told_by_a_program_of_the_system(tmp_path, monkeypatch):
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/got\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert show_on_desktop("snowmatch", "--help $(touch x)\naika")
    assert (tmp_path / "got").read_text(encoding="utf-8").splitlines()[1:] == [
        "--",
        "snowmatch",
        "--help $(touch x) aika",
    ]
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")  # no desktop is there
    assert not show_on_desktop("snowmatch", "aika")
    monkeypatch.setattr(notices.shutil, "which", lambda name: None)
    assert not show_on_desktop("snowmatch", "aika")


def test_on_windows_the_text_is_never_part_of_a_command(monkeypatch):
    ran = []

    def run(command, **more):
        ran.append((command, more))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(notices.shutil, "which", lambda name: name if name == "powershell.exe" else None)
    monkeypatch.setattr(notices.subprocess, "run", run)
    assert show_on_desktop("snowmatch", "'; rm -rf; '")
    command, more = ran[0]
    assert not any("rm -rf" in word for word in command)
    assert more["env"]["SNOWMATCH_TEXT"] == "'; rm -rf; '"


# --- changes of a folder ---------------------------------------------------------------------------------------------


def test_network_shares_and_cards_are_polled(tmp_path, monkeypatch):
    tables = {
        "nfs4": "36 35 0:3 / / rw - ext4 /dev/a rw\n40 36 0:9 / {} rw - nfs4 server:/x rw\n",
        "vfat": "36 35 0:3 / / rw - ext4 /dev/a rw\n40 36 0:9 / {} rw - vfat /dev/b rw\n",
        "ext4": "36 35 0:3 / / rw - nfs4 server:/x rw\n40 36 0:9 / {} rw - ext4 /dev/b rw\n",
    }
    monkeypatch.setattr(folder_changes.sys, "platform", "linux")
    for kind, table in tables.items():
        monkeypatch.setattr(Path, "read_text", lambda self, *_, table=table: table.format(os.path.realpath(tmp_path)))
        assert is_local(tmp_path / "S01") == (kind == "ext4")
    monkeypatch.undo()
    monkeypatch.setattr(folder_changes, "is_local", lambda folder: False)
    changes = Changes(tmp_path, 0.01)
    assert not changes.told
    assert changes.why == "not on a local disk"
    monkeypatch.setattr(folder_changes.importlib.util, "find_spec", lambda name: None)
    assert "watchfiles is missing" in Changes(tmp_path, 0.01).why


def test_a_change_wakes_at_once(tmp_path, monkeypatch):
    pytest.importorskip("watchfiles")
    monkeypatch.setattr(folder_changes, "is_local", lambda folder: True)
    changes = Changes(tmp_path, 0.05)
    assert changes.told
    changes.wait(settling=True)  # starts to listen
    timer = threading.Timer(0.3, (tmp_path / "a.jpg").write_bytes, [b"x"])
    timer.start()
    started = time.monotonic()
    changes.wait(settling=False)
    assert time.monotonic() - started < 15  # long before it would look anyway
    timer.join()


def test_a_folder_that_is_gone_does_not_stop_the_waiting(tmp_path, monkeypatch):
    pytest.importorskip("watchfiles")
    monkeypatch.setattr(folder_changes, "is_local", lambda folder: True)
    changes = Changes(tmp_path / "card", 0.01)
    changes.wait(settling=True)
    (tmp_path / "card").mkdir()
    changes.wait(settling=True)
    assert changes.told
