"""Observers with passwords, for an app that several computers use: `accounts.json` beside the decisions.

The file lies outside `.snowmatch/`, since nobody can make it again, and only its owner may read it. It holds no
password: only what scrypt makes of it, with a salt of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, read_file, replace_file, unreadable
from snowmatch.core.home import home_of
from snowmatch.core.locks import file_lock
from snowmatch.core.plain import read_json
from snowmatch.core.text import JOINERS, is_visible
from snowmatch.review.observer_name import MACHINE

NAME = "accounts.json"
ROLES = ("reader", "observer", "adjudicator", "administrator")  # each may do what those before it may
SHORTEST, LONGEST = 8, 1000  # characters of a password
LONGEST_NAME = 100
COST = (1 << 15, 8, 3)  # n, r, p. Source: OWASP Password Storage Cheat Sheet, scrypt of 32 MB
WAIT = 10.0  # seconds to wait for another program that changes the file
MOST_MEMORY = 1 << 28  # bytes that one hash may take, also where somebody has edited the file


@dataclass(frozen=True)
class Account:
    """One person. salt, hash: of the password, hexadecimal. n, r, p: of scrypt."""

    name: str
    role: str
    salt: str
    hash: str
    n: int
    r: int
    p: int


def accounts_path(folder: Path) -> Path:
    """Return the path of the file of accounts of the catalog in `folder`."""
    return folder / NAME


def read_accounts(folder: Path) -> tuple[Account, ...]:
    """Return all accounts, by name; () if there is no file.

    Raises SnowmatchError if it cannot be read or is damaged.
    """
    path = accounts_path(folder)
    try:
        values = read_json(read_file(path))
        found = tuple(_account(each) for each in values["observers"])
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, OverflowError):
        raise SnowmatchError(
            f"{path} is damaged, expected the names and roles of observers: put back a copy, or delete it and add the "
            "observers again"
        ) from None
    return tuple(sorted(found, key=lambda each: each.name))


def add_account(folder: Path, name: str, role: str, password: str) -> Account:
    """Add an observer and return it.

    Raises SnowmatchError if the name or the password will not do, if the name is taken, or if nothing can be written.
    """
    if role not in ROLES:
        raise SnowmatchError(f"{role!r} is not a role: expected one of {', '.join(ROLES)}")
    account = _with_password(_checked_name(name), role, password)

    def change(known: tuple[Account, ...]) -> tuple[Account, ...]:
        if any(_folded(each.name) == _folded(account.name) for each in known):
            raise SnowmatchError(f"there is an observer {account.name!r} already: choose another name, or remove it")
        return (*known, account)

    _change(folder, change)
    return account


def remove_account(folder: Path, name: str) -> None:
    """Remove an observer; the decisions stay. Raises SnowmatchError if there is none of this name."""

    def change(known: tuple[Account, ...]) -> tuple[Account, ...]:
        gone = _named(known, name)
        return tuple(each for each in known if each is not gone)

    _change(folder, change)


def set_password(folder: Path, name: str, password: str) -> None:
    """Give an observer another password.

    Raises SnowmatchError if the password will not do, or if there is no such observer.
    """

    def change(known: tuple[Account, ...]) -> tuple[Account, ...]:
        old = _named(known, name)
        new = _with_password(old.name, old.role, password)
        return tuple(new if each is old else each for each in known)

    _change(folder, change)


def check_password(accounts: Sequence[Account], name: str, password: str) -> Account | None:
    """Return the account whose name and password these are; None if there is none.

    It takes as long for a name that does not exist as for a wrong password.
    """
    known = next((each for each in accounts if each.name == name_of(name)), None)
    stands = known or Account("", "", "00" * 16, "", *COST)
    right = hmac.compare_digest(_hash(password[:LONGEST], stands), stands.hash)
    return known if right and known is not None and len(password) <= LONGEST else None


def name_of(text: str) -> str:
    """Return a typed name as it is kept: composed letters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _checked_name(text: str) -> str:
    name = name_of(text)
    if not name or len(name) > LONGEST_NAME or not is_visible(name):
        raise SnowmatchError(f"{name[:LONGEST_NAME]!r} is not a name: expected 1 to {LONGEST_NAME} visible characters")
    if _folded(name) == MACHINE:
        raise SnowmatchError(f"{name!r} stands for the program's own decisions: expected the name of a person")
    return name


def _folded(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c not in JOINERS)


def _named(accounts: Sequence[Account], name: str) -> Account:
    for each in accounts:
        if each.name == name_of(name):
            return each
    if not accounts:
        raise SnowmatchError(f"there is no observer {name!r}, and no other: add one first")
    raise SnowmatchError(f"there is no observer {name!r}: expected one of {', '.join(a.name for a in accounts)}")


def _with_password(name: str, role: str, password: str) -> Account:
    if not SHORTEST <= len(password) <= LONGEST:
        raise SnowmatchError(
            f"the password has {len(password)} characters, expected {SHORTEST} to {LONGEST}: several words will do"
        )
    empty = Account(name, role, secrets.token_bytes(16).hex(), "", *COST)
    return Account(name, role, empty.salt, _hash(password, empty), *COST)


def _hash(password: str, account: Account) -> str:
    # One password may be typed with composed or with single letters
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    salt = bytes.fromhex(account.salt)
    return hashlib.scrypt(text, salt=salt, n=account.n, r=account.r, p=account.p, maxmem=MOST_MEMORY, dklen=32).hex()


def _account(values: Any) -> Account:
    """Return an account of the file. Raises ValueError, KeyError or TypeError for anything else."""
    n, r, p = (int(values[key]) for key in ("n", "r", "p"))
    text = {key: values[key] for key in ("name", "role", "salt", "hash")}
    sound = all(isinstance(each, str) for each in text.values()) and text["role"] in ROLES and text["name"]
    bytes.fromhex(text["salt"])
    if not sound or len(text["hash"]) != 64 or n < 2 or n & (n - 1) or not 0 < 128 * n * r * p < MOST_MEMORY:
        raise ValueError
    return Account(**text, n=n, r=r, p=p)


def _change(folder: Path, change: Callable[[tuple[Account, ...]], tuple[Account, ...]]) -> None:
    """Write what `change` makes of all accounts. One process at a time; SnowmatchError if another takes too long."""
    if not folder.is_dir():
        raise SnowmatchError(f"{folder} does not exist, expected the catalog's folder")
    make_folder(home_of(folder))
    lock = file_lock(home_of(folder) / "observers.lock")
    try:
        lock.acquire(timeout=WAIT)
    except Timeout:
        raise SnowmatchError(f"another program changes {accounts_path(folder)} at this moment: try again") from None
    try:
        found = sorted(change(read_accounts(folder)), key=lambda each: each.name)
        text = json.dumps({"observers": [asdict(each) for each in found]}, ensure_ascii=False, indent=1)
        replace_file(accounts_path(folder), lambda file: file.write(text.encode() + b"\n"), 0o600)
    finally:
        lock.release()
