"""Identifiers of decisions: UUIDs of version 7, whose order is the order in which they were given."""

from __future__ import annotations

import re
import secrets

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_RANDOM = 74  # bits that do not depend on the time
_LOW = 62  # of these, the bits behind the variant


def next_id(last: str, now: int) -> str:
    """Return a new identifier, which is greater than `last` also if the clock was set back.

    last: the greatest identifier so far; "" if there is none. now: milliseconds since 1970, UTC. If `last` has the same
    time or a later one, its time is used again, and its random bits are increased by a random step.

    Source: RFC 9562, sections 5.7 and 6.2 (method 2, monotonic random).
    """
    moment, bits = now, secrets.randbits(_RANDOM)
    if last and now <= (kept := id_time(last)):
        moment, bits = kept, _random_bits(last) + 1 + secrets.randbits(32)
        if bits >> _RANDOM:
            moment, bits = kept + 1, secrets.randbits(_RANDOM)
    return id_of(moment, bits)


def id_of(moment: int, bits: int) -> str:
    """Return the identifier with a time (milliseconds since 1970, UTC) and these random bits; only 74 of them count."""
    bits &= (1 << _RANDOM) - 1
    value = moment << 80 | 7 << 76 | bits >> _LOW << 64 | 2 << _LOW | bits & (1 << _LOW) - 1
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def is_id(text: str) -> bool:
    """Return whether a text is a UUID of version 7 as `next_id` writes it: in small letters."""
    return _FORM.fullmatch(text) is not None


def id_time(text: str) -> int:
    """Return the time in an identifier: milliseconds since 1970, UTC."""
    return int(text[:8] + text[9:13], 16)


def _random_bits(text: str) -> int:
    value = int(text.replace("-", ""), 16)
    return (value >> 64 & 0xFFF) << _LOW | value & (1 << _LOW) - 1
