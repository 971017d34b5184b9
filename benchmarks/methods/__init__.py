"""Methods that can be compared: one file each, found by its name.

A method's file has DEFAULTS, its settings as name -> value (the type of the value is that of the setting), and

    def run(given: Given, settings: dict[str, Any]) -> Outcome

which scores every query of `given.trial` against the gallery annotations that the trial allows, and never looks at the
individual of a query. To add a method, copy a file.

Where the scores of some animals depend on the others in the gallery, `def asks_again(settings)` says whether the method
was asked again without the query's individual; if not, known against new animals is told only as dropping that
individual's column gives it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from snowmatch.confidence.score_table import ScoreTable
from snowmatch.confidence.trial import Trial

TRAINING = str(Path(__file__).parents[2] / "training")  # its networks are methods here
if TRAINING not in sys.path:
    sys.path.append(TRAINING)


@dataclass(frozen=True)
class Given:
    """What a method is given: `folder`, a catalog (trial.annotations have paths and masks relative to it), the trial,
    how many `threads` it may use, and `work`, a folder of its own that outlives the run (environments, caches)."""

    folder: Path
    trial: Trial
    threads: int
    work: Path


@dataclass(frozen=True)
class Outcome:
    """What a method gives back.

    tables: one per repetition, where a method is not deterministic and was repeated; metrics use the first, the spread
    all. seconds: wall-clock time by stage: `extract` per annotation, `index` in all, `query` per query (medians).
    versions: of the packages that did the work. numbers: whatever else was counted (features per annotation, bytes on
    disk ...). peak_memory: bytes, where the work was done in another process than the caller's, else None.
    """

    tables: tuple[ScoreTable, ...]
    seconds: dict[str, float]
    versions: dict[str, str]
    numbers: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    peak_memory: int | None = None
