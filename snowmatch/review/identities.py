"""The identities of a catalog: who is who, and the changes that a person can make, each with a preview."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from snowmatch.api import Catalog
from snowmatch.catalog.ids import paths_of_ids, with_ids
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.names import UNNAMED as UNNAMED
from snowmatch.catalog.names import alike_names
from snowmatch.catalog.opened import open_data
from snowmatch.catalog.records import current_status, records_of
from snowmatch.catalog.table import UNIDENTIFIED, is_unidentified
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import path_inside
from snowmatch.core.notes import Note
from snowmatch.core.outputs import check_outside
from snowmatch.core.text import choices, counted, did_you_mean, same_name
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.decisions.advance import advanced
from snowmatch.decisions.corrections import corrected, with_corrections
from snowmatch.decisions.effect import holding, in_effect
from snowmatch.decisions.file import Appended, Decisions, read_decisions, read_since
from snowmatch.decisions.file import OvertakenError as OvertakenError
from snowmatch.decisions.file import absent_notes as absent_notes
from snowmatch.decisions.file import append as append
from snowmatch.decisions.file import decisions_path as decisions_path
from snowmatch.decisions.file import read_head as read_head
from snowmatch.decisions.merge import Exported, export_lines, import_lines, merge_file
from snowmatch.decisions.merge import Merged as Merged
from snowmatch.decisions.named import checked_names, lent_names, told_names
from snowmatch.decisions.row import Decision as Decision
from snowmatch.decisions.row import timestamp as timestamp
from snowmatch.decisions.who import Individual as Individual
from snowmatch.decisions.who import Who, chosen_key, who_is_who, with_names
from snowmatch.decisions.who import is_name as is_name

LATER = "~"  # the ids of decisions that are only tried begin so, and come after all others


@dataclass(frozen=True, eq=False)
class Identities:
    """The sightings and individuals of a catalog, with all decisions so far.

    data: the catalog as its table has it, with the identifiers of annotations. path: the file of decisions. stored: its
    content.
    """

    data: CatalogData
    path: Path
    stored: Decisions
    who: Who

    @property
    def rows(self) -> tuple[Decision, ...]:
        """All decisions, in their order."""
        return self.stored.rows

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The annotations with the names of the catalog's table, in its order."""
        return self.data.annotations

    @cached_property
    def named(self) -> tuple[Annotation, ...]:
        """The annotations with the names by all decisions."""
        return with_names(with_corrections(self.data.annotations, in_effect(self.rows)), self.who)

    @property
    def told(self) -> CatalogData:
        """The catalog with the names by all decisions, and notes on what they change."""
        return told_names(self.data, self.named, self.who) if self.rows else self.data

    @cached_property
    def checked(self) -> tuple[Annotation, ...]:
        """The annotations with those names only that persons gave, as a calibration takes them."""
        return checked_names(self.named, lent_names(self.who))

    def corrected(self, row: int) -> Annotation:
        """Return the annotation of a row of the table, with the body part, species and box that persons corrected."""
        return corrected(self.data.annotations[row], self.who.boxes, self.who.values)

    @cached_property
    def paths(self) -> frozenset[str]:
        """The paths of all photos in the catalog."""
        return frozenset(a.path for a in self.annotations)

    @cached_property
    def sightings_of_photo(self) -> Mapping[str, tuple[int, ...]]:
        """The numbers of the sightings in each photo, by its path in the catalog."""
        found: dict[str, list[int]] = defaultdict(list)
        for number, sighting in enumerate(self.who.sightings):
            for row in sighting.rows:
                found[self.data.annotations[row].path].append(number)
        return {path: tuple(dict.fromkeys(numbers)) for path, numbers in found.items()}


def open_identities(folder: str | Path | Catalog, decisions: Path | None = None) -> Identities:
    """Return the identities of the catalog in `folder`. decisions: the file of decisions (default: the catalog's own).

    Raises SnowmatchError if there is no catalog, or if the file of decisions is damaged.
    """
    return identities_of(open_data(folder.folder if isinstance(folder, Catalog) else Path(folder)), decisions)


def identities_of(data: CatalogData, decisions: Path | None = None) -> Identities:
    """Return the identities of a catalog as it was read. decisions: as of `open_identities`, which raises as this."""
    data = replace(data, annotations=with_ids(data.folder, data.annotations, data.annotations))
    path = decisions or decisions_path(data.folder)
    stored = read_decisions(path)
    return Identities(data, path, stored, who_is_who(data.annotations, stored.rows))


def refreshed(identities: Identities) -> Identities:
    """Return the identities with the decisions that others have stored since; the same value if there are none."""
    stored, new = read_since(identities.path, identities.stored)
    if not new:
        return identities
    who = advanced(identities.who, identities.annotations, stored.rows, new)
    return replace(identities, stored=stored, who=who)


def decide(identities: Identities, drafts: Sequence[Decision]) -> tuple[Identities, Appended]:
    """Store decisions, and return the new identities and what was stored. No drafts change nothing.

    Raises SnowmatchError if the file cannot be written.
    """
    appended = append(identities.path, drafts)
    return refreshed(identities), appended


def draft(kind: str, observer: str, answer: str = "", **values: Any) -> Decision:
    """Return a decision of this moment that is not stored yet. values: other fields of Decision."""
    return Decision("", timestamp(), observer, kind, answer=answer, program=__version__, **values)


def merge_other(identities: Identities, other: Path) -> tuple[Identities, Merged]:
    """Add the decisions of another file, such as that of a second computer. Raises SnowmatchError as `merge_file`."""
    merged = merge_file(identities.path, other)
    return refreshed(identities), merged


def export_file(folder: Path, decisions: Path | None, out: Path) -> Exported:
    """Write all decisions of a catalog as JSON lines, also those that are readable of a damaged file.

    Raises SnowmatchError as `export_lines`, and if `out` lies in a catalog.
    """
    check_outside(out, folder)
    return export_lines(decisions or decisions_path(folder), out)


def import_decisions(identities: Identities, source: Path) -> tuple[Identities, Merged]:
    """Add decisions from JSON lines. Raises SnowmatchError as `import_lines`."""
    merged = import_lines(identities.path, source)
    return refreshed(identities), merged


# --- what a person names ---------------------------------------------------------------------------------------------


def unread_notes(identities: Identities) -> tuple[Note, ...]:
    """Return a note if annotations have no identifier yet: no index run has read them, and they are no sightings."""
    if not (unread := sum(not a.annotation for a in identities.annotations)):
        return ()
    text = f"{counted(unread, 'annotation')} not indexed yet and therefore of no sighting: not listed or counted here"
    return (Note("annotations-unread", text, {"catalog": str(identities.data.folder), "count": unread}),)


def unused_annotations(identities: Identities) -> int:
    """Return how many annotations with an identifier are of no sighting: left out by the screening, or by species."""
    known = identities.who.number_of
    return sum(bool(a.annotation) and a.annotation not in known for a in identities.annotations)


def _unread(identities: Identities, name: str, annotations: Iterable[Annotation]) -> None:
    """Raise SnowmatchError if one of these annotations, of what `name` means, has no identifier yet."""
    if any(not a.annotation for a in annotations):
        folder = str(identities.data.folder)
        text = f"{name!r} is in {folder}, but not indexed yet, so no decision can be kept about it: index it first"
        raise SnowmatchError(text, "not-indexed", catalog=folder)


def find_individual(identities: Identities, name: str) -> Individual:
    """Return the individual with a name or handle.

    Raises SnowmatchError if there is none: with the individual that has it as a further name or had it before a merge
    or a rename, or else with the nearest names.
    """
    who = identities.who
    found = next((each for form in _forms(name) if (each := who.named(form)) is not None), None)
    if found is not None:
        return found
    for asked in _forms(name):
        now = who.bearer(asked) or next((each for each in who.individuals if asked in called(identities, each)), None)
        if now is not None:
            how = "is a further name of" if asked in now.names else "was merged into"
            how = "was renamed to" if asked in who.former else how
            raise SnowmatchError(f"no individual {name!r} in {identities.data.folder}: it {how} {now.handle!r}")
    _unread(identities, name, (a for a in identities.annotations if a.individual in _forms(name)))
    known = [each.handle for each in identities.who.individuals if each.name is not None or len(each.sightings) > 1]
    expected = choices(name, sorted(known)) if known else "it has no individuals yet: name one of its sightings first"
    raise SnowmatchError(f"no individual {name!r} in {identities.data.folder}; {expected}")


def _forms(name: str) -> tuple[str, ...]:
    """Return the names that a typed one may mean, each once: as it is, with composed letters, with single blanks."""
    return tuple(dict.fromkeys((name, same_name(name), same_name(" ".join(name.split())))))


def called(identities: Identities, individual: Individual) -> set[str]:
    """Return all names of an individual's sightings, also those that a merge or a rename gave up."""
    who = identities.who
    keys = {key for n in individual.sightings if (key := who.names[n]) is not None}
    keys |= {chosen_key(key, who.merged) for key in keys}
    return {who.labels[key] for key in keys} | {old for old, key in who.former.items() if key in keys}


def with_left_out(identities: Identities, names: Iterable[str]) -> Identities:
    """Return the identities with the animals that are no sightings and that `names` mean, for drafts about them: those
    that the screening left out, and those of a species that no individual has.

    names: as in `find_sighting_named`. A photo or an encounter means all its animals, also beside one that counts. When
    the drafts are stored, these animals are sightings for all.
    """
    known = identities.who.number_of
    named = {each for name in names for each in (name, same_name(name), _photo_named(identities, name))}
    chosen = {
        a.row: a.annotation
        for a in identities.annotations
        if a.annotation and a.annotation not in known and named & {a.annotation, a.path, a.encounter}
    }
    if not chosen:
        return identities
    annotations = tuple(replace(a, left_out="") if a.row in chosen else a for a in identities.annotations)
    data = replace(identities.data, annotations=annotations)
    return replace(identities, data=data, who=who_is_who(annotations, identities.rows, chosen.values()))


def sightings_named(identities: Identities, name: str) -> list[int]:
    """Return the numbers of the sightings that `name` means, as in `find_sighting_named`; [] if there are none."""
    who = identities.who
    if name in who.number_of:
        return [who.number_of[name]]
    found = [n for n, sighting in enumerate(who.sightings) if sighting.encounter in (name, same_name(name))]
    photos = identities.sightings_of_photo
    return list(photos.get(name, ())) or found or list(photos.get(_photo_named(identities, name), ()))


def _photo_named(identities: Identities, name: str) -> str:
    """Return the path in the catalog of the photo that `name` means; `name` if it means none.

    name: the path there or from the working directory, with slashes of either kind, as a terminal completes it.
    """
    text = name.replace("\\", "/")
    paths = (name, PurePosixPath(text).as_posix(), path_inside(identities.data.folder, text))
    return next((path for path in paths if path in identities.paths), name)


def find_sighting_named(identities: Identities, name: str, *, to_decide: bool = True) -> int:
    """Return the number of the sighting that `name` means: an annotation, an encounter, or the path of a photo, also
    from the working directory.

    Raises SnowmatchError if there is none, if the photo or encounter shows several animals, or, to decide about it, if
    one of its photos has changed since it was indexed: the identifiers of its annotations may be those of another one.
    """
    who = identities.who
    found = sightings_named(identities, name)
    if len(found) == 1:
        if to_decide and name not in who.number_of:
            need_unchanged(identities, who.sightings[found[0]].annotations)
        return found[0]
    if found:
        several = counted(len(found), "animal")
        places = _places(identities, _photo_named(identities, name), found)
        raise SnowmatchError(f"{name} shows {several}; name one of the annotations {places}")
    known = sorted({sighting.encounter for sighting in who.sightings})
    if not known:
        raise SnowmatchError(
            f"{identities.data.folder} has no indexed photos, so no decision can be kept: index it first",
            "not-indexed",
            catalog=str(identities.data.folder),
        )
    path = _photo_named(identities, name)
    _unread(identities, name, (a for a in identities.annotations if a.path == path or a.encounter == same_name(name)))
    raise SnowmatchError(
        f"{name!r} is no annotation, photo or encounter of {identities.data.folder}"
        f"{did_you_mean(name, [*known, *who.number_of])}; "
        "expected an encounter, the path of a photo in the catalog, or the identifier of an annotation"
    )


def paths_of(identities: Identities, annotations: Iterable[str]) -> list[str]:
    """Return the paths of the photos of these annotations, each once; none for those that the catalog does not have."""
    return list(dict.fromkeys(a.path for a in _rows_of(identities, annotations)))


def _rows_of(identities: Identities, annotations: Iterable[str]) -> list[Annotation]:
    """Return the annotations with these identifiers, without those that the catalog does not have."""
    who, chosen = identities.who, set(annotations)
    numbers = sorted({who.number_of[name] for name in chosen if name in who.number_of})
    found = [identities.annotations[row] for n in numbers for row in who.sightings[n].rows]
    if not chosen <= who.number_of.keys():  # some are of no sighting
        found = list(identities.annotations)
    return [a for a in found if a.annotation in chosen]


def need_unchanged(identities: Identities, annotations: Iterable[str]) -> None:
    """Raise SnowmatchError if the photo of one of these annotations is not what was indexed under it, or is another one
    by an index run since the catalog was read.
    """
    annotations = tuple(annotations)
    changed = changed_photo(identities, annotations)
    if changed is not None:
        text = f"{changed} has changed since it was indexed, so a decision might go to another photo: index it first"
        raise SnowmatchError(text, "photo-changed", catalog=str(identities.data.folder), photo=changed)
    rows, folder = _rows_of(identities, annotations), identities.data.folder
    paths = paths_of_ids(folder, (a.annotation for a in rows))
    moved = [a.path for a in rows if paths.get(a.annotation, a.path) != a.path and (folder / a.path).exists()]
    for path in records_of(folder, moved):  # a photo that the table has under a new name was never indexed as another
        text = f"{path} is another photo since an index run of just now, so a decision would go to the one before"
        raise SnowmatchError(f"{text}: look at it again", "photo-replaced", photo=path)


def changed_photo(identities: Identities, annotations: Iterable[str]) -> str | None:
    """Return the path of the first photo of these annotations that is not what was indexed under it; None if all are,
    or have gone.
    """
    folder, paths = identities.data.folder, paths_of(identities, annotations)
    records = records_of(folder, paths)
    for path in paths:
        known = records.get(path)
        if known is not None and (folder / path).exists() and current_status(str(folder / path), known) is None:
            return path
    return None


def _places(identities: Identities, name: str, sightings: Sequence[int]) -> str:
    """Return an annotation of each sighting in a photo or encounter, and where it is: in one photo from left to right.

    name: of the photo or encounter.
    """
    shown = [
        next((a for a in photos if a.path == name), photos[0])
        for photos in ([identities.corrected(row) for row in identities.who.sightings[n].rows] for n in sightings)
    ]
    shown.sort(key=lambda a: (a.path, a.bbox is None, a.bbox or (), a.row))
    one = len({a.path for a in shown}) == 1
    boxes = [f"box {','.join(map(str, a.bbox))}" if a.bbox is not None else "no box" for a in shown]
    told = [f"{a.annotation} ({box if one else f'{a.path}, {box}'})" for a, box in zip(shown, boxes, strict=True)]
    ordered = one and all(a.bbox is not None for a in shown)
    return f"{'from left to right: ' if ordered else ''}{', '.join(told)}"


def sides_of(identities: Identities, sightings: Iterable[int]) -> tuple[str, ...]:
    """Return the identifiers of the annotations of some sightings, in the catalog's order."""
    who = identities.who
    rows = sorted(row for number in sightings for row in who.sightings[number].rows)
    return tuple(identities.annotations[row].annotation for row in rows)


# --- changes ---------------------------------------------------------------------------------------------------------


def answer_pair(identities: Identities, a: int, b: int, answer: str, observer: str, **values: Any) -> Decision:
    """Return the draft of an answer about two sightings. values: other fields of Decision, such as `certainty`."""
    sides = (sides_of(identities, [a]), sides_of(identities, [b]))
    return draft("pair", observer, answer, side_a=sides[0], side_b=sides[1], **values)


def find_sides(identities: Identities, one: str, other: str, answer: str, observer: str, **values: Any) -> Decision:
    """Return the draft of an answer about two photos or annotations of one sighting. A photo means all its annotations.

    Raises SnowmatchError if both are the same photo, or if one is the whole sighting.
    """
    known = identities.who.number_of
    sides = [(name,) if name in known else _of_photo(identities, name) for name in (one, other)]
    if not all(sides) or set(sides[0]) & set(sides[1]):
        raise SnowmatchError(f"{one} and {other} are one sighting; to divide it, name two of its photos or annotations")
    return draft("pair", observer, answer, side_a=sides[0], side_b=sides[1], **values)


def _of_photo(identities: Identities, name: str) -> tuple[str, ...]:
    """Return the identifiers of the annotations of the photo that `name` means; () if it means none."""
    path, known = _photo_named(identities, name), identities.who.number_of
    return tuple(a.annotation for a in identities.annotations if a.path == path and a.annotation in known)


def name_sightings(identities: Identities, sightings: Sequence[int], name: str, observer: str) -> Decision:
    """Return the draft that gives sightings a name: a new one, or that of an individual; "" takes their names away."""
    return draft("name", observer, checked_name(name) if name else "", side_a=sides_of(identities, sightings))


def overruling(identities: Identities, draft: Decision) -> Decision:
    """Return the draft of a name as an adjudicator's, if sightings would else have different names of observers."""
    after = who_is_who(identities.annotations, (*identities.rows, draft._replace(id=f"{LATER}0")))
    numbers = {after.number_of.get(name) for name in draft.side_a}
    return draft._replace(role="adjudicator") if numbers & after.disputed_names.keys() else draft


def bearer_of(identities: Identities, name: str, leaving: Sequence[str] = ()) -> Individual | None:
    """Return the individual that has a name, also as a further one or as one that a merge gave up; None if it is free.

    leaving: annotations that are taken out of an individual. A name that only they have, beside its own, is free.
    """
    who = identities.who
    found = who.bearer(name)
    if found is None or found.handle == name or not leaving:
        return found
    having = (who.sightings[n] for n in found.sightings if (key := who.names[n]) and who.labels[key] == name)
    return None if set(leaving).issuperset(each for sighting in having for each in sighting.annotations) else found


def taken(name: str, bearer: Individual, article: str = "an") -> str:
    """Return in words what a name is that an individual has. article: `an` or `another`."""
    return f"{article} individual" if bearer.handle == name else f"a name of {bearer.handle!r}"


def rename(identities: Identities, old: str, new: str, observer: str) -> Decision:
    """Return the draft that renames an individual. An individual without a name gets one.

    One of its further names, or one that a merge gave up for it, is chosen by a merge. Raises SnowmatchError if another
    individual has the name, or if it is its name already.
    """
    individual = find_individual(identities, old)
    new = checked_name(new)
    if (other := bearer_of(identities, new)) is not None and other is not individual:
        raise SnowmatchError(
            f"{new!r} is {taken(new, other, 'another')} with {counted(len(other.sightings), 'sighting')}: merge "
            f"{old!r} with it, or choose another name",
            "merge-instead",
            names=[old, other.handle],
        )
    if new == individual.name:
        raise SnowmatchError(f"{new!r} is its name already: expected another one", "name-as-before", name=new)
    side = sides_of(identities, individual.sightings)
    if individual.name is None:
        return draft("name", observer, new, side_a=side)
    if other is individual:
        return draft("merge", observer, new, side_a=side, side_b=side)
    return draft("rename", observer, new, side_a=side, side_b=(individual.name,))


def merge(identities: Identities, names: Sequence[str], observer: str, into: str = "") -> tuple[Decision, ...]:
    """Return the drafts that make several individuals one. into: its name (default: that of the first with a name).

    Several names of one individual, which decisions joined without a merge, become one name. Raises SnowmatchError if
    there are fewer than two, or if `into` is the name of yet another individual.
    """
    found = list(dict.fromkeys(_find_by_any_name(identities, name) for name in names))
    groups = [each.sightings for each in found]
    if len(found) == 1:
        groups = _sightings_of_names(identities, found[0], names)
    if len(groups) < 2:
        raise SnowmatchError(f"{', '.join(names) or 'nothing'} is one individual, expected two or more to merge")
    into = checked_name(into) if into else next((each.name for each in found if each.name is not None), "")
    other = bearer_of(identities, into) if into else None
    if other is not None and other not in found:
        raise SnowmatchError(
            f"{into!r} is {taken(into, other, 'another')}: name it among those to merge, or choose another name"
        )
    groups.sort(key=lambda group: other is None or group != other.sightings)  # each row is with the name
    one, *rest = (sides_of(identities, group) for group in groups)
    drafts = [draft("merge", observer, into, side_a=one, side_b=other) for other in rest]
    return tuple(each._replace(decided_at=drafts[0].decided_at) for each in drafts)  # one act, taken back as one


def _find_by_any_name(identities: Identities, name: str) -> Individual:
    """Return the individual with a name, a handle, or one of several names. Raises as `find_individual`."""
    who, forms = identities.who, _forms(name)
    if all(who.named(form) is None for form in forms):
        found = next((each for form in forms for each in who.individuals if form in each.names), None)
        if found is not None:
            return found
    return find_individual(identities, name)


def _sightings_of_names(identities: Identities, individual: Individual, names: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the sightings that have each of these names of one individual, in the order of the names."""
    who = identities.who
    had = individual.names
    groups: dict[str, list[int]] = {next((f for f in _forms(name) if f in had), name): [] for name in names}
    for number in individual.sightings:
        key = who.names[number]
        label = who.labels[chosen_key(key, who.merged)] if key is not None else ""
        if label in groups:
            groups[label].append(number)
    return [tuple(group) for group in groups.values() if group]


def split(identities: Identities, name: str, chosen: Sequence[int], observer: str, new: str = "") -> Decision:
    """Return the draft that takes sightings out of an individual. new: the name of what they become, or "" for none.

    Raises SnowmatchError if they are not some of its sightings, or if the name exists.
    """
    individual = find_individual(identities, name)
    if foreign := [n for n in chosen if n not in individual.sightings]:
        keys = ", ".join(identities.who.sightings[n].encounter for n in foreign)
        raise SnowmatchError(f"{keys} is not of {name!r}: choose some of its sightings")
    rest = [n for n in individual.sightings if n not in set(chosen)]
    if not chosen or not rest:
        raise SnowmatchError(
            f"{counted(len(chosen), 'sighting')} of {len(individual.sightings)} chosen: a split needs "
            "one or more of them, and leaves one or more"
        )
    new = checked_name(new) if new else ""
    if new and (other := bearer_of(identities, new, sides_of(identities, chosen))) is not None:
        raise not_free(new, other, individual, ", or give the sightings its name")
    return draft(
        "split",
        observer,
        new,
        side_a=sides_of(identities, chosen),
        side_b=sides_of(identities, rest),
    )


def not_free(name: str, bearer: Individual, individual: Individual, otherwise: str = "") -> SnowmatchError:
    """Return the error of a part of an individual whose new name has a bearer.

    otherwise: what else helps if the bearer is another individual.
    """
    if bearer is individual:
        otherwise = ", or split off all that have it" if bearer.handle != name else ""
    return SnowmatchError(f"{name!r} is {taken(name, bearer)} already: choose another name{otherwise}")


def undo(identities: Identities, ids: Sequence[str], observer: str) -> tuple[Decision, ...]:
    """Return the drafts that take decisions back. A decision's id may be shortened to its last characters.

    A decision that is named twice is taken back once. Raises SnowmatchError if there is no such decision, if several
    end so, or if it is taken back already: a second undo would make it stay away when the first one is taken back.
    """
    drafts: dict[str, Decision] = {}
    holds, known = holding(identities.rows), {row.id: row for row in identities.rows}
    for name in ids:
        found = [known[name]] if name in known else []
        found = found or [row for row in identities.rows if len(name) >= 4 and row.id.endswith(name)]
        if len(found) != 1:
            what = f"{counted(len(found), 'decision')} end" if found else "no decision ends"
            raise SnowmatchError(f"{what} with {name!r}: see `log` for the identifiers, and give the whole one")
        if found[0].id not in holds:
            by = next((row.id[-8:] for row in identities.rows if row.answer == found[0].id and row.id in holds), "ID")
            raise SnowmatchError(f"{name!r} is taken back already: `undo {by}` gives it back")
        drafts[found[0].id] = draft("undo", observer, found[0].id, side_a=found[0].side_a, side_b=found[0].side_b)
    return tuple(drafts.values())


def last_of(identities: Identities, observer: str) -> tuple[str, ...]:
    """Return the ids of the observer's last decisions in effect that were stored together; () if there are none.

    An undo is not one of them: undoing twice takes two decisions back.
    """
    own = [row for row in in_effect(identities.rows) if row.observer == observer]
    if not own:
        return ()
    last = own[-1]
    kinds = {"merge": ("merge",), "split": ("pair", "split")}.get(last.kind)  # a split may divide sightings first
    same = [last] if kinds is None else [r for r in own if r.decided_at == last.decided_at and r.kind in kinds]
    return tuple(r.id for r in same)


def checked_name(name: str) -> str:
    """Return a typed name of an individual as it is kept: composed letters, single blanks.

    Raises SnowmatchError if it stands for an animal without a name.
    """
    name = same_name(" ".join(name.split()))
    if not name or name.startswith(UNNAMED) or is_unidentified(name):
        raise SnowmatchError(
            f"{name!r} is not a name for an individual; expected a text that does not begin with 'unnamed ' and is not "
            f"'{UNIDENTIFIED}'"
        )
    return name


# --- previews --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What decisions would change.

    sightings: number of sightings that get another name. captures: of these, with a station and a time. individuals:
    their number before and after. names: for each pair of names (before, after; "" for none), how many sightings.
    quarrels: new pairs of sightings in one individual that must be different. alike: new names, each with the names of
    other individuals that it resembles. disputed: number of sightings that newly have different names of observers.
    several: the names of each individual that has more of them than before, and more than one.
    """

    sightings: int
    captures: int
    individuals: tuple[int, int]
    names: tuple[tuple[str, str, int], ...]
    quarrels: tuple[tuple[int, int], ...]
    alike: tuple[tuple[str, ...], ...] = ()
    disputed: int = 0
    several: tuple[tuple[str, ...], ...] = ()


def preview(identities: Identities, drafts: Sequence[Decision]) -> Change:
    """Return what these decisions would change. Nothing is stored."""
    numbered = [each._replace(id=f"{LATER}{n:06d}") for n, each in enumerate(drafts)]
    return change_of(identities.who, who_is_who(identities.annotations, (*identities.rows, *numbered)))


def change_of(before: Who, after: Who) -> Change:
    """Return what changed from one state of a catalog to a later one."""
    moved: dict[tuple[str, str], int] = defaultdict(int)
    captures = 0
    # A sighting that is in one state only: the screening, or a species, makes it none in the other
    both = [(s, before.number_of.get(s.key), n) for n, s in enumerate(after.sightings)]
    # So does what was divided and is one sighting again: its second part is of the first one's individual
    earlier = [(s, n, after.number_of.get(s.key)) for n, s in enumerate(before.sightings)]
    gone = [(s, n, new) for s, n, new in earlier if new is None or after.sightings[new].key != s.key]
    for sighting, old, new in (*both, *gone):
        ends = (
            None if old is None else before.individuals[before.of[old]],
            None if new is None else after.individuals[after.of[new]],
        )
        names = tuple(each.handle if each and (each.name or len(each.sightings) > 1) else "" for each in ends)
        if names[0] != names[1]:
            moved[names[0], names[1]] += 1
            captures += bool(sighting.station and sighting.time)
    known = {pair for each in before.individuals for pair in _keys(before, each)}
    fresh = [
        p
        for each in after.individuals
        for p, k in zip(each.quarrels, _keys(after, each), strict=True)
        if k not in known
    ]
    counts = len(before.individuals), len(after.individuals)
    told = tuple((*names, count) for names, count in sorted(moved.items()))
    had, has = ({each.name for each in who.individuals if each.name is not None} for who in (before, after))
    alike = tuple(tuple(group) for group in alike_names(has) if not had.issuperset(group))
    disputes = [{who.sightings[n].key for n in who.disputed_names} for who in (before, after)]
    disputed, several = len(disputes[1] - disputes[0]), tuple(_several_names(before, after))
    return Change(sum(moved.values()), captures, counts, told, tuple(fresh), alike, disputed, several)


def _several_names(before: Who, after: Who) -> Iterator[tuple[str, ...]]:
    """Yield the names of each individual that has several, and more than each that had one of its sightings before."""
    for individual in after.individuals:
        if len(individual.names) > 1:
            keys = (after.sightings[n].key for n in individual.sightings)
            earlier = {before.of[number] for key in keys if (number := before.number_of.get(key)) is not None}
            if all(len(before.individuals[n].names) < len(individual.names) for n in earlier):
                yield individual.names


def _keys(who: Who, individual: Individual) -> list[tuple[str, str]]:
    return [(who.sightings[a].key, who.sightings[b].key) for a, b in individual.quarrels]
