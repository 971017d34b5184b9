"""Methods for comparison: one file each, found by its name.

A method's file has DEFAULTS, its settings as name -> value (a setting has the type of its default value), and

    def run(given: Given, settings: dict[str, Any]) -> Outcome

which scores every query of `given.trial` against the gallery annotations that the trial allows. It never looks at the
individual of a query. To add a method, copy a file.

If the scores of an animal depend on the other animals in the gallery, the file also has `def asks_again(settings)`. It
returns whether the method repeats each query without the query's individual in the gallery. If it does not, AUROC is
computed only by dropping that individual's column.
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
    """The input of a method.

    folder: a catalog; paths and masks of trial.annotations are relative to it. trial: queries and gallery. threads: how
    many it may use. work: a folder that stays after the run (environments, caches).
    """

    folder: Path
    trial: Trial
    threads: int
    work: Path


@dataclass(frozen=True)
class Outcome:
    """The result of a method.

    tables: one per repetition; a method that is not deterministic can have several. Metrics use the first table, the
    spread uses all. seconds: wall-clock time by stage: `extract` per annotation, `index` in all, `query` per query
    (medians). versions: of the packages that did the work. numbers: other counts (features per annotation, bytes on
    disk, ...). peak_memory: bytes, if another process did the work; otherwise None.
    """

    tables: tuple[ScoreTable, ...]
    seconds: dict[str, float]
    versions: dict[str, str]
    numbers: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    peak_memory: int | None = None
