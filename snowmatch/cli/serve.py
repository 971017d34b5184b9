"""The command `snowmatch serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snowmatch.cli.shared import PATH, decisions_option, memory_option, print_text

if TYPE_CHECKING:
    from snowmatch.web.network import Lan


@click.command()
@click.argument("catalog", type=PATH)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the address.  [default: a free one]")
@click.option("--no-browser", is_flag=True, help="Only print the address; do not open the browser.")
@click.option("--observer", metavar="NAME", help="Who decides.  [default: the name that was given last]")
@decisions_option
@memory_option
@click.option(
    "--host",
    metavar="ADDRESS",
    help="Address of this computer at which other computers open the app; 0.0.0.0 for all. Observers log in.",
)
@click.option("--certificate", type=PATH, metavar="FILE", help="Certificate of the address, a PEM file.")
@click.option("--key", type=PATH, metavar="FILE", help="Key of the certificate, a PEM file.  [default: in the same]")
@click.option("--insecure-lan", is_flag=True, help="Without a certificate: others in the network can read along.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Name under which others open the app, such as camp.local. May be repeated.  [default: its addresses only]",
)
def serve(
    catalog: Path,
    port: int,
    no_browser: bool,
    observer: str | None,
    decisions: Path | None,
    host: str | None,
    certificate: Path | None,
    key: Path | None,
    insecure_lan: bool,
    names: tuple[str, ...],
) -> None:
    """Open the app of CATALOG in the browser: identify photos, review pairs, look at individuals.

    The app works without internet. Only this computer can open it, and only with the printed address. With --host,
    other computers can, too: then everybody logs in; see `snowmatch observers`.

    \b
    Example:
      snowmatch serve catalog/
      snowmatch serve catalog/ --host 0.0.0.0 --port 8443 --certificate cert.pem --key key.pem
    """
    lan = _lan(host, certificate, key, insecure_lan, names)
    if lan is not None and observer is not None:
        raise click.UsageError("--observer is of no use with --host: everybody decides under the name of the login")
    start(catalog, port=port, browser=not no_browser, observer=observer, decisions=decisions, lan=lan)


def _lan(
    host: str | None, certificate: Path | None, key: Path | None, insecure: bool, names: tuple[str, ...]
) -> Lan | None:
    """Return how other computers reach the app; None if none does."""
    if host is None:
        if certificate is not None or key is not None or insecure or names:
            raise click.UsageError("--certificate, --key, --insecure-lan and --name need --host")
        return None
    from snowmatch.web.network import LOOPBACK, Lan, is_loopback

    if certificate is not None and insecure:
        raise click.UsageError("--certificate and --insecure-lan exclude each other")
    if key is not None and certificate is None:
        raise click.UsageError("--key needs --certificate")
    if certificate is None and not insecure:
        if is_loopback(host) and not names:
            if host.lower() not in (LOOPBACK, "localhost"):
                raise click.UsageError(
                    f"--host {host} is this computer alone, for which the app listens at {LOOPBACK}: leave out --host, "
                    "or give --insecure-lan, so that observers log in there"
                )
            return None
        raise click.UsageError(
            f"--host {host} opens the app to other computers: give --certificate FILE --key FILE, or --insecure-lan if "
            "others in the network may read along"
        )
    return Lan(host, certificate, key, names)


def start(
    catalog: Path, *, port: int, browser: bool, observer: str | None, decisions: Path | None, lan: Lan | None = None
) -> None:
    """Serve the app until Ctrl-C."""
    from contextlib import suppress

    from snowmatch.core.errors import SnowmatchError
    from snowmatch.review.observer_name import observer_name
    from snowmatch.web.server import serve as run

    name = ""
    if observer is not None:
        name = observer_name(catalog, observer)
    elif lan is None:
        with suppress(SnowmatchError):  # nobody's name is known yet: the first page asks for it
            name = observer_name(catalog)
    run(catalog, port=port, browser=browser, observer=name, decisions=decisions, lan=lan, say=print_text)
