"""Animals that are not asked about: the screening says that their photos show no such animal, or they are of a species
that no individual has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from snowmatch.catalog.screened import KEPT, PERSON, Screened, load_classes, save_classes, seen_instead
from snowmatch.catalog.settings import TAUGHT
from snowmatch.catalog.species import NOTHING, name_among, species_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.plugins import Classifier
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.sightings import wanted_after_all
from snowmatch.identify.session import Session
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_small
from snowmatch.review.groups import BatchPhoto, Group
from snowmatch.review.identities import Identities
from snowmatch.screening.finders import NONE
from snowmatch.screening.passages import answer_of
from snowmatch.screening.scenes import LEAST

OTHER_SPECIES = "other species"
SAVE_SECONDS = 30.0  # between two saves: the work that is lost at most if the run is killed


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


def screened_notes(identities: Identities) -> tuple[Note, ...]:
    """Return a note on the annotations that are of no sighting because the screening kept no photo of them."""
    known = identities.who.number_of
    if not (count := sum(bool(a.left_out) and a.annotation not in known for a in identities.annotations)):
        return ()
    text = f"{counted(count, 'annotation')} of which the screening kept no photo are no sightings"
    return (Note("screened-out", text, {"count": count}),)


def look_at_new(
    session: Session,
    groups: Sequence[Group],
    screened: Screened | None,
    decided: Collection[tuple[str, int]],
    notes: list[Note],
    told: Callable[[int, int], None] | None,
) -> dict[str, dict[str, float]]:
    """Return the probabilities of species in the photos that `screening_answer` gives to the classifier, by sha256.

    The catalog keeps them, also those of a stopped run, and photos with kept ones are not looked at again. told: called
    with (done, total) of the others. A note is added to `notes` if the catalog cannot be written, if there is no
    classifier, or if it does not know the species of the screening.
    """
    if screened is None:
        return {}
    new = [group for group in groups if _is_new(_told(group, screened, decided))]
    photos = {photo.content: photo for group in new for photo in group.photos if photo.content}
    if not photos:
        return {}
    classifier = session.finders.classifier
    if classifier is None:
        notes.append(unscreened_note("new-unscreened", session.data.settings.classifier, ", but all asked about"))
        return {}
    if not _knows(getattr(classifier, "names", ()), screened.species):
        notes.append(_not_known(screened.species))
        return {}
    mark = session.finders.mark
    seen = load_classes(session.folder, mark)
    left = [photo for content, photo in photos.items() if content not in seen]
    found: dict[str, dict[str, float]] = {}
    saved = time.monotonic()
    try:
        for done, photo in enumerate(left, start=1):
            classes = _look(session, classifier, photo)
            if not isinstance(classes, Failure):  # else the query says what is wrong with the photo
                seen[photo.content] = found[photo.content] = classes
            if told is not None:
                told(done, len(left))
            if time.monotonic() - saved > SAVE_SECONDS:
                _save(session.folder, mark, found, notes)
                saved = time.monotonic()
    finally:
        _save(session.folder, mark, found, notes)
    if any(content in seen and not _knows(seen[content], screened.species) for content in photos):
        notes.append(_not_known(screened.species))
    return seen


def screening_answer(
    session: Session,
    group: Group,
    screened: Screened | None,
    decided: Collection[tuple[str, int]] = (),
    seen: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Return what the screening says of an animal's photos: NOTHING, a species, PERSON, or "" if it has to be asked.

    screened: the last screening of the catalog; None without one: everything is asked. decided: as `decided_photos`
    tells. The photos are judged together: one photo that is kept is enough, or a name, or one of `decided`. Photos that
    the screening has not seen are given to the classifier, unless `seen` has what it sees in them, by sha256; without
    one, or with one that does not know the species, they have to be asked.
    """
    told = [] if screened is None else _told(group, screened, decided)
    if screened is not None and _is_new(told):
        new = _answers_of_new(session, group, screened, seen or {})
        told = [PERSON] if PERSON in told and new and KEPT not in new else new  # the classifier sees no persons
    return seen_instead(told)


def decision_of(answer: str) -> str:
    """Return the decision of a row of the table for an answer of the screening."""
    return answer if answer in (NOTHING, PERSON) else OTHER_SPECIES


def _told(group: Group, screened: Screened, decided: Collection[tuple[str, int]]) -> list[str]:
    """Return the answer of the screening for each photo, "" for those that it has not seen; none if persons decided."""
    told = [screened.answers.get(photo.content, "") for photo in group.photos]
    known = [photo.photo for photo in group.photos if isinstance(photo.photo, Annotation)]
    if any(a.individual is not None or (a.path, a.row) in decided for a in known):
        return []
    if all(told) and not all(a.left_out for a in known):  # the catalog does not leave out each of its rows
        return []
    return told


def _is_new(told: Sequence[str]) -> bool:
    """Return whether the classifier has to look at photos with these answers."""
    return KEPT not in told and not all(told)


def _knows(names: Collection[str], species: str) -> bool:
    """Return whether a classifier may know a species. names: those that it tells; none is not known."""
    return not names or name_among(species, names) is not None


def unscreened_note(code: str, setting: str, then: str) -> Note:
    """Return the note that no classifier screens new photos. setting: of the catalog. then: what happens to them."""
    off, taught = setting == NONE, setting.endswith(TAUGHT)
    why = "this catalog is set to use no classifier" if off else "no classifier is here"
    if taught:
        why = f"the catalog's classifier {setting} is not on this computer"
    return Note(code, f"{why}, so new photos are not screened{then}", {"off": off, "taught": taught})


def _not_known(species: str) -> Note:
    text = f"the classifier does not know the species {species}: new photos are not screened, but all asked about"
    return Note("species-not-screened", text, {"species": species})


def _look(session: Session, classifier: Classifier, photo: BatchPhoto) -> dict[str, float] | Failure:
    """Return the probability of each species in a photo, or why it cannot be used."""
    path = session.folder / photo.photo.path if isinstance(photo.photo, Annotation) else Path(photo.photo)
    told = or_failure(path, lambda path: classifier.classify(read_small(path, LEAST)))
    if isinstance(told, Failure):
        return told
    return {name: round(float(p), 6) for name, p in zip(told.names, told.probabilities, strict=True)}


def _save(folder: Path, mark: str, found: dict[str, dict[str, float]], notes: list[Note]) -> None:
    try:
        save_classes(folder, mark, found)
    except SnowmatchError as error:
        if all(note.code != "classes-not-kept" for note in notes):
            text = f"what the classifier sees in new photos is not kept for the next batch: {error}"
            notes.append(Note("classes-not-kept", text))
    found.clear()


def _answers_of_new(
    session: Session, group: Group, screened: Screened, known: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Return the answer for the photos of a group that is not in the catalog, as one; none without a classifier."""
    classifier = session.finders.classifier
    if classifier is None:
        return []
    seen: list[Mapping[str, float]] = []
    species = screened.species
    for photo in group.photos:
        classes = known.get(photo.content) or _look(session, classifier, photo)
        if isinstance(classes, Failure):  # the query says what is wrong with the photo
            return []
        if (name := name_among(species, classes)) is None:  # the screening was made with another classifier
            return []
        species = name
        seen.append(classes)
    return [answer_of(seen, species, screened.threshold)[0]]


def kept_first(groups: Sequence[Group], answers: Sequence[str]) -> tuple[list[Group], list[str]]:
    """Return the groups and their answers: first those that have to be asked. The order within each part stays."""
    order = sorted(range(len(groups)), key=lambda n: bool(answers[n]))
    return [groups[n] for n in order], [answers[n] for n in order]
