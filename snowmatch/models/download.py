"""The download of weights from their official addresses. Only this module of snowmatch uses the internet."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.version import __version__
from snowmatch.models.cache import (
    Progress,
    Source,
    copy,
    find_held,
    keep,
    no_weights,
    reason_of,
    weights_folder,
    writing,
)
from snowmatch.models.registry import WeightsFile, known_weights

TIMEOUT = 30.0  # seconds without any received byte
LARGEST = 4 << 30  # bytes of a file whose size is not known


def download_weights(name: str, progress: Progress | None = None) -> str:
    """Download weights into the user's folder. Return a text that describes the result.

    The official addresses are tried in order. Nothing is downloaded if the right file is already on this computer. For
    a network with an address, that is the file of the address: others may hold less.
    Raises SnowmatchError if no address gives the right file; no file is left then.
    """
    entry = known_weights(name)
    file = next((f for f in entry.files if f.addresses), None)
    held = find_held(entry if file is None else replace(entry, files=(file,)))
    if held.path is not None and not held.problem:
        return f"{name} is already stored: {held.path}"
    for first in (held, find_held(entry)):
        if first.problem and first.path is not None and first.path.parent != weights_folder():
            raise SnowmatchError(first.problem)  # this file comes first, so a download would not be used
    if file is None:
        raise SnowmatchError(
            f"{name} has no official address: get {entry.files[0].name} from its authors and add it", "add-weights"
        )
    target = weights_folder() / file.name
    failed = []
    with writing():
        for address in file.addresses:
            try:
                _fetch(address, file, target, progress)
            except _UnavailableError as error:
                failed.append(f"{address}: {error}")
            else:
                return f"downloaded {name} from {address} to {target}"
    raise SnowmatchError(
        f"cannot download {file.name} ({'; '.join(failed)}): try again later, or download it on another computer and "
        "add it",
        "add-weights",
    )


class _UnavailableError(Exception):
    """The reason why one address did not give the file."""


class _Secure(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but none from https to an address that is not encrypted."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise urllib.error.URLError("it redirects to an address without encryption")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Secure)


def _fetch(address: str, file: WeightsFile, target: Path, progress: Progress | None) -> None:
    """Download one file from one address to `target`. Raises _UnavailableError if this fails."""
    try:
        request = urllib.request.Request(address, headers={"User-Agent": f"snowmatch/{__version__}"})
        response = _OPENER.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise _UnavailableError(f"HTTP {error.code} {reason_of(error)}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unavailable(error) from error
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _UnavailableError("a web page instead of the file")
        announced = response.length or 0

        def write(out: BinaryIO) -> None:
            most = file.size or LARGEST
            copied = copy(Source(response, _unavailable), out, announced or file.size, progress, most)
            if copied.size > most:
                raise _UnavailableError(f"more than {most} bytes, which is the size of the file or the limit")
            if copied.size < announced:
                raise _UnavailableError(f"the connection ended after {copied.size} of {announced} bytes")
            if file.size and copied.size != file.size:
                raise _UnavailableError(f"{copied.size} bytes, expected {file.size}")
            if file.sha256 and copied.sha256 != file.sha256:
                raise _UnavailableError(f"sha256 {copied.sha256[:12]}…, expected {file.sha256[:12]}…")
            if problem := no_weights(copied.head, file.name):
                raise _UnavailableError(problem)

        keep(target, write)


def _unavailable(error: Exception) -> _UnavailableError:
    return _UnavailableError(reason_of(error))
