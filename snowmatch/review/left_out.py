"""Animals that are not asked about: the screening says that their photos show no such animal, or they are of a species
that no individual has.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from snowmatch.catalog.screened import KEPT, PERSON, Screened, seen_instead
from snowmatch.catalog.species import species_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.sightings import wanted_after_all
from snowmatch.identify.session import Session
from snowmatch.photos.pixels import read_small
from snowmatch.review.groups import Group
from snowmatch.review.identities import Identities
from snowmatch.screening.passages import answer_of
from snowmatch.screening.scenes import LEAST
from snowmatch.screening.species import NOTHING

OTHER_SPECIES = "other species"


def decided_photos(identities: Identities) -> frozenset[tuple[str, int]]:
    """Return the path and row of each annotation of which a decision in effect says that it has to be asked."""
    wanted = wanted_after_all(identities.annotations, in_effect(identities.rows))
    return frozenset((a.path, a.row) for a in identities.annotations if a.annotation in wanted)


def species_notes(identities: Identities) -> tuple[Note, ...]:
    """Return notes on the unidentified animals that are no sightings because of their species, and on those that are
    although nobody knows whether their species is one to identify.
    """
    who, named = identities.who, identities.named
    gone: dict[tuple[str, int], str] = {}
    for a in named:
        if a.annotation and not a.left_out and a.annotation not in who.number_of:
            gone[a.encounter, a.animal] = gone.get((a.encounter, a.animal)) or a.species
    notes = []
    if gone:
        told = some(sorted({*gone.values()}))
        text = f"{counted(len(gone), 'unidentified sighting')} of species without individuals: not counted ({told})"
        notes.append(Note("other-species", text, {"count": len(gone)}))
    called: list[str] = []
    others: list[str] = []
    for number, sighting in enumerate(who.sightings):
        species = next((text for row in sighting.rows if (text := named[row].species)), "")
        (called if who.individuals[who.of[number]].name is not None else others).append(species)
    known = [species for species in others if species]
    if known and not species_of(called) and (called or len(species_of(known)) > 1):
        text = f"no individual has a species: {counted(len(known), 'unidentified sighting')} counted, of "
        notes.append(Note("species-of-none", text + some(sorted(set(known)))))
    return tuple(notes)


def screening_answer(
    session: Session, group: Group, screened: Screened | None, decided: Collection[tuple[str, int]] = ()
) -> str:
    """Return what the screening says of an animal's photos: NOTHING, a species, PERSON, or "" if it has to be asked.

    screened: the last screening of the catalog; None without one: everything is asked. decided: as `decided_photos`
    tells. The photos are judged together: one photo that is kept is enough, or a name, or one of `decided`. Photos that
    the screening has not seen are given to the classifier; without one, or with one that does not know the species,
    they have to be asked.
    """
    if screened is None:
        return ""
    told = [screened.answers.get(photo.content, "") for photo in group.photos]
    known = [photo.photo for photo in group.photos if isinstance(photo.photo, Annotation)]
    if any(a.individual is not None or (a.path, a.row) in decided for a in known):
        return ""
    if all(told) and not all(a.left_out for a in known):  # the catalog does not leave out each of its rows
        return ""
    if KEPT not in told and not all(told):
        new = _answers_of_new(session, group, screened)
        told = [PERSON] if PERSON in told and new and KEPT not in new else new  # the classifier sees no persons
    return seen_instead(told)


def decision_of(answer: str) -> str:
    """Return the decision of a row of the table for an answer of the screening."""
    return answer if answer in (NOTHING, PERSON) else OTHER_SPECIES


def _answers_of_new(session: Session, group: Group, screened: Screened) -> list[str]:
    """Return the answer for the photos of a group that is not in the catalog, as one; none without a classifier."""
    classifier = session.finders.classifier
    if classifier is None:
        return []
    seen: list[dict[str, float]] = []
    for photo in group.photos:
        path = session.folder / photo.photo.path if isinstance(photo.photo, Annotation) else Path(photo.photo)
        try:
            told = classifier.classify(read_small(path, LEAST))
        except SnowmatchError:  # the query says what is wrong with the photo
            return []
        if screened.species not in told.names:  # the screening was made with another classifier
            return []
        seen.append({name: float(p) for name, p in zip(told.names, told.probabilities, strict=True)})
    return [answer_of(seen, screened.species, screened.threshold)[0]]


def kept_first(groups: Sequence[Group], answers: Sequence[str]) -> tuple[list[Group], list[str]]:
    """Return the groups and their answers: first those that have to be asked. The order within each part stays."""
    order = sorted(range(len(groups)), key=lambda n: bool(answers[n]))
    return [groups[n] for n in order], [answers[n] for n in order]
