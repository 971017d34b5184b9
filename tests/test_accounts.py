"""Observers with passwords: what the file holds, and who gets in."""

import hashlib
import json
import os
import stat
import sys
import threading

import pytest
from click.testing import CliRunner

from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.locks import file_lock
from snowmatch.review import accounts
from snowmatch.review.accounts import (
    COST,
    accounts_path,
    add_account,
    check_password,
    read_accounts,
    remove_account,
    set_password,
)

PASSWORD = "snow on the pass"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(accounts, "COST", (16, 8, 1))  # a real hash takes a third of a second
    (tmp_path / "catalog").mkdir()
    return tmp_path / "catalog"


def test_a_password_opens_its_own_account_alone(folder):
    add_account(folder, "Anna", "observer", PASSWORD)
    add_account(folder, "Bek", "administrator", "another password")
    known = read_accounts(folder)
    assert [(a.name, a.role) for a in known] == [("Anna", "observer"), ("Bek", "administrator")]
    assert check_password(known, "Anna", PASSWORD) == known[0]
    for name, password in (
        ("Bek", PASSWORD),
        ("Anna", PASSWORD + " "),
        ("anna", PASSWORD),
        ("", PASSWORD),
        ("Anna", ""),
    ):
        assert check_password(known, name, password) is None


def test_the_file_holds_no_password_and_only_its_owner_reads_it(folder):
    os.umask(before := os.umask(0))
    add_account(folder, "Anna", "observer", PASSWORD)
    add_account(folder, "Bek", "observer", PASSWORD)
    set_password(folder, "Bek", PASSWORD)
    text = accounts_path(folder).read_text()
    assert PASSWORD not in text
    assert hashlib.sha256(PASSWORD.encode()).hexdigest() not in text
    one, other = read_accounts(folder)
    assert one.salt != other.salt  # the same password twice is not seen
    assert one.hash != other.hash
    if sys.platform != "win32":
        assert stat.S_IMODE(accounts_path(folder).stat().st_mode) == 0o600
    assert before == os.umask(before)


def test_what_a_real_hash_costs(tmp_path):
    """16 MB at least, and the parameters are kept, so that later ones can be dearer."""
    add_account(tmp_path, "Anna", "observer", PASSWORD)
    (account,) = read_accounts(tmp_path)
    assert (account.n, account.r, account.p) == COST
    assert 128 * account.n * account.r >= 16 << 20
    assert check_password([account], "Anna", PASSWORD) == account


def test_an_unknown_name_costs_the_same_work_as_a_wrong_password(folder, monkeypatch):
    add_account(folder, "Anna", "observer", PASSWORD)
    known, asked, real = read_accounts(folder), [], hashlib.scrypt

    def counted(text, **values):
        asked.append({k: v for k, v in values.items() if k != "salt"})
        return real(text, **values)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    assert check_password(known, "Anna", "wrong password") is None
    assert check_password(known, "Nobody", "wrong password") is None
    assert check_password((), "Nobody", "wrong password") is None
    assert len(asked) == 3
    assert asked[0] == asked[1] == asked[2]


def test_one_name_and_one_password_typed_in_two_ways(folder):
    add_account(folder, "  Андрей   Ж. ", "observer", "пароль с й")
    known = read_accounts(folder)
    assert known[0].name == "Андрей Ж."
    decomposed = "Андреи\u0306 Ж.", "пароль с и\u0306"
    assert check_password(known, *decomposed) == known[0]


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\x1b[2J", "machine", "Machine", "a\u202eb", "a\u200cb"])
def test_names_that_cannot_be(folder, name):
    with pytest.raises(SnowmatchError):
        add_account(folder, name, "observer", PASSWORD)
    assert not accounts_path(folder).exists()


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1001])
def test_passwords_that_cannot_be(folder, password):
    with pytest.raises(SnowmatchError, match=f"has {len(password)} characters, expected 8 to 1000"):
        add_account(folder, "Anna", "observer", password)


def test_a_name_may_have_the_joiners_that_its_script_needs(folder):
    for name in ("\u0645\u0647\u200c\u062f\u06cc", "\u0930\u094d\u200d\u092f"):  # Persian, Hindi
        assert add_account(folder, name, "observer", PASSWORD).name == name
        with pytest.raises(SnowmatchError, match="already"):
            add_account(folder, name.replace("\u200c", "").replace("\u200d", ""), "observer", PASSWORD)


def test_names_that_look_alike_are_one_name(folder):
    add_account(folder, "Anna", "observer", PASSWORD)
    for name in ("Anna", "anna", "ＡＮＮＡ", " Anna "):
        with pytest.raises(SnowmatchError, match="already"):
            add_account(folder, name, "administrator", PASSWORD)


def test_removing_and_a_new_password(folder):
    add_account(folder, "Anna", "adjudicator", PASSWORD)
    set_password(folder, "Anna", "a new password")
    known = read_accounts(folder)
    assert known[0].role == "adjudicator"
    assert check_password(known, "Anna", PASSWORD) is None
    assert check_password(known, "Anna", "a new password")
    remove_account(folder, "Anna")
    assert read_accounts(folder) == ()
    for change in (lambda: remove_account(folder, "Anna"), lambda: set_password(folder, "Anna", PASSWORD)):
        with pytest.raises(SnowmatchError, match="no observer 'Anna'"):
            change()


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("observers"),
        lambda values: values["observers"][0].pop("salt"),
        lambda values: values["observers"][0].update(salt="xx"),
        lambda values: values["observers"][0].update(hash=""),
        lambda values: values["observers"][0].update(role="king"),
        lambda values: values["observers"][0].update(n=3),
        lambda values: values["observers"][0].update(n=1 << 40),  # it would take a terabyte
        lambda values: values["observers"][0].update(p=0),
        lambda values: values["observers"][0].update(name=7),
    ],
)
def test_a_damaged_file_lets_nobody_in(folder, change):
    add_account(folder, "Anna", "observer", PASSWORD)
    values = json.loads(accounts_path(folder).read_text())
    change(values)
    accounts_path(folder).write_text(json.dumps(values))
    with pytest.raises(SnowmatchError, match="damaged"):
        read_accounts(folder)
    with pytest.raises(SnowmatchError, match="damaged"):
        add_account(folder, "Bek", "observer", PASSWORD)


def test_two_administrators_at_once_lose_no_name(folder):
    names = [f"Observer {n}" for n in range(12)]
    threads = [threading.Thread(target=add_account, args=(folder, name, "observer", PASSWORD)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.name for a in read_accounts(folder)] == sorted(names)
    assert [p.name for p in folder.iterdir() if p.name != ".snowmatch"] == ["accounts.json"]


def said(*arguments, given=""):
    result = CliRunner().invoke(main, ["observers", *map(str, arguments)], input=given)
    return result.exit_code, result.output


def test_who_changes_the_accounts_for_long_is_waited_for_and_told(folder, monkeypatch):
    monkeypatch.setattr(accounts, "WAIT", 0.1)
    add_account(folder, "Anna", "observer", PASSWORD)
    with file_lock(folder / ".snowmatch" / "observers.lock"), pytest.raises(SnowmatchError, match="another program"):
        add_account(folder, "Bek", "observer", PASSWORD)
    assert [each.name for each in read_accounts(folder)] == ["Anna"]
    add_account(folder, "Bek", "observer", PASSWORD)


def test_the_commands(folder):
    assert said(folder, "list") == (0, "nobody can log in\n")
    assert said(folder, "add", "Anna", "--role", "adjudicator", given=PASSWORD + "\n")[0] == 0
    assert said(folder, "add", "Bek", given="another password\n")[0] == 0
    assert said(folder, "list")[1].split() == ["Anna", "adjudicator", "Bek", "observer"]
    assert json.loads(said(folder, "list", "--json")[1])[1] == {"name": "Bek", "role": "observer"}
    assert said(folder, "password", "Bek", given="a third password\n")[0] == 0
    assert check_password(read_accounts(folder), "Bek", "a third password")
    status, text = said(folder, "remove", "Anna")
    assert (status, PASSWORD in text) == (0, False)
    assert said(folder, "list")[1].split() == ["Bek", "observer"]
    for wrong in (("add", "Bek"), ("remove", "Nobody"), ("add", "Cem", "--role", "observer")):
        status, text = said(folder, *wrong, given="short\n")
        assert status == 1
        assert text.startswith("Error: ")
        assert len(text.splitlines()) == 1
    assert said(folder.parent / "nowhere", "add", "Anna", given=PASSWORD + "\n")[0] == 1
