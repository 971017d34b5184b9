"""Several threads can use one session: the answers are the same, and each note goes to the right thread."""

import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import ThreadpoolController, threadpool_limits

import snowmatch
from snowmatch.core import threads
from snowmatch.core.threads import one_thread
from snowmatch.views.json import answer_to_json


def test_many_threads_give_the_same_answers_as_one(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    session = catalog.session()
    photos = [survey / "catalog" / a.path for a in catalog.data.annotations[:8]]
    alone = [answer_to_json(catalog.query(photo, session=session)) for photo in photos]
    fresh = snowmatch.open_catalog(survey / "catalog").session()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda photo: answer_to_json(catalog.query(photo, session=fresh)), photos * 2))
    assert together == alone * 2


def test_a_missing_index_is_made_once_and_noted_once(own_survey):
    catalog = own_survey / "catalog"
    shutil.rmtree(catalog / ".snowmatch" / "index")
    opened = snowmatch.open_catalog(catalog)
    session = opened.session()
    photo = catalog / opened.data.annotations[0].path
    part = opened.data.annotations[0].body_part
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: opened.query(photo, body_part=part, session=session), range(8)))
    made = [note.data["index"] for answer in answers for note in answer.notes if note.code == "index-made"]
    assert len(made) == len(set(made)) > 0
    assert not any(note.code == "index-made" for note in opened.query(photo, body_part=part, session=session).notes)


@threadpool_limits.wrap(limits=2)
def test_linear_algebra_stays_on_one_thread_until_the_last_query_is_done():
    def most():
        libraries = [each for each in ThreadpoolController().info() if "numpy" in each["filepath"]]
        return max((each["num_threads"] for each in libraries), default=1)

    before = most()
    first_is_in, second_is_out = threading.Event(), threading.Event()
    seen = []

    def first():
        with one_thread():
            first_is_in.set()
            second_is_out.wait(10)
            seen.append(most())

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(10)
    with one_thread():
        seen.append(most())
    second_is_out.set()
    thread.join()
    assert seen == [1, 1]
    assert most() == before


def test_libraries_are_looked_up_again_only_if_a_module_was_imported(monkeypatch):
    lookups = []
    monkeypatch.setattr(threads, "_found", {})
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: lookups.append(1) or ThreadpoolController())
    for _ in range(3):
        with one_thread():
            pass
    assert len(lookups) == 1
    monkeypatch.setitem(sys.modules, "snowmatch_imported_just_now", sys)
    with one_thread():
        pass
    assert len(lookups) == 2
