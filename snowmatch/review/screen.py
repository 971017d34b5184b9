"""The screening of a catalog: which photos may show the animal, and where it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from snowmatch.catalog.damage import drop_damaged, notes_on_damage
from snowmatch.catalog.database import mend
from snowmatch.catalog.found import BY_SCREENING, Found, load_found, save_found
from snowmatch.catalog.load import CatalogData, load_again
from snowmatch.catalog.records import copy_of, exchanged, load_records, notes_on_exchanged, save_records
from snowmatch.catalog.screened import (
    KEPT,
    PERSON,
    UNKNOWN,
    Screened,
    drop_damaged_detections,
    load_classes,
    load_detections,
    load_screened,
    save_detections,
    save_screened,
    seen_instead,
)
from snowmatch.catalog.settings import keep_settings
from snowmatch.catalog.species import NOTHING, name_among, species_key
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import cores
from snowmatch.core.notes import Note, unique
from snowmatch.core.plugins import Detector, make_plugin
from snowmatch.core.text import choices, counted, some
from snowmatch.core.types import Annotation, Detection
from snowmatch.decisions.named import with_decisions
from snowmatch.decisions.who import is_name
from snowmatch.features.hashing import hash_photos
from snowmatch.models.cache import weights_are_here
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_small
from snowmatch.review.detections import animals_in, detections_for, is_animal, run_detector
from snowmatch.review.flanks import boxes_to_tell, tell_flanks, with_flanks
from snowmatch.review.screen_looks import learned_from
from snowmatch.review.screened_photos import ScreenedPhoto, Screening
from snowmatch.screening.finders import DEFAULT_WEIGHTS, choose_finders, without_classifier
from snowmatch.screening.mapping import update_maps
from snowmatch.screening.passages import (
    KEEP,
    SHOWS,
    SPECIES,
    Threshold,
    answer_of,
    choose_threshold,
    passage_score,
    passages_needed,
    shows_person,
)
from snowmatch.screening.results import for_photos, read_results
from snowmatch.screening.scenes import LEAST

RESULTS = "results"  # the mark of stored detections that a file of results gave
# The notes that matter most, in their order; all others follow
_FIRST = (
    "photos-of-persons",
    "photos-not-screened",
    "photos-without-result",
    "species-not-told",
    "named-left-out",
    "screening-threshold",
    "passages-learned-from",
)
Progress = Callable[[int, int], None]


def screen_catalog(
    data: CatalogData,
    *,
    species: str = SPECIES,
    keep: float | None = None,
    threshold: float | None = None,
    detector: str | None = None,
    options: Mapping[str, str] | None = None,
    results: Path | None = None,
    workers: int | None = None,
    reading: Progress | None = None,
    looking: Progress | None = None,
    detecting: Progress | None = None,
    flanking: Progress | None = None,
    decisions: Path | None = None,
) -> Screening:
    """Tell which photos may show the species, and where the animal is, and store the result for index and batch.

    The networks are those of the catalog's settings. keep: the share of passages of the species that must be kept
    (default: KEEP); the threshold follows from it. threshold: the lowest score of a passage that is kept, instead.
    detector: the name of a plugin that runs on every photo, with its `options`. results: a file of results of another
    program; photos that it does not list keep what an earlier screening saw. The boxes of either are stored. reading,
    looking, detecting, flanking: functions that are called with (done, total) photos. decisions: the file of decisions
    (default: that of the catalog); the names, species and boxes that persons gave count as those of the table.
    Nothing is deleted or moved. Finished work of a stopped run is kept. Raises SnowmatchError if neither a classifier
    nor detections tell anything, or if a value is wrong.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise SnowmatchError(f"the threshold is {threshold}, expected a probability from 0 to 1")
    if keep is not None and not 0 < keep < 1:
        raise SnowmatchError(f"the share to keep is {keep}, expected a number between 0 and 1, such as 0.99")
    folder = data.folder
    finders = choose_finders(data.settings.classifier, data.settings.segmenter)
    eyes: Detector | None = None
    if detector is not None:
        made: Detector = make_plugin("detectors", detector, options)
        made.check()
        eyes = made
    if finders.classifier is None and detector is None and results is None:
        text = "nothing can tell what the photos show: no classifier, detector or file of results"
        raise without_classifier(data.settings.classifier, text)
    species = _name_of(species, getattr(finders.classifier, "names", ()))  # before all photos are looked at
    of_program = None if results is None else read_results(results)
    if of_program is not None:
        for_photos(of_program, sorted({a.path for a in data.annotations}))  # those of other photos are an error now
    keep_settings(folder, data.settings)
    processes = cores() if workers is None else workers
    replaced, dropped = mend(folder), drop_damaged(folder)
    records = load_records(folder)
    before = copy_of(records)
    try:
        unreadable = hash_photos(
            folder, records, data.annotations, processes, reading, lambda: save_records(folder, records, before)
        )
    finally:
        save_records(folder, records, before)
    data = with_decisions(load_again(data, records), decisions)  # the photos' times make passages
    photos = sorted({a.path for a in data.annotations})
    recorded = {path: records.photos[path].sha256 for path in photos if path in records.photos}
    away = recorded.keys() & unreadable.keys()  # what is known of them stays
    readable = {path: records.photos[path] for path in recorded if path not in away}
    contents = {path: known.sha256 for path, known in readable.items()}
    sizes = {
        path: known.facts.image_size
        for path, known in readable.items()
        if known.facts is not None and known.facts.image_size is not None
    }
    notes = notes_on_damage(replaced, records.unsound + dropped)
    notes += notes_on_exchanged(exchanged(before.photos, records.photos))
    update_maps(
        folder,
        data.annotations,
        contents,
        sizes,
        processes,
        looking,
        finders,
        all_classes=True,
        learning=False,  # index runs learn from the photos that are kept
        notes=notes,
        recorded=recorded,
    )
    failed = dict(unreadable)
    detections: dict[str, tuple[Detection, ...]] = {}
    earlier: dict[str, tuple[Detection, ...]] = {}
    if of_program is not None or eyes is not None:
        drop_damaged_detections(folder)
    if of_program is not None:
        detections = detections_for(of_program, photos, sizes, notes)
        save_detections(folder, RESULTS, {contents[path]: seen for path, seen in detections.items()})
    elif eyes is not None:
        detections = run_detector(folder, eyes, {path: contents[path] for path in sizes}, processes, detecting, failed)
    looked_before = recorded if eyes is None else {path: recorded[path] for path in away}
    if looked_before and (stored := load_detections(folder, notes=notes)):  # a file of results may be of one card only
        earlier = {p: stored[sha] for p, sha in looked_before.items() if sha in stored and p not in detections}
    if of_program is not None or eyes is not None:
        by = "results" if of_program is not None else "detector"
        boxes = {contents[path]: animals_in(d, by) for path, d in detections.items()}
        kept = load_found(folder, BY_SCREENING) if earlier or away else {}
        boxes = {sha: kept[sha] for sha in (recorded[path] for path in {*earlier, *away}) if sha in kept} | boxes
        save_found(folder, BY_SCREENING, boxes)
    if earlier:
        detections = earlier | detections
        text = f"detections of an earlier screening are used for {counted(len(earlier), 'photo')}"
        notes.append(Note("earlier-detections", text, {"count": len(earlier)}))
    data = with_decisions(load_again(data, records), decisions)
    classes = load_classes(folder, finders.mark) if finders.classifier is not None else {}
    seen = {p for p, sha256 in contents.items() if sha256 in classes} if finders.classifier is not None else sizes
    if finders.classifier is None:
        text = f"no classifier was used: photos of any animal are kept, not only those of the {species}"
        notes.append(Note("species-not-told", text, {"species": species}))
        if threshold is not None:
            notes.append(_unused("threshold", threshold))
        elif keep is not None:
            notes.append(_unused("share to keep", keep))
    failed |= _unreadable(folder, [path for path in contents if path not in seen])
    species = _name_of(species, {name for each in classes.values() for name in each})
    blind = {sha for path in away if (sha := recorded[path]) not in classes}
    told_before = _earlier_answers(folder, blind, species, notes)
    taught = learned_from(finders.classifier)
    screening = _answers(data, recorded, classes, detections, told_before, taught, species, keep or KEEP, threshold)
    told: dict[str, str] = {}
    for photo in screening.photos:
        if photo.path in recorded:  # copies may be in several passages
            told[recorded[photo.path]] = _of_copies(told.get(recorded[photo.path], ""), photo.answer)
    save_screened(folder, Screened(told, species, screening.threshold.value))
    notes += screening.notes
    answered = screening.photos
    if finders.classifier is not None and weights_are_here(DEFAULT_WEIGHTS):
        shown = boxes_to_tell(data.annotations, answered, sizes)
        answered = with_flanks(answered, tell_flanks(folder, shown, contents, processes, flanking, failed))
    notes.sort(key=lambda note: _FIRST.index(note.code) if note.code in _FIRST else len(_FIRST))
    notes += [note for note in data.notes if note.code != "screened-out"]  # that one is of the screening before
    return Screening(answered, screening.threshold, tuple(sorted(failed.items())), unique(notes))


def _name_of(species: str, known: Collection[str]) -> str:
    """Return what the classifier calls a species. known: those that it tells; none is not known.

    Raises SnowmatchError if it does not know the species.
    """
    names = sorted({*known} - {NOTHING})
    if (name := name_among(species, names)) is None and known:
        raise SnowmatchError(f"the classifier does not know {species!r}; {choices(species, names)}")
    return species if name is None else name


def _unused(what: str, value: float) -> Note:
    """Return the note that a value decides nothing without a classifier."""
    text = (
        f"the {what} {value:g} decides nothing: no passage has a score without a classifier; detections count from a "
        f"confidence of {SHOWS:g}"
    )
    return Note("threshold-unused", text, {"value": value})


def _of_copies(one: str, other: str) -> str:
    """Return the answer for a photo whose copies have two: what hides least, or is private, is never lost. "": none."""
    return next((answer for answer in (KEPT, PERSON, UNKNOWN) if answer in (one, other)), one or other)


def _earlier_answers(folder: Path, contents: Collection[str], species: str, notes: list[Note]) -> dict[str, str]:
    """Return the answers of the last screening for photos that cannot be read, by sha256, and add a note on them.

    Of a screening for another species, only that a person is there is taken over.
    """
    last = load_screened(folder)
    if last is None:
        return {}
    same = species_key(last.species) == species_key(species)
    answers = {sha: last.answers[sha] for sha in sorted(contents) if last.answers.get(sha, UNKNOWN) != UNKNOWN}
    answers = {sha: told for sha, told in answers.items() if same or told == PERSON}
    if answers:
        text = f"answers of an earlier screening are used for {counted(len(answers), 'photo')} that cannot be read"
        notes.append(Note("earlier-answers", text, {"count": len(answers)}))
    return answers


def _unreadable(folder: Path, photos: Sequence[str]) -> dict[str, str]:
    """Return why photos cannot be read, by path; without those that can be read."""
    found = {}
    for photo in photos:
        if isinstance(why := or_failure(folder / photo, read_small, LEAST), Failure):
            found[photo] = why
    return found


def _answers(
    data: CatalogData,
    contents: Mapping[str, str],
    classes: Mapping[str, Mapping[str, float]],
    detections: Mapping[str, Sequence[Detection]],
    earlier: Mapping[str, str],
    taught: Collection[str] | None,
    species: str,
    keep: float,
    given: float | None,
) -> Screening:
    """Return the answer for each photo. earlier: answers that photos without `classes` had, by sha256: they outrank
    detections, which they come from in part, except that an animal that a detector saw is not `nothing`.
    taught: the sha256 of photos that the classifier has learned from; None if it may be any. given: the threshold; None
    to compute it from the named animals."""
    passages: dict[str, dict[str, list[Annotation]]] = defaultdict(lambda: defaultdict(list))
    for a in data.annotations:
        passages[a.encounter][a.path].append(a)

    def seen_in(paths: Sequence[str]) -> list[Mapping[str, float]]:
        return [classes[contents[path]] for path in paths if contents.get(path) in classes]

    known, learned, own = [], 0, ("", species_key(species))
    lessons = {a.passage for a in data.annotations if taught is None or contents.get(a.path) in taught}
    for rows in passages.values():
        named = any(is_name(a.individual) and species_key(a.species) in own for each in rows.values() for a in each)
        if named and (photos := seen_in(list(rows))):
            if any(a.passage in lessons for each in rows.values() for a in each):
                learned += 1
            else:
                known.append(passage_score(photos, species))
    limit = choose_threshold(known, keep)
    if given is not None:
        limit = Threshold(given, keep, len(known), sum(score < given for score in known), False)
    found: dict[str, ScreenedPhoto] = {}
    told = classes.keys() | earlier.keys()
    stored = load_found(data.folder)
    for rows in passages.values():
        paths = list(rows)
        probability: float | None
        answer, probability = answer_of(seen_in(paths), species, limit.value)
        of_photos = [d for path in paths for d in detections.get(path, ())]
        looked = [path in detections for path in paths if path in contents]
        before = [earlier[contents[path]] for path in paths if contents.get(path) in earlier]
        people = [d.confidence for d in of_photos if d.label == PERSON and d.confidence >= SHOWS]
        animals = [d.confidence for d in of_photos if is_animal(d.label) and d.confidence >= SHOWS]
        if before and (KEPT in before or answer == UNKNOWN) and answer != KEPT:
            answer, probability = (seen_instead(before) or KEPT), None
        if answer in (UNKNOWN, NOTHING) and animals:  # the detector saw an animal that the classifier did not name
            answer, probability = KEPT, max(animals)
        elif answer == UNKNOWN and looked and all(looked):
            weak = [d.confidence for d in of_photos if is_animal(d.label)]
            answer, probability = NOTHING, 1 - max(weak, default=0.0)
        elif answer == NOTHING and not all(path in detections or contents.get(path) in told for path in paths):
            answer, probability = UNKNOWN, 0.0
        if (people or PERSON in before) and answer != KEPT:
            answer, probability = PERSON, max(people, default=None)
        for path, each in rows.items():
            content = contents.get(path, "")
            of_photo = classes.get(content, {})
            persons = sum(d.label == PERSON and d.confidence >= SHOWS for d in detections.get(path, ()))
            persons = max(persons, int(shows_person(of_photo)))
            found[path] = _row(
                each, answer, probability, species, of_photo.get(species), stored.get(content, ()), persons
            )
    order = dict.fromkeys(a.path for a in data.annotations)
    notes = _notes(limit, given, found, classes)
    if learned and given is None:
        what = f"{counted(learned, 'passage')} of named animals"
        text = f"{what} that the classifier learned from: the threshold does not follow from them"
        if taught is None:
            text = f"the classifier's file does not tell its photos: the threshold does not follow from {what}"
        notes.append(Note("passages-learned-from", text, {"count": learned, "known": taught is not None}))
    notes += _named_left_out(passages.values(), found, species) if classes else []
    return Screening(tuple(found[path] for path in order), limit, (), tuple(notes))


def _named_left_out(
    passages: Collection[Mapping[str, Sequence[Annotation]]], found: Mapping[str, ScreenedPhoto], species: str
) -> list[Note]:
    """Return a note if most passages whose animals have names are left out, as in a catalog of another species."""
    named = [rows for rows in passages if any(is_name(a.individual) for each in rows.values() for a in each)]
    told = Counter(found[next(iter(rows))].answer for rows in named)
    left = sum(count for answer, count in told.items() if answer not in (KEPT, UNKNOWN))
    if 2 * left <= len(named):
        return []
    counts = sorted(told.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{answer} {count}" for answer, count in counts if answer not in (KEPT, UNKNOWN))
    text = (
        f"the screening keeps only passages of the species {species}: {left} of {len(named)} passages of animals with "
        f"names are left out ({shown}); is the catalog of another species?"
    )
    return [Note("named-left-out", text, {"species": species, "left": left, "named": len(named)})]


def _row(
    rows: Sequence[Annotation],
    answer: str,
    probability: float | None,
    species: str,
    score: float | None,
    animals: Sequence[Found],
    persons: int,
) -> ScreenedPhoto:
    """Return the result for one photo. rows: its annotations. animals: found in it, the surest first."""
    first = rows[0]
    drawn = any(a.drawn_box is not None for a in rows)
    boxes = [(a.bbox, a.box_by) for a in rows] if drawn else [(one.bbox, one.box_by) for one in animals]
    when = first.timestamp
    return ScreenedPhoto(
        first.path,
        first.encounter,
        first.location,
        first.station,
        first.camera,
        when.date().isoformat() if when is not None else "",
        when.time().isoformat() if when is not None and not first.dated else "",
        answer,
        None if probability is None else round(probability, 4),
        species,
        None if score is None else round(score, 4),
        tuple(",".join(map(str, box)) for box, _ in boxes if box is not None),
        next((by for _, by in boxes if by), ""),
        persons,
    )


def _notes(
    limit: Threshold, given: float | None, found: Mapping[str, ScreenedPhoto], classes: Mapping[str, object]
) -> list[Note]:
    """Return notes on the threshold, on photos of persons, and on photos that nothing has seen.

    classes: what a classifier said. Without it, no passage has a score and the threshold decides nothing.
    """
    notes = []
    kept = f"passages with a score of {limit.value:.3g} or more are kept"
    goal = f"{100 * limit.keep:g} % of the passages of the species"
    named = f"{counted(limit.known, 'passage')} of named animals"
    if given is None and limit.promised:
        text = f"{kept}: these are {goal}, as far as {named} tell"
        notes.append(Note("screening-threshold", text, {"threshold": limit.value}))
    elif given is None and classes:
        needed = passages_needed(limit.keep)
        lower = f" ({limit.below} of them with a lower score)" if limit.known else ""
        text = f"{kept}; to promise {goal} takes {needed} passages of named animals, here are {limit.known}{lower}"
        notes.append(Note("screening-threshold", text, {"threshold": limit.value, "needed": needed}))
    if people := sorted(path for path, photo in found.items() if photo.answer == PERSON or photo.persons):
        what = f"{counted(len(people), 'photo')} with a person or of such a passage"
        text = f"{what}: keep them private ({some(people)})"
        notes.append(Note("photos-of-persons", text, {"photos": people}))
    if unknown := sorted(path for path, photo in found.items() if photo.answer == UNKNOWN):
        what = f"{counted(len(unknown), 'photo')} that no network has seen, or of such a passage"
        text = f"{what}: {some(unknown)}"
        notes.append(Note("photos-not-screened", text, {"photos": unknown}))
    return notes
