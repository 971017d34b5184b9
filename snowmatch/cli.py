"""The command line: click and nothing else. Each command imports what it needs when it runs, so --help is instant."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from snowmatch import __version__
from snowmatch.core.errors import SnowmatchError


class _Place(click.Path):
    """A file or folder; whether it is there and may be read is told by those who use it."""

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not str(value):
            self.fail("an empty name; expected a file or folder", parameter, ctx)
        return super().convert(value, parameter, ctx)


PATH = _Place(path_type=Path, readable=False)


class _Commands(click.Group):
    """Turns what the user can mend into one line and exit status 1: the only place that does."""

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a console that lacks a letter shows \\u0421 instead of failing
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except SnowmatchError as error:
            raise click.ClickException(" ".join(str(error).splitlines())) from error
        except BrokenPipeError:  # `| head` has seen enough
            raise
        except OSError as error:  # a full disk, a folder that may not be entered, a name too long for the system
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(
                f"{where}{error.strerror or error}: check the name and the permissions"
            ) from error
        except MemoryError as error:
            raise click.ClickException(f"not enough memory ({error}): ask for less at once") from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="snowmatch")
def main() -> None:
    """Tell individual snow leopards (and other patterned animals) apart in camera-trap photos.

    \b
    Example:
      snowmatch demo
      snowmatch index catalog/
      snowmatch query photo.jpg --catalog catalog/ --bodypart left_flank
    """


def _options(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not key=value, such as -o max_features=2000")
        pairs[key.strip()] = text.strip()
    return pairs


def _with_fast(options: dict[str, str], fast: bool) -> dict[str, str]:
    return {**options, "fast": "true"} if fast else options


def _boxes(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[tuple[int, ...]] | None:
    return [_box(value) for value in values] or None


def _box(value: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(n) for n in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or numbers[2] < 1 or numbers[3] < 1:
        raise click.BadParameter(
            f"{value!r} is not x,y,w,h in whole pixels with w and h above 0, such as 120,80,640,400"
        )
    return numbers


def _extractors(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    return values or None


def _timestamp(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    from datetime import datetime

    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a local time such as 2012-09-17T19:42:18") from None


extractor_option = click.option(
    "--extractor",
    "extractors",
    multiple=True,
    callback=_extractors,
    metavar="NAME",
    help="Which features to use; may be repeated, to fuse.  [default: what the catalog is indexed with]",
)
matcher_option = click.option(
    "--matcher", default="lnbnn", show_default=True, metavar="NAME", help="How photos are compared."
)
fast_option = click.option(
    "--fast", is_flag=True, help="Let the matcher lightglue stop early; its answers may differ a little."
)
setting_option = click.option(
    "-o", "options", multiple=True, callback=_options, metavar="KEY=VALUE", help="A setting; `plugins` lists them."
)


@main.command()
@click.argument("catalog", type=PATH)
@click.option("--extractor", metavar="NAME", help="How features are found; `plugins` lists them.")
@setting_option
@click.option("--workers", type=click.IntRange(min=1), help="Processes to use.  [default: all cores]")
@click.option("--prune", is_flag=True, help="Delete the features of photos that have left the catalog.")
def index(catalog: Path, extractor: str | None, options: dict[str, str], workers: int | None, prune: bool) -> None:
    """Find the features of every photo in CATALOG and make it ready to be asked.

    Only what is new or has changed is done; a run that was stopped goes on where it was.

    \b
    Example:
      snowmatch index catalog/ --workers 4
    """
    from snowmatch.api import open_catalog
    from snowmatch.core.text import printable

    opened = open_catalog(catalog)
    try:
        with _Bar("indexing", "annotation") as bar, _Bar("foreground", "photo") as maps:
            report = opened.index(
                extractor, options, workers=workers, prune=prune, progress=bar.update, mapping=maps.update
            )
    except KeyboardInterrupt:
        raise click.ClickException(
            "stopped; what was finished is kept, and the same command goes on from there"
        ) from None
    click.echo(report.summary())
    for note in opened.notes():
        _note(printable(note))
    for path, reason in report.failed:
        click.echo(f"failed: {printable(path)}: {printable(reason)}", err=True)
    if report.failed:
        sys.exit(1)


@main.command()
@click.argument("photos", nargs=-1, required=True, type=PATH)
@click.option("--catalog", type=PATH, help="The catalog's folder.  [default: $SNOWMATCH_CATALOG, or the one nearby]")
@click.option("--bodypart", metavar="PART", help="What the photo shows, such as left_flank.  [default: unknown]")
@click.option("--location", "locations", multiple=True, metavar="NAME", help="Only this location; may be repeated.")
@click.option(
    "--station",
    metavar="ID",
    help="Where it was taken: its photos tell the scenery, passages there at that time are left out.",
)
@click.option("--timestamp", callback=_timestamp, metavar="T", help="When, ISO 8601 local.  [default: from the photo]")
@click.option(
    "--bbox",
    "boxes",
    multiple=True,
    callback=_boxes,
    metavar="X,Y,W,H",
    help="Where the animal is, in pixels of the upright photo; of several photos, one for each in turn.",
)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    type=PATH,
    metavar="FILE",
    help="PNG of the photo's size, white on the animal; of several photos, one for each in turn.",
)
@extractor_option
@matcher_option
@fast_option
@setting_option
@click.option("--exclude-encounter", "excluded", multiple=True, metavar="ID", help="Leave out; may be repeated.")
@click.option("--top", default=5, show_default=True, type=click.IntRange(min=1), help="Candidates to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--draw", type=PATH, metavar="DIR", help="Draw the matched spots of every candidate into DIR.")
def query(
    photos: tuple[Path, ...],
    catalog: Path | None,
    bodypart: str | None,
    locations: tuple[str, ...],
    station: str | None,
    timestamp: Any,
    boxes: Any,
    masks: tuple[Path, ...],
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    excluded: tuple[str, ...],
    top: int,
    as_json: bool,
    draw: Path | None,
) -> None:
    """Ask which individual PHOTOS show: one photo, or several of one encounter (one animal).

    \b
    Example:
      snowmatch query IMG_0042.JPG --bodypart left_flank --draw answer/
    """
    import os

    from snowmatch.api import open_catalog
    from snowmatch.catalog.find import find_catalog
    from snowmatch.core.text import printable
    from snowmatch.views.json import to_json
    from snowmatch.views.pictures import draw_answer
    from snowmatch.views.text import format_answer

    folder = catalog
    if folder is None:
        folder, how = find_catalog(Path.cwd(), os.environ)
        _note(f"catalog: {folder} ({how})")
    opened = open_catalog(folder)
    answer = opened.query(
        [str(p) for p in photos],
        body_part=bodypart,
        locations=locations,
        station=station,
        timestamp=timestamp,
        bbox=boxes,
        mask=list(masks) or None,
        extractor=extractors,
        matcher=matcher,
        options=_with_fast(options, fast),
        exclude_encounters=excluded,
        top=top,
    )
    if as_json:
        click.echo(json.dumps(to_json(answer), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        click.echo(format_answer(answer))
        for note in answer.notes:
            _note(printable(note))
    if draw is not None:
        pictures = draw_answer(answer, draw, folder, top)
        _note(f"{len(pictures)} pictures in {draw}")


@main.command()
@click.argument("catalog", type=PATH)
@click.argument("photos", nargs=-1, type=PATH)
@click.option("--unidentified", is_flag=True, help="Ask about all annotations of the catalog without an individual.")
@click.option("--bodypart", metavar="PART", help="What photos show of which no body part is on record.")
@click.option("--location", "locations", multiple=True, metavar="NAME", help="Compare with it only; may be repeated.")
@extractor_option
@matcher_option
@fast_option
@setting_option
@click.option(
    "--out",
    type=PATH,
    metavar="NAME",
    help="Write NAME.csv and NAME.jsonl; if stopped, the same command goes on.  [default: csv to stdout]",
)
def batch(
    catalog: Path,
    photos: tuple[Path, ...],
    unidentified: bool,
    bodypart: str | None,
    locations: tuple[str, ...],
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    out: Path | None,
) -> None:
    """Ask about many PHOTOS (or folders of them), or all unidentified animals: one row for each animal and encounter.

    Photos of one folder at most 60 minutes apart are one encounter and one animal. Those in CATALOG are asked as they
    are on record there; animals that share a photo are different ones. Their own encounter never answers.

    \b
    Example:
      snowmatch batch catalog/ --unidentified --out answers
      snowmatch batch catalog/ cards/ --out answers
    """
    if bool(photos) == unidentified:
        raise click.UsageError(
            "expected photos, or --unidentified, not both"
            if photos
            else "nothing to ask about: give photos, folders of photos, or --unidentified"
        )
    from snowmatch.api import open_catalog
    from snowmatch.core.text import printable
    from snowmatch.review.batch import format_summary, rows_to_csv, run_batch

    try:
        with _Bar("asking", "animal") as bar:
            found = run_batch(
                open_catalog(catalog),
                None if unidentified else photos,
                body_part=bodypart,
                locations=locations,
                extractor=extractors,
                matcher=matcher,
                options=_with_fast(options, fast),
                out=out,
                progress=bar.update,
            )
    except KeyboardInterrupt:
        raise click.ClickException(
            "stopped; nothing is kept without --out"
            if out is None
            else "stopped; what was answered is kept, the same command goes on from there"
        ) from None
    if out is None:
        click.echo(rows_to_csv(found.rows), nl=False)
    for note in found.notes:
        _note(printable(note))
    for path, reason in found.failed:
        click.echo(f"failed: {printable(path)}: {printable(reason)}", err=True)
    if found.rows:
        click.echo(format_summary(found), err=True)
    if found.failed:
        sys.exit(1)


@main.command()
@click.argument("catalog", type=PATH)
@click.option(
    "--protocol",
    default="cross-encounter",
    show_default=True,
    metavar="NAME",
    help="Who may answer: cross-encounter, cross-station, or split (rows of split train answer those of test).",
)
@extractor_option
@matcher_option
@fast_option
@setting_option
@click.option("--save", type=PATH, metavar="FILE", help="Keep all scores in FILE (npz), to be measured elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    catalog: Path,
    protocol: str,
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    save: Path | None,
    as_json: bool,
) -> None:
    """Measure how well the photos of CATALOG are identified, by asking about each one whose animal is known.

    Its own encounter never answers. Also told: how well animals on record are told from new ones (each individual is
    left out in turn), and what changes when all photos of an encounter are asked together.

    \b
    Example:
      snowmatch evaluate catalog/ --protocol cross-station --save scores.npz
    """
    from snowmatch.api import open_catalog
    from snowmatch.confidence.score_table import save_table
    from snowmatch.core.text import printable
    from snowmatch.views.evaluation import evaluation_to_json, format_evaluation

    if save is not None and save.is_dir():
        raise SnowmatchError(f"{save} is a folder, expected a file to write, such as {save / 'scores.npz'}")
    with _Bar("asking", "query") as bar:
        result = open_catalog(catalog).evaluate(
            protocol, extractor=extractors, matcher=matcher, options=_with_fast(options, fast), progress=bar.update
        )
    if save is not None:
        save_table(save, result.table)
        _note(f"scores in {save}")
    if as_json:
        click.echo(json.dumps(evaluation_to_json(result), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        click.echo(format_evaluation(result))
    for note in result.notes:
        _note(printable(note))


def _levels(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        numbers = tuple(float(n) for n in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 3:
        raise click.BadParameter(f"{value!r} is not three probabilities such as 0.99,0.95,0.75")
    return numbers


@main.command()
@click.argument("catalog", type=PATH)
@extractor_option
@matcher_option
@fast_option
@setting_option
@click.option(
    "--levels",
    callback=_levels,
    metavar="E,G,F",
    help="Lowest probability of excellent, good and fair in this catalog.  [default: 0.99,0.95,0.75]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def calibrate(
    catalog: Path,
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    levels: tuple[float, ...] | None,
    as_json: bool,
) -> None:
    """Learn from the named encounters of CATALOG how likely an answer with a given score is right.

    Each is asked about with its animal on record and without; its own encounter never answers. What is learned stays in
    CATALOG/.snowmatch, and every query uses it; a picture there shows how well the probabilities hold.

    \b
    Example:
      snowmatch calibrate catalog/
    """
    from snowmatch.api import open_catalog
    from snowmatch.confidence.file import calibration_path
    from snowmatch.core.text import printable
    from snowmatch.views.calibration import calibrated_to_json, draw_reliability, format_calibrated

    with _Bar("asking", "query") as bar:
        learned = open_catalog(catalog).calibrate(
            extractor=extractors,
            matcher=matcher,
            options=_with_fast(options, fast),
            levels=levels,
            progress=bar.update,
        )
    picture = calibration_path(catalog).with_suffix(".png")
    draw_reliability(learned.quality, picture)
    if as_json:
        click.echo(json.dumps(calibrated_to_json(learned), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        click.echo(format_calibrated(learned))
    for note in learned.notes:
        _note(printable(note))
    _note(f"reliability diagram in {picture}")


@main.command()
@click.argument("catalog", type=PATH)
def show(catalog: Path) -> None:
    """List what CATALOG holds: individuals, encounters, what is indexed, stale or failed.

    \b
    Example:
      snowmatch show catalog/
    """
    from snowmatch.api import open_catalog
    from snowmatch.core.text import printable
    from snowmatch.views.catalog import format_overview

    opened = open_catalog(catalog)
    click.echo(format_overview(opened))
    for note in opened.notes():
        _note(printable(note))


@main.command()
def plugins() -> None:
    """List the extractors and matchers with their settings.

    \b
    Example:
      snowmatch plugins
    """
    from snowmatch.views.plugins import format_plugins

    click.echo(format_plugins())


@main.group()
def weights() -> None:
    """The files of pretrained networks: list, add or download them.

    Nothing else that snowmatch does uses the network. Networks need its extra packages: pip install 'snowmatch[deep]'.

    \b
    Example:
      snowmatch weights list
      snowmatch weights download aliked-n16
    """


@weights.command("list")
def list_() -> None:
    """List the networks with what is here of them, and under which licence they come.

    `checked` is a file whose sum is right, `here` one whose sum nobody has told.

    \b
    Example:
      snowmatch weights list
    """
    from snowmatch.views.plugins import format_weights

    click.echo(format_weights())


@weights.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
def add(files: tuple[Path, ...]) -> None:
    """Copy FILES of weights into the cache folder: official files under any name, or networks you trained.

    \b
    Example:
      snowmatch weights add ~/Downloads/aliked-n16.pth
    """
    from snowmatch.core.text import printable
    from snowmatch.models.cache import add_weights

    for file in files:
        with _Bar("copying", "B") as bar:
            text = add_weights(file, bar.update)
        click.echo(printable(text))


@weights.command()
@click.argument("name")
def download(name: str) -> None:
    """Fetch the weights called NAME from their authors into the cache folder. The licence is theirs: read it.

    \b
    Example:
      snowmatch weights download aliked-n16
    """
    from snowmatch.core.text import printable
    from snowmatch.models.download import download_weights
    from snowmatch.models.registry import known_weights

    _note(f"licence of {name}: {known_weights(name).licence}")
    with _Bar("downloading", "B") as bar:
        text = download_weights(name, bar.update)
    click.echo(printable(text))


@weights.command()
def where() -> None:
    """Tell the folders in which weights are looked for.

    \b
    Example:
      snowmatch weights where
    """
    from snowmatch.views.plugins import format_folders

    click.echo(format_folders())


@main.command()
@click.argument("folder", type=PATH, default=Path("snowmatch-demo"), metavar="[DIR]")
def demo(folder: Path) -> None:
    """Make a small synthetic survey in DIR, index it and identify its queries.

    The cats are drawn by the computer, none of them lives. DIR/catalog holds the photos on record, DIR/queries those
    to identify, DIR/answer the answers as text, JSON and pictures.

    \b
    Example:
      snowmatch demo my-demo
    """
    from snowmatch.demo.run import run_demo

    with _Bar("survey", "photo") as drawn, _Bar("indexing", "annotation") as indexed:
        text = run_demo(folder, drawn=drawn.update, indexed=indexed.update)
    click.echo(text)


class _Bar:
    """A progress bar on stderr with rate and time left, where somebody is watching."""

    def __init__(self, title: str, unit: str) -> None:
        self.title, self.unit, self.bar = title, unit, None

    def __enter__(self) -> _Bar:
        return self

    def update(self, done: int, total: int) -> None:
        from tqdm import tqdm

        if self.bar is None:
            scale = self.unit == "B"  # 2.7M of bytes, but 2700 photos
            self.bar = tqdm(total=total, desc=self.title, unit=f" {self.unit}", unit_scale=scale, disable=None)
        self.bar.update(done - self.bar.n)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


def _note(text: str) -> None:
    click.echo(f"note: {text}", err=True)


if __name__ == "__main__":
    main()
