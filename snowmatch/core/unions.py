"""Joining numbered things into groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


class Unions:
    """The numbers 0 to `count` - 1, each in a group of its own until it is joined with others.

    Source: disjoint-set forest with path halving, Tarjan and van Leeuwen, JACM 1984.
    """

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def group_of(self, number: int) -> int:
        """The smallest number in the group of `number`."""
        above = self._above
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Make one group of the groups of two numbers."""
        first, second = sorted((self.group_of(one), self.group_of(other)))
        self._above[second] = first

    def join_all(self, numbers: Iterable[int]) -> None:
        """Make one group of the groups of some numbers; none change nothing."""
        first = None
        for number in numbers:
            if first is None:
                first = number
            self.join(first, number)

    def groups(self) -> list[list[int]]:
        """All groups, each in rising order, by their smallest numbers."""
        found: dict[int, list[int]] = defaultdict(list)
        for number in range(len(self._above)):
            found[self.group_of(number)].append(number)
        return list(found.values())
