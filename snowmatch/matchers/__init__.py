"""Matchers, one file each. A matcher is a frozen dataclass `PLUGIN` with

- fields that are its settings; class variable `REVISION` (raise it when the code's output changes);
- `match(query, blocks, allowed, individuals) -> Matches`: the weighted matches of one query photo with the gallery's
  entries where `allowed` is True. The same input gives the same bytes, and the query's own label is not among it.
"""
