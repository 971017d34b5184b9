"""The command `snowmatch observers`: who can log in to the app from other computers."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from snowmatch.cli.shared import PATH, json_option, print_json, print_text


@click.group()
@click.argument("catalog", type=PATH)
@click.pass_context
def observers(ctx: click.Context, catalog: Path) -> None:
    """Say who can log in to the app of CATALOG, and as what. `snowmatch serve --host` needs that.

    A `reader` gives second answers about pairs, blind, and practises, and sees nothing else. An `observer` also sees
    all pages but Work, identifies photos and reviews pairs. An `adjudicator` also settles disagreements, and renames,
    merges and divides individuals. An `administrator` also starts work, such as indexing. CATALOG/accounts.json has the
    names; it holds no password.

    \b
    Example:
      snowmatch observers catalog/ add Anna --role administrator
      snowmatch observers catalog/ add Dina --role reader
      snowmatch observers catalog/ list
    """
    ctx.obj = catalog


@observers.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["reader", "observer", "adjudicator", "administrator"]),
    default="observer",
    show_default=True,
    help="What the observer may do.",
)
@click.pass_obj
def add(catalog: Path, name: str, role: str) -> None:
    """Add an observer called NAME, and ask for a password.

    If the input is not a terminal, its first line is the password.

    \b
    Example:
      snowmatch observers catalog/ add Anna --role adjudicator
    """
    from snowmatch.review.accounts import add_account

    account = add_account(catalog, name, role, _password())
    print_text(f"{account.name} can log in as {account.role}")


@observers.command("list")
@json_option
@click.pass_obj
def list_(catalog: Path, as_json: bool) -> None:
    """List names and roles.

    \b
    Example:
      snowmatch observers catalog/ list
    """
    from snowmatch.core.errors import SnowmatchError
    from snowmatch.review.accounts import read_accounts

    if not catalog.is_dir():
        raise SnowmatchError(f"{catalog} is not a folder, expected the catalog's folder")
    found = read_accounts(catalog)
    if as_json:
        print_json([{"name": each.name, "role": each.role} for each in found])
        return
    width = max((len(each.name) for each in found), default=0)
    print_text("\n".join(f"{each.name:{width}}  {each.role}" for each in found) or "nobody can log in")


@observers.command()
@click.argument("name")
@click.pass_obj
def remove(catalog: Path, name: str) -> None:
    """Remove the observer called NAME. All decisions stay. Open pages of this observer are logged out.

    \b
    Example:
      snowmatch observers catalog/ remove Anna
    """
    from snowmatch.review.accounts import remove_account

    remove_account(catalog, name)
    print_text(f"{name} can no longer log in; all decisions stay")


@observers.command()
@click.argument("name")
@click.pass_obj
def password(catalog: Path, name: str) -> None:
    """Ask for a new password of the observer called NAME. Open pages of this observer are logged out.

    \b
    Example:
      snowmatch observers catalog/ password Anna
    """
    from snowmatch.review.accounts import set_password

    set_password(catalog, name, _password())
    print_text(f"{name} has a new password")


def _password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("password", hide_input=True, confirmation_prompt="again", err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")
