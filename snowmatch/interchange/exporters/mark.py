"""MARK: an .inp file of capture histories. Source: program MARK, encounter histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.interchange.exporters._histories import session_histories
from snowmatch.interchange.exporting import Export


@dataclass(frozen=True)
class Mark:
    """Capture histories for program MARK, one file a session; females, males and unknown sex are groups."""

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return captures.inp, or captures-SESSION.inp for several sessions."""
        found = {}
        for ending, _, rows in session_histories(given):
            groups = [g for g in "FMU" if any(sex == g for _, _, sex, _ in rows)]
            lines = [f"/* groups: {' '.join(groups)} */"] if len(groups) > 1 else []
            for _, safe, sex, history in rows:
                counts = " ".join("1" if sex == g else "0" for g in groups)
                lines.append(f"/* {safe} */ {history} {counts};")
            found[f"captures{ending}.inp"] = ("\n".join(lines) + "\n").encode("ascii")
        return found


PLUGIN = Mark
