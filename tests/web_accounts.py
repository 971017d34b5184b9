"""A server for several observers, and browsers that log in."""

import shutil

import pytest
from starlette.testclient import TestClient
from web_small import make_catalog

from snowmatch.review import accounts
from snowmatch.review.accounts import add_account
from snowmatch.web.app import app_behind
from snowmatch.web.logins import LoginDoor
from snowmatch.web.routes import ROUTES
from snowmatch.web.state import State

PORT, ADDRESS = 8123, "192.168.1.5"
PEOPLE = {"dina": "reader", "anna": "observer", "bek": "adjudicator", "chyngyz": "administrator"}
PASSWORD = "snow on the pass of "
HTML = {"accept": "text/html,*/*;q=0.8"}
JSON = {"accept": "application/json"}


@pytest.fixture(scope="module", autouse=True)
def cheap():
    """Passwords that cost nothing: a real hash takes a third of a second."""
    before, accounts.COST = accounts.COST, (16, 8, 1)
    yield
    accounts.COST = before


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = make_catalog(tmp_path_factory.mktemp("logins"))
    for name, role in PEOPLE.items():
        add_account(folder, name, role, PASSWORD + name)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "catalog")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def server(folder):
    return Lan(folder)


class Lan:
    """A server for several people, and browsers that ask it."""

    def __init__(self, folder, scheme="http", names=("camp.local",)):
        self.folder, self.clock, self.state = folder, Clock(), State(folder)
        self.door = LoginDoor(folder, PORT, scheme, names, self.clock)
        self.app = app_behind(self.door, self.state)
        self.address = f"{scheme}://{ADDRESS}:{PORT}"

    def browser(self, computer="192.168.1.77"):
        found = TestClient(self.app, base_url=self.address, client=(computer, 5000), follow_redirects=False)
        found.headers["origin"] = self.address
        return found

    def log_in(self, name, password=None, browser=None, computer="192.168.1.77", **values):
        browser = browser or self.browser(computer)
        said = {"name": name, "password": PASSWORD + name if password is None else password, **values}
        return browser, browser.post("/login", data=said)

    def person(self, name):
        browser, answer = self.log_in(name)
        assert answer.status_code == 303, answer.text
        return browser

    def secret(self, browser):
        return browser.cookies[self.door.cookie]


def refused(answer):
    """Whether an answer shows nothing but the way to the login."""
    leads = answer.status_code == 200 and 'http-equiv="refresh" content="0; url=/login?next=' in answer.text
    return (answer.status_code == 403 or leads) and "aika" not in answer.text and len(answer.content) < 1000


def fill(path):
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))


EVERY = [(route.path, method) for route in ROUTES for method in sorted(route.methods - {"HEAD"})]
