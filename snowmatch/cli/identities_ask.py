"""The commands of `snowmatch identities` that ask: questions for an observer, and decisions of the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snowmatch.cli.identities_group import Place, dry_option, identities, placed, store
from snowmatch.cli.shared import (
    MOST_DRAWS,
    PATH,
    Bar,
    Number,
    extractor_option,
    memory_option,
    method_of,
    print_text,
    say,
    say_notes,
    setting_option,
)

if TYPE_CHECKING:
    from snowmatch.api import Session
    from snowmatch.core.notes import Note
    from snowmatch.review.identities import Identities
    from snowmatch.review.likely import Evidence
    from snowmatch.review.queue import Item, Queue

ANSWERS = {"s": "same", "d": "different", "c": "cannot_tell"}
MOST_UNDRAWN = 20  # pairs in a row, such as those of a disk that is away
KEYS = "s same, d different, c cannot tell (with 1-4: your certainty, such as s4), k skip, u undo, q quit"

again_option = click.option("--again", is_flag=True, help="Compare all sightings again, not only new ones.")


def gathered(
    place: Place, who: Identities, extractors: Sequence[str] | None, options: dict[str, str], again: bool
) -> tuple[Session, Evidence]:
    """Return the session of the catalog, and the evidence of all its sightings."""
    from snowmatch.api import open_catalog
    from snowmatch.review.left_out import screened_notes, species_notes
    from snowmatch.review.likely import check_one_reading, gather_evidence

    method = method_of(tuple(extractors) if extractors else None, "lnbnn", options, False)
    session = open_catalog(place.catalog, decisions=place.decisions).session(**method)
    check_one_reading(who, session)
    say_notes((*session.notes, *species_notes(who), *screened_notes(who)))
    with Bar("comparing", "sighting") as bar:
        evidence = gather_evidence(session, who.who.sightings, again=again, progress=bar.update)
    say_notes(evidence.notes)
    return session, evidence


@identities.command()
@click.option("--number", type=click.IntRange(1), help="Stop after so many answers.")
@click.option(
    "--draw",
    type=PATH,
    metavar="FOLDER",
    help="Write the picture of each question to FOLDER/question.jpg, and with lines to FOLDER/question-lines.jpg.",
)
@click.option(
    "--mode",
    type=click.Choice(["open", "blind", "adjudicate"]),
    default="open",
    show_default=True,
    help="blind: pairs that others have answered, without what they or the photos said. adjudicate: disagreements.",
)
@click.option(
    "--repeats",
    type=Number(0, 1),
    help="Share of hidden repetitions in the mode open, which measure how often you contradict yourself.  "
    "[default: 0.03]",
)
@extractor_option
@setting_option
@again_option
@placed
def ask(
    place: Place,
    number: int | None,
    draw: Path | None,
    mode: str,
    repeats: float | None,
    extractors: Sequence[str] | None,
    options: dict[str, str],
    again: bool,
) -> None:
    """Ask which sightings are one animal, the most important question first.

    \b
    Example:
      snowmatch identities catalog/ ask --observer Anna --draw questions/
    """
    if repeats is not None and mode != "open":
        raise click.UsageError(f"--repeats belongs to --mode open: --mode {mode} repeats no question")
    from snowmatch.review.accuracy import accuracy_by_name
    from snowmatch.review.queue import REPEATS, Queue

    observer, who = place.observer(), place.open()
    session, evidence = gathered(place, who, extractors, options, again)
    levels = session.calibration.levels if session.calibration is not None else None
    share = REPEATS if repeats is None else repeats
    queue = Queue(who, evidence, observer, levels, accuracy_by_name(who.rows, who.who), mode, share)
    say(KEYS)
    answered, undrawn = _ask_all(queue, session, number, draw)
    print_text(f"{answered} answered; {_outlook(queue)}")
    end_with_undrawn(undrawn)


def end_with_undrawn(undrawn: Sequence[str]) -> None:
    """If pairs were left out, say why their pictures could not be drawn, and end the command with status 1."""
    from snowmatch.core.text import counted, some

    if undrawn:
        why = some(list(dict.fromkeys(undrawn)))
        say(f"{counted(len(undrawn), 'pair was', 'pairs were')} left out, without a picture: {why}")
        sys.exit(1)


def _outlook(queue: Queue) -> str:
    """Return what is left to ask, in words.

    The answers also tell how much photos without agreeing spots say, which pairs decide how many individuals there are,
    and how often observers are right. A run takes that when it starts: so a further one may have other questions.
    """
    from snowmatch.core.text import counted
    from snowmatch.review.accuracy import accuracy_by_name

    if left := _left(queue):
        return f"about {left} more to ask"
    queue.accuracy = accuracy_by_name(queue.identities.rows, queue.identities.who)
    queue.start_again(queue.identities)
    if left := _left(queue):
        return f"nothing left of this run's questions; the answers have raised about {left} more: run it again"
    if held := queue.held():
        return f"nothing left but {counted(held, 'pair')} on other observers' screens: run it again in ten minutes"
    return "nothing left to ask"


def _left(queue: Queue) -> int:
    waiting = len(queue.next(2))  # with the pairs that tell most about the number of individuals
    return max(queue.left(), waiting) if waiting else 0


def _ask_all(queue: Queue, session: Session, number: int | None, draw: Path | None) -> tuple[int, tuple[str, ...]]:
    """Ask until nothing is left, the person quits, `number` answers are given, or no picture can be drawn any more.

    Returns the number of answers, and for each pair that was left out why its picture could not be drawn.
    """
    from snowmatch.review.history import last_answer
    from snowmatch.review.identities import decide, refreshed, timestamp, undo
    from snowmatch.review.queue import answer_item, answered_sides
    from snowmatch.review.turns import skip, take
    from snowmatch.views.identities import format_item

    folder, hidden, answered = queue.identities.data.folder, queue.mode == "blind", set[str]()
    undrawn: dict[tuple[str, str], str] = {}  # why, by the keys of the pair
    # Keys; those that were skipped a second time, or whose photos have changed
    skipped, again = set[tuple[str, str]](), set[tuple[str, str]]()
    in_a_row, told = 0, False
    while number is None or len(answered) < number:
        done = undrawn.keys() | again
        count = 1 + len(done) + len(skipped)
        items = [item for item in queue.next(count) if queue.keys_of(item) not in done]
        if not items:
            break
        item = next((item for item in items if queue.keys_of(item) not in skipped), items[0])
        keys = queue.keys_of(item)
        if not take(folder, queue.observer, keys):
            continue
        after = refreshed(queue.identities)
        if other_sightings(queue.identities, after):
            break
        if _answered(queue.identities, after, item):  # by another observer, who had it on the screen before
            queue.start_again(after)
            continue
        drawn = [] if draw is None else _draw(session, queue, item, draw)
        if isinstance(drawn, str):
            say(f"left out: {drawn}")
            undrawn[keys] = drawn
            in_a_row += 1
            if in_a_row == MOST_UNDRAWN:
                say(f"stopped: no picture of {in_a_row} pairs in a row could be drawn")
                break
            continue
        in_a_row = 0
        if keys in skipped:
            say("you skipped this one: k leaves it for another run")
        print_text(format_item(queue.identities, item, hidden=hidden))
        for path in drawn:
            say(f"picture: {path}")
        opened = timestamp()
        said = click.prompt("one animal?", prompt_suffix=" ", show_default=False, default="k").strip().lower()
        if said == "q":
            break
        if said == "k":
            skip(folder, queue.observer, keys)
            (again if keys in skipped else skipped).add(keys)
            continue
        if said == "u":
            now = refreshed(queue.identities)  # the same person may have taken one back elsewhere
            ids = last_answer(now, queue.observer, queue.mode)
            after, appended = decide(now, undo(now, ids, queue.observer))
            told = say_once(appended.notes, told)
            say(_taken_back(after, ids, hidden) if ids else "nothing to take back")
            answered.difference_update(ids)
            if other_sightings(queue.identities, after):
                break
            queue.start_again(after)
            continue
        answer, certainty = ANSWERS.get(said[:1]), said[1:]
        if answer is None or certainty not in ("", "1", "2", "3", "4"):
            say(KEYS)
            continue
        if photo_changed(queue.identities, chain(*answered_sides(queue.identities, item))):
            again.add(keys)
            continue
        draft = answer_item(queue, item, answer, opened, int(certainty) if certainty else None, hidden=hidden)
        after, appended = decide(queue.identities, [draft])
        told = say_once(appended.notes, told)
        answered.add(appended.rows[0].id)
        if other_sightings(queue.identities, after):
            break
        if len(after.rows) > len(queue.identities.rows) + 1:  # others have decided meanwhile
            queue.start_again(after)
        else:
            queue.take(after, item, appended.rows[0])
    return len(answered), tuple(undrawn.values())


def say_once(notes: Sequence[Note], told: bool) -> bool:
    """Say notes if none was told before, and return whether some are told by now."""
    if not told:
        say_notes(notes)
    return told or bool(notes)


def _answered(before: Identities, after: Identities, item: Item) -> bool:
    """Return whether decisions since then answer a question, or join its sightings. Both have the same sightings."""
    pair = (min(item.a, item.b), max(item.a, item.b))
    joined = [who.of[item.a] == who.of[item.b] for who in (before.who, after.who)]
    return before.who.pairs.get(pair) != after.who.pairs.get(pair) or joined == [False, True]


def photo_changed(identities: Identities, annotations: Iterable[str]) -> bool:
    """Return whether the photo of one of these annotations is not what was indexed, or not what was asked about, and
    say so: an answer would go to another photo.
    """
    from snowmatch.core.errors import SnowmatchError
    from snowmatch.core.notes import Note
    from snowmatch.review.identities import need_unchanged

    try:
        need_unchanged(identities, annotations)
    except SnowmatchError as error:
        if error.code not in ("photo-changed", "photo-replaced"):
            raise
        say_notes([Note(error.code, str(error), error.data)])
        return True
    return False


def other_sightings(before: Identities, after: Identities) -> bool:
    """Return whether decisions changed which sightings there are, and say so: questions have their numbers before."""
    changed = after.who.sightings != before.who.sightings
    if changed:
        say("which sightings there are has changed meanwhile: run it again")
    return changed


def _taken_back(identities: Identities, ids: Sequence[str], hidden: bool) -> str:
    """Return in words which answer was taken back."""
    from snowmatch.views.identities import format_pair

    row = next(row for row in identities.rows if row.id in ids)
    number_of, text = identities.who.number_of, f"taken back: {row.answer.replace('_', ' ')}"
    a, b = (next((number_of[name] for name in side if name in number_of), None) for side in (row.side_a, row.side_b))
    if a is None or b is None:
        return f"{text}, about photos that are gone"
    return f"{text}\n{format_pair(identities, a, b, hidden=hidden)}"


def _draw(session: Session, queue: Queue, item: Item, folder: Path) -> list[Path] | str:
    """Write the pictures of a question. Returns their paths, or the reason why there are none."""
    from snowmatch.views.pairs import write_pair

    likely = queue.evidence.pairs.get((min(item.a, item.b), max(item.a, item.b)))
    return write_pair(session, queue.identities, item.a, item.b, likely, folder, hidden=queue.mode == "blind")


@identities.command()
@click.option(
    "--from",
    "lowest",
    metavar="LEVEL",
    help="Lowest level of a pair that the machine decides: excellent, good or fair.  [default: excellent]",
)
@click.option(
    "--sample",
    metavar="SHARE",
    help="Share of these decisions that persons check in `ask`, as if they were open, at least one.  [default: 5%]",
)
@click.option("--undo", "take_back", is_flag=True, help="Take back all decisions of the machine.")
@extractor_option
@setting_option
@again_option
@dry_option
@placed
def auto(
    place: Place,
    lowest: str | None,
    sample: str | None,
    take_back: bool,
    extractors: Sequence[str] | None,
    options: dict[str, str],
    again: bool,
    dry_run: bool,
) -> None:
    """Let the machine join pairs of sightings of a level or better, as decisions that can be taken back.

    \b
    Example:
      snowmatch identities catalog/ auto --from excellent --sample 5%
      snowmatch identities catalog/ auto --undo
    """
    if take_back and (lowest is not None or sample is not None or extractors or options or again):
        raise click.UsageError(
            "--undo takes back all decisions of the machine and compares nothing: run auto again with other options"
        )
    from snowmatch.review.auto import Policy, auto_drafts, machine_rows, read_share
    from snowmatch.review.identities import undo

    policy = Policy("excellent" if lowest is None else lowest, read_share("5%" if sample is None else sample))
    who = place.open()
    if place.given:
        place.observer()  # the next commands know the name
    if take_back:
        drafts = undo(who, machine_rows(who.rows), place.observer())
    else:
        session, evidence = gathered(place, who, extractors, options, again)
        if session.calibration is None:
            raise click.ClickException("nothing is calibrated for this method, so no pair has a level")
        drafts = auto_drafts(who, evidence, session.calibration.levels, policy)
    if not drafts:
        none = f"no pair to join is {policy.lowest} or better"
        print_text("the machine has no decisions to take back" if take_back else none)
        return
    store(place, who, drafts, dry_run, back="" if take_back else "auto --undo")


@identities.command()
@click.option(
    "--draws", type=click.IntRange(20, MOST_DRAWS), default=400, show_default=True, help="Groupings that are drawn."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed gives the same numbers."
)
@extractor_option
@setting_option
@again_option
@memory_option
@placed
def count(
    place: Place, draws: int, seed: int, extractors: Sequence[str] | None, options: dict[str, str], again: bool
) -> None:
    """Say how many individuals there are, how sure that is, and how many comparisons would still change it.

    A left flank and a right flank that nothing joins are two. Locations and flanks are counted apart as well; the
    sessions of a survey by `snowmatch survey CATALOG --draws 100`.

    \b
    Example:
      snowmatch identities catalog/ count
    """
    from snowmatch.cli.advice import decisions_typed, quoted
    from snowmatch.review.accuracy import accuracy_by_name
    from snowmatch.review.counting import count_individuals
    from snowmatch.views.counting import format_counts

    who = place.open()
    _, evidence = gathered(place, who, extractors, options, again)
    found = count_individuals(who.who, evidence, accuracy_by_name(who.rows, who.who), draws=draws, seed=seed)
    print_text(format_counts(found))
    decided = decisions_typed({"decisions": place.decisions})
    say(f"of each session: snowmatch survey {quoted(str(place.catalog))} --draws 100{decided}")
