"""The app's rules of security, each with an attack: only the person who started the server is answered."""

import io
import itertools
import json
import random
import re
import shutil
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from web_small import PORT, TOKEN, client_of, jpeg, make_catalog

from snowmatch.core.errors import SnowmatchError
from snowmatch.review import uploads
from snowmatch.review.uploads import LARGEST, find_upload
from snowmatch.web import app as app_module
from snowmatch.web import jobs
from snowmatch.web.app import make_app
from snowmatch.web.asked import find_question
from snowmatch.web.jobs import read_job
from snowmatch.web.routes import ROUTES
from snowmatch.web.security import LARGEST_BODY
from snowmatch.web.state import State

JSON = {"accept": "application/json"}
RIGHT = {"kind": "photo", "size": "160", "sign": "0", "key": "a", "name": "a", "handle": "a"}  # parts of addresses
WAYS = sorted((route.path, method) for route in ROUTES for method in route.methods or ())
HERE = f"http://127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("security"), "<img src=x onerror=alert(1)>")


@pytest.fixture
def client(folder):
    return client_of(folder)


@pytest.fixture
def stranger(folder):
    """A browser that was never given the address."""
    return TestClient(make_app(State(folder), PORT, TOKEN), base_url=HERE)


def key_of_first(client):
    return client.get("/photos").text.split("/picture/animal/320/")[1].split('"')[0]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        f"127.0.0.1:{PORT + 1}",
        f"127.0.0.1.evil.example:{PORT}",
        "",
    ],
)
def test_another_host_is_refused_even_with_the_cookie(client, host):  # a name that leads here: rebinding
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "catalog" not in answer.text


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}"])
def test_the_names_of_this_computer_are_known(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


def test_forwarded_names_are_not_believed(client):
    headers = {"host": "evil.example", "x-forwarded-host": f"127.0.0.1:{PORT}", "forwarded": f"host=127.0.0.1:{PORT}"}
    assert client.get("/", headers=headers).status_code == 421


def test_nothing_is_shown_without_the_cookie(client, stranger):
    key = key_of_first(client)
    for path in ("/", "/photos", f"/picture/photo/160/{key}", "/static/base.js", "/nowhere", "/jobs"):
        assert client.get(path).status_code in (200, 404)
        assert stranger.get(path).status_code == 403


@pytest.mark.parametrize(("path", "method"), WAYS)
def test_every_route_needs_the_cookie_and_our_own_pages(client, stranger, path, method):
    path = re.sub(r"{(\w+)[^}]*}", lambda hole: RIGHT[hole[1]], path)
    assert stranger.request(method, path).status_code == 403
    assert client.request(method, path, headers={"host": "evil.example"}).status_code == 421
    assert client.request(method, path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    if method == "POST":
        assert client.request(method, path, headers={"origin": "http://evil.example"}).status_code == 403
        del client.headers["sec-fetch-site"]
        assert client.request(method, path).status_code == 403


@pytest.mark.parametrize("value", ["", "x", TOKEN, "a" * 5000, "é", '"; x=1'])
def test_a_forged_cookie_is_refused(stranger, value):
    headers = {"cookie": f"snowmatch-{PORT}={value}".encode()}
    assert stranger.get("/", headers=headers).status_code == 403


@pytest.mark.parametrize("other", ['seen={"x":1}', "a/b=1", "a@b=1", "alone", "a=b c"])
def test_a_cookie_of_another_program_of_this_computer_shuts_nobody_out(client, other):
    ((name, secret),) = client.cookies.items()
    client.cookies.clear()
    assert client.get("/", headers={"cookie": f"{other}; {name}={secret}"}).status_code == 200
    assert client.get("/", headers={"cookie": f"{other}; {name}={secret}x"}).status_code == 403


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.swapcase()])
def test_a_wrong_token_opens_nothing(stranger, token):
    answer = stranger.get("/", params={"token": token})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_token_becomes_a_strict_cookie_and_leaves_the_address(stranger):
    answer = stranger.get("/photos", params={"token": TOKEN, "q": 'a"><script>'})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert TOKEN not in answer.text
    assert "<script>" not in answer.text
    assert "/photos?q=a" in answer.text


def test_entering_leads_nowhere_else(stranger):
    answer = stranger.get("//evil.example/x", params={"token": TOKEN})
    assert "//evil.example" not in answer.text


def test_the_token_of_another_start_is_worthless(folder, client):
    other = TestClient(make_app(State(folder), PORT, "another"), base_url=HERE, cookies=client.cookies)
    assert other.get("/").status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])  # same-site: another server on this computer
def test_pictures_are_not_shown_on_other_sites(client, site):
    path = f"/picture/photo/160/{key_of_first(client)}"
    assert client.get(path).status_code == 200
    assert client.get(path, headers={"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"origin": f"http://127.0.0.1:{PORT + 1}"},
        {"origin": f"http://localhost:{PORT}"},  # not the name that was asked
        {"origin": HERE, "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {},
    ],
)
def test_a_post_from_elsewhere_changes_nothing(folder, headers):
    state = State(folder)
    client = TestClient(make_app(state, PORT, TOKEN), base_url=HERE)
    client.get("/", params={"token": TOKEN})
    assert client.post("/observer", data={"observer": "mallory"}, headers=headers).status_code == 403
    assert state.observer == ""


def test_who_is_not_let_in_is_told_so_in_the_language_of_the_browser(client, stranger):
    for browser, headers in (
        (stranger, {}),
        (client, {"host": "evil.example"}),
        (client, {"sec-fetch-site": "cross-site"}),
        (client, {"sec-fetch-site": "same-origin", "origin": "https://evil.example"}),
    ):
        for language, letters in (("ru", "[А-Яа-я]"), ("en", "[A-Za-z]")):
            told = browser.post("/observer", data={}, headers={**headers, "accept-language": language})
            assert told.status_code in (403, 421)
            assert re.match(letters, told.text), told.text


def test_a_post_with_the_token_in_the_address_is_no_entry(stranger):
    assert stranger.post("/observer", params={"token": TOKEN}, headers={"origin": HERE}).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused(client, method):
    answer = client.request(method, "/", headers={"origin": "http://evil.example"})
    assert answer.status_code == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_every_answer_has_the_headers(client, stranger):
    for answer in (client.get("/"), client.get("/nowhere"), stranger.get("/"), client.get("/static/style.css")):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
    picture = client.get(f"/picture/photo/160/{key_of_first(client)}")
    assert picture.headers["cache-control"].startswith("private")
    assert picture.headers["cross-origin-resource-policy"] == "same-origin"


OUTSIDE = ["../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5cx", "/etc/passwd", "%00", "a" * 3000]


# Every address with one of its changing parts open; the others have right values
HOLES = [
    re.sub(r"{(\w+)[^}]*}", lambda other: "{}" if other.start() == hole.start() else RIGHT[other[1]], path)  # noqa: B023
    for path in sorted({route.path for route in ROUTES})
    for hole in re.finditer(r"{\w+[^}]*}", path)
]


@pytest.mark.parametrize("pattern", ["/static/{}", *HOLES])
@pytest.mark.parametrize("outside", OUTSIDE)
def test_no_identifier_leads_to_a_file(client, pattern, outside):
    for answer in (client.get(pattern.format(outside)), client.post(pattern.format(outside))):
        assert answer.status_code in (400, 403, 404, 405)
        assert "root:" not in answer.text


def test_stopping_work_by_a_path_writes_nothing(client, folder):
    before = sorted(folder.parent.rglob("stop"))
    assert client.post("/jobs/..%2f..%2f/stop").status_code in (400, 404)
    assert sorted(folder.parent.rglob("stop")) == before


def archive():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("../../evil.jpg", jpeg())
    return held.getvalue()


def bomb(width, height):
    """A picture whose few bytes stand for a gigantic one."""
    held = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(held, "PNG")
    content = bytearray(held.getvalue())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<html><script>alert(1)</script></html>"


@pytest.mark.parametrize(
    "content",
    [
        archive(),
        bomb(60000, 60000),
        bomb(12500, 12500),
        SVG,
        HTML,
        b"",
        b"%PDF-1.4",
        jpeg()[:400],
        b"GIF89a" + b"0" * 99,
    ],
    ids=["zip", "bomb", "large", "svg", "html", "empty", "pdf", "truncated", "gif"],
)
def test_what_is_no_photo_is_not_kept(client, folder, content):
    before = sorted(folder.rglob("*"))
    answer = client.post("/identify/photo", params={"name": "../../a.jpg"}, content=content, headers=JSON)
    assert answer.status_code == 400
    assert "a.jpg" in answer.json()["error"]
    assert str(folder) not in answer.json()["error"]
    new = set(folder.rglob("*")) - set(before)
    assert all(path.is_dir() for path in new)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (archive(), "файл не читается как снимок, нужен один из форматов JPEG, PNG, TIFF, WEBP, BMP"),
        (bomb(60000, 60000), "больше 178 Мп"),
        (bomb(12500, 12500), "больше 120 Мп"),
        (b"", "файл пуст"),
        (jpeg()[:400], "файл "),
    ],
    ids=["zip", "bomb", "large", "empty", "truncated"],
)
def test_why_a_photo_is_refused_is_told_in_the_language_of_the_page(client, content, told):
    asked = {"name": "снимок.jpg", "lang": "ru"}
    answer = client.post("/identify/photo", params=asked, content=content, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"снимок.jpg: {told}")


def test_that_a_photo_cannot_be_kept_is_told_in_the_language_of_the_page(client, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads, "open_photo", full)
    asked = {"name": "a.jpg", "lang": "ru"}
    answer = client.post("/identify/photo", params=asked, content=jpeg(5), headers=JSON)
    assert answer.json()["error"].startswith("a.jpg: снимок не удалось сохранить в ")


@pytest.mark.parametrize(("language", "told"), [("en", "the system refuses"), ("ru", "Система этого не")])
def test_a_folder_that_cannot_be_written_is_told(client, monkeypatch, language, told):
    def read_only(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    for module in (uploads, jobs):
        monkeypatch.setattr(module, "make_folder", read_only)
    for address in ("/identify/photo", "/jobs/start"):
        answer = client.post(address, params={"name": "a.jpg", "lang": language}, data={"kind": "index"}, headers=JSON)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(told)
        assert "Permission denied" in answer.json()["error"]


def test_that_there_is_too_little_memory_is_told(client, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(uploads, "read_small", full)
    answer = client.post("/identify/photo", params={"name": "a.jpg"}, content=jpeg(5), headers=JSON)
    assert answer.json()["error"].startswith("there is not enough memory")


def test_a_name_of_an_upload_is_only_shown(client, folder):
    name = "../../<script>alert(1)</script>.php"
    kept = client.post("/identify/photo", params={"name": name}, content=jpeg()).json()
    assert "/" not in kept["name"].replace("</", "<")
    files = [path.name for path in (folder / ".snowmatch/uploads").iterdir()]
    assert all(file.startswith(kept["id"]) for file in files if file != "questions")


@pytest.mark.parametrize("path", ["/observer", "/identify/ask", "/identify/photo", "/jobs/start"])
def test_too_large_a_body_gets_a_clear_answer(client, path):
    limit = app_module.body_limit(path)
    assert limit == (LARGEST if path == "/identify/photo" else LARGEST_BODY)
    answer = client.post(path, content=b"", headers={"content-length": str(2 << 30)})
    assert answer.status_code == 413
    assert "at most" in answer.text
    answer = client.post(f"{path}?lang=ru", content=b"", headers={"content-length": str(2 << 30)})
    assert f"не больше {limit >> 20} МБ" in answer.text


def test_a_body_without_a_length_is_counted(client):
    answer = client.post("/identify/ask", content=(b"x" * 65536 for _ in range(20)))
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "１", "99999999999999999999999"])
def test_a_strange_length_is_refused(client, length):
    assert client.post("/observer", content=b"", headers={"content-length": length.encode()}).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 10_000,
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"photos": NaN}',
        b'{"photos": ["a"], "boxes": [[1e400, 0, 1, 1]]}',
        b'{"photos": ["a"], "boxes": [[true, 0, 1, 1]]}',
        b'{"photos": [{}], "boxes": [null]}',
        b'{"photos": ["../../x"], "boxes": [null]}',
        b'{"photos": ["a"], "boxes": ["\\ud800"]}',
        b'{"photos": ["' + b"a" * 32 + b'"], "boxes": [null], "timestamp": "yesterday"}',
        b'{"photos": ["' + b"a" * 32 + b'"], "boxes": [null], "body_part": "wing"}',
    ],
)
def test_strange_json_gets_a_clear_answer(client, body):
    reading = ("/changes", "/review/answer", "/review/open", "/review/skip", "/identify/ask", "/identify/guess")
    for path in reading:
        answer = client.post(path, content=body, headers=JSON)
        assert answer.status_code == 400
        assert answer.json()["error"]


def test_names_are_text_and_not_html(client):
    key = key_of_first(client)
    for path in ("/photos", f"/photos/{key}", "/photos?q=<script>alert(1)</script>", "/identify", "/?lang=<script>"):
        text = client.get(path).text
        assert "<img src=x" not in text
        assert "<script>alert" not in text


def test_no_route_answers_with_an_error_of_the_server(client):
    """A fuzzer over all routes: strange values in addresses, queries and bodies, and never a 500."""
    rng = random.Random(1)
    strange = [
        "",
        "0",
        "-1",
        "a",
        "..",
        "%00",
        "é",
        "'\"<>",
        "9" * 40,
        "0" * 40,
        "null",
        "a" * 300,
        "photo",
        "160",
        "20250101-000000-index",
    ]
    queries = ["q", "page", "individual", "state", "lang", "name", "token"]
    paths = [getattr(route, "path", "") for route in ROUTES]
    assert len(paths) > 10
    bodies = [
        b"",
        b"{}",
        b"[]",
        b'{"photos":["a"],"boxes":[[0,0,1,1]]}',
        b"who=0&name=x",
        b"kind=x",
        b"\x00\xff",
        b"--x\r\n",
    ]
    kinds = [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
    ]
    for path, _ in itertools.product(paths, range(3)):  # tests/test_web_fuzz.py asks more
        if path in ("/observer", "/events"):  # that gives the observer another name; this does not end
            continue
        asked = "/".join(rng.choice(strange) if part.startswith("{") else part for part in path.split("/"))
        for method in ("GET", "POST"):
            answer = client.request(
                method,
                asked,
                params={rng.choice(queries): rng.choice(strange)},
                content=rng.choice(bodies),
                headers={
                    "content-type": rng.choice(kinds),
                    "accept-language": rng.choice(strange).encode(),
                    "accept": rng.choice(["*/*", "application/json"]),
                },
            )
            assert answer.status_code < 500, (method, asked, answer.text[:300])


def test_a_question_is_plain_json(client):
    kept = client.post("/identify/photo", params={"name": "a.jpg"}, content=jpeg()).json()
    body = json.dumps({"photos": [kept["id"]], "boxes": [[0, 0, 10, 10]], "extractor": "../x"})
    assert client.post("/identify/ask", content=body).status_code == 400


def test_identifiers_never_leave_their_folder(client, folder):
    """The functions behind the routes, without the routes: files of the right kind lie just outside."""
    uploads, home = folder / ".snowmatch" / "uploads", folder / ".snowmatch"
    kept = client.post("/identify/photo", params={"name": "a.jpg"}, content=jpeg()).json()
    address = client.post("/identify/ask", json={"photos": [kept["id"]], "boxes": [None]}).json()["address"]
    name = address.rpartition("/")[2]
    shutil.copy(uploads / "questions" / f"{name}.json", uploads / "planted.json")
    (home / "job.json").write_text(json.dumps({"kind": "index", "arguments": [], "started": 0}))
    (home / "jobs").mkdir(exist_ok=True)
    assert find_question(folder, name)
    for find, outside in ((find_question, "../planted"), (find_upload, f"questions/../{kept['id']}"), (read_job, "..")):
        with pytest.raises(SnowmatchError):
            find(folder, outside)
