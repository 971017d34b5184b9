"""A page of the proof of a screening: figures, and pictures of right and wrong answers.

The page shows photos of the catalog. Share it only with people who may see them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.species import PEOPLE
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file, unwritable
from snowmatch.core.outputs import check_file, check_folder, has_mark, make_output_folder
from snowmatch.core.text import counted, percent
from snowmatch.photos.pixels import read_small
from snowmatch.review.screen_figures import Case, Told
from snowmatch.review.screen_trial import Proof, Trial, kind_of
from snowmatch.screening.cam import class_activation
from snowmatch.screening.classifiers.learned import tell
from snowmatch.screening.finders import choose_finders
from snowmatch.screening.scenes import LEAST
from snowmatch.screening.species import log_sum
from snowmatch.views.curves import curves_svg, reliability_svg
from snowmatch.views.failures import head, html_text, table_html
from snowmatch.views.screen_trial import bounds_text, confusion_rows, folds_line, kept_line, table_of, title_of
from snowmatch.views.side_by_side import write_picture

WRONG, RIGHT = 12, 4  # pictures of each classifier, at most
WIDTH = 420  # px of one photo in a picture
PICTURE = re.compile(r"(in-use|learned)-(wrong|right)-\d{2}\.jpg")  # of an earlier page, which may be deleted
CELLS = "table.matrix td { background: color-mix(in srgb, #0072b2 var(--share), white); }\n"


def check_page(folder: Path, catalog: Path, *, force: bool = False) -> None:
    """Raise SnowmatchError unless the page and its pictures may be written into `folder`."""
    check_folder(folder, catalog)
    check_folder(folder / "pictures", catalog)
    if folder.is_dir():
        check_file(folder / "index.html", catalog, has_mark, force=force)


def write_page(
    proof: Proof,
    data: CatalogData,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    force: bool = False,
) -> int:
    """Write index.html and pictures/ into `folder`, and return the number of pictures. Earlier pictures are deleted.

    data: the catalog, whose settings name the classifier. The surest wrong answers are shown, and the surest right ones
    of each kind in turn; never photos of persons. progress: called with (done, total) pictures. Raises SnowmatchError
    if the folder cannot be written.
    """
    check_page(folder, data.folder, force=force)
    make_output_folder(folder / "pictures")
    try:
        for path in sorted((folder / "pictures").iterdir()):
            if PICTURE.fullmatch(path.name) and not path.is_symlink() and has_mark(path):
                path.unlink()
    except OSError as error:
        raise unwritable(folder, error) from error
    chosen = [(trial, name, case) for trial in proof.trials for name, case in _chosen(trial, proof.people)]
    drawn: dict[tuple[str, str], Case] = {}
    for done, (trial, name, case) in enumerate(chosen, start=1):
        path = folder / "pictures" / f"{name}.jpg"
        check_file(path, data.folder, has_mark, force=force)
        try:
            write_picture(_picture(trial, case, data, proof.groups), path, quality=85)
            drawn[trial.name, name] = case
        except SnowmatchError:
            if not path.parent.is_dir():
                raise
        if progress is not None:
            progress(done, len(chosen))
    text = _page(proof, drawn, len(chosen) - len(drawn))
    replace_file(folder / "index.html", lambda file: file.write(text.encode("utf-8", "backslashreplace")))
    return len(drawn)


def _chosen(trial: Trial, people: Collection[str]) -> list[tuple[str, Case]]:
    """Return the photos to show with the names of their pictures: surest wrong ones, right ones of each kind.

    people: the paths of photos of persons, which are not shown.
    """
    cases = [case for case in trial.cases if case.shown in case.scores and case.path not in people]
    cases = [case for case in cases if not PEOPLE & {case.shown.casefold(), case.told.casefold()}]
    sure = sorted(cases, key=lambda case: (-case.scores[case.told], case.path))
    wrong = [case for case in sure if case.told != case.shown][:WRONG]
    right = [case for case in sure if case.told == case.shown]
    rank = {id(case): [c for c in right if c.shown == case.shown].index(case) for case in right}
    right = sorted(right, key=lambda case: (rank[id(case)], case.shown))[:RIGHT]
    stem = trial.name.replace(" ", "-")
    return [
        (f"{stem}-{name}-{n:02}", case)
        for name, some in (("wrong", wrong), ("right", right))
        for n, case in enumerate(some, start=1)
    ]


def _picture(trial: Trial, case: Case, data: CatalogData, groups: Mapping[str, str]) -> Image.Image:
    """Return the photo, where the classifier sees its answer, and, if it is wrong, where it sees what is shown."""
    pixels = read_small(data.folder / case.path, LEAST)
    if trial.heads:
        head_of = trial.heads[case.fold]
        classes = tell(head_of, pixels)
        names, activations = (
            classes.names,
            classes.activations - head_of.bias[:, None, None],
        )  # what the features add, as in CAM
    else:
        classifier = choose_finders(data.settings.classifier).classifier
        assert classifier is not None  # the proof was made with it
        classes = classifier.classify(pixels)
        names, activations = classes.names, classes.activations
    size = (WIDTH, max(1, round(pixels.shape[0] * WIDTH / pixels.shape[1])))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    panels = [small]
    if not trial.heads:
        names, activations = _merged(classes.names, activations, groups)
    for kind in dict.fromkeys((case.told, case.shown)):
        if kind in names:
            heat = cv2.resize(class_activation(activations, names.index(kind)), size)
            colours = cv2.applyColorMap(np.round(255 * heat).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
            panels.append(cv2.addWeighted(small, 0.45, cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), 0.55, 0))
    return Image.fromarray(np.hstack(panels))


def _merged(
    names: tuple[str, ...], activations: np.ndarray, groups: Mapping[str, str]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of groups, and the logarithms of the summed scores of their species in each cell."""
    kinds = tuple(dict.fromkeys(kind_of(name, groups) for name in names))
    members = [[n for n, name in enumerate(names) if kind_of(name, groups) == kind] for kind in kinds]
    return kinds, np.stack([log_sum(activations[each]) for each in members])


def _page(proof: Proof, drawn: dict[tuple[str, str], Case], missing: int) -> str:
    title = f"Screening: {proof.catalog.resolve().name}"
    shown = ", ".join(f"{kind} {count}" for kind, count in proof.labelled.items())
    lines = [
        *(line.replace("</style>", CELLS + "</style>") for line in head(title)),
        f"<h1>{html_text(title)}</h1>",
        f"<p>Labelled photos: {html_text(shown)}. {html_text(folds_line(proof))}</p>",
        *(f'<p class="small">{html_text(str(note))}</p>' for note in proof.notes),
    ]
    if missing:
        lines.append(f"<p>{counted(missing, 'picture')} could not be drawn.</p>")
    if proof.failed:
        lines.append(f"<p>{counted(len(proof.failed), 'photo')} could not be read.</p>")
    for trial in proof.trials:
        lines.append(f"<h2>{html_text(title_of(trial, proof))}</h2>")
        if trial.kept is not None:
            lines.append(f"<p>{html_text(kept_line(trial))}</p>")
        lines += [*_unit("photo", trial.photo), *_unit("passage", trial.passage), *_pictures(trial, drawn)]
    return "\n".join([*lines, "</body></html>", ""])


def _unit(name: str, told: Told) -> list[str]:
    head_, rows = confusion_rows(told)
    sums = {kind: max(sum(row.values()), 1) for kind, row in told.confusion.items()}
    matrix = ["<tr>" + "".join(f"<th>{html_text(cell)}</th>" for cell in head_) + "</tr>"]
    for kind, *cells in rows:
        shaded = (f'<td style="--share: {round(70 * int(cell) / sums[kind])}%">{cell}</td>' for cell in cells)
        matrix.append(f"<tr><th>{html_text(kind)}</th>{''.join(shaded)}</tr>")
    roc, pr = (
        {f"{kind}, area {of.figures[name][0]:.3f}": getattr(of, points) for kind, of in told.kinds.items()}
        for name, points in (("auroc", "roc"), ("average_precision", "pr"))
    )
    return [
        f"<h3>By {name}</h3>",
        f"<p>{told.cases}; right {bounds_text(told.accuracy)}; macro F1 {bounds_text(told.macro_f1)}; calibration "
        f"error {bounds_text(told.calibration_error)}</p>",
        table_html(*table_of(told)),
        f'<table class="matrix">{"".join(matrix)}</table>',
        curves_svg("ROC", "false alarms", "recall", roc),
        curves_svg("Precision and recall", "recall", "precision", pr, steps=True),
        reliability_svg("Calibration", told.bins),
    ]


def _pictures(trial: Trial, drawn: dict[tuple[str, str], Case]) -> list[str]:
    wrong = sum(case.told != case.shown for case in trial.cases if case.shown in case.scores)
    lines = [
        f"<h3>Pictures</h3><p>{counted(wrong, 'photo')} told wrong. Left: the photo. Then where the answer comes from "
        "and, if it is wrong, what speaks for the right one (yellow: much; dark: nothing).</p>"
    ]
    for (owner, name), case in drawn.items():
        if owner != trial.name:
            continue
        verdict = "right" if case.told == case.shown else "wrong"
        told = f"{case.told} ({percent(case.scores[case.told])})"
        what = f"{verdict}: shows {case.shown}, answer {told}"
        link = f"pictures/{name}.jpg"
        lines.append(
            f'<article><p class="{verdict}">{html_text(what)}</p><p class="small">{html_text(case.path)}, '
            f'{html_text(case.encounter)}</p><img loading="lazy" src="{link}" alt="{html_text(what)}"></article>'
        )
    return lines
