"""A detector for tests of the screening."""

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import ClassVar

from snowmatch.core import plugins
from snowmatch.core.types import Detection


@dataclass(frozen=True)
class Eyes:
    """Sees an animal in every photo, and a person if `people`."""

    REVISION: ClassVar[int] = 1
    asked: ClassVar[list] = []  # the shape of every photo that it saw
    stop: ClassVar[int] = -1  # it is interrupted after so many photos

    people: bool = False

    def check(self):
        """Nothing is needed."""

    def detect(self, photo):
        if len(self.asked) == self.stop:
            raise KeyboardInterrupt
        self.asked.append(photo.shape)
        animal, person = Detection((20, 15, 40, 30), "animal", 0.7), Detection((1, 1, 9, 9), "person", 0.3)
        return (animal, person) if self.people else (animal,)


def use(patch, stop=-1):
    """Make the detector available as `eyes`, and return the list of what it sees. patch: pytest's monkeypatch."""
    patch.setattr(Eyes, "asked", [])
    patch.setattr(Eyes, "stop", stop)
    module = ModuleType("elsewhere_eyes")
    module.PLUGIN = Eyes
    patch.setitem(sys.modules, module.__name__, module)
    point = EntryPoint("eyes", module.__name__, plugins.KINDS["detectors"][1])
    patch.setattr(plugins, "_foreign", lambda asked: {"eyes": point} if asked == "detectors" else {})
    return Eyes.asked
