"""The pause of the search for unused cycles while many values are made."""

import gc

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
