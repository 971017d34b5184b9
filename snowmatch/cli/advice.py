"""The command or option that solves the problem in an error or a note, found by the code."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

Data = Mapping[str, Any]
WINDOWS = os.name == "nt"
DECISIONS = "snowmatch.decisions"  # of the context of a command: the file of decisions that it was given


def quoted(text: str) -> str:
    """Return a text as one word of a command line: the Command Prompt of Windows knows double quotation marks only."""
    if WINDOWS:
        import subprocess

        return subprocess.list2cmdline([text])
    return shlex.quote(text)


def advice(code: str, data: Data) -> str:
    """Return the command or option to type, such as "snowmatch index catalog/"; "" if the code has none."""
    command = COMMANDS.get(code)
    return command(data) if command is not None else ""


def with_advice(text: str, code: str, data: Data) -> str:
    """Return the text of an error or a note. The command or option to type is added at the end, in brackets.

    The file of decisions that this command was given goes along.
    """
    context = click.get_current_context(silent=True)
    given = context.meta.get(DECISIONS) if context is not None else None
    command = advice(code, data if given is None else {"decisions": given, **data})
    return f"{text} ({command})" if command else text


def _catalog(data: Data) -> str:
    return quoted(str(data.get("catalog", "CATALOG")))


def decisions_typed(data: Data) -> str:
    """Return the option for the file of `decisions` in `data`; "" if it is the catalog's own."""
    return f" --decisions {quoted(str(data['decisions']))}" if data.get("decisions") else ""


def _index(data: Data) -> str:
    """Return the index run with the extractor in `data`; one for each if several are combined.

    Without one in `data`, the run is with what the catalog is indexed with: another extractor would index all again.
    """
    if several := (data.get("settings") or {}).get("fused"):
        return "; ".join(_index({**data, "extractor": each["name"], "settings": each}) for each in several)
    if not data.get("extractor") and "catalog" in data:
        data = {**data, **_in_use(str(data["catalog"]))}
    return f"snowmatch index {_catalog(data)}{_extractor_options(data)}{decisions_typed(data)}"


def _in_use(folder: str) -> Data:
    """Return the extractor that a catalog is indexed with; nothing if `snowmatch index` takes it by itself."""
    from snowmatch.api import DEFAULT_EXTRACTOR, extractor_in_use
    from snowmatch.core.errors import SnowmatchError

    try:
        used = extractor_in_use(Path(folder))
    except SnowmatchError:  # damage, which is told by itself
        return {}
    if used is None:
        return {}
    return {"settings": used} if used["name"] == DEFAULT_EXTRACTOR else {"extractor": used["name"], "settings": used}


def _calibrate(data: Data) -> str:
    return f"snowmatch calibrate {_catalog(data)}{method_options(data)}{decisions_typed(data)}"


def _check(data: Data) -> str:
    return f"snowmatch identities {_catalog(data)} check{decisions_typed(data)}"


def _show(data: Data) -> str:
    return f"snowmatch show {_catalog(data)}{decisions_typed(data)}"


def _extractor_options(data: Data) -> str:
    name, settings = data.get("extractor"), data.get("settings")
    text = f" --extractor {name}" if name else ""
    return text + (_changed(settings, "extractors") if settings else "")


def method_options(data: Data) -> str:
    """Return the options that select the method in `data`; "" for the default method.

    data: has the settings of the extractor and of the matcher.
    """
    from snowmatch.api import DEFAULT_EXTRACTOR, DEFAULT_MATCHER

    extractor, matcher = data.get("extractor"), data.get("matcher")
    if not isinstance(extractor, Mapping) or not isinstance(matcher, Mapping):
        return ""
    each = extractor.get("fused", [extractor])
    names = [described["name"] for described in each]
    text = "".join(f" --extractor {name}" for name in names if names != [DEFAULT_EXTRACTOR])
    text += f" --matcher {matcher['name']}" if matcher["name"] != DEFAULT_MATCHER else ""
    changed = [_changed(described, "extractors") for described in each]
    changed += [_changed(matcher, "matchers"), _options(_geometry(matcher.get("geometry", {})))]
    return text + "".join(dict.fromkeys(changed))


def _changed(described: Data, kind: str) -> str:
    from snowmatch.api import changed_settings

    return _options(changed_settings(described, kind))


def _geometry(described: Data) -> dict[str, Any]:
    from dataclasses import fields

    from snowmatch.api import Geometry

    defaults = {f.name: f.default for f in fields(Geometry)}
    return {k: v for k, v in described.items() if k in defaults and defaults[k] != v}


def _options(changed: Data) -> str:
    return "".join(f" -o {key}={quoted(str(value))}" for key, value in changed.items())


def _of_decisions(data: Data, command: str) -> str:
    """Return the command of `snowmatch identities` for a damaged file of decisions: a catalog's own, or another one."""
    from snowmatch.review.identities import decisions_path

    path = data.get("path")
    own = path is None or Path(path) == decisions_path(Path(path).parent)
    if own:
        return f"snowmatch identities {_catalog(data)} {command}"
    return f"snowmatch identities CATALOG {command}{decisions_typed({'decisions': path})}"


def _frames(data: Data) -> str:
    return f"snowmatch frames {quoted(str(data.get('folder', 'FOLDER')))} OUT"


def _merge(data: Data) -> str:
    names = " ".join(quoted(str(name)) for name in data["names"])
    return f"snowmatch identities CATALOG merge {names}{decisions_typed(data)}"


def _download(data: Data) -> str:
    if data.get("downloadable"):
        return f"snowmatch weights download {data['name']}"
    return "snowmatch weights add FILE"


def _passage(data: Data) -> str:
    out = f"--exclude-encounter {quoted(str(data.get('encounter', 'ENCOUNTER')))}"
    return f"--station {quoted(str(data['station']))}, or {out}" if data.get("station") else out


def _classifier(data: Data) -> str:
    return f"snowmatch index {_catalog(data)} --classifier auto, or --classifier FILE.npz"


def _segmenter(data: Data) -> str:
    return f"snowmatch screen {_catalog(data)} --segmenter none, or --segmenter NAME"


def _screened_by(data: Data) -> str:
    if data.get("taught"):
        return _classifier(data)
    if data.get("off"):
        return "snowmatch screen CATALOG --classifier auto"
    return "snowmatch weights download efficientnet-lite0"


_CHOICES = {"box": "--bbox X,Y,W,H", "mask": "--mask FILE", "body part": "--bodypart PART"}

COMMANDS: dict[str, Callable[[Data], str]] = {
    # errors
    "not-indexed": _index,
    "photo-changed": _index,
    "damaged-features": _index,
    "damaged-settings": lambda data: f"snowmatch index CATALOG --extractor {data['extractor']}",
    "damaged-calibration": _calibrate,
    "choose-extractor": lambda data: "--extractor NAME",
    "choose-box": lambda data: " or ".join(_CHOICES[kind] for kind in data.get("by", _CHOICES)),
    "choose-catalog": lambda data: "--catalog DIR",
    "choose-device": lambda data: "-o device=cpu",
    "no-catalog": lambda data: "" if "folder" in data else "--catalog DIR; snowmatch index DIR",
    "unknown-encounter": _show,
    "sample-too-small": lambda data: "--sample N",
    "too-few-pairs": _show,
    "one-individual": lambda data: (
        f"snowmatch query PHOTO --catalog {_catalog(data)} --draw answer/{decisions_typed(data)}"
    ),
    "fewer-workers": lambda data: "--workers 1",
    "index-with": lambda data: f"snowmatch index CATALOG --extractor {data['extractor']} -o {data['setting']}",
    "list-weights": lambda data: "snowmatch weights list",
    "get-weights": _download,
    "add-weights": lambda data: "snowmatch weights add FILE",
    "choose-output": lambda data: "--out NAME",
    "output-exists": lambda data: "--force",
    "ask-coordinates": lambda data: "--coordinates exact, or rounded:KM",
    "ask-scores": lambda data: "snowmatch evaluate CATALOG --save scores.npz; -o scores=scores.npz",
    "ask-timezone": lambda data: "-o timezone=+06:00",
    "unclear-dates": lambda data: "snowmatch index CATALOG --dates dmy, or mdy",
    "unclear-import-dates": lambda data: "--dates dmy, or mdy",
    "choose-photos": lambda data: "--photos DIR",
    "choose-format": lambda data: "--format NAME",
    "choose-folders": lambda data: "-o folders=station, or -o folders=individual",
    "copy-photos": lambda data: "--copy",
    "allow-host": lambda data: f"--allow-host {shlex.quote(str(data.get('host', 'HOST')))}",
    "only-videos": _frames,
    "classifier-gone": _classifier,
    "segmenter-gone": _segmenter,
    "classifier-off": lambda data: "snowmatch screen CATALOG --classifier auto",
    "choose-observer": lambda data: "--observer NAME",
    "add-observer": lambda data: f"snowmatch observers {_catalog(data)} add NAME",
    "merge-instead": _merge,
    "decisions-read-only": lambda data: "--decisions FILE",
    "decisions-damaged": lambda data: _of_decisions(data, "export-decisions FILE"),
    # notes
    "videos-skipped": _frames,
    "frames-without-time": lambda data: "--file-times",
    "added-unscreened": _screened_by,
    "new-unscreened": _screened_by,
    "species-not-screened": lambda data: "snowmatch screen CATALOG --species NAME",
    "perhaps-same-passage": _passage,
    "no-classifier": lambda data: "snowmatch weights download efficientnet-lite0",
    "passages-learned-from": lambda data: "" if data["known"] else "--learn FILE.npz teaches it again",
    "named-left-out": lambda data: "--species NAME; --learn FILE.npz teaches a species of your own",
    "no-texture": lambda data: "snowmatch weights download efficientnet-lite0",
    "missing-annotations": _index,
    "annotations-unread": _index,
    "stale-annotations": _index,
    "copied-annotations": _index,
    "features-of-others-damaged": _index,
    "failed-annotations": _show,
    "found-damaged": _index,
    "screening-damaged": lambda data: f"snowmatch screen {_catalog(data)}{decisions_typed(data)}",
    "maps-damaged": _index,
    "no-middle": _index,
    "maps-missing": _index,
    "calibration-refused": _calibrate,
    "calibration-outgrown": _calibrate,
    "calibration-found-otherwise": _calibrate,
    "calibration-shipped": lambda data: _calibrate(data) if data.get("pairs", 0) >= data.get("needed", 0) else "",
    "not-checked": lambda data: f"-o {data['setting']}=N",
    "animal-by-centre": lambda data: "--bbox X,Y,W,H; -o foreground=given",
    "answers-kept": lambda data: "--again" if data.get("older") else "",
    "decisions-quarrel": _check,
    "gap-in-session": lambda data: f"{'or ' if data.get('of_table') else ''}--session NAME=FROM..TO for each",
    "decisions-rescued": lambda data: _of_decisions(data, f"import-decisions {quoted(str(data.get('out', 'FILE')))}"),
    "decisions-idle": _check,
    "names-refused": _check,
    "several-names": _check,
    "folders-read": lambda data: "-o folders=LEVELS says otherwise",
    "photo-not-looked-up": lambda data: "--exclude-encounter ID",
}
