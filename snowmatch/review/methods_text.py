"""The methods paragraph: how individuals were identified, with the figures that reviewers ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from snowmatch.core.text import counted, printable
from snowmatch.core.version import __version__
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import ANSWERS, CANNOT_TELL, REPEAT, Decision
from snowmatch.decisions.sightings import comparable
from snowmatch.decisions.who import DISPUTED, Individual, Who
from snowmatch.review.machine import MachineError, machine_error
from snowmatch.review.observers import Agreed, Agreement, agreement
from snowmatch.review.shares import Share, make_share
from snowmatch.review.training import Trained, training_results
from snowmatch.review.traits import QUALITIES, Traits, traits_of

FEATURES = 3  # agreeing marks that surveys ask for, as in Sharma et al., Bio-protocol 9638760


@dataclass(frozen=True)
class Told:
    """What only the authors know, each one or more whole sentences; "" if it is not known.

    encounters: how encounters were told apart. criteria: when two sightings were called one animal. experience: of the
    observers. excluded: animals that were left out, such as cubs. unclassified: what was done with sightings of no
    individual. policy: which decisions were left to the machine. evidence: where a photo of each individual can be
    seen.
    """

    encounters: str = ""
    criteria: str = ""
    experience: str = ""
    excluded: str = ""
    unclassified: str = ""
    policy: str = ""
    evidence: str = ""


UNTOLD = {
    "encounters": "how encounters were told apart",
    "criteria": "the criteria for one and for two animals",
    "experience": "the experience of the observers",
    "excluded": "which animals (such as cubs) were left out",
    "unclassified": "what was done with the sightings that no individual was found for",
    "policy": "which decisions were left to the machine",
    "evidence": "where a photo of each individual that shows its marks can be seen",
}


def methods_paragraph(
    rows: Sequence[Decision],
    who: Who,
    *,
    date: str,
    photos: int | None = None,
    unused: int = 0,
    told: Told | None = None,
) -> str:
    """Return one paragraph for the methods section of a paper, without a line break.

    rows: all decisions, in the order of their identifiers. date: of the text, such as "2026-05-04". photos: number of
    photos in the catalog; None if it is not known. unused: annotations of no sighting, of `unused_annotations`. What is
    not known is said to be unknown.

    Source: the fields follow Choo et al. 2020, Global Ecology and Conservation e01294.
    """
    told = told or Told()
    effective = in_effect(rows)
    answers = [row for row in effective if row.kind == "pair" and row.mode != "training" and REPEAT not in row.tags]
    found, machine = agreement(rows, who), machine_error(rows, who)
    policy = " ".join(dict.fromkeys(_sentence(r.note) for r in answers if r.role == "machine" and r.note.strip()))
    told = replace(told, policy=told.policy or policy)
    traits = traits_of(rows)
    sentences = [
        *_software(rows, date),
        *_material(who, photos),
        *_usable(who, traits, unused),
        told.excluded,
        told.encounters,
        _across(who),
        told.criteria,
        *_observers(answers, effective),
        told.experience,
        *_second(found),
        *_themselves(found),
        *_known_animals(training_results(rows, who)),
        *_by_machine(machine, told.policy),
        *_left(who),
        *_individuals(who),
        *_represented(who, traits),
        told.evidence,
        told.unclassified,
    ]
    if unknown := [text for name, text in UNTOLD.items() if not getattr(told, name) and _matters(name, who, machine)]:
        sentences.append(f"Not recorded: {'; '.join(unknown)}.")
    return " ".join(_sentence(text) for text in sentences if text.strip())


def _matters(name: str, who: Who, machine: MachineError) -> bool:
    if name == "policy":
        return machine.decisions > 0
    if name == "evidence":
        return len(_found(who)) > 0
    return name != "unclassified" or len(_single(who)) > 0


def _sentence(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if not text or text[-1] in ".!?" else f"{text}."


# --- the parts -------------------------------------------------------------------------------------------------------


def _software(rows: Sequence[Decision], date: str) -> list[str]:
    versions = sorted({row.program for row in rows if row.program} - {__version__})
    earlier = f"; some decisions were made with version {_listed(versions)}" if versions else ""
    moments = [row.decided_at[:10] for row in rows if row.decided_at]
    first, last = (min(moments), max(moments)) if moments else ("", "")
    period = f" Decisions were made {f'on {first}' if first == last else f'from {first} to {last}'}." if moments else ""
    return [f"Individuals were identified with snowmatch {__version__}{earlier}; figures are as of {date}.{period}"]


def _material(who: Who, photos: int | None) -> list[str]:
    sightings, single = len(who.sightings), _single(who)
    annotations = sum(len(s.annotations) for s in who.sightings)
    given = sum(s.named is not None for s in who.sightings)
    asked = {number for pair, state in who.pairs.items() if state.answers for number in pair}
    doubtful = {n for pair, state in who.pairs.items() if state.answer in (CANNOT_TELL, DISPUTED) for n in pair}
    text = (
        f"The catalog had {_number(photos, 'photo')} with {counted(annotations, 'annotation')} (one animal in one "
        f"photo), which formed {counted(sightings, 'sighting')} (one animal in one encounter). Of these, "
        f"{sightings - len(single)} were assigned to individuals and {len(single)} were not"
    )
    why = [
        f"for {_of_them(alone, single)}, no comparison with another sighting was decided"
        if (alone := single - asked)
        else "",
        f"for {_of_them(unsure, single)}, a comparison was undecided or disputed"
        if (unsure := single & doubtful)
        else "",
    ]
    text += f" ({'; '.join(filter(None, why))})" if any(why) else ""
    names = f"The names of {counted(given, 'sighting')} were in the catalog beforehand." if given else ""
    return [text + ".", names]


def _usable(who: Who, traits: Traits, unused: int) -> list[str]:
    sentences = []
    if unused:
        sentences.append(
            f"Besides, {counted(unused, 'annotation')} formed no sighting: the screening kept no photo of them, or "
            "they are of other species or show no animal."
        )
    said = Counter(traits.quality[name] for name in who.number_of if name in traits.quality)
    if not said:
        return [*sentences, "No decision tells the quality of a photo."]
    kinds = ", ".join(f"{said[each]} {each}" for each in QUALITIES)
    judged = f"{said.total()} of the {counted(len(who.number_of), 'annotation')}"
    return [*sentences, f"Photo quality was judged for {judged}: {kinds}."]


def _across(who: Who) -> str:
    crossing = sum(not comparable(who.sightings[a], who.sightings[b]) for a, b in who.pairs)
    if not crossing:
        return "Left and right flanks were not compared with each other."
    return f"{_word(crossing, 'answered pair')} had no body part in common, such as a left and a right flank."


def _observers(answers: Sequence[Decision], effective: Sequence[Decision]) -> list[str]:
    persons = [row for row in answers if row.role == "observer"]
    judges = [row for row in answers if row.role == "adjudicator"]
    imported = [row for row in answers if row.role == "import"]
    sentences = []
    if not (persons or judges):
        sentences.append("No comparison of two sightings by a person is on record.")
    if persons:
        observers = len({row.observer for row in persons})
        sentences.append(f"{_word(observers, 'observer')} gave {counted(len(persons), 'answer')}{_answers(persons)}.")
        marked = sum(len(row.marks) >= FEATURES and row.answer != CANNOT_TELL for row in persons)
        decided = sum(row.answer != CANNOT_TELL for row in persons)
        sentences.append(
            f"{FEATURES} or more agreeing marks on the coat were recorded for {marked} of the {decided} answers same "
            "or different."
        )
    if judges:
        count = len({row.observer for row in judges})
        sentences.append(f"{_word(count, 'adjudicator')} gave {counted(len(judges), 'answer')}{_answers(judges)}.")
    if imported:
        sentences.append(f"{_word(len(imported), 'answer')} came from other programs{_answers(imported)}.")
    done = Counter(row.kind for row in effective if row.role != "machine")
    words = {"name": "naming", "rename": "renaming", "merge": "merge", "split": "split"}
    if changes := [counted(done[kind], word) for kind, word in words.items() if done[kind]]:
        sentences.append(f"Persons also made {_listed(changes)}.")
    return sentences


def _second(found: Agreement) -> list[str]:
    if not found.overall.pairs:
        return ["No pair was answered by a second observer, so agreement between observers is unknown."]
    alone = found.independent
    sentences = []
    if alone.pairs:
        sentences.append(
            f"{_were(alone.pairs, 'pair')} answered by two or more observers independently: the later observer saw "
            f"neither the earlier answer nor names nor probabilities. Their first answers agreed in "
            f"{_share(alone.agreed)}; {_kappa(alone)}."
        )
    else:
        sentences.append("No pair was answered by two observers independently.")
    if found.overall.agreed.of > alone.agreed.of:
        sentences.append(
            f"Among all {counted(found.overall.pairs, 'pair')} with two or more observers, including those where the "
            f"earlier answer could be seen, first answers agreed in {_share(found.overall.agreed)}; "
            f"{_kappa(found.overall)}."
        )
    if found.disagreements:
        opposite = sum(each.opposite for each in found.disagreements)
        solved = len(found.disagreements) - found.waiting
        sentences.append(
            f"By their last answers, observers disagreed about {counted(len(found.disagreements), 'pair')} ({opposite} "
            f"of them: same against different); an adjudicator decided {solved} of them, and {found.waiting} "
            f"{'remains' if found.waiting == 1 else 'remain'} open."
        )
    return sentences


def _kappa(agreed: Agreed) -> str:
    if agreed.kappa is None:
        return "Cohen's kappa is not defined"
    between = (
        "" if agreed.interval is None else f" (95 % interval {agreed.interval[0]:.2f} to {agreed.interval[1]:.2f})"
    )
    return f"Cohen's kappa was {agreed.kappa:.2f}{between}"


def _themselves(found: Agreement) -> list[str]:
    asked = sum(each.changed.of for each in found.repeats)
    if not asked:
        return ["Whether observers repeat their own answers was not measured."]
    opposite = make_share(sum(each.reversed.count for each in found.repeats), asked)
    changed = sum(each.changed.count for each in found.repeats)
    return [
        f"When a question was repeated without notice, observers gave the opposite answer in {_share(opposite)}; they "
        f"gave any other answer, cannot tell included, in {changed}."
    ]


def _known_animals(trained: Sequence[Trained]) -> list[str]:
    if not trained:
        return ["The error of the observers was not measured on known animals."]
    split, lumped = _together(each.split for each in trained), _together(each.lumped for each in trained)
    unable = _together(each.cannot_tell for each in trained)
    return [
        f"{_word(len(trained), 'observer')} answered {counted(unable.of, 'pair')} of sightings of known animals, with "
        f"probabilities hidden: of the pairs of one animal, {_share(split)} were called different; of the pairs of two "
        f"animals, {_share(lumped)} were called the same; {_share(unable)} of all pairs were answered with cannot tell."
    ]


def _by_machine(machine: MachineError, policy: str) -> list[str]:
    if not machine.decisions:
        return ["The program made no decision by itself."]
    rule = f"Its rule: {policy}" if policy else ""
    sentences = [f"The program decided {counted(machine.decisions, 'pair')} of sightings by itself.", rule]
    if not machine.sample:
        return [*sentences, "No sample of these decisions was drawn, so their error is unknown."]
    open_ones = machine.waiting + machine.disputed
    if machine.checked:
        left = f" ({open_ones} of them {'is' if open_ones == 1 else 'are'} still open)" if open_ones else ""
        kinds = [
            f"{share.count} of {share.of} decisions {answer}"
            for share, answer in ((machine.lumped, "same"), (machine.split, "different"))
            if share.of
        ]
        unsure = f"; persons could not tell in {machine.cannot_tell}" if machine.cannot_tell else ""
        sentences.append(
            f"Persons checked a random sample of {machine.sample} of these decisions{left}: {_share(machine.wrong)} "
            f"of those checked were wrong, that is {_listed(kinds)}{unsure}."
        )
    else:
        sentences.append(
            f"A random sample of {machine.sample} of these decisions is not checked yet, so their error is unknown."
        )
    if machine.taken_back:
        sentences.append(
            f"{_were(machine.taken_back, 'decision')} of the sample taken back and not counted in this error."
        )
    return sentences


def _left(who: Who) -> list[str]:
    quarrels = sum(len(each.quarrels) for each in who.individuals)
    disputed = sum(state.answer == DISPUTED for state in who.pairs.values())
    found = []
    if quarrels or disputed:
        several = sum(bool(each.quarrels) for each in who.individuals)
        found.append(
            f"Decisions still contradict each other {counted(quarrels, 'time')}, in {counted(several, 'individual')}; "
            f"observers still disagree about {counted(disputed, 'pair')} that no adjudicator has decided."
        )
    if names := len(who.disputed_names):
        found.append(f"Observers gave {counted(names, 'sighting')} different names, of which the last counts.")
    return found or ["No contradiction between decisions remains."]


def _individuals(who: Who) -> list[str]:
    parts: Counter[str] = Counter()
    for each in _found(who):
        seen = {part for n in each.sightings for part in who.sightings[n].body_parts}
        left, right = "left_flank" in seen, "right_flank" in seen
        parts["both" if left and right else "left" if left else "right" if right else "neither"] += 1
    text = (
        f"{_were(sum(parts.values()), 'individual')} distinguished: {parts['both']} by both flanks, {parts['left']} by "
        f"the left flank only and {parts['right']} by the right flank only"
    )
    text += f", and {parts['neither']} by neither or by an unknown flank" if parts["neither"] else ""
    if not (parts["left"] and parts["right"]):
        return [f"{text}."]
    text += ". An animal whose two flanks were never joined counts as two"
    if not parts["neither"]:  # one of an unknown flank may be any of the others
        fewest = parts["both"] + max(parts["left"], parts["right"])
        text += f": if no flank was assigned wrongly, these are {fewest} to {sum(parts.values())} animals"
    return [f"{text}."]


def _represented(who: Who, traits: Traits) -> list[str]:
    if not (found := _found(who)):
        return []
    chosen = sum(
        any(name in traits.portraits for n in each.sightings for name in who.sightings[n].annotations) for each in found
    )
    return [f"A photo to represent the individual was chosen by a person for {chosen} of {len(found)}."]


# --- words -----------------------------------------------------------------------------------------------------------


def _counts(who: Who, sightings: Sequence[int], name: str | None) -> bool:
    """Return whether sightings are an individual that was found: it has a name, or several sightings."""
    return name is not None or len(sightings) > 1


def _found(who: Who) -> list[Individual]:
    return [each for each in who.individuals if _counts(who, each.sightings, each.name)]


def _single(who: Who) -> set[int]:
    """Return the sightings of no individual: joined with no other, and without a name."""
    return {n for each in who.individuals if not _counts(who, each.sightings, each.name) for n in each.sightings}


def _answers(rows: Sequence[Decision]) -> str:
    said = Counter(row.answer for row in rows)
    return f" ({', '.join(f'{said[each]} {each}'.replace('_', ' ') for each in ANSWERS)})"


def _share(share: Share) -> str:
    """Return a share such as "3 of 40 (7.5 %, 95 % interval 1.6 to 20.4 %)"."""
    if share.value is None:
        return "0 of 0 (unknown)"
    low, high = 100 * share.low, 100 * share.high
    return f"{share.count} of {share.of} ({100 * share.value:.1f} %, 95 % interval {low:.1f} to {high:.1f} %)"


def _together(shares: Iterable[Share]) -> Share:
    several = list(shares)
    return make_share(sum(each.count for each in several), sum(each.of for each in several))


def _number(number: int | None, word: str) -> str:
    return f"an unknown number of {word}s" if number is None else counted(number, word)


def _of_them(some: set[int], every: set[int]) -> str:
    return "all of them" if len(some) == len(every) > 1 else f"{len(some)} of them"


def _were(number: int, word: str) -> str:
    """Return a number, its noun and its verb for the beginning of a sentence: "Two pairs were"."""
    return f"{_word(number, word)} {'was' if number == 1 else 'were'}"


def _word(number: int, word: str) -> str:
    """Return a number and its noun for the beginning of a sentence: "Two observers"."""
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    text = counted(number, word)
    return f"{words[number]} {text.partition(' ')[2]}" if number < len(words) else text


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
