"""Two persons log in and decide in a real browser, over the network and without a certificate. Skipped without one."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snowmatch.review.accounts import add_account
from snowmatch.review.identities import open_identities
from snowmatch.web.state import State

pytestmark = pytest.mark.browser
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(path).exists()), None)
PASSWORD = "snow on the pass"


@pytest.fixture
def folder(survey, tmp_path):
    folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
    State(folder).evidence()
    for name, role in (("Anna", "observer"), ("Бек", "administrator")):
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
