"""The command `snowmatch weights`: what it lists, adds and downloads."""

import os
import sys

import pytest
from click.testing import CliRunner
from weights_server import GOOD, at, cache, entry, given, left_in, net, no_network, safetensors, server, sum_of, use

from snowmatch.cli import main
from snowmatch.models import registry
from snowmatch.models.registry import WeightsFile

__all__ = ["cache", "given", "net", "no_network", "server"]  # fixtures

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
    for file in (file for each in registry.registry() for file in each.files if file.addresses):
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
