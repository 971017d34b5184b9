"""Who asks, while one request is answered, and what that person may do.

Without accounts, the person at this computer asks, and may do everything.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accounts import ROLES

READER, OBSERVER, ADJUDICATOR, ADMINISTRATOR = ROLES
NOBODY_MAY = "nobody"  # a route that exists only without accounts


@dataclass(frozen=True)
class Person:
    """Who has logged in. role: one of ROLES; "" for somebody who has not."""

    name: str
    role: str


STRANGER = Person("", "")
asking: ContextVar[Person | None] = ContextVar("asking", default=None)  # None: the person at this computer


def may(role: str) -> bool:
    """Return whether who asks now may do what a role may."""
    person = asking.get()
    if person is None:
        return True
    return person.role in ROLES and role in ROLES and ROLES.index(person.role) >= ROLES.index(role)


def may_take_back(observer: str) -> bool:
    """Return whether who asks now may take a decision of this observer back: an own one, or as an adjudicator any."""
    person = asking.get()
    return person is None or person.name == observer or may(ADJUDICATOR)


def need(role: str) -> None:
    """Raise SnowmatchError, with the code `not-allowed`, if who asks now may not do what a role may."""
    person = asking.get()
    if role == NOBODY_MAY and person is not None:
        raise SnowmatchError(
            "the name is that of the login here: log out, and log in under the other name", "not-allowed"
        )
    if not may(role):
        has = person.role if person is not None and person.role else "not logged in"
        text = f"this needs the role {role}, and you are {has}: ask an administrator"
        raise SnowmatchError(text, "not-allowed", role=role, has=has)
