"""The commands of `snowmatch identities` that list and change: names, merges, splits, answers, undo, files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from snowmatch.cli.identities_group import Place, dry_option, identities, placed, say_merged, store
from snowmatch.cli.shared import PATH, json_option, print_json, print_text, say_notes


@identities.command("list")
@json_option
@placed
def list_command(place: Place, as_json: bool) -> None:
    """List the individuals with their sightings, flanks, stations and dates.

    \b
    Example:
      snowmatch identities catalog/ list
    """
    from snowmatch.review.identities import unread_notes
    from snowmatch.review.left_out import screened_notes, species_notes
    from snowmatch.views.identities import format_individuals, individuals_to_json

    who = place.open()
    say_notes((*species_notes(who), *screened_notes(who), *unread_notes(who)))
    print_json(individuals_to_json(who)) if as_json else print_text(format_individuals(who))


@identities.command()
@click.argument("name")
@placed
def show(place: Place, name: str) -> None:
    """Show the sightings of individual NAME by date, and what contradicts it.

    NAME may also be a sighting: then its individual is shown.

    \b
    Example:
      snowmatch identities catalog/ show Aika
    """
    from snowmatch.core.notes import Note
    from snowmatch.review.identities import changed_photo, find_individual, find_sighting_named, sightings_named
    from snowmatch.views.identities import format_individual

    who = place.open()
    if who.who.named(name) is None and sightings_named(who, name):
        number = find_sighting_named(who, name, to_decide=False)
        individual = who.who.individuals[who.who.of[number]]
        shown = who.who.sightings[number].annotations if name not in who.who.number_of else ()  # they go with it
        changed = changed_photo(who, shown)
        if changed is not None:
            text = f"{changed} has changed since it was indexed: this may be the individual of another photo"
            say_notes([Note("photo-changed", text, {"catalog": str(place.catalog)})])
    else:
        individual = find_individual(who, name)
    print_text(format_individual(who, individual))


@identities.command()
@click.argument("name")
@click.argument("sightings", nargs=-1, required=True)
@click.option("--adjudicator", is_flag=True, help="Settle that observers gave different names.")
@dry_option
@placed
def name(place: Place, name: str, sightings: Sequence[str], adjudicator: bool, dry_run: bool) -> None:
    """Give SIGHTINGS the NAME of an individual, or a new name. An empty NAME ("") takes their names away.

    \b
    Example:
      snowmatch identities catalog/ name Aika e0012 e0031
    """
    from snowmatch.review.identities import find_sighting_named, name_sightings, with_left_out

    who = place.open()
    wider = with_left_out(who, sightings)
    numbers = [find_sighting_named(wider, each) for each in sightings]
    draft = name_sightings(wider, numbers, name, place.observer())
    store(place, who, [draft._replace(role="adjudicator") if adjudicator else draft], dry_run)


@identities.command()
@click.argument("old")
@click.argument("new")
@dry_option
@placed
def rename(place: Place, old: str, new: str, dry_run: bool) -> None:
    """Give the individual OLD the name NEW. OLD may be the text that stands for an individual without a name.

    \b
    Example:
      snowmatch identities catalog/ rename Aika Umut
    """
    from snowmatch.review.identities import rename

    who = place.open()
    store(place, who, [rename(who, old, new, place.observer())], dry_run)


@identities.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--into", default="", metavar="NAME", help="Name of the result.  [default: the first name]")
@dry_option
@placed
def merge(place: Place, names: Sequence[str], into: str, dry_run: bool) -> None:
    """Make the individuals NAMES one: two or more.

    \b
    Example:
      snowmatch identities catalog/ merge Aika Bars Cat7 --into Aika
    """
    from snowmatch.review.identities import merge

    who = place.open()
    store(place, who, merge(who, names, place.observer(), into), dry_run)


@identities.command()
@click.argument("name")
@click.argument("sightings", nargs=-1, required=True)
@click.option("--into", default="", metavar="NAME", help="Name of what is taken out.  [default: none]")
@dry_option
@placed
def split(place: Place, name: str, sightings: Sequence[str], into: str, dry_run: bool) -> None:
    """Take SIGHTINGS out of the individual NAME: they are another animal.

    \b
    Example:
      snowmatch identities catalog/ split Aika e0031 --into Bars
    """
    from snowmatch.review.identities import find_sighting_named, split, with_left_out

    who = with_left_out(place.open(), sightings)
    chosen = [find_sighting_named(who, each) for each in sightings]
    store(place, who, [split(who, name, chosen, place.observer(), into)], dry_run)


@identities.command()
@click.argument("one")
@click.argument("other")
@click.argument("answer", type=click.Choice(["same", "different", "cannot_tell"]))
@click.option("--certainty", type=click.IntRange(1, 4), help="1 guessed, 4 certain.")
@click.option("--note", default="", help="A remark that is kept with the decision.")
@click.option("--adjudicator", is_flag=True, help="Settle a disagreement of observers.")
@dry_option
@placed
def decide(
    place: Place, one: str, other: str, answer: str, certainty: int | None, note: str, adjudicator: bool, dry_run: bool
) -> None:
    """Say whether the sightings ONE and OTHER show one animal.

    \b
    Example:
      snowmatch identities catalog/ decide e0012 e0031 same --certainty 4
    """
    from snowmatch.review.identities import answer_pair, find_sides, find_sighting_named, with_left_out

    who = place.open()
    wider = with_left_out(who, [one, other])
    role = "adjudicator" if adjudicator else "observer"
    values = {"certainty": certainty, "note": note, "role": role}
    a, b = find_sighting_named(wider, one), find_sighting_named(wider, other)
    if a == b:  # two photos of one sighting
        draft = find_sides(wider, one, other, answer, place.observer(), **values)
    else:
        draft = answer_pair(wider, a, b, answer, place.observer(), **values)
    store(place, who, [draft], dry_run)


@identities.command()
@click.argument("ids", nargs=-1)
@dry_option
@placed
def undo(place: Place, ids: Sequence[str], dry_run: bool) -> None:
    """Take back the decisions IDS (as `log` shows them), or your last one. An undo can be taken back too.

    \b
    Example:
      snowmatch identities catalog/ undo
    """
    from snowmatch.review.identities import last_of, undo
    from snowmatch.views.identities import format_log

    who, observer = place.open(), place.observer()
    chosen = ids or last_of(who, observer)
    if not chosen:
        raise click.ClickException(f"{observer} has no decision to take back: name one of `log`")
    drafts = undo(who, chosen, observer)
    back = {draft.answer for draft in drafts}
    print_text(format_log([row for row in who.rows if row.id in back]))
    store(place, who, drafts, dry_run)


@identities.command()
@click.option("--last", type=click.IntRange(1), help="Only so many of the last decisions.")
@json_option
@placed
def log(place: Place, last: int | None, as_json: bool) -> None:
    """List all decisions, the last one last.

    \b
    Example:
      snowmatch identities catalog/ log --last 20
    """
    from snowmatch.views.identities import format_log, log_to_json

    who = place.open()
    print_json(log_to_json(who.rows, last)) if as_json else print_text(format_log(who.rows, last))


@identities.command()
@placed
def check(place: Place) -> None:
    """List what does not fit together: contradictions, disagreements, individuals with two names.

    \b
    Example:
      snowmatch identities catalog/ check
    """
    from snowmatch.review.accuracy import accuracy_by_name
    from snowmatch.review.contradictions import contradictions_of
    from snowmatch.views.identities import format_check

    who = place.open()
    say_notes(who.stored.notes)
    found = contradictions_of(who.who, accuracy_by_name(who.rows, who.who))
    print_text(format_check(who, found))


@identities.command("merge-files")
@click.argument("other", type=PATH)
@placed
def merge_files(place: Place, other: Path) -> None:
    """Add the decisions of the file OTHER, such as that of a second computer.

    \b
    Example:
      snowmatch identities catalog/ merge-files laptop/decisions.sqlite
    """
    from snowmatch.review.identities import merge_other

    before = place.open(adds_file=True)
    after, merged = merge_other(before, other)
    say_merged(before, after, merged)


@identities.command("export-decisions")
@click.argument("out", type=PATH)
@placed
def export_command(place: Place, out: Path) -> None:
    """Write all decisions to OUT, one JSON object a line. What is readable of a damaged file is written too.

    \b
    Example:
      snowmatch identities catalog/ export-decisions decisions.jsonl
    """
    from snowmatch.review.identities import export_file

    exported = export_file(place.catalog, place.decisions, out)
    say_notes(exported.notes)
    print_text(f"{exported.decisions} decisions written to {out}")


@identities.command("import-decisions")
@click.argument("source", type=PATH)
@placed
def import_command(place: Place, source: Path) -> None:
    """Add the decisions of a file that `export-decisions` wrote.

    \b
    Example:
      snowmatch identities catalog/ import-decisions decisions.jsonl
    """
    from snowmatch.review.identities import import_decisions

    before = place.open(adds_file=True)
    after, merged = import_decisions(before, source)
    say_merged(before, after, merged)
