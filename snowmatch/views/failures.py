"""A page of the worst wrong answers of an evaluation: each wrong animal and the right one, with the matched spots.

The page shows photos, names, stations and paths of the catalog. Share it only with people who may see them.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from snowmatch.confidence.score_table import ScoreTable
from snowmatch.confidence.trial import Trial, make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file, unwritable
from snowmatch.core.outputs import MARK, check_file, check_folder, has_mark
from snowmatch.core.text import counted, printable
from snowmatch.core.types import Annotation
from snowmatch.identify.answer import Candidate
from snowmatch.identify.losses import (
    HINTS,
    Failure,
    Lost,
    ask_again,
    check_table,
    feature_counts,
    fewest_features,
    find_lost,
    hints_of,
    share_in_place,
    usual_in,
)
from snowmatch.identify.session import Session
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.views.pictures import draw_pair
from snowmatch.views.side_by_side import Side, write_picture
from snowmatch.views.text import place_texts

WIDEST = 1400  # px, largest side of a picture
PICTURE = re.compile(r"\d{3,}-(wrong|right)\.jpg")  # pictures of an earlier page, which may be deleted


def write_failures(
    folder: Path,
    session: Session,
    protocol: str,
    table: ScoreTable,
    most: int = 40,
    progress: Callable[[int, int], None] | None = None,
    *,
    force: bool = False,
) -> tuple[Failure, ...]:
    """Write index.html and pictures/ into `folder`, and return the wrong answers that the page shows, worst first.

    The folder is created if it does not exist. Pictures of an earlier page are deleted. Without wrong answers, the page
    says that there are 0. Raises SnowmatchError if the table belongs to other queries or `folder` cannot be written.

    table: the scores of all queries of `protocol`, by the session's method on its catalog. Each query that is shown is
    matched again, because the table has no matched spots.
    most: largest number of wrong answers shown. The page counts all of them.
    progress: called with (done, total) queries.
    """
    check_failures(folder, session.folder, force=force)
    trial = make_trial(session.data.annotations, protocol, sample=len(table.queries))  # the same sample, or all
    check_table(table, trial)
    lost = find_lost(table)
    chosen = lost[: max(most, 0)]
    counts = feature_counts(session.galleries)
    usual = usual_in(table, counts)
    shown, drawn = [], set()
    try:
        pictures = folder / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        for path in sorted(pictures.iterdir()):
            if PICTURE.fullmatch(path.name) and not path.is_symlink() and has_mark(path):
                path.unlink()
        for number, each in enumerate(chosen, start=1):
            failure = ask_again(each, trial, table, session)
            sides = _sides(failure, session.folder)
            hints = hints_of(failure, _in_place(failure, sides), fewest_features(failure, counts), usual)
            shown.append(replace(failure, hints=hints))
            for name, picture in _drawn(failure, sides).items():
                drawn.add(f"{number:03d}-{name}.jpg")
                path = pictures / f"{number:03d}-{name}.jpg"
                check_file(path, session.folder, has_mark, force=force)
                write_picture(picture, path, quality=85)
            if progress is not None:
                progress(number, len(chosen))
    except OSError as error:
        raise unwritable(folder, error) from error
    text = page(session.folder.resolve().name, trial, table, lost, shown, drawn)
    replace_file(folder / "index.html", lambda file: file.write(text.encode("utf-8", "backslashreplace")))
    return tuple(shown)


def check_failures(folder: Path, catalog: Path, *, force: bool = False) -> None:
    """Raise SnowmatchError unless the page and its pictures may be written into `folder`."""
    check_folder(folder, catalog)
    check_folder(folder / "pictures", catalog)
    if folder.is_dir():
        check_file(folder / "index.html", catalog, has_mark, force=force)


def _in_place(failure: Failure, sides: Mapping[str, Side]) -> float:
    if failure.wrong is None or not {"query", "wrong"} <= sides.keys():
        return 0.0
    return share_in_place(failure.wrong, *(sides[name].photo.shape[1::-1] for name in ("query", "wrong")))


# Pictures


def _sides(failure: Failure, folder: Path) -> dict[str, Side]:
    """Return the photos `query`, `wrong` and `right`. Photos that cannot be read or have no features are left out."""
    annotations = {"query": (failure.query, "QUERY")}
    for name, candidate in (("wrong", failure.wrong), ("right", failure.right)):
        if candidate is not None:
            annotations[name] = (candidate.best, "CATALOG")
    sides = {}
    for name, (annotation, title) in annotations.items():
        try:
            sides[name] = side_of(folder, annotation, title)
        except SnowmatchError:
            continue  # the page says that the photo could not be read
    return sides


def side_of(folder: Path, annotation: Annotation, title: str) -> Side:
    """Return an annotation's photo with box, mask and caption. Raises SnowmatchError if a file cannot be read."""
    photo = read_photo(folder / annotation.path)
    size = photo.shape[1::-1]
    mask = read_mask(folder / annotation.mask, size) if annotation.mask else None
    place = printable("   ".join(place_texts(annotation)))
    caption = (f"{title}   {annotation.body_part}", place, printable(annotation.path))
    return Side(photo, clip_bbox(annotation.bbox, size) if annotation.bbox else None, mask, caption)


def _drawn(failure: Failure, sides: Mapping[str, Side]) -> dict[str, Image.Image]:
    """Return the pictures `wrong` and `right`, with the same colour scale. A picture needs both of its photos."""
    both = {"wrong": failure.wrong, "right": failure.right}
    weights = [c.weights.max(initial=0.0) for c in both.values() if c is not None and c.accepted]
    pictures = {}
    for name, candidate in both.items():
        if candidate is None or not {"query", name} <= sides.keys():
            continue
        strongest = float(max(weights, default=candidate.weights.max(initial=0.0)))
        pictures[name] = draw_pair(candidate, sides["query"], sides[name], strongest)["matches"]
        pictures[name].thumbnail((WIDEST, WIDEST))
    return pictures


# The page

STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1200px; padding: 12px; color: #1c1e20;
  background: #fafafa; overflow-wrap: anywhere; }
img { display: block; width: 100%; height: auto; background: #18191c; }
table { border-collapse: collapse; margin: 8px 0 20px; }
th, td { padding: 3px 9px; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
th, td:first-child { overflow-wrap: break-word; }
article { margin: 18px 0 34px; border-top: 3px solid #ccc; }
h2, h3 { margin: 8px 0 2px; font-size: 18px; }
p { margin: 4px 0 8px; }
.wrong { color: #a02c12; }
.right { color: #12692c; }
.small { font-size: 14px; color: #555; }
"""


def page(
    name: str, trial: Trial, table: ScoreTable, lost: Sequence[Lost], shown: Sequence[Failure], drawn: set[str]
) -> str:
    """Return the page as HTML.

    The page has the number of wrong answers, a table of them by individual and body part, and an article for each
    answer in `shown`, in their order.

    name: the catalog's name. lost: all wrong answers. drawn: the file names of the pictures.
    """
    answerable = np.flatnonzero(~np.isnan(table.photo_ranks()))
    asked = Counter(_animal(trial.annotations[table.queries[n]]) for n in answerable)
    wrong = Counter(_animal(trial.annotations[table.queries[each.query]]) for each in lost)
    title = f"Wrong answers: {name}, {trial.protocol}"
    counts = Counter(hint for failure in shown for hint in failure.hints)
    fewer = "" if len(shown) == len(lost) else f" The {len(shown)} worst are shown."
    return "\n".join(
        [
            *head(title),
            f"<h1>{html_text(title)}</h1>",
            f"<p>{counted(len(answerable), 'photo')} with a right answer in the catalog; for {len(lost)} of them the "
            f"first answer is a wrong animal.{fewer}</p>",
            *(
                f"<p><b>{html_text(hint)}</b> ({counts[hint]}): {html_text(HINTS[hint])}.</p>"
                for hint in HINTS
                if counts[hint]
            ),
            table_html(
                ("individual, body part", "queries", "wrong"),
                ((" ".join(animal), asked[animal], wrong[animal]) for animal in sorted(wrong)),
            ),
            *(_article(number, failure, drawn) for number, failure in enumerate(shown, start=1)),
            "</body></html>",
            "",
        ]
    )


def head(title: str) -> list[str]:
    """Return the lines of HTML before the content of a page."""
    return [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="generator" content="{MARK}">',
        f"<title>{html_text(title)}</title><style>{STYLE}</style></head><body>",
    ]


def table_html(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table as HTML; "" without rows."""
    lines = ["<tr>" + "".join(f"<th>{html_text(cell)}</th>" for cell in headings) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{html_text(str(cell))}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>" if len(lines) > 1 else ""


def _article(number: int, failure: Failure, drawn: set[str]) -> str:
    query = failure.query
    hints = f"; possible reasons: {', '.join(failure.hints)}" if failure.hints else ""
    lines = [
        f'<article id="f{number}"><h3>{number}. {html_text(failure.individuals[1])} {html_text(query.body_part)}: '
        f"taken for {html_text(failure.individuals[0])}</h3>",
        f'<p class="small">The right animal is at rank {failure.lost.rank}{html_text(hints)}<br>'
        f"query: {html_text(_described(query))}</p>",
    ]
    for name, title in (("wrong", "wrong answer"), ("right", "right animal")):
        candidate = getattr(failure, name)
        individual = failure.individuals[name == "right"]
        file = f"{number:03d}-{name}.jpg"
        if file in drawn:
            link = f"pictures/{file}"
            lines.append(f'<a href="{link}"><img loading="lazy" src="{link}" alt="query and {title}"></a>')
        verdict = _verdict(candidate, file in drawn)
        lines.append(f'<p class="small"><b class="{name}">{title}: {html_text(individual)}</b>, {verdict}</p>')
    return "\n".join([*lines, "</article>"])


def _verdict(candidate: Candidate | None, drawn: bool) -> str:
    if candidate is None:
        return "no features, so not compared"
    score = f"score {candidate.score:.2f}, {counted(candidate.inliers, 'inlier')}"
    if not candidate.accepted:
        score = "no verified match; the picture shows unverified matches"
    missing = "" if drawn else "; a photo could not be read"
    return f"{score}{missing}; {html_text(_described(candidate.best))}"


def _described(annotation: Annotation) -> str:
    return ", ".join([*place_texts(annotation), annotation.path])


def _animal(annotation: Annotation) -> tuple[str, str]:
    return annotation.individual or "", annotation.body_part


def html_text(text: str) -> str:
    """Return `text` as HTML: markup is escaped, and invisible characters are shown."""
    return html.escape(printable(text))
