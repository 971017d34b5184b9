"""Rows of mapped files are fetched together: the right pages, and nothing for arrays in memory."""

import mmap

import numpy as np
import pytest

from snowmatch.core import mapped
from snowmatch.core.mapped import fetch_rows, read_single_rows


@pytest.mark.skipif(not mapped.CAN_FETCH, reason="this system cannot fetch")
def test_the_pages_of_the_rows_are_asked_for(tmp_path):
    asked = []

    class Told(mmap.mmap):
        def madvise(self, option, start, length):
            assert option == mmap.MADV_WILLNEED
            asked.append((start, length))
            return super().madvise(option, start, length)

    path, page = tmp_path / "rows", mmap.PAGESIZE
    path.write_bytes(bytes(40 * page))
    with open(path, "rb") as file:
        held = Told(file.fileno(), 0, access=mmap.ACCESS_READ)
    rows = np.ndarray((20, page), np.uint8, held, page // 2)  # each row lies in two pages
    view = rows[2:]
    view.flags.writeable = False
    fetch_rows(view, np.array([9, 1, 0, 0]), np.array([10, 2, 1, 2]))
    assert asked == [(2 * page, 3 * page), (11 * page, 2 * page)]
    asked.clear()
    fetch_rows(view, np.array([4]), np.array([7]))
    assert asked == [(6 * page, 4 * page)]
    asked.clear()
    fetch_rows(view, np.array([], np.int64), np.array([], np.int64))
    assert asked == []


@pytest.mark.skipif(not mapped.CAN_FETCH, reason="this system cannot fetch")
def test_the_system_is_told_that_rows_are_read_one_by_one(tmp_path):
    told = []

    class Told(mmap.mmap):
        def madvise(self, option):
            told.append(option)
            return super().madvise(option)

    (tmp_path / "rows").write_bytes(bytes(4096))
    with open(tmp_path / "rows", "rb") as file:
        held = Told(file.fileno(), 0, access=mmap.ACCESS_READ)
    read_single_rows(np.ndarray((16, 256), np.uint8, held)[3:])
    assert told == [mmap.MADV_RANDOM]


@pytest.mark.skipif(not mapped.CAN_FETCH, reason="this system cannot fetch")
def test_a_system_that_refuses_advice_costs_only_time(tmp_path):
    class Refused(mmap.mmap):
        def madvise(self, *_):
            raise OSError(12, "Cannot allocate memory")

    (tmp_path / "rows").write_bytes(bytes(4096))
    with open(tmp_path / "rows", "rb") as file:
        rows = np.ndarray((16, 256), np.uint8, Refused(file.fileno(), 0, access=mmap.ACCESS_READ))
    read_single_rows(rows)
    fetch_rows(rows, np.array([1]), np.array([2]))


def test_an_array_in_memory_has_nothing_to_fetch():
    read_single_rows(np.zeros((5, 3), np.uint8))
    fetch_rows(np.zeros((5, 3), np.uint8), np.array([1, 4]), np.array([2, 5]))
    fetch_rows(np.frombuffer(bytes(15), np.uint8).reshape(5, 3), np.array([1, 4]), np.array([2, 5]))
