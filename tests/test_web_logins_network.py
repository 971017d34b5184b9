"""The app for several observers in a network: host, origin, certificate, and a real server."""

import html
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest
from click.testing import CliRunner
from web_accounts import ADDRESS, HTML, PASSWORD, PORT, cheap, folder, original, refused, server

from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accounts import accounts_path, add_account
from snowmatch.web.logins import LoginDoor
from snowmatch.web.network import check_certificate, is_loopback

__all__ = ["cheap", "folder", "original", "server"]  # fixtures

HERE = f"http://{ADDRESS}:{PORT}"
ALSO_HERE = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"  # an address that the server knows by asking


# --- host and origin --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        ADDRESS,
        f"{ADDRESS}:{PORT + 1}",
        f"192.168.1.6:{PORT}",
        f"{ADDRESS}.evil.example:{PORT}",
        f"camp.local.evil.example:{PORT}",
        f"camp.local:{PORT}:{PORT}",
        f"camp.local:{PORT}x",
        f"@camp.local:{PORT}",
        f"[{ADDRESS}:{PORT}",
        "",
    ],
)
def test_another_host_is_refused_with_and_without_a_session(server, host):
    for browser in (server.person("anna"), server.browser()):
        for path in ("/", "/login", "/static/style.css"):
            answer = browser.get(path, headers={"host": host})
            assert answer.status_code == 421
            assert "catalog" not in answer.text
    assert server.log_in("anna")[0].post("/login", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", [f"{ADDRESS}:{PORT}", f"camp.local:{PORT}", f"CAMP.local:{PORT}", f"localhost:{PORT}"])
def test_the_names_of_the_server_are_known(server, host):
    assert server.person("anna").get("/", headers={"host": host}).status_code == 200


def test_usual_ports_and_ipv6():
    for scheme, port, host, known in [
        ("https", 443, "camp.local", True),
        ("http", 80, "camp.local", True),
        ("https", 80, "camp.local", False),
        ("https", 443, "[fe80::1]", True),
        ("https", 8443, "[fe80::1]:8443", True),
        ("https", 8443, "[FE80:0::1]:8443", True),
        ("https", 8443, "fe80::1:8443", False),
        ("https", 8443, "[fe80::2]:8443", False),
    ]:
        door = LoginDoor(None, port, scheme, ("camp.local",))
        assert door.knows({"server": ("fe80::1%eth0", port)}, host) is known, host
    assert door.knows({"server": ("::ffff:192.168.1.5", port)}, f"192.168.1.5:{port}")
    assert not door.knows({"server": None}, f"192.168.1.5:{port}")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{ADDRESS}:{PORT}"},
        {"origin": f"http://{ADDRESS}:{PORT + 1}"},
        {"origin": f"http://camp.local:{PORT}"},  # not the name that was asked
        {"origin": HERE, "sec-fetch-site": "cross-site"},
        {"origin": HERE, "sec-fetch-site": "same-site"},
    ],
)
def test_a_post_from_elsewhere_does_nothing(server, headers):
    anna = server.person("anna")
    assert anna.post("/logout", headers=headers).status_code == 403
    assert anna.get("/photos").status_code == 200
    said = {"name": "anna", "password": PASSWORD + "anna"}
    answer = server.browser().post("/login", data=said, headers=headers)  # one would review under another's name
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    browser = server.browser()
    del browser.headers["origin"]
    assert browser.post("/login", data=said).status_code == 403


def test_pictures_are_not_shown_on_other_sites(server):
    anna = server.person("anna")
    path = "/picture/photo/160/" + anna.get("/photos").text.split("/picture/animal/320/")[1].split('"')[0]
    assert anna.get(path).status_code == 200
    assert anna.get(path, headers={"sec-fetch-site": "same-site"}).status_code == 403


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/photos?q=a%20b", "/photos?q=a%20b"),
        ("", "/"),
        ("//evil.example/x", "/evil.example/x"),
        ("///evil.example", "/evil.example"),
        ("https://evil.example", "/https://evil.example"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("/login?next=/login", "/"),
        ("javascript:alert(1)", "/javascript:alert(1)"),
        ("/x" * 2000, "/"),
    ],
)
def test_the_login_leads_to_pages_of_this_server_alone(server, asked, target):
    browser, answer = server.log_in("anna", next=asked)
    assert answer.headers["location"] == target
    assert browser.get("/login", params={"next": asked}).headers["location"] == target
    page = server.browser().get("/login", params={"next": asked}).text
    assert f'name="next" value="{target}"' in page.replace("&#39;", "'")


def test_a_link_that_somebody_sent_leads_on_after_the_login(server):
    """Browsers send no strict cookie with a link in a letter: a page of our own leads on, and then they do."""
    hop = server.browser().get("/photos", params={"q": '"><script>'}, headers={**HTML, "sec-fetch-site": "cross-site"})
    assert refused(hop)
    assert "<script>" not in hop.text
    assert "/login?next=%2Fphotos%3Fq%3D" in hop.text
    hop = server.browser().get("/login", headers={**HTML, "sec-fetch-site": "cross-site"})
    assert 'url=/login"' in hop.text


@pytest.mark.parametrize("name", ["Aika", "Снежок", "50% sure", "which?", "№#3 & 4"])
def test_the_login_leads_to_the_page_that_was_asked_for_whatever_its_name(server, name):
    address = f"/individuals/{quote(name)}?lang=en"
    hop = server.browser().get(address, headers=HTML)
    onward = urlsplit(html.unescape(re.search(r"url=([^\"]+)", hop.text)[1]))
    (asked,) = parse_qs(onward.query)["next"]
    assert server.log_in("anna", next=asked)[1].headers["location"] == address


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", "0.0.0.0"], "--certificate FILE --key FILE, or --insecure-lan"),
        (["--host", "192.168.1.5"], "--certificate FILE --key FILE, or --insecure-lan"),
        (["--host", "::1"], "the app listens at 127.0.0.1: leave out --host"),
        (["--host", "127.0.0.5"], "the app listens at 127.0.0.1: leave out --host"),
        (["--host", "::"], "--certificate FILE --key FILE, or --insecure-lan"),
        (["--host", "camp.local", "--name", "camp.local"], "--insecure-lan"),
        (["--insecure-lan"], "need --host"),
        (["--certificate", "c.pem"], "need --host"),
        (["--host", "0.0.0.0", "--insecure-lan", "--observer", "Anna"], "--observer is of no use"),
        (["--host", "0.0.0.0", "--insecure-lan", "--certificate", "c.pem"], "exclude each other"),
        (["--host", "0.0.0.0", "--insecure-lan", "--key", "k.pem"], "--key needs --certificate"),
    ],
)
def test_the_app_opens_to_no_network_by_mistake(folder, arguments, expected):
    result = CliRunner().invoke(main, ["serve", str(folder), "--no-browser", *arguments])
    assert result.exit_code == 2
    assert expected in result.output
    assert len([line for line in result.output.splitlines() if line.startswith("Error")]) == 1


def test_a_server_that_nobody_could_use_does_not_start(folder, tmp_path):
    accounts_path(folder).unlink()
    result = CliRunner().invoke(main, ["serve", str(folder), "--no-browser", "--host", "127.0.0.1", "--insecure-lan"])
    assert result.exit_code == 1
    assert "snowmatch observers" in result.output
    add_account(folder, "anna", "observer", PASSWORD)
    (tmp_path / "wrong.pem").write_text("no certificate")
    for certificate in ("missing.pem", "wrong.pem"):
        arguments = ["--host", "127.0.0.1", "--certificate", str(tmp_path / certificate)]
        result = CliRunner().invoke(main, ["serve", str(folder), "--no-browser", *arguments])
        assert result.exit_code == 1
        assert len(result.output.splitlines()) == 1
    arguments = ["--host", "203.0.113.7", "--insecure-lan"]
    result = CliRunner().invoke(main, ["serve", str(folder), "--no-browser", *arguments])
    assert result.exit_code == 1
    assert "203.0.113.7" in result.output


def test_what_is_this_computer_alone():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "camp.local", "", "localhost.x"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this computer, and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl, which makes the certificate, is not here")
    place = tmp_path_factory.mktemp("certificate")
    names = ["-subj", "/CN=snowmatch test", "-addext", "subjectAltName=IP:127.0.0.1,IP:127.0.0.2"]
    for key, secret in (("key.pem", ["-nodes"]), ("locked.pem", ["-passout", "pass:secret word"])):
        command = [program, "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-out", f"{key}.cert"]
        subprocess.run([*command, "-keyout", key, *secret, *names], cwd=place, check=True, capture_output=True)
    return place


def test_a_key_with_a_password_is_told(certificate):
    check_certificate(certificate / "key.pem.cert", certificate / "key.pem")
    with pytest.raises(SnowmatchError, match="without a password"):
        check_certificate(certificate / "locked.pem.cert", certificate / "locked.pem")
    with pytest.raises(SnowmatchError, match="cannot be used"):
        check_certificate(certificate / "locked.pem.cert", certificate / "key.pem")


@pytest.fixture(params=["https", "http"])
def running(request, folder, certificate):
    """A server in a process of its own; returns its address."""
    pem = ["--certificate", certificate / "key.pem.cert", "--key", certificate / "key.pem"]
    how = pem if request.param == "https" else ["--insecure-lan"]
    command = [sys.executable, "-m", "snowmatch.cli", "serve", folder, "--no-browser", "--host", ALSO_HERE, *how]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=environment)
    address = process.stdout.readline().split()[-1].rstrip("/")
    assert "log in" in process.stdout.readline()
    assert address.startswith(f"{request.param}://{ALSO_HERE}:")
    yield address
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.mark.slow
def test_a_real_server(running, certificate):
    import ssl

    trust = ssl.create_default_context(cafile=certificate / "key.pem.cert")
    with httpx2.Client(base_url=running, verify=trust, timeout=30) as page:
        assert refused(page.get("/photos", headers=HTML))
        for host in ("evil.example", "127.0.0.3"):
            assert page.get("/", headers={"host": f"{host}:{running.rpartition(':')[2]}"}).status_code == 421
        said = {"name": "anna", "password": PASSWORD + "anna"}
        assert page.post("/login", data=said, headers={"origin": "http://evil.example"}).status_code == 403
        answer = page.post("/login", data=said, headers={"origin": running})
        assert answer.status_code == 303
        assert ("secure" in answer.headers["set-cookie"].lower()) == running.startswith("https")
        assert page.get("/photos").status_code == 200
        assert page.get("/jobs").status_code == 403
        assert page.post("/logout", headers={"origin": running}).status_code == 303
        assert refused(page.get("/photos"))
    if running.startswith("https"):
        with pytest.raises(httpx2.HTTPError):  # never without encryption
            httpx2.get(running.replace("https", "http") + "/login", timeout=10)
