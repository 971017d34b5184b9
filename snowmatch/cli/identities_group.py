"""The group `snowmatch identities`, and what all its commands need: the catalog, the decisions and the observer."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snowmatch.cli.advice import DECISIONS
from snowmatch.cli.shared import PATH, print_text, say, say_notes

if TYPE_CHECKING:
    from snowmatch.review.identities import Decision, Identities, Merged


@dataclass
class Place:
    """The catalog, the file of decisions and the observer of a command. used: whether it asked who that is."""

    catalog: Path
    decisions: Path | None
    given: str | None
    used: bool = False

    def open(self, *, adds_file: bool = False) -> Identities:
        """Return the identities of the catalog, and say so if the file of decisions that was given does not exist.

        adds_file: the command adds the decisions of another file, and so makes this one.
        """
        from snowmatch.review.identities import absent_notes, open_identities

        absent = absent_notes(self.decisions)
        if absent and adds_file:
            say(f"{self.decisions} does not exist: it is made")
        else:
            say_notes(absent)
        return open_identities(self.catalog, self.decisions)

    def observer(self) -> str:
        """Return the name of the person who decides."""
        from snowmatch.review.observer_name import observer_name

        self.used = True
        return observer_name(self.catalog, self.given)


dry_option = click.option("--dry-run", is_flag=True, help="Show what would change, and store nothing.")


def placed(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options --decisions and --observer to a command, and give it a `Place` first."""

    @click.option(
        "--decisions",
        type=PATH,
        metavar="FILE",
        help="File of decisions, for a folder that cannot be written.  [default: CATALOG/decisions.sqlite]",
    )
    @click.option("--observer", metavar="NAME", help="Who decides. It is remembered for your account on this computer.")
    @click.pass_obj
    @functools.wraps(command)
    def with_place(catalog: Path, *, decisions: Path | None, observer: str | None, **values: Any) -> None:
        place = Place(catalog, decisions, observer)
        click.get_current_context().meta[DECISIONS] = decisions
        command(place, **values)
        if observer is not None and not place.used:
            say("--observer has no effect here, where nobody decides, and is not remembered")

    return with_place


class InOrder(click.Group):
    """A group that lists its commands in the order of their use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands in the order in which they were added."""
        return list(self.commands)


@click.group(cls=InOrder)
@click.argument("catalog", type=PATH)
@click.pass_context
def identities(ctx: click.Context, catalog: Path) -> None:
    """Say who is who in CATALOG: answer questions, name, merge, split, take back.

    Every decision is a row of CATALOG/decisions.sqlite. Nothing is ever changed or deleted there: undo adds a row. The
    names are used by all other commands at once. A sighting is named by its encounter, by the path of one of its
    photos, or by the identifier of an annotation.

    \b
    Example:
      snowmatch identities catalog/ ask --observer Anna
      snowmatch identities catalog/ name Aika e0012 e0031
      snowmatch identities catalog/ list
    """
    ctx.obj = catalog


def store(place: Place, who: Identities, drafts: Sequence[Any], dry_run: bool, back: str = "") -> None:
    """Show what decisions change, and store them. back: the command that takes them back, if one does."""
    from snowmatch.review.identities import decide, preview
    from snowmatch.views.identities import format_change

    print_text(format_change(preview(who, drafts)))
    if dry_run:
        say("nothing was stored (--dry-run)")
        return
    after, appended = decide(who, drafts)
    say_notes(appended.notes)
    if after.rows[len(who.rows) :] != appended.rows:  # somebody else decided meanwhile
        say_effect(who, after, appended.rows)
    say("stored; take it back with: " + (back or "undo " + " ".join(row.id[-8:] for row in appended.rows)))


def say_merged(before: Identities, after: Identities, merged: Merged) -> None:
    """Say what the decisions of another file changed, and which names meant other sightings there."""
    from snowmatch.core.text import counted, printable
    from snowmatch.review.both_names import names_apart, names_of_both, sides_of

    print_text(f"{counted(len(merged.added), 'decision')} added, {counted(len(merged.known), 'was', 'were')} known")
    say_effect(before, after, merged.added)
    common, theirs = sides_of(after, merged)
    for name, *ends in names_of_both(before, after, common, theirs):
        here, there = map(printable, ends)
        say(f"{printable(name)!r} was a new name on both sides, here of {here}, there of {there}: one individual now")
    for name, now in names_apart(after, merged, theirs):
        told = " and ".join(f"{printable(each)} ({counted(count, 'sighting')})" for each, count in now)
        say(f"what the added decisions call {printable(name)!r} is {told} now")


def say_effect(before: Identities, after: Identities, decisions: Sequence[Decision]) -> None:
    """Say what new decisions changed, and which of them, or because of them of earlier ones, have no effect or name."""
    from snowmatch.core.text import counted
    from snowmatch.review.identities import change_of
    from snowmatch.views.identities import format_change

    print_text(format_change(change_of(before.who, after.who)))
    added, known = {decision.id for decision in decisions}, {decision.id for decision, _ in before.who.idle}
    idle, refused = (
        Counter((decision.id in added, reason) for decision, reason in some if decision.id not in known)
        for some in after.who.idle_and_refused()
    )
    for (new, reason), count in sorted(idle.items(), reverse=True):
        say(f"{counted(count, 'new decision' if new else 'earlier decision')} without effect here: {reason}")
    for (new, reason), count in sorted(refused.items(), reverse=True):
        one, several = ("a new decision", "new decisions") if new else ("an earlier decision", "earlier decisions")
        names = counted(count, f"name that {one} chose is", f"names that {several} chose are")
        say(f"{names} not used here: {reason}")
