"""The files of the photos that a source names, and their paths inside a catalog: by a link, or by copies."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from snowmatch.catalog.folders import find_photos
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import open_regular, replace_file, unwritable
from snowmatch.core.imported import Named
from snowmatch.core.text import same_name

LINKS = "photos"  # the folder of a catalog that holds links to photos elsewhere, and copies of them


@dataclass
class FoundPhotos:
    """Where the photos of a source are: (root, path below it). missing, unclear: names without a file, or with
    several. elsewhere: names whose files all lie in folders that are named with other photos.
    """

    files: dict[Named, tuple[Path, str]] = field(default_factory=dict)
    missing: list[Named] = field(default_factory=list)
    unclear: list[Named] = field(default_factory=list)
    elsewhere: list[Named] = field(default_factory=list)


@dataclass(frozen=True)
class Placement:
    """The paths of photos inside a catalog, and what has to be made for them.

    links: path in the catalog -> folder that it leads to. copies: path in the catalog -> file.
    """

    paths: Mapping[Named, str]
    links: Mapping[str, Path]
    copies: Mapping[str, Path]


def find_files(
    names: Iterable[Named], roots: Sequence[Path], catalog: Path, others: Collection[Named] = ()
) -> FoundPhotos:
    """Return where the photos are.

    A photo is the file with its whole path below one of the `roots`. Otherwise it is the only file below them with
    which it shares the end of its path: one of the two is the end of the other. Of several, it is the only one in a
    folder that is named with it; one in a folder that is named with other photos alone is none. Two names never get one
    file. catalog: a folder below a root that is not searched. others: further photos of the source, which are not
    looked for, but whose files are not those of `names`; may hold these, too.
    """
    found = FoundPhotos()
    folders = [root for root in dict.fromkeys(Path(os.path.abspath(root)) for root in roots) if root.is_dir()]
    claims: dict[tuple[Path, str], list[Named]] = defaultdict(list)
    wanted, rest = dict.fromkeys(names), []
    listed: dict[Path, dict[str, str]] = {}
    for named in wanted:
        if (place := _exactly(named[0], folders, listed)) is not None:
            claims[place].append(named)
        else:
            rest.append(named)
    whole = set(claims)
    further = _rivals(wanted, rest, others)
    index = _index(folders, catalog) if rest else {}
    hints = {hint for own in {own for _, own in (*wanted, *others)} for hint in _folded(own)}
    for named in rest:
        fitting = _fitting(named, index, hints)
        if len(fitting) == 1:
            claims[fitting[0]].append(named)
        elif fitting:
            found.unclear.append(named)
        else:
            (found.elsewhere if _of_this_end(named, index) else found.missing).append(named)
    for named in further:
        place = _exactly(named[0], folders, listed)
        if place is None and len(fitting := _fitting(named, index, hints)) == 1 and fitting[0] not in whole:
            place = fitting[0]
        if place in claims:
            claims[place].append(named)
    for place, claimed in claims.items():
        if len(claimed) == 1:
            found.files[claimed[0]] = place
        else:
            found.unclear += [named for named in claimed if named in wanted]
    return found


def _rivals(wanted: Collection[Named], rest: Iterable[Named], others: Iterable[Named]) -> list[Named]:
    """Return the further photos of a source that may have a file of a wanted one. rest: those not found exactly."""
    names = {name for name, _ in wanted}
    ends = {_parts(name)[-1] for name, _ in rest}
    return [
        named
        for named in dict.fromkeys(others)
        if named not in wanted and (named[0] in names or (ends and _parts(named[0])[-1] in ends))
    ]


def _fitting(named: Named, index: Mapping[str, Sequence[tuple[Path, str]]], hints: set[str]) -> list[tuple[Path, str]]:
    """Return the files that may be a photo. hints: the names of folders of all photos."""
    own, fitting = _folded(named[1]), _of_this_end(named, index)
    hinted = [place for place in fitting if own & set(_parts(place[1])[:-1])]
    return hinted or [place for place in fitting if not own or hints.isdisjoint(_parts(place[1])[:-1])]


def _of_this_end(named: Named, index: Mapping[str, Sequence[tuple[Path, str]]]) -> list[tuple[Path, str]]:
    """Return the files with which a photo shares the end of its path."""
    parts = _parts(named[0])
    return [place for place in index.get(parts[-1], ()) if _one_ends_other(parts, _parts(place[1]))]


def _folded(hints: Iterable[str]) -> set[str]:
    return {same_name(hint).casefold() for hint in hints if hint}


def place_photos(found: FoundPhotos, catalog: Path, *, copy: bool, used: Collection[str] = ()) -> Placement:
    """Return the paths of found photos inside a catalog: their own, or below `photos/` in it. Nothing is made yet.

    used: paths that the catalog has. A photo that it has by a link to another folder keeps that path. Photos that would
    be copied and cannot be read have none. Raises SnowmatchError if copies would replace other files.
    """
    home = Path(os.path.realpath(catalog))
    linked = {} if copy else links_of(catalog)
    roots: dict[Path, list[str]] = defaultdict(list)  # each is looked at once: there may be 100,000 photos
    for root, path in found.files.values():
        roots[root].append(path)
    real = {root: Path(os.path.realpath(root)) for root in roots}
    folders = {root: _folder_of_copies(root, own, catalog) for root, own in roots.items()}
    lead = {root: sorted((to != real[root], at, to) for at, to in linked.items()) for root in roots}
    paths: dict[Named, str] = {}
    links: dict[str, Path] = {}
    copies: dict[str, Path] = {}
    for name, (root, path) in found.files.items():
        prefix = _below(real[root], home)
        if prefix is not None:
            paths[name] = "/".join(filter(None, (prefix, path)))
            continue
        own = _below(real[root] / path, home)
        target = f"{folders[root]}/{path}"
        if own is not None:
            paths[name] = own
        elif copy:
            if not _readable(root / path):
                continue
            copies[target] = root / path
            paths[name] = target
        elif (catalog / target).is_file() and _same_file(catalog / target, root / path):
            paths[name] = target  # an earlier import copied it
        elif known := next((at for at in _by_links(real[root] / path, lead[root]) if at in used), ""):
            paths[name] = known  # of a source that lies in another folder
        else:
            link = next((at for at, to in links.items() if to == root), "") or _free_link(root, catalog, links)
            links[link] = root
            paths[name] = f"{link}/{path}"
    blocked = [
        at for at, file in copies.items()
        if os.path.lexists(catalog / at) and not ((catalog / at).is_file() and filecmp.cmp(catalog / at, file,
        shallow=False)) ]  # fmt: skip
    if blocked:
        more = f", and so are {len(blocked) - 1} more" if len(blocked) > 1 else ""
        raise SnowmatchError(
            f"{catalog / min(blocked)} is already another file{more}: rename the folder of the photos, or leave out "
            "the copying"
        )
    return Placement(paths, {a: t for a, t in links.items() if not os.path.lexists(catalog / a)},
                     {a: f for a, f in copies.items() if not os.path.lexists(catalog / a)})  # fmt: skip


def links_of(catalog: Path) -> dict[str, Path]:
    """Return the links below `photos/` of a catalog, and where they lead."""
    try:
        found = sorted(path for path in (catalog / LINKS).iterdir() if path.is_symlink())
    except OSError:
        return {}
    return {f"{LINKS}/{path.name}": Path(os.path.realpath(path)) for path in found}


def _by_links(photo: Path, links: Iterable[tuple[bool, str, Path]]) -> Iterable[str]:
    """Yield the paths that a photo has by links of a catalog, in the order of these."""
    for _, at, to in links:
        if below := _below(photo, to):
            yield f"{at}/{below}"


def make_links_and_copies(placement: Placement, catalog: Path) -> None:
    """Make the links and copies of a placement: all, or none. Raises SnowmatchError if the system refuses."""
    made: list[Path] = []
    try:
        for at, root in placement.links.items():
            _make_link(catalog / at, root)
            made.append(catalog / at)
        for at, file in placement.copies.items():
            _make_copy(catalog / at, file)
            made.append(catalog / at)
    except SnowmatchError:
        for path in reversed(made):
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, catalog)
        raise


def _make_link(path: Path, root: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.realpath(root), target_is_directory=True)
    except OSError as error:
        raise SnowmatchError(
            f"{path} cannot be made as a link to {root} ({error.strerror or error}): copy the photos instead",
            "copy-photos",
        ) from error


def _make_copy(path: Path, file: Path) -> None:
    try:
        with open_regular(file) as source:
            replace_file(path, partial(shutil.copyfileobj, source))
        shutil.copystat(file, path)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def _remove_empty(folder: Path, catalog: Path) -> None:
    """Remove a folder of a catalog and those above it, as far as they are empty."""
    try:
        for each in (folder, *folder.parents):
            if catalog in (each, *each.parents):
                each.rmdir()
    except OSError:  # not empty: it was there before
        return


def _same_file(one: Path, other: Path) -> bool:
    """Return whether a file is a copy of another: by size and time, or else by their bytes."""
    try:
        return filecmp.cmp(one, other)
    except OSError:
        return False


def _readable(path: Path) -> bool:
    try:
        open_regular(path).close()
    except (OSError, SnowmatchError):
        return False
    return True


def _exactly(name: str, folders: Sequence[Path], listed: dict[Path, dict[str, str]]) -> tuple[Path, str] | None:
    """Return the file with this path below a folder, or with this absolute path; None if there is none.

    listed: the names in folders that were looked at, by themselves and in any case; it gets further ones.
    """
    path = name.replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    if not path or "\0" in path or ".." in path.split("/"):
        return None
    clean = "/".join(part for part in path.split("/") if part not in ("", "."))
    whole = path[0] == "/" or path[1:2] == ":"
    for root in folders:
        below = _below(Path(path), root) if whole else clean
        if below and os.path.isfile(root / below):
            return root, _as_listed(root, below, listed)
    return None


def _as_listed(folder: Path, path: str, listed: dict[Path, dict[str, str]]) -> str:
    """Return a path below a folder as its disk writes it: Windows and macOS find a.jpg also as A.JPG.

    A photo under two paths would be two. listed: as in `_exactly`.
    """
    parts: list[str] = []
    for part in path.split("/"):
        if folder not in listed:
            try:
                names = sorted(os.listdir(folder), reverse=True)
            except OSError:  # it may be closed for lists, and open for files
                names = []
            listed[folder] = {_in_any_case(name): name for name in names} | {name: name for name in names}
        own = listed[folder]
        part = own.get(part) or own.get(_in_any_case(part), part)
        parts.append(part)
        folder /= part
    return "/".join(parts)


def _in_any_case(name: str) -> str:
    return same_name(name).casefold()


def _index(folders: Sequence[Path], catalog: Path) -> dict[str, list[tuple[Path, str]]]:
    """Return all photos below folders by file name, each once."""
    index: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    home = os.path.realpath(catalog)
    tops = [folder for folder in folders if not any(folder != other and other in folder.parents for other in folders)]
    for root in tops:
        try:
            photos = find_photos(root, "photos", [])
        except SnowmatchError:  # no photos: those that are looked for are missing
            continue
        own = _below(Path(home), Path(os.path.realpath(root)))
        for parts in photos:
            path = "/".join(parts)
            if own and path.startswith(f"{own}/"):
                continue
            index[_parts(path)[-1]].append((root, path))
    return index


def _parts(name: str) -> list[str]:
    parts = [part for part in same_name(name).replace("\\", "/").casefold().split("/") if part not in ("", ".")]
    return parts[1:] if len(parts) > 1 and parts[0].endswith(":") else parts or [""]


def _one_ends_other(one: Sequence[str], other: Sequence[str]) -> bool:
    least = min(len(one), len(other))
    return list(one[-least:]) == list(other[-least:])


def _below(path: Path, folder: Path) -> str | None:
    """Return the path below a folder, "" for the folder itself; None if it is not below it."""
    try:
        below = path.relative_to(folder).as_posix()
    except ValueError:
        return None
    return "" if below == "." else below


def _label(root: Path) -> str:
    return Path(os.path.realpath(root)).name.lstrip(".") or "card"


def _folder_of_copies(root: Path, paths: Sequence[str], catalog: Path) -> str:
    """Return the folder below `photos/` for copies of these photos of a folder.

    It is no link, which would lead them out of the catalog, and has no other photos alone under these names: they would
    be of an earlier memory card that was in the same place.
    """
    names = (f"{LINKS}/{_label(root)}" + (f"-{number}" if number > 1 else "") for number in count(1))
    for name in (name for name in names if not (catalog / name).is_symlink()):
        there = [path for path in paths if os.path.lexists(catalog / name / path)] if (catalog / name).exists() else []
        if not there or any(_same_file(catalog / name / path, root / path) for path in there):
            break
    return name


def _free_link(root: Path, catalog: Path, links: Iterable[str]) -> str:
    """Return the link below `photos/` that leads to a folder already, or the first name that is free."""
    number = 1
    while True:
        at = f"{LINKS}/{_label(root)}" + (f"-{number}" if number > 1 else "")
        path = catalog / at
        taken = at in links or os.path.lexists(path)
        if not taken or (path.is_symlink() and os.path.realpath(path) == os.path.realpath(root)):
            return at
        number += 1
