"""How well probabilities hold: as text, as JSON, and as the reliability diagram (PNG)."""

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
from snowmatch.core.text import aligned, printable
from snowmatch.core.version import __version__
from snowmatch.identify.calibrate import Calibrated
from snowmatch.views.json import notes_to_json
from snowmatch.views.pictures import BACKGROUND, FAINT, LEVELS, TEXT

EDGE, SIDE = 70, 480  # px, margin and side of the diagram's square


def format_calibrated(calibrated: Calibrated) -> str:
    """What `calibrate` learned as text, without a final line break."""
    method = printable(f"{calibrated.extractor['name']} + {calibrated.matcher['name']}")
    return "\n".join(
        [
            f"Calibrated: {printable(calibrated.catalog_path)} ({method})",
            f"Learned from {calibrated.encounters} encounters, {calibrated.pairs} pairs of one animal; "
            f"models for: {', '.join(calibrated.groups)}",
            "",
            *format_quality(calibrated.quality, calibrated.levels),
        ]
    )


def format_quality(quality: Quality, levels: Levels) -> list[str]:
    """The plain table of levels and the figures under it, as lines; one line where there was nothing to judge."""
    if not quality.decisions:
        return ["No probabilities to judge: nothing is calibrated for this method, here or in the package."]
    shares = [
        (
            f"{MARKS[count.level]} {count.level}",
            f"{100 * count.answers / quality.decisions:.0f} %",
            _sentence(count.answers, count.wrong, count.low, count.high),
            f"{count.new_wrong} of {count.new}" if count.new else "-",
        )
        for count in quality.levels
    ]
    bands = ", ".join(f"{name} from {getattr(levels, name):g}" for name in LEVEL_NAMES[:-1])
    return [
        *aligned(("level", "answers", "wrong (95 % interval)", 'wrong of "new"'), shares, right=("answers",)),
        "",
        f"{quality.decisions} answers: each encounter was asked about with its animal on record and without, and",
        f"judged by a calibration learned from the encounters of other individuals ({bands}).",
        f"Brier score {quality.brier:.3f}, log loss {quality.log_loss:.3f}, "
        f"calibration error {quality.calibration_error:.3f} (of the decision's probability)",
    ]


def _sentence(answers: int, wrong: int, low: float, high: float) -> str:
    if not answers:
        return "none"
    return f"of {answers} answers {wrong} were wrong ({100 * low:.1f} to {100 * high:.1f} %)"


def calibrated_to_json(calibrated: Calibrated) -> dict[str, Any]:
    """The object that `calibrate --json` prints, schema "snowmatch.calibrate/1"."""
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
    """The figures as plain values, rounded to six digits; what is not defined is null."""
    return plain(_rounded(asdict(quality)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def draw_reliability(quality: Quality, path: Path) -> None:
    """Write the reliability diagram: the share that was right against the probability stated, with 95 % intervals.

    Dots on the line: what is stated holds; above it: understated. A dot's size tells how many answers it stands for.
    SnowmatchError where the file cannot be written. Source: Murphy & Winkler 1977, Applied Statistics 26.
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
    draw.text((EDGE + SIDE / 2, EDGE + SIDE + 32), "probability stated", TEXT, font, anchor="mt")
    draw.text((EDGE, EDGE - 14), "share that was right", TEXT, font, anchor="lb")
    draw.text((EDGE + SIDE, EDGE - 14), f"{quality.decisions} answers", FAINT, small, anchor="rb")
    for of in quality.bins:
        x, y = at(of.stated, of.right / of.answers)
        draw.line((x, at(0, of.low)[1], x, at(0, of.high)[1]), fill=FAINT, width=2)
        radius = 4 + 14 * (of.answers / quality.decisions) ** 0.5
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=LEVELS["excellent"], outline=TEXT)
        draw.text((x + radius + 4, y), str(of.answers), TEXT, small, anchor="lm")
    held = io.BytesIO()
    picture.save(held, "PNG")
    replace_file(path, lambda file: file.write(held.getvalue()))
