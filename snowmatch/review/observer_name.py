"""The observer's name, given once and remembered in the catalog for this person's account on this computer."""

from __future__ import annotations

import getpass
import hashlib
import json
import platform
from contextlib import suppress
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, replace_file
from snowmatch.core.home import home_of
from snowmatch.core.plain import read_summed_json, with_json_sum
from snowmatch.core.text import is_visible, same_name

MACHINE = "machine"


def observer_name(folder: Path, given: str | None = None) -> str:
    """Return the name of the person who decides: the given one, which is remembered, or the remembered one.

    A catalog that cannot be written remembers nothing. Raises SnowmatchError if no name is known, if it is no printable
    text, or if it is that of the machine.
    """
    path, account = home_of(folder) / "observers.json", _account()
    known: dict[str, str] = {}
    with suppress(OSError, ValueError, AttributeError):
        known = {str(k): str(v) for k, v in read_summed_json(path.read_text(encoding="utf-8")).items()}
    name = same_name(" ".join((given or "").split()))
    if not name:
        name = known.get(account, "")
        if not name:
            raise SnowmatchError("nobody's name is known here: say once who decides", "choose-observer")
        return name
    if not is_visible(name):
        raise SnowmatchError(f"{name!a} is not a name: expected visible characters")
    if name.casefold() == MACHINE:
        raise SnowmatchError(f"{name!r} stands for the program's own decisions: expected the name of a person")
    if known.get(account) != name:
        text = json.dumps(with_json_sum({**known, account: name}), ensure_ascii=False, sort_keys=True)
        with suppress(OSError, SnowmatchError):
            make_folder(path.parent)
            replace_file(path, lambda file: file.write(text.encode()))
    return name


def _account() -> str:
    """Return a digest of this account on this computer: neither name leaves it."""
    try:
        who = getpass.getuser()
    except (OSError, KeyError, ImportError):
        who = ""
    return hashlib.sha256(f"{who}@{platform.node()}".encode()).hexdigest()[:16]
