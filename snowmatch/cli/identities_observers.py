"""The commands of `snowmatch identities` about observers: training, agreement, and the paragraph for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from snowmatch.cli.identities_ask import (
    again_option,
    end_with_undrawn,
    gathered,
    other_sightings,
    photo_changed,
    say_once,
)
from snowmatch.cli.identities_group import Place, identities, placed
from snowmatch.cli.shared import (
    PATH,
    extractor_option,
    json_option,
    print_json,
    print_text,
    say,
    say_notes,
    setting_option,
)

ANSWERS = {"s": "same", "d": "different", "c": "cannot_tell"}


@identities.command()
@click.option("--number", type=click.IntRange(2), default=40, show_default=True, help="Pairs to ask, an even number.")
@click.option("--seed", default=0, show_default=True, help="The same seed asks the same pairs.")
@click.option("--draw", type=PATH, metavar="FOLDER", help="Write the picture of each pair to FOLDER/question.jpg.")
@extractor_option
@setting_option
@again_option
@placed
def train(
    place: Place,
    number: int,
    seed: int,
    draw: Path | None,
    extractors: Sequence[str] | None,
    options: dict[str, str],
    again: bool,
) -> None:
    """Measure an observer with pairs of known animals: how often one animal is split, and two are lumped.

    The answers change no identity. What they measure becomes the weight of the observer's answers.

    \b
    Example:
      snowmatch identities catalog/ train --observer Anna --number 40 --draw questions/
    """
    from snowmatch.review.accuracy import accuracies, truth_tag
    from snowmatch.review.identities import answer_pair, decide, timestamp
    from snowmatch.review.training import answered_pairs, training_pairs, training_results, trusted_names
    from snowmatch.views.identities import format_pair
    from snowmatch.views.observers import format_training
    from snowmatch.views.pairs import write_pair

    observer, who = place.observer(), place.open()
    session, evidence = gathered(place, who, extractors, options, again)
    known = answered_pairs(who.rows, who.who, observer)
    pairs = training_pairs(
        who.who.sightings, trusted_names(who.who, observer), evidence.pairs, number, seed, observer, answered=known
    )
    if len(pairs) < number // 2 * 2:
        say(f"only {len(pairs)} pairs are left to train with")
    elif len(pairs) < number:
        say(f"{number} is odd, and the number of pairs is even: {len(pairs)} are asked")
    say("s same, d different, c cannot tell (with 1-4: your certainty, such as s4), q quit")
    undrawn, told = [], False
    for n, pair in enumerate(pairs, start=1):
        drawn = [] if draw is None else write_pair(session, who, pair.one, pair.other, None, draw, hidden=True)
        if isinstance(drawn, str):
            say(f"{n} of {len(pairs)} is left out: {drawn}")
            undrawn.append(drawn)
            continue
        print_text(f"{n} of {len(pairs)}\n{format_pair(who, pair.one, pair.other, hidden=True)}")
        opened = timestamp()
        said = ""
        while said[:1] not in (*ANSWERS, "q") or said[1:] not in ("", "1", "2", "3", "4"):
            said = click.prompt("one animal?", prompt_suffix=" ", show_default=False).strip().lower()
        if said[0] == "q":
            break
        if photo_changed(who, [name for n in (pair.one, pair.other) for name in who.who.sightings[n].annotations]):
            continue
        draft = answer_pair(
            who,
            pair.one,
            pair.other,
            ANSWERS[said[:1]],
            observer,
            mode="training",
            opened_at=opened,
            certainty=int(said[1:]) if said[1:] else None,
            tags=(truth_tag(pair.truth),),
            shown={"hidden": True},
        )
        before, (who, appended) = who, decide(who, [draft])
        told = say_once(appended.notes, told)
        if other_sightings(before, who):
            break
    print_text(format_training(training_results(who.rows, who.who), accuracies(who.rows, who.who)))
    end_with_undrawn(undrawn)


@identities.command()
@json_option
@placed
def agreement(place: Place, as_json: bool) -> None:
    """Compare the observers: agreement, Cohen's kappa, disagreements, repetitions, time, errors in training.

    \b
    Example:
      snowmatch identities catalog/ agreement
    """
    from snowmatch.review.accuracy import accuracies
    from snowmatch.review.machine import machine_error
    from snowmatch.review.observers import agreement, observer_notes
    from snowmatch.review.training import training_results
    from snowmatch.views.observers import agreement_to_json, format_agreement, format_training

    who = place.open()
    say_notes(observer_notes(who.rows))
    found, machine = agreement(who.rows, who.who), machine_error(who.rows, who.who)
    trained, accuracy = training_results(who.rows, who.who), accuracies(who.rows, who.who)
    if as_json:
        folder = str(place.catalog)
        print_json(
            agreement_to_json(found, who.who, catalog=folder, trained=trained, accuracy=accuracy, machine=machine)
        )
        return
    print_text(format_agreement(found, who.who, machine))
    if trained:
        print_text("\n" + format_training(trained, accuracy))


@identities.command()
@click.option("--criteria", default="", help="A sentence on when two sightings were one animal.")
@click.option("--experience", default="", help="A sentence on the observers.")
@click.option("--encounters", default="", help="A sentence on how encounters were told apart.")
@click.option("--excluded", default="", help="A sentence on animals that were left out, such as cubs.")
@click.option("--unclassified", default="", help="A sentence on what was done with sightings without an individual.")
@click.option("--evidence", default="", help="A sentence on where a photo of each individual can be seen.")
@placed
def methods(
    place: Place,
    criteria: str,
    experience: str,
    encounters: str,
    excluded: str,
    unclassified: str,
    evidence: str,
) -> None:
    """Print a paragraph for the methods section of a paper, with all figures that reviewers ask for.

    \b
    Example:
      snowmatch identities catalog/ methods --criteria "Three spots agree, and none contradicts."
    """
    from snowmatch.review.identities import unread_notes, unused_annotations
    from snowmatch.review.methods_text import Told, methods_paragraph
    from snowmatch.review.observers import observer_notes

    who = place.open()
    say_notes((*observer_notes(who.rows), *unread_notes(who)))
    told = Told(encounters, criteria, experience, excluded, unclassified, evidence=evidence)
    photos = len({a.path for a in who.annotations})
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    unused = unused_annotations(who)
    print_text(methods_paragraph(who.rows, who.who, date=date, photos=photos, unused=unused, told=told))
