"""What snowmatch writes into a catalog's folder, and where."""

from __future__ import annotations

HOME = ".snowmatch"  # the folder in a catalog's folder for all that is written there
