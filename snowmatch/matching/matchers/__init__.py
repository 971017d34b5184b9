"""Matchers, one file each. A matcher is a frozen dataclass `PLUGIN` with settings, `REVISION`, `foreground` and either

- `PAIRWISE = False`, `backend` and `match(query, blocks, allowed, individuals) -> Matches`: one query photo against a
  whole gallery at once; or
- `PAIRWISE = True`, `candidates` (how many annotations, those with the most LNBNN votes, are compared; 0 is all),
  `keypoints` (how many of each photo, the strongest), `check(extractor)` (gives which weights it takes, "" without;
  SnowmatchError where it cannot match that extractor's features; `extractor` is the settings) and
  `pairs(one, others, extractor)`: the Subject of a query photo compared with each of `others`, taken one by one; gives
  for each the Pair of keypoint0 and keypoint1 (M,) int, by keypoint0, and weights (M,) above 0. No features on a side
  give M = 0.

The same input gives the same bytes.
"""
