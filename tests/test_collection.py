"""The pause of the search for unused cycles while many values are made."""

import gc
import weakref

import pytest

from snowmatch.api import open_catalog
from snowmatch.core.collection import without_collection


def test_values_that_are_made_meanwhile_are_old_ones_afterwards():
    with without_collection():
        assert not gc.isenabled()
        made = [[n] for n in range(5000)]
    assert gc.isenabled()
    young = {id(each) for each in gc.get_objects(generation=0)}
    assert not any(id(each) in young for each in made)
    assert not gc.get_freeze_count()


def test_cycles_that_are_made_meanwhile_are_still_found():
    gc.collect()
    with without_collection():
        for _ in range(100):
            cycle = []
            cycle.append(cycle)
    del cycle
    assert gc.collect() >= 100


def test_a_program_that_does_without_the_search_keeps_doing_so():
    gc.disable()
    try:
        with without_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("backend", ["faiss", "flann"])
def test_a_catalog_that_nobody_needs_any_more_frees_its_memory_and_files_at_once(own_survey, backend):
    folder = own_survey / "catalog"
    catalog = open_catalog(folder)
    gc.collect()
    gc.disable()
    try:
        session = catalog.session(options={"backend": backend})
        catalog.query(catalog.data.annotations[0], session=session)
        held = [weakref.ref(each) for gallery in session.galleries for each in (gallery, gallery.reader)]
        assert all(each() for each in held)
        del session, catalog
        assert not any(each() for each in held)
    finally:
        gc.enable()
