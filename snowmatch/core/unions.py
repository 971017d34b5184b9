"""Groups of numbered things."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


class Unions:
    """The numbers 0 to `count` - 1. Each is a group of its own until it is joined with others.

    Source: disjoint-set forest with path halving, Tarjan and van Leeuwen, JACM 1984.
    """

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def group_of(self, number: int) -> int:
        """Return the smallest number in the group of `number`."""
        above = self._above
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Join the groups of two numbers."""
        first, second = sorted((self.group_of(one), self.group_of(other)))
        self._above[second] = first

    def join_all(self, numbers: Iterable[int]) -> None:
        """Join the groups of some numbers. No numbers change nothing."""
        first = None
        for number in numbers:
            if first is None:
                first = number
            self.join(first, number)

    def groups(self) -> list[list[int]]:
        """Return all groups, each in ascending order, sorted by their smallest numbers."""
        found: dict[int, list[int]] = defaultdict(list)
        for number in range(len(self._above)):
            found[self.group_of(number)].append(number)
        return list(found.values())
