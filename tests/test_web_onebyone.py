"""Work beside the pages: all of it is done, never two pieces at once, and a failure does not end it for ever."""

import threading
import time
from contextlib import suppress
from functools import partial

import pytest

from snowmatch.core.errors import SnowmatchError
from snowmatch.web import background
from snowmatch.web.background import Background
from snowmatch.web.onebyone import OneByOne


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_all_work_is_done_in_one_thread_that_ends():
    waiting, done, at_once = [], [], [0]

    def work(number):
        at_once[0] += 1
        assert at_once == [1]
        time.sleep(0.001)
        at_once[0] -= 1
        done.append(number)

    def take():
        return partial(work, waiting.pop(0)) if waiting else None

    thread = OneByOne("test-work", take)
    askers = [threading.Thread(target=lambda n=n: thread.ask(lambda: waiting.append(n))) for n in range(50)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    wait_for(lambda: len(done) == 50)
    assert sorted(done) == list(range(50))
    wait_for(lambda: not thread.running)
    wait_for(lambda: all(each.name != "test-work" for each in threading.enumerate()))


def test_work_that_fails_does_not_stop_what_is_asked_later(monkeypatch):
    told, waiting, done = [], [], []

    def tell(failure):
        if failure.thread.name == "test-work":  # threads of earlier tests may fail, too
            told.append(failure.exc_type)

    monkeypatch.setattr(threading, "excepthook", tell)
    thread = OneByOne("test-work", lambda: waiting.pop(0) if waiting else None)
    thread.ask(lambda: waiting.append(lambda: 1 // 0))
    wait_for(lambda: told)
    assert told == [ZeroDivisionError]
    assert not thread.running
    thread.ask(lambda: waiting.append(lambda: done.append(1)))
    wait_for(lambda: done)


def test_a_page_does_not_wait_for_ever_for_a_value_that_cannot_be_computed(monkeypatch):
    """Without memory, say: the value was told to be there, as None, and the page asked again and again."""
    error, told = MemoryError(), []
    monkeypatch.setattr(threading, "excepthook", lambda failure: told.append(failure.exc_value))

    def fail():
        raise error

    value = Background()
    assert value.get("key", fail) == (None, False)
    wait_for(lambda: error in told)  # threads of earlier tests may fail, too
    with pytest.raises(SnowmatchError, match="could not be computed"):
        value.get("key", fail)
    assert value.get("other", lambda: 7)[1] is False
    wait_for(lambda: value.get("other", fail) == (7, True))


def test_what_could_not_be_computed_is_told_for_a_moment_and_then_tried_again(monkeypatch):
    def fail():
        raise SnowmatchError("the disk is away")

    def there():
        with suppress(SnowmatchError):
            return value.get("key", lambda: 7) == (7, True)

    value = Background()
    value.get("key", fail)
    wait_for(lambda: not value._running)
    for _ in "12":
        with pytest.raises(SnowmatchError, match="the disk is away"):
            value.get("key", fail)
    monkeypatch.setattr(background, "RETRY", 0.0)
    value = Background()
    value.get("key", fail)
    wait_for(lambda: not value._running)
    wait_for(there)
