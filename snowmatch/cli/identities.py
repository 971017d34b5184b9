"""The command `snowmatch identities`: who is who, by the decisions of persons."""

from __future__ import annotations

from snowmatch.cli import identities_ask, identities_change, identities_observers
from snowmatch.cli.identities_group import identities

__all__ = ["identities", "identities_ask", "identities_change", "identities_observers"]
