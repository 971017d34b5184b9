"""A reader gives second answers blind: nothing that the app answers tells a name, another's answer or a probability."""

import csv
import html
import json
import re
import shutil
import time

import pytest
from conftest import until
from web_accounts import ADDRESS, HTML, JSON, PASSWORD, PEOPLE, Lan, cheap
from web_small import SETTINGS, jpeg

from snowmatch.api import open_catalog
from snowmatch.review.accounts import add_account, read_accounts, remove_account
from snowmatch.review.history import WAYS
from snowmatch.review.identities import answer_pair, name_sightings, open_identities
from snowmatch.views.previews import KINDS, SIZES
from snowmatch.web.desk import HIDDEN
from snowmatch.web.people import READER
from snowmatch.web.rights import PUBLIC, role_of
from snowmatch.web.routes import ROUTES
from snowmatch.web.signs import signs_of

__all__ = ["cheap"]  # fixtures

NAME, WHO, NOTE = "Zyxwvu", "Wqrstk", "Mnbvcx"  # of an animal, of another observer, and of what that one remarked
SECRETS = (NAME, WHO, NOTE)
TELLING = {"name", "probability", "careful", "level", "spots", "why", "reason", "answers", "sightings", "observer"}
# What a reader reaches: the route, and how
READERS = {
    *(("/", "GET"), ("/favicon.ico", "GET"), ("/login", "GET"), ("/login", "POST")),
    *(("/logout", "POST"), ("/account", "GET"), ("/account/password", "POST")),
    *(("/review", "GET"), ("/review/next", "GET"), ("/review/results", "GET")),
    *(("/review/answer", "POST"), ("/review/undo", "POST"), ("/review/open", "POST"), ("/review/skip", "POST")),
    *(("/picture/{kind}/{size}/{key:path}", "GET"), ("/scenery/{size}/{key:path}", "GET")),
}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """A catalog that has the name of an animal in its paths, identifiers and encounters. Do not change it."""
    folder = tmp_path_factory.mktemp("reader") / "catalog"
    rows = []
    animals = [(1, NAME), (1, NAME), (2, "bars"), (2, "bars"), (2, "bars"), (3, NAME + "-kid"), (4, "umai")]
    for n, (seed, who) in enumerate(animals):
        path = folder / "photos" / "naryn" / f"st{n % 2}" / who / "left_flank" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed, shift=3 * n))  # not so like another one that it is a copy
        place = ["left_flank", "naryn", f"st{n % 2}", f"2025-0{n + 1}-01T10:00:00", f"{who} {n}", "20,20,280,200"]
        rows.append([path.relative_to(folder).as_posix(), who, *place, f"{who}-{n}"])
    head = ["path", "individual", "body_part", "location", "station", "timestamp", "encounter", "bbox", "annotation"]
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    open_catalog(folder, classifier="none", boxes=False).index("sift", SETTINGS, workers=1)
    return folder


def served(indexed, folder, answers, name="dina"):
    """A server with others' answers, the first one first, and the browser of one person."""
    shutil.copytree(indexed, folder)
    for each, role in PEOPLE.items():
        add_account(folder, each, role, PASSWORD + each)
    server = Lan(folder)
    for a, b, said in answers:
        server.state.append(
            lambda i, a=a, b=b, said=said: [answer_pair(i, a, b, said, WHO, note=NOTE, certainty=3, opened_at="")]
        )
    return server, logged_in(server, name)


def logged_in(server, name):
    """The browser of somebody whose password was right."""
    account = next(each for each in read_accounts(server.folder) if each.name == name)
    browser = server.browser()
    browser.cookies.set(server.door.cookie, server.door.begin(account), domain=ADDRESS, path="/")
    return browser


ANSWERED = [(0, 1, "same"), (0, 2, "different"), (2, 3, "same"), (1, 5, "cannot_tell"), (3, 6, "different")]


@pytest.fixture
def server(indexed, tmp_path):
    return served(indexed, tmp_path / "catalog", ANSWERED)[0]


@pytest.fixture
def dina(server):
    return logged_in(server, "dina")


def asked(browser, mode="blind", **more):
    """Return the next questions. The evidence is gathered in the background, so ask until it is there."""

    def ask():
        answer = browser.get("/review/next", params={"mode": mode, **more}, headers=JSON)
        assert answer.status_code == 200, answer.text
        return answer.json() if "questions" in answer.json() else None

    return until(ask)["questions"]


def said(browser, question, answer="same", mode="blind", **more):
    values = {"mode": mode, "pair": question["pair"], "answer": answer, "opened_at": str(time.time()), **more}
    return browser.post("/review/answer", json=values, headers=JSON)


def whole(answer):
    """Return all that an answer tells, as a text: its head, and its body as it is and without the escapes of HTML."""
    text = answer.content.decode("utf-8", "replace")
    return "\n".join([*(f"{key}: {value}" for key, value in answer.headers.items()), text, html.unescape(text)])


def keys_in(value):
    """Yield the names of all values of a JSON text."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    for each in value if isinstance(value, list) else []:
        yield from keys_in(each)


def check_tells_nothing(answer, chances, what):
    """Check that an answer has no secret, no probability, and nothing of what a question tells openly."""
    text = whole(answer)
    for secret in SECRETS:
        assert secret.lower() not in text.lower(), (what, secret)
    for chance in chances:
        assert f"{chance:.9f}"[:5] not in text, what
    if answer.headers.get("content-type", "").startswith("application/json"):
        assert not TELLING & set(keys_in(answer.json())), what
    if answer.headers.get("content-type", "").startswith("text/html") and not what[1].startswith("/review/results"):
        assert not re.search(r"\d\s?%", answer.text), what


def addresses_in(answer):
    """Return the addresses of this server in an answer."""
    text = html.unescape(answer.text) if "text" in answer.headers.get("content-type", "") else ""
    found = set(re.findall(r"""(?:href|src|action|formaction|data-load|data-poll)="([/?][^"]*)""", text))
    return {each if each.startswith("/") else f"/review{each}" for each in found} | {
        value for key, value in answer.headers.items() if key == "location"
    }


@pytest.mark.slow
def test_no_answer_to_a_reader_tells_a_name_an_answer_or_a_probability(server, dina):
    """A walk over all routes, with all that could be meant by them, and over all that the answers lead to."""
    state = server.state
    state.append(lambda i: [name_sightings(i, [6], NAME + "-two", WHO)])
    gone = next((server.folder / "photos").rglob("1.jpg"))
    questions = [*asked(dina, count=20), *asked(dina, "training", count=20)]
    gone.unlink()  # an error about it would tell the path
    chances = [likely.probability for likely in state.evidence().pairs.values()]
    chances += [likely.careful for likely in state.evidence().pairs.values()]
    assert chances
    signs = sorted({frame["key"] for each in questions for side in each["sides"] for frame in side["frames"]})
    assert len(signs) == 7
    keys = [a.annotation for a in state.identities().annotations]
    assert all(NAME in key for key in keys[:2])
    meant = ["x", *signs, *keys, *(f"~{key}" for key in keys), NAME, "captures.csv", "rates.csv"]
    pairs = [questions[0]["pair"], questions[-1]["pair"], keys[:2], ["x", "y"], None]

    def filled(path):
        path = path.replace(":path}", "}")
        holes = re.findall(r"{(\w+)}", path)
        some = {"kind": [*KINDS, "plain"], "size": ["0", "160", str(SIZES[-1])]}
        some |= {"name": ["x", signs[0], NAME]} if "sign" in holes else {}
        found = [path]
        for hole in holes:
            found = [each.replace(f"{{{hole}}}", value) for each in found for value in some.get(hole, meant)]
        return found

    gets = {address for route in ROUTES for address in filled(route.path)}
    gets |= {f"{path}?mode={way}" for path in ("/review", "/review/next", "/review/spots") for way in (*WAYS, "x")}
    gets |= {f"/review?mode=blind&a={keys[0]}&b={keys[1]}", f"/review/spots?a={signs[0]}&b={signs[1]}"}
    gets |= {f"/review/next?mode={way}&a={a}&b={b}" for way in HIDDEN for a, b in (keys[:2], pairs[0])}
    reached, waiting, shown = set(), sorted(gets), 0
    while waiting:
        address = waiting.pop()
        for headers in (HTML, JSON):
            answer = dina.get(address, headers={**headers, "accept-language": "ru" if "st" in address else "en"})
            check_tells_nothing(answer, chances, ("GET", address))
            assert answer.status_code < 500
            shown += answer.headers.get("content-type") == "image/jpeg"
            reached |= {(route_of(address), "GET")} if answer.status_code not in (403, 404, 405) else set()
            for found in addresses_in(answer) - gets:
                gets.add(found)
                waiting.append(found)
    assert shown > 50
    for route in ROUTES:
        if "POST" in route.methods and route.path != "/logout":
            for address in sorted({each for each in filled(route.path) if NAME not in each})[:3]:
                for way in (*WAYS, "x", None):
                    for pair in pairs:
                        body = {"pair": pair, "answer": "same", "keys": keys, "kind": "undo", "frames": pair}
                        body |= {"ids": [row.id for row in state.identities().rows], "store": True, "photos": keys}
                        body |= {"mode": way} if way else {}
                        answer = dina.post(address, json=body, headers=JSON)
                        check_tells_nothing(answer, chances, ("POST", address))
                        assert answer.status_code < 500
                        reached |= {(route.path, "POST")} if answer.status_code != 403 else set()
                for headers in (HTML, JSON):
                    answer = dina.post(address, data={"kind": "index", "observer": "x", "who": "new"}, headers=headers)
                    check_tells_nothing(answer, chances, ("POST", address))
    answer = dina.post("/logout", headers=HTML)
    check_tells_nothing(answer, chances, ("POST", "/logout"))
    reached.add(("/logout", "POST"))
    passwords = {("/login", "POST"), ("/account/password", "POST")}  # they ask for one
    assert {each for each in reached if not each[0].startswith("/static/")} | passwords == READERS
    own = [row for row in state.identities().rows if row.observer == "dina"]
    assert own
    assert {(row.role, row.kind) for row in own} == {("observer", "pair"), ("observer", "undo")}
    assert {row.mode for row in own if row.kind == "pair"} == {"blind", "training"}
    assert [row.observer for row in state.identities().rows if row.kind in ("pair", "name")].count(WHO) == 6


def route_of(address):
    """Return the path of the route that an address is answered by."""
    path = address.partition("?")[0].partition("#")[0]
    for route in ROUTES:
        if route.path_regex.match(path):
            return route.path
    return path


def test_a_reader_reaches_only_routes_that_are_named():
    """A new route is refused until somebody has looked at what it tells, and has named it here."""
    free = {(r.path, m) for r in ROUTES for m in r.methods - {"HEAD"} if role_of(r) in (READER, "")}
    assert free == READERS
    assert {path for path, _ in READERS if path in PUBLIC} == set(PUBLIC)


def run(browser, server):
    """Answer, skip and take back, and return all that the browser was told, with identifiers for signs."""
    signs, told = signs_of_reader(server), []

    def keep(answer):
        text = re.sub(r"\b[0-9a-f]{16}\b", lambda sign: signs.meant(sign[0]), answer.text)
        text = re.sub(r'"id":"[^"]*"', "", text) if "image" not in answer.headers["content-type"] else text
        told.append((answer.status_code, text))
        return answer

    while found := asked(browser, count=20):
        keep(browser.get("/review/next", params={"mode": "blind", "count": 20}, headers=JSON))
        for side in found[0]["sides"]:
            for frame in side["frames"]:
                keep(browser.get(f"/picture/animal/640/{frame['key']}?box={frame['box']}"))
                keep(browser.get(f"/scenery/640/{frame['key']}"))
        body = {"mode": "blind", "pair": found[0]["pair"]}
        keep(browser.post("/review/open", json=body, headers=JSON))
        keep(said(browser, found[0], ("same", "different")[len(told) % 2]))
        if len(found) == 3:
            keep(browser.post("/review/undo", json=body, headers=JSON))
            keep(said(browser, found[0], "cannot_tell"))
        for address in ("/review", "/review?mode=blind", "/review/results", "/account"):
            keep(browser.get(address, headers=HTML))
    keep(browser.get("/review/next", params={"mode": "blind"}, headers=JSON))
    return told


def signs_of_reader(server):
    return server.state.kept.setdefault("signs of dina", signs_of(server.state))


def test_all_that_a_reader_is_told_blind_is_the_same_whatever_others_answered(indexed, tmp_path):
    """Others' answers, and their order, change nothing: not even the order of the questions."""
    other = {"same": "different", "different": "cannot_tell", "cannot_tell": "same"}
    turned = [(a, b, other[answer]) for a, b, answer in reversed(ANSWERED)]
    told = []
    for name, answers in (("one", ANSWERED), ("other", turned)):
        server, dina = served(indexed, tmp_path / name, answers)
        signs_of_reader(server)
        told.append(run(dina, server))
        assert len([row for row in server.state.identities().rows if row.observer == "dina"]) == len(ANSWERED) + 2
    assert told[0] == told[1]
    assert len(told[0]) > 40
    server, anna = served(indexed, tmp_path / "observer", ANSWERED, "anna")
    keys = [tuple(sorted(each["pair"])) for each in asked(anna, count=20)]  # an observer has them as they were answered
    names = [s.key for s in server.state.identities().who.sightings]
    assert keys == [tuple(sorted((names[a], names[b]))) for a, b, _ in ANSWERED]


@pytest.mark.parametrize("mode", ["open", "adjudicate", None, "x"])
def test_a_reader_answers_in_no_other_way(server, dina, mode):
    question = asked(dina)[0]
    body = {"pair": question["pair"], "answer": "same"} | ({"mode": mode} if mode else {})
    status = 400 if mode == "x" else 403
    for path in ("answer", "undo", "open", "skip"):
        assert dina.post(f"/review/{path}", json=body, headers=JSON).status_code == status
    params = {"mode": mode} if mode else {}
    assert dina.get("/review/next", params=params, headers=JSON).status_code == status
    page = dina.get("/review", params=params, headers=HTML)
    if mode in WAYS:
        assert page.status_code == 403
        assert "this needs the role" in page.text
        assert 'href="/review"' in page.text
        text = dina.get("/review", params={**params, "lang": "ru"}, headers=HTML).text
        assert "а у вас — reader: спросите администратора." in text
    else:
        assert 'data-mode="blind"' in page.text
    assert not [row for row in server.state.identities().rows if row.observer == "dina"]


def test_the_page_of_a_reader_offers_second_answers_and_practice_alone(server, dina):
    home = dina.get("/", headers=HTML)
    assert (home.status_code, home.headers["location"]) == (303, "/review")
    for mode in ("blind", "training"):
        text = dina.get(f"/review?mode={mode}", headers=HTML).text
        links = {each for each in re.findall(r'href="(/[^"]*)"', text) if not each.startswith("/static/")}
        assert links == {"/", "/account", "/review", "/review?mode=blind", "/review?mode=training"}
        assert re.findall(r'data-go="(\w)"', text) == ["r"]  # the menu
        assert "live.js" not in text  # it asks for what others do
        words = json.loads(html.unescape(re.search(r'data-words="([^"]*)"', text)[1]))
        assert "onward" not in words
        assert "Other pages" not in text
    account = dina.get("/account", headers=HTML).text
    assert "Reader" in account
    assert "Второй наблюдатель" in dina.get("/account?lang=ru", headers=HTML).text
    assert "anna" not in account


def test_a_reader_sees_the_pictures_of_own_questions_alone(server, dina):
    key = server.state.identities().annotations[0].annotation
    anna = logged_in(server, "anna")
    sign = asked(dina)[0]["sides"][0]["frames"][0]["key"]
    for path in ("/picture/animal/640/", "/picture/photo/640/", "/scenery/640/"):
        assert anna.get(path + key).status_code == 200
        assert dina.get(path + key, headers=JSON).status_code == 403
        assert dina.get(path + sign).status_code == 200
        assert anna.get(path + sign).status_code == 404  # a sign is of one reader
    add_account(server.folder, "emil", "reader", PASSWORD + "emil")
    assert logged_in(server, "emil").get("/picture/animal/640/" + sign, headers=JSON).status_code == 403
    assert dina.get(f"/found/640/{sign}", headers=JSON).status_code == 403


def test_a_reader_reserves_and_skips_own_questions_alone(server, dina):
    names = [s.key for s in server.state.identities().who.sightings]
    question = asked(dina)[0]
    for pair in (names[:2], [names[0], names[6]], ["x", "y"]):
        for path in ("open", "skip", "answer"):
            body = {"mode": "blind", "pair": pair, "answer": "same"}
            assert dina.post(f"/review/{path}", json=body, headers=JSON).status_code == 400
    assert dina.post("/review/open", json={"mode": "blind", "pair": question["pair"]}, headers=JSON).json() == {
        "free": True
    }
    crossed = [question["pair"][0], next(each["pair"][1] for each in asked(dina) if each != question)]
    if crossed not in [each["pair"] for each in asked(dina)]:
        assert dina.post("/review/open", json={"mode": "blind", "pair": crossed}, headers=JSON).status_code == 400


def test_answers_of_a_reader_are_those_of_an_observer(server, dina):
    question = asked(dina)[0]
    frames = [side["frames"][0]["key"] for side in question["sides"]]
    answer = said(dina, question, "different", frames=frames, marks=[[1, 2, 3, 4]], note="ears", certainty=2)
    assert answer.status_code == 200
    row = open_identities(server.folder).rows[-1]
    assert (row.observer, row.role, row.mode, row.answer) == ("dina", "observer", "blind", "different")
    assert (row.marks, row.note, row.certainty) == (((1.0, 2.0, 3.0, 4.0),), "ears", 2)
    assert [row.side_a[0], row.side_b[0]] == [signs_of_reader(server).meant(sign) for sign in frames]
    undone = dina.post("/review/undo", json={"mode": "blind"}, headers=JSON).json()["undone"]
    assert undone == {"id": row.id, "pair": question["pair"]}
    assert dina.post("/review/undo", json={"mode": "blind"}, headers=JSON).json()["undone"] is None


def test_what_practice_tells_a_reader_comes_at_its_end(server, dina):
    """Before, or with another answer after it, the results would tell what is right about each pair."""
    waiting = {frozenset(each["pair"]) for each in asked(dina, count=20)}
    later = "when all pairs of this practice are answered"
    assert later in dina.get("/review/results", headers=HTML).text
    lessons = asked(dina, "training", count=20)
    assert not waiting & {frozenset(each["pair"]) for each in lessons}  # those that others answered are no practice
    assert said(dina, lessons[0], mode="training").status_code == 200
    assert later in dina.get("/review/results", headers=HTML).text
    assert dina.post("/review/undo", json={"mode": "training"}, headers=JSON).json()["undone"]
    while lessons := asked(dina, "training", count=20):
        assert later in dina.get("/review/results", headers=HTML).text
        assert said(dina, lessons[0], mode="training").status_code == 200
    results = dina.get("/review/results", headers=HTML).text
    assert later not in results
    assert "called the same: " in results
    assert dina.post("/review/undo", json={"mode": "training"}, headers=JSON).json()["undone"] is None
    for question in asked(dina, count=20):  # the weight of an observer moves with each answer that others agree with
        said(dina, question)
        assert dina.get("/review/results", headers=HTML).text == results
    anna = logged_in(server, "anna")
    assert later not in anna.get("/review/results", headers=HTML).text
    again = logged_in(Lan(server.folder), "dina")  # after a new start of the app
    until(lambda: "comparing" not in again.get("/review/next?mode=training", headers=JSON).json())
    assert later not in again.get("/review/results", headers=HTML).text


def test_who_becomes_a_reader_sees_no_more_than_a_reader(server):
    anna = logged_in(server, "anna")
    before = [each["pair"] for each in asked(anna, count=20)]
    assert before[0][0] in [s.key for s in server.state.identities().who.sightings]
    remove_account(server.folder, "anna")
    add_account(server.folder, "anna", "reader", PASSWORD + "anna")
    anna = logged_in(server, "anna")
    after = [each["pair"] for each in asked(anna, count=20)]
    assert before[0][0] not in [sign for pair in after for sign in pair]
    meant = server.state.kept["signs of anna"].meant
    after = [[meant(sign) for sign in pair] for pair in after]
    assert sorted(after) == sorted(before)
    assert after != before  # not in the order in which others were asked
    assert anna.get("/individuals", headers=JSON).status_code == 403
