"""Two persons log in and decide in a real browser, over the network and without a certificate. Skipped without one."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snowmatch.review.accounts import add_account
from snowmatch.review.identities import answer_pair, open_identities
from snowmatch.web.state import State

pytestmark = pytest.mark.browser
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(path).exists()), None)
PASSWORD = "snow on the pass"


@pytest.fixture
def folder(survey, tmp_path):
    folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
    State(folder).evidence()
    for name, role in (("Anna", "observer"), ("Бек", "administrator"), ("Dina", "reader")):
        add_account(folder, name, role, PASSWORD)
    return folder


@pytest.fixture
def address(folder):
    """The address of a server that every computer of the network can ask; the one of this computer in the network."""
    command = [sys.executable, "-u", "-m", "snowmatch.cli", "serve", folder, "--no-browser"]
    command += ["--host", "0.0.0.0", "--insecure-lan"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait(20)
    process.stdout.close()


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no browser is installed")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def enter(browser, address, name, password=PASSWORD, path=""):
    page = browser.new_context(viewport={"width": 1000, "height": 800}).new_page()
    page.set_default_timeout(60_000)
    page.goto(address + path)
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    page.click("main button")
    return page


def test_two_persons_log_in_and_decide(browser, address, folder):
    page = enter(browser, address, "Anna", "wrong password", "review?mode=open")
    assert page.inner_text("[role=alert]") == "Name or password is wrong."
    page.fill("input[name=name]", "Anna")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/review?mode=open")  # where the link led
    other = enter(browser, address, "Бек", path="review")
    for each in (page, other):
        each.wait_for_selector(".question:not([hidden])")
        each.keyboard.press("d")
    deadline = time.monotonic() + 60
    while {row.observer for row in open_identities(folder).rows} != {"Anna", "Бек"}:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert page.locator("a[data-go=j]").count() == 0
    assert other.locator("a[data-go=j]").count() > 0
    page.click("a.observer")
    page.click("form[action='/logout'] button")
    page.wait_for_url("**/login")
    page.go_back()
    page.wait_for_selector("input[name=password]")  # not the page that was there
    other.goto(address + "photos")
    assert other.locator("main img").count() > 0


def test_a_reader_answers_blind_and_meets_no_name(browser, address, folder):
    state = State(folder)
    who = state.identities().who
    for a, b in list(state.evidence().pairs)[:4]:
        state.append(lambda i, a=a, b=b: [answer_pair(i, a, b, "same", "Anna", note="a remark of Anna")])
    page = enter(browser, address, "Dina", path="review")
    answers, texts = [], []
    page.on("response", lambda answer: answers.append((answer.status, answer.url)))
    for mode in ("blind", "training"):
        page.goto(f"{address}review?mode={mode}")
        for key, path in (("d", "answer"), ("u", "undo"), ("d", "answer"), ("k", "skip"), ("c", "answer")):
            page.wait_for_selector(".question:not([hidden])")
            texts.append(page.content())
            page.keyboard.press("x")  # the scenery, and the matched spots, which are hidden
            page.keyboard.press("l")
            with page.expect_response(f"**/review/{path}"):
                page.keyboard.press(key)
        page.wait_for_selector(".question:not([hidden])")
        page.wait_for_timeout(500)  # pictures of the next question
    names = {each.name for each in who.individuals if each.name} | {"Anna"}
    everything = "\n".join([*texts, *(url for _, url in answers)])
    assert not [name for name in names if name in everything]
    assert max(status for status, _ in answers) < 400
    assert sum("/picture/" in url for _, url in answers) > 8
    kept = [(row.mode, row.kind, row.answer) for row in open_identities(folder).rows if row.observer == "Dina"]
    for mode in ("blind", "training"):
        said = [answer for way, kind, answer in kept if (way, kind) == (mode, "pair")]
        assert said == ["different", "different", "cannot_tell"]
    assert page.locator(".ways a").all_inner_texts() == ["Second answers", "Practice"]
    page.goto(address + "individuals")
    assert "this needs the role observer" in page.inner_text("main")
    page.click("main a")
    page.wait_for_selector(".question:not([hidden])")
