"""A large simulated catalog for the app: sightings, evidence and decisions, without photos."""

import random
from dataclasses import replace
from types import SimpleNamespace

from snowmatch.catalog.load import load_catalog
from snowmatch.core.types import Annotation
from snowmatch.decisions.file import append, decisions_path, read_decisions
from snowmatch.decisions.who import who_is_who
from snowmatch.review.identities import Identities, draft
from snowmatch.review.likely import Evidence, Likely
from snowmatch.web.state import State


def large_state(folder, sightings, decisions, seed=1):
    """Return a state with sightings of about a tenth as many animals, after some decisions of Anna and Boris."""
    draw = random.Random(seed)
    (folder / "catalog.csv").write_text("path\nphoto.jpg\n", encoding="utf-8")
    animals = max(sightings // 10, 2)
    animal = [draw.randrange(animals) for _ in range(sightings)]
    annotations = tuple(
        Annotation(
            row=n,
            path=f"images/{n:06d}.jpg",
            body_part=("left_flank", "right_flank")[animal[n] % 2],
            location=f"valley {n % 5}",
            station=f"st{n % 200:03d}",
            encounter=f"e{n:06d}",
            animal=0,
            annotation=f"a{n:016x}",
        )
        for n in range(sightings)
    )
    members = {}
    for n, each in enumerate(animal):
        members.setdefault(each, []).append(n)
    pairs = {}
    for own in members.values():
        for k, a in enumerate(own[:-1]):
            for b in own[k + 1 : k + 4]:
                pairs[a, b] = _likely(a, b, draw.gauss(5, 2))
    for _ in range(2 * sightings):
        a, b = sorted((draw.randrange(sightings), draw.randrange(sightings)))
        if a != b and animal[a] % 2 == animal[b] % 2 and (a, b) not in pairs:
            pairs[a, b] = _likely(a, b, draw.gauss(-3, 2))
    evidence = Evidence(dict(sorted(pairs.items())), 1 / animals, -6.0, 0)
    chosen = draw.sample(sorted(pairs), min(decisions, len(pairs)))
    drafts = [
        draft(
            "pair",
            ("Anna", "Boris")[n % 2],
            "same" if animal[a] == animal[b] else "different",
            side_a=(f"a{a:016x}",),
            side_b=(f"a{b:016x}",),
        )
        for n, (a, b) in enumerate(chosen)
    ]
    append(decisions_path(folder), drafts)
    state = State(folder, None, "Anna")
    data = load_catalog(folder)
    data = replace(data, annotations=annotations)
    stored = read_decisions(decisions_path(folder))
    state._identities = Identities(data, decisions_path(folder), stored, who_is_who(annotations, stored.rows))
    state._stamp, state._took = state.catalog_files(), float("inf")  # it is never loaded from the folder
    state.evidence = lambda: evidence
    state.session = lambda *_, **__: SimpleNamespace(calibration=None, folder=folder)
    return state


def _likely(a, b, odds):
    probability = min(max(1 / (1 + 2.718281828 ** (2 - odds)), 0.002), 0.998)
    return Likely(a, b, odds, probability, probability, 20, (f"a{a:016x}", f"a{b:016x}"))
