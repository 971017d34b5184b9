"""What tests of batches share: a catalog whose answers are written by hand, and a calibrated one."""

import os
from collections import Counter
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import snowmatch
from snowmatch.api import Catalog
from snowmatch.catalog.database import forget_answers
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.states import AnnotationState
from snowmatch.cli import main
from snowmatch.confidence.levels import Levels
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation
from snowmatch.identify.answer import Answer, Candidate, Decision, QueryPhoto
from snowmatch.identify.session import Session
from snowmatch.review import batch

NONE = np.zeros(0)
NOON = datetime(2023, 5, 1, 12)


def run(*arguments):
    return CliRunner().invoke(main, ["batch", *(str(a) for a in arguments)])


def photo(path, taken=None, colour=0):
    """A small photo; each colour is another content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (64, 48), (colour, colour, colour))
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
    image.save(path, "JPEG", exif=exif)
    return path


class Said:
    """What `query` shall answer, by photo: (name or annotation's row, probability) of each candidate, and of new."""

    def __init__(self, folder, rows):
        unidentified = Counter()
        annotations = []
        for n, row in enumerate(rows):
            animal = unidentified[row["path"]] if row.get("individual") is None else 0
            unidentified[row["path"]] += row.get("individual") is None
            annotations.append(Annotation(n, **{"encounter": "q", "animal": animal, **row}))
        annotations = tuple(annotations)
        for n, a in enumerate(annotations):
            if not (folder / a.path).exists():
                photo(folder / a.path, colour=n)
        self.catalog = Catalog(CatalogData(folder, annotations, ()))
        self.answers, self.asked, self.bad, self.bare = {}, [], set(), set()
        self.notes, self.notes_of_session = (Note("same", "same"),), ()
        self.warned = {}  # by photo: its own notes

    def session(self, catalog):
        data = catalog.data
        states = tuple(AnnotationState("indexed", f"{a.path} {a.bbox}", "") for a in data.annotations)
        method = SimpleNamespace(extractor={"name": "x"}, matching={"name": "y"})
        return Session(data, method, states, (), None, self.notes_of_session)

    def ask(self, session, question):
        photos, catalog = question.photos, session
        filters = {"locations": question.locations, "exclude_encounters": question.exclude_encounters}
        names = [os.path.basename(p.path if isinstance(p, Annotation) else p) for p in photos]
        self.asked.append((names, question.body_part, filters))
        if bad := self.bad & set(names):
            raise SnowmatchError(f"{sorted(bad)[0]} is truncated")
        boxes = [p.bbox if isinstance(p, Annotation) else None for p in photos]
        files = [str(catalog.folder / p.path) if isinstance(p, Annotation) else p for p in photos]
        shown = [QueryPhoto(f, b, None, (64, 48), 0 if n in self.bare else 9) for f, b, n in zip(files, boxes, names)]  # noqa: B905
        part = question.body_part
        found, new = self.answers.get((names[0], boxes[0]), self.answers.get((names[0], part), ({}, 0.9)))
        candidates = tuple(self.candidate(catalog, *each) for each in enumerate(found.items(), start=1))
        best = max(found.values(), default=0)
        decision, decided, others = None, None, list(candidates)
        if new is None:
            candidates = tuple(replace(c, probability=None, level=None) for c in candidates)
        elif candidates and best >= new:
            decided = max(candidates, key=lambda c: c.probability)
            others.remove(decided)
            encounter = "" if decided.individual is not None else decided.best.encounter
            decision = Decision(decided.individual, False, best, Levels().of(best), best, encounter)
        else:
            decision = Decision(None, True, new, Levels().of(new), new)
        return Answer(
            photos=tuple(shown),
            body_part=part,
            locations=(),
            excluded_encounters=(),
            catalog_path=str(catalog.folder),
            annotations=9,
            compared=9 if found or decision is not None else 0,
            individuals=3,
            extractor={},
            matcher={},
            candidates=candidates,
            notes=(*session.notes, *self.notes, *self.warned.get(names[0], ())),
            new_probability=new,
            decision=decision,
            decided=decided,
            runner_up=max(others, key=lambda c: c.probability, default=None) if decision is not None else None,
        )

    def candidate(self, catalog, rank, told):
        name, probability = told
        own = next(a for a in catalog.data.annotations if name in (a.individual, a.row))
        return Candidate(
            rank, own.individual, 9.0 - rank, 40 - rank, True, True, own, 0, NONE, NONE, NONE, NONE, NONE,
            probability=probability, level="fair",
        )  # fmt: skip


def one_by_one(ask):
    """Return `ask_many` that asks with the function `ask`."""

    def ask_many(session, questions):
        found = []
        for question in questions:
            try:
                found.append(ask(session, question))
            except SnowmatchError as error:
                found.append(error)
        return found

    return ask_many


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Makes a catalog of these rows whose queries are answered from a table."""

    def make(*rows):
        said = Said(tmp_path / "catalog", rows)
        monkeypatch.setattr(Catalog, "session", lambda self, **_: said.session(self))
        monkeypatch.setattr(batch, "ask_many", one_by_one(said.ask))
        return said

    return make


AIKA = {"path": "aika.jpg", "individual": "aika", "encounter": "known1"}
BARS = {"path": "bars.jpg", "individual": "bars", "encounter": "known2"}


@pytest.fixture
def long(says, tmp_path, monkeypatch):
    """A catalog with four unidentified encounters, two animals in the last one's photo."""
    left, right = (0, 0, 9, 9), (20, 0, 9, 9)
    lone = [{"path": f"{n}.jpg", "encounter": f"e{n}"} for n in range(3)]
    pair = [{"path": "3.jpg", "encounter": "e3", "bbox": b} for b in (left, right)]
    said = says(AIKA, *lone, *pair)
    said.answers = {("0.jpg", None): ({"aika": 0.123456789, 2: 0.05}, 0.1)}
    said.answers |= {("3.jpg", b): ({"aika": p}, 0.0) for b, p in ((left, 0.96), (right, 0.97))}
    monkeypatch.setattr(snowmatch.api, "open_catalog", lambda folder, decisions=None: said.catalog)
    assert run("catalog", "--unidentified", "--again", "--out", tmp_path / "whole").exit_code == 0
    forget_answers(said.catalog.folder)
    said.asked.clear()
    return said


def same_files(folder, one, other):
    return all(
        (folder / f"{one}.{kind}").read_bytes() == (folder / f"{other}.{kind}").read_bytes()
        for kind in ("csv", "jsonl")
    )


def answers(folder, *more):
    return run("catalog", "--unidentified", *more, "--out", folder / "answers")
