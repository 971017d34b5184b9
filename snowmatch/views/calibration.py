"""The result of a calibration as text and as JSON, and its reliability diagram (PNG)."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from snowmatch.confidence.levels import LEVEL_NAMES, MARKS, Levels
from snowmatch.confidence.quality import Quality
from snowmatch.core.files import replace_file
from snowmatch.core.plain import plain
from snowmatch.core.text import aligned, counted, printable, share_text
from snowmatch.core.version import __version__
from snowmatch.identify.calibrate import Calibrated
from snowmatch.identify.judge import kind_in_words
from snowmatch.views.json import notes_to_json
from snowmatch.views.side_by_side import BACKGROUND, FAINT, LEVELS, TEXT

EDGE, SIDE = 70, 480  # px: the margin and the side of the diagram's square


def format_calibrated(calibrated: Calibrated) -> str:
    """Return what `calibrate` learned as text, without a final line break."""
    method = printable(f"{calibrated.extractor['name']} + {calibrated.matcher['name']}")
    lines = [
        f"Calibrated: {printable(calibrated.catalog_path)} ({method})",
        f"Learned from {counted(calibrated.encounters, 'encounter')} and {counted(calibrated.pairs, 'pair')} of "
        f"encounters of one animal; models for: {', '.join(map(kind_in_words, calibrated.groups))}",
        "",
        *format_quality(calibrated.quality, calibrated.levels),
    ]
    return "\n".join(line.rstrip() for line in lines)


def format_quality(quality: Quality, levels: Levels) -> list[str]:
    """Return the table of levels and the quality figures as lines.

    If there are no decisions, the only line says that no calibration exists for this method.
    """
    if not quality.decisions:
        return ["No probabilities to measure: neither the catalog nor the package has a calibration for this method."]
    shares = [
        (
            f"{MARKS[count.level]} {count.level}",
            share_text(count.answers / quality.decisions),
            _sentence(count.answers, count.wrong, count.low, count.high),
            f"{count.new_wrong} of {count.new}" if count.new else "-",
        )
        for count in quality.levels
    ]
    bands = ", ".join(f"{name} from {getattr(levels, name):g}" for name in LEVEL_NAMES[:-1])
    return [
        *aligned(("level", "answers", "wrong (95 % interval)", 'wrong of "new"'), shares, right=("answers",)),
        "",
        f"{counted(quality.decisions, 'answer')}: each encounter was a query twice, with its animal in the gallery and",
        f"without it. {_calibration_in_words(quality)} ({bands}).",
        f"Brier score {quality.brier:.3f}, log loss {quality.log_loss:.3f}, "
        f"calibration error {quality.calibration_error:.3f} (of the decision's probability)",
        "The intervals are as wide as if each animal had given one answer: its answers are right or wrong together.",
    ]


def _calibration_in_words(quality: Quality) -> str:
    learned = "The calibration was learned from the encounters of other individuals"
    if not quality.shipped:
        return learned
    if quality.shipped == quality.decisions:
        return "The calibration is the shipped one: nothing was learned from this catalog"
    return f"{learned}; for {counted(quality.shipped, 'answer')} it is the shipped one"


def _sentence(answers: int, wrong: int, low: float, high: float) -> str:
    if not answers:
        return "no answers"
    return f"{wrong} of {counted(answers, 'answer')} ({100 * low:.1f} to {100 * high:.1f} %)"


def calibrated_to_json(calibrated: Calibrated) -> dict[str, Any]:
    """Return the object that `calibrate --json` prints, schema "snowmatch.calibrate/1"."""
    return plain(
        {
            "schema": "snowmatch.calibrate/1",
            "catalog": {"path": calibrated.catalog_path},
            "method": {
                "extractor": calibrated.extractor,
                "matcher": calibrated.matcher,
                "snowmatch": __version__,
            },
            "encounters": calibrated.encounters,
            "pairs": calibrated.pairs,
            "groups": calibrated.groups,
            "levels": asdict(calibrated.levels),
            "quality": quality_to_json(calibrated.quality),
            "notes": notes_to_json(calibrated.notes),
        }
    )


def quality_to_json(quality: Quality) -> dict[str, Any]:
    """Return the quality figures as JSON values, rounded to six decimal places. Undefined figures are null."""
    return plain(_rounded(asdict(quality)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def draw_reliability(quality: Quality, path: Path) -> None:
    """Write the reliability diagram: the share of right answers against the stated probability, with 95 % intervals.

    A dot on the diagonal: the stated probability is correct. A dot above it: the probability is too low. The size of a
    dot shows the number of its answers. Raises SnowmatchError if the file cannot be written. Source: Murphy & Winkler
    1977, Applied Statistics 26.
    """
    picture = Image.new("RGB", (SIDE + 2 * EDGE, SIDE + 2 * EDGE), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(16), ImageFont.load_default(13)

    def at(stated: float, right: float) -> tuple[float, float]:
        return EDGE + SIDE * stated, EDGE + SIDE * (1 - right)

    draw.rectangle((*at(0, 1), *at(1, 0)), outline=FAINT)
    draw.line((*at(0, 0), *at(1, 1)), fill=FAINT)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = at(tick, tick)
        draw.text((x, EDGE + SIDE + 8), f"{tick:g}", FAINT, small, anchor="mt")
        draw.text((EDGE - 8, y), f"{tick:g}", FAINT, small, anchor="rm")
    draw.text((EDGE + SIDE / 2, EDGE + SIDE + 32), "stated probability", TEXT, font, anchor="mt")
    draw.text((EDGE, EDGE - 14), "share of right answers", TEXT, font, anchor="lb")
    draw.text((EDGE + SIDE, EDGE - 14), counted(quality.decisions, "answer"), FAINT, small, anchor="rb")
    for group in quality.bins:
        x, y = at(group.stated, group.right / group.answers)
        draw.line((x, at(0, group.low)[1], x, at(0, group.high)[1]), fill=FAINT, width=2)
        radius = 4 + 14 * (group.answers / quality.decisions) ** 0.5
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=LEVELS["excellent"], outline=TEXT)
        draw.text((x + radius + 4, y), str(group.answers), TEXT, small, anchor="lm")
    png = io.BytesIO()
    picture.save(png, "PNG")
    replace_file(path, lambda file: file.write(png.getvalue()))
