"""The pages of the app: what they show, the work that they start, and the server."""

import csv
import html
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import until
from PIL import Image
from web_small import PACKAGE, SETTINGS, client, client_of, coat, folder, jpeg, make_catalog, running_job, sent

from snowmatch.api import open_catalog
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path
from snowmatch.core.locks import file_lock
from snowmatch.core.plain import with_json_sum
from snowmatch.features.reader import list_features
from snowmatch.matching.search import loaded
from snowmatch.review import adding as adding_photos
from snowmatch.review.adding import NewPhoto, add_photos
from snowmatch.review.identities import answer_pair, name_sightings
from snowmatch.review.uploads import forget_old_uploads
from snowmatch.web import job as job_process
from snowmatch.web import jobs
from snowmatch.web.animals import address_of_sighting
from snowmatch.web.jobs import list_jobs, read_job, start_job
from snowmatch.web.network import listen
from snowmatch.web.security import TokenDoor
from snowmatch.web.state import State
from snowmatch.web.waiting import waiting_now

__all__ = ["client", "folder"]  # fixtures

# --- pages ------------------------------------------------------------------------------------------------------------


def test_the_first_page_needs_no_catalog(tmp_path):
    state = State(tmp_path)
    answer = client_of(tmp_path).get("/")
    assert answer.status_code == 200
    assert not state.ready


def test_a_missing_catalog_is_told_on_the_page(tmp_path):
    answer = client_of(tmp_path / "nowhere").get("/home/facts")
    assert answer.status_code == 400
    assert "does not exist" in answer.text


def test_the_first_page_counts(client):
    text = re.sub(r"\s+", " ", client.get("/home/facts").text)
    assert "<b>5</b> photos" in text
    assert "<b>2</b> individuals with a name" in text
    assert "<b>5</b> sightings" in text
    assert ">1 of them without a name<" in text


def test_an_index_run_keeps_the_settings_that_another_program_has_set_since(tmp_path):
    folder = make_catalog(tmp_path)
    earlier, chosen = open_catalog(folder), open_catalog(folder, longest_encounter=5.0)
    open_catalog(folder, encounter_gap=20.0).index("sift", SETTINGS, workers=1)
    earlier.index("sift", SETTINGS, workers=1)
    assert earlier.data.settings.encounter_gap == 20.0
    chosen.index("sift", SETTINGS, workers=1)
    stored = open_catalog(folder).data.settings
    assert (stored.encounter_gap, stored.longest_encounter, stored.boxes) == (20.0, 5.0, False)


def test_a_photo_that_is_missing_or_damaged_does_not_wait_for_ever(tmp_path):
    folder = make_catalog(tmp_path)
    with (folder / "catalog.csv").open("a") as table:
        table.write("images/gone.jpg,,,,,,,\nimages/bad.jpg,,,,,,,\n")
    (folder / "images" / "bad.jpg").write_bytes(b"no photo")

    def unread():
        return waiting_now(State(folder, observer="asel"))[0].unindexed

    assert unread() == 2
    assert len(open_catalog(folder).index("sift", SETTINGS, workers=1).failed) == 2
    assert unread() == 0
    (folder / "images" / "gone.jpg").write_bytes(jpeg(7))  # it was put back
    assert unread() == 1


def test_animals_with_an_identifier_wait_to_be_read_as_well(tmp_path):
    folder = make_catalog(tmp_path)

    def unread():
        return waiting_now(State(folder, observer="asel"))[0].unindexed

    assert unread() == 0
    Image.fromarray(np.full((240, 320), 255, np.uint8)).save(folder / "images" / "0.png")
    rows = list(csv.reader((folder / "catalog.csv").read_text(encoding="utf-8").splitlines()))
    (folder / "images" / "0.jpg").write_bytes(jpeg(8))  # another photo under this path
    rows = [[*row, "mask", "annotation"] if row[0] == "path" else [*row, "", ""] for row in rows]
    rows[2][-2] = "images/0.png"  # a mask that was drawn since
    rows += [[f"images/{n}.jpg", *[""] * (len(rows[0]) - 2), f"{n:016x}"] for n in (6, 7)]  # of another program
    for n in (6, 7):
        (folder / "images" / f"{n}.jpg").write_bytes(jpeg(n))
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(rows)
    assert unread() == 4
    assert len(open_catalog(folder).index("sift", SETTINGS, workers=1).failed) == 0
    assert unread() == 0
    (folder / "images" / "7.jpg").unlink()  # it was read, and cannot be read again
    assert unread() == 0


def test_photos_of_one_passage_are_one_sighting_on_the_first_page(tmp_path):
    folder = make_catalog(tmp_path)
    table = folder / "catalog.csv"
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    for n, row in enumerate(rows[1:]):
        row[1], row[3:7] = "", ["naryn", "st1", f"2025-03-01T10:00:0{n}", "e1"]
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    text = re.sub(r"\s+", " ", client_of(folder).get("/home/facts").text)
    assert "<b>5</b> photos" in text
    assert "5 pictures of animals in them" in text
    assert "<b>1</b> sighting" in text
    assert ">1 of them without a name<" in text
    assert "animal without a name" not in text


def test_the_observer_is_remembered(folder):
    client = client_of(folder, observer="")
    assert client.post("/observer", data={"observer": " Bolot  B. "}, follow_redirects=False).status_code == 303
    assert "Bolot B." in client.get("/").text
    assert client.post("/observer", data={"observer": "machine"}).status_code == 400


def test_photos_are_listed_and_filtered(client):
    keys = re.findall(r'href="/photos/(\w+)"', client.get("/photos").text)
    assert len(keys) == 5
    assert len(re.findall(r'href="/photos/(\w+)"', client.get("/photos?individual=aika").text)) == 2
    assert len(re.findall(r'href="/photos/(\w+)"', client.get("/photos?individual=+").text)) == 1
    assert len(re.findall(r'href="/photos/(\w+)"', client.get("/photos?station=st0&body_part=left_flank").text)) == 3
    assert not re.findall(r'href="/photos/(\w+)"', client.get("/photos?state=failed").text)
    page = client.get(f"/photos/{keys[0]}").text
    assert "images/0.jpg" in page
    assert "20, 20, 280, 200" in page


def test_photos_without_a_name_are_those_that_the_first_page_counts(tmp_path):
    folder = make_catalog(tmp_path, name="")
    state = State(folder)  # two sightings without a name are one animal: it has no name all the same
    state.append(lambda now: [answer_pair(now, 0, 1, "same", "asel")])
    client = client_of(folder)
    address = re.search(r'href="(/photos[^"]+)">3 of them without a name', client.get("/home/facts").text)[1]
    assert len(re.findall(r'href="/photos/([\w-]+)"', client.get(html.unescape(address)).text)) == 3


def test_an_individual_without_times_tells_none(tmp_path):
    folder = make_catalog(tmp_path)
    table = folder / "catalog.csv"
    table.write_text(re.sub(r"2025-03-0.T10:00:00", "", table.read_text(encoding="utf-8")), encoding="utf-8")
    assert "2 sightings, 2 photos; naryn st0, naryn st1</p>" in client_of(folder).get("/individuals/aika").text


def test_odd_names_are_found_among_the_photos(tmp_path):
    """A dash is a name like another one, and a long name is not cut."""
    for name in ("-", "x" * 260):
        client = client_of(make_catalog(tmp_path / name[:3], name=name))
        assert len(re.findall(r'href="/photos/([\w-]+)"', client.get("/photos", params={"individual": name}).text)) == 2


def test_a_search_among_photos_does_not_hit_the_middle_of_identifiers(client):
    key = re.search(r'href="/photos/(\w+)"', client.get("/photos").text)[1]
    assert f'href="/photos/{key}"' in client.get("/photos", params={"q": key[:8]}).text
    assert 'href="/photos/' not in client.get("/photos", params={"q": key[4:9]}).text


def test_a_search_among_photos_finds_an_identifier_with_capital_letters(tmp_path):
    (tmp_path / "catalog.csv").write_text("path,annotation\na.jpg,SL-17\nb.jpg,SL-18\n")
    client = client_of(tmp_path)
    for text in ("SL-17", "sl-17"):
        page = client.get("/photos", params={"q": text}).text
        assert 'href="/photos/SL-17"' in page
        assert 'href="/photos/SL-18"' not in page


# Identifiers of other programs
ODD = ("2023/IMG 1", "../card/2", "a?b#c", "50% &d", "ключ", "1/state", "1/links", "1/passport")


def test_identifiers_with_any_characters_lead_to_their_photos_and_sightings(tmp_path):
    lines = ["path,body_part,encounter,annotation"]
    for n, name in enumerate(ODD):
        (tmp_path / f"{n}.jpg").write_bytes(jpeg(n))
        lines.append(f"{n}.jpg,left_flank,e{n},{name}")
    (tmp_path / "catalog.csv").write_text("\n".join(lines), encoding="utf-8")
    client = client_of(tmp_path)
    for page, kind in (("/photos", "photos"), ("/individuals", "individuals")):
        links = set(re.findall(rf'href="(/{kind}/[^"]+)"', client.get(page).text))
        assert len(links) == len(ODD)
        for link in links:
            text = client.get(link).text
            pictures = set(re.findall(r'(?:src|data-plain|data-picture)="(/picture/[^"]+)"', text))
            assert pictures
            for address in pictures:
                assert client.get(html.unescape(address)).headers["content-type"] == "image/jpeg", address
            more = re.findall(r'(?:href|data-poll)="(/(?:photos/[^"]+|individuals/[^"]+/passport))"', text)
            assert [client.get(address).status_code for address in more] == [200] * len(more)
            key = html.unescape(re.search(r'data-photo="([^"]*)"', text)[1])
            values = {"kind": "quality", "photos": [key], "value": "good", "store": True}
            head = client.post("/changes", json=values).json()["head"]
            assert client.post("/changes", json={**values, "head": head}).json()["stored"]
    identities = State(tmp_path).identities()
    assert {row.side_a for row in identities.rows} == {(name,) for name in ODD}
    link = address_of_sighting(identities, 0)
    assert client.get(link.partition("#")[0]).status_code == 200
    assert unquote(link).endswith("#2023/IMG 1")


@pytest.mark.parametrize("page", ["/photos", "/individuals"])
def test_an_address_with_a_slash_at_its_end_leads_to_the_page(tmp_path, page):
    answer = client_of(make_catalog(tmp_path)).get(f"{page}/?q=S1", follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"].endswith(f"{page}?q=S1")


def test_scripts_ask_for_pictures_by_the_encoded_identifier():
    for path in (PACKAGE / "static").glob("*.js"):
        for address in re.findall(r"`/(?:picture|scenery|found|photos|individuals)/[^`]*`", path.read_text("utf-8")):
            assert "encodeURIComponent(" in address
            assert "key}" not in address


def test_pages_of_a_catalog_that_was_never_indexed_say_so(tmp_path):
    """No individual and no sighting is known, but not because of filters or of missing times."""
    folder = make_catalog(tmp_path)
    shutil.rmtree(folder / ".snowmatch")
    client = client_of(folder)
    for address, other in (("/individuals", "No individual fits"), ("/survey", "No sighting has a time")):
        text = client.get(address).text
        assert 'No photo is read yet (indexed), so no sighting is known. <a href="/jobs">' in text
        assert other not in text
    assert "No individual fits" in client_of(make_catalog(tmp_path / "other")).get("/individuals?text=nobody").text


def test_photos_that_were_never_indexed_are_shown_with_their_state(tmp_path):
    catalog = make_catalog(tmp_path)
    (catalog / "images" / "9.jpg").write_bytes(jpeg(9))
    with (catalog / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write("images/9.jpg,,,,,,,\nimages/gone.jpg,,,,,,,\n")
    client = client_of(catalog)
    text = client.get("/photos?state=missing").text
    keys = re.findall(r'href="/photos/(\w+)"', text)
    assert len(keys) == 2
    assert client.get(f"/picture/photo/160/{keys[0]}").status_code == 200
    assert client.get(f"/picture/photo/160/{keys[1]}").status_code == 404


def test_previews_are_small_upright_and_without_exif(tmp_path):
    catalog = make_catalog(tmp_path)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"
    Image.fromarray(coat(1)).save(catalog / "images" / "0.jpg", exif=exif)
    client = client_of(catalog)
    key = re.findall(r'href="/photos/(\w+)"', client.get("/photos").text)[0]
    answer = client.get(f"/picture/photo/160/{key}")
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (120, 160)
    assert b"secret" not in answer.content
    assert not picture.getexif()
    kept = list((catalog / ".snowmatch" / "previews").rglob("*.jpg"))
    assert [path.read_bytes()[:-4] for path in kept] == [answer.content]  # a checksum follows
    Image.fromarray(coat(2)).save(catalog / "images" / "0.jpg")  # another picture under the same name
    assert client.get(f"/picture/photo/160/{key}").content != answer.content
    for kind in ("animal", "outline"):
        assert client.get(f"/picture/{kind}/320/{key}").status_code == 200


def questions_of(client):
    """Return the next questions; None while the evidence is gathered."""
    found = client.get("/review/next", params={"count": 10}).json()
    return None if "comparing" in found else found


def test_a_photo_that_was_replaced_by_a_smaller_one_does_not_end_the_review(tmp_path):
    """Its box lies outside of it. All other questions are asked, and this one has the photo as it is."""
    catalog = make_catalog(tmp_path)
    table = (catalog / "catalog.csv").read_text()
    (catalog / "catalog.csv").write_text(table.replace("20,20,280,200", "100,70,150,150"))
    open_catalog(catalog).index("sift", SETTINGS, workers=1)
    client = client_of(catalog)
    key = client.app.state.snowmatch.identities().annotations[4].annotation
    client.app.state.snowmatch.evidence()
    Image.fromarray(coat(3)).resize((80, 60)).save(catalog / "images" / "4.jpg")
    found = until(lambda: questions_of(client))
    frames = [frame for question in found["questions"] for side in question["sides"] for frame in side["frames"]]
    assert len(frames) >= 4
    assert {tuple(frame["part_shown"]) for frame in frames if frame["key"] == key} == {(0, 0, 80, 60)}
    assert client.get(f"/picture/animal/640/{key}").status_code == 404


# --- work -------------------------------------------------------------------------------------------------------------


def test_work_runs_in_its_own_process(tmp_path):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    assert client.post("/jobs/start", data={"kind": "rm -rf"}).status_code == 400
    assert client.post("/jobs/start", data={"kind": "index", "extractor": "--help"}).status_code == 400
    with running_job(catalog) as place:
        (job,) = list_jobs(catalog)
        assert (job.id, job.state) == (place.name, "running")
        assert client.post("/jobs/start", data={"kind": "index"}).status_code == 400  # one at a time
    assert client.post("/jobs/start", data={"kind": "batch"}, follow_redirects=False).status_code == 303
    job = finished(catalog, list_jobs(catalog)[0])
    assert job.state == "done", job.messages
    assert (job.done, job.total, job.title) == (1, 1, "matching")
    table = client.get(f"/jobs/{job.id}/table.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert "images/4.jpg" in table.text
    assert "done" in client.get("/jobs").text
    assert "What waits next" in client.get("/jobs").text
    assert client.get(f"/jobs/{job.id}/progress").json()["state"] == "done"


def finished(catalog, job):
    until(lambda: read_job(catalog, job.id).state != "running")
    return read_job(catalog, job.id)


def test_no_module_of_the_working_directory_is_run(tmp_path, monkeypatch):
    catalog = make_catalog(tmp_path)
    for name in ("filelock", "click", "h5py"):
        (catalog / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(catalog)
    job = finished(catalog, start_job(catalog, "index"))
    assert job.state == "done", job.messages
    assert not (tmp_path / "ran").exists()


def test_photos_are_read_as_in_this_catalog_so_far(tmp_path):
    """The default extractor would read the whole catalog once more, and answer from then on."""
    catalog = make_catalog(tmp_path)
    before = list_features(features_path(catalog))
    (catalog / "images" / "5.jpg").write_bytes(jpeg(5))
    with (catalog / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write("images/5.jpg,,,,,,,\n")
    job = finished(catalog, start_job(catalog, "index"))
    assert job.state == "done", job.messages
    assert list_features(features_path(catalog)) == before
    assert State(catalog).states()[5][0] == "indexed"


def test_each_extractor_of_a_catalog_reads_the_photos(tmp_path, monkeypatch):
    own = [("hesaff", {}), ("sift", {"chip_size": "300", "sigma": "2"}), ("sift", {})]
    monkeypatch.setattr(jobs, "indexed_extractors", lambda folder: own)
    first = ("index", "--extractor", "hesaff", "--", "a")
    sift = ("index", "--extractor", "sift", "-o", "chip_size=300", "-o", "sigma=2", "--", "a")
    plain = ("index", "--extractor", "sift", "--", "a")
    assert jobs.commands_of("index", Path("a"), None, "") == [first, sift, plain]
    assert jobs.commands_of("index", Path("a"), None, "sift") == [sift, plain]
    assert jobs.commands_of("index", Path("a"), None, "other") == [("index", "--extractor", "other", "--", "a")]
    monkeypatch.setattr(jobs, "indexed_extractors", lambda folder: [])
    assert jobs.commands_of("index", Path("a"), None, "") == [("index", "--", "a")]


@pytest.mark.parametrize("kind", ["calibrate", "batch", "compare"])
def test_work_has_the_memory_that_the_app_was_given(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(loaded, "_limit", [])
    assert "--memory" not in jobs.commands_of(kind, tmp_path, None, "")[0]
    loaded.limit_memory(2 * 10**9)
    (words,) = jobs.commands_of(kind, tmp_path, None, "")
    loaded._limit.clear()
    assert CliRunner().invoke(main, words).exit_code == 1  # there is no catalog
    assert loaded.limited_memory() == 2 * 10**9


def test_photos_are_read_again_where_the_settings_of_an_extractor_are_damaged(tmp_path):
    folder = features_path(tmp_path) / "sift-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "features-1.h5").touch()
    assert jobs.commands_of("index", tmp_path, None, "sift") == [("index", "--extractor", "sift", "--", str(tmp_path))]


def test_work_of_several_commands_does_all_of_them_and_fails_if_one_does(tmp_path):
    about = {"kind": "index", "arguments": ["no-such-command"], "then": [["weights", "where"]], "started": time.time()}
    (tmp_path / "job.json").write_text(json.dumps(with_json_sum(about)))
    assert job_process.run_job(tmp_path) == 2
    assert "cache folder" in (tmp_path / "stdout").read_text()


@pytest.mark.slow
def test_work_is_stopped_and_keeps_what_is_done(tmp_path):
    catalog = make_catalog(tmp_path)
    for n in range(300):
        (catalog / "images" / f"m{n}.jpg").write_bytes(jpeg(n))
    with (catalog / "catalog.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"images/m{n}.jpg,,,,,,,\n" for n in range(300))
    client = client_of(catalog)
    client.post("/jobs/start", data={"kind": "index", "extractor": "sift"})
    (job,) = list_jobs(catalog)
    time.sleep(3)
    client.post(f"/jobs/{job.id}/stop")
    assert finished(catalog, job).state in ("stopped", "done")


def test_work_starts_although_somebody_looks_whether_it_lives(tmp_path, monkeypatch):
    (tmp_path / "job.json").write_text(json.dumps(with_json_sum({"arguments": ["index"]})))
    work = SimpleNamespace(wait=lambda seconds: None, returncode=0)
    monkeypatch.setattr(job_process.subprocess, "Popen", lambda *_, **__: work)
    looks = threading.Event()

    def look():
        with file_lock(tmp_path / "alive.lock").acquire(timeout=0):
            looks.set()
            time.sleep(0.2)

    looking = threading.Thread(target=look)
    looking.start()
    looks.wait()
    assert job_process.run_job(tmp_path) == 0
    looking.join()
    assert (tmp_path / "ended.json").exists()


def test_who_adds_photos_for_long_is_waited_for_and_told(folder, monkeypatch):
    monkeypatch.setattr(adding_photos, "WAIT", 0.1)
    with file_lock(folder / ".snowmatch" / "table.lock"), pytest.raises(SnowmatchError, match="another program has"):
        add_photos(folder, [NewPhoto(folder / "images" / "0.jpg", "a.jpg", "0" * 64)])


def test_who_starts_work_for_long_is_waited_for_and_told(client, folder, monkeypatch):
    monkeypatch.setattr(jobs, "WAIT", 0.1)
    (folder / ".snowmatch" / "jobs").mkdir(parents=True, exist_ok=True)
    before = len(list_jobs(folder))
    with file_lock(folder / ".snowmatch" / "jobs" / "start.lock"):
        answer = client.post("/jobs/start", data={"kind": "index"})
    assert answer.status_code == 400
    assert "other work is being started at this moment" in answer.text
    assert len(list_jobs(folder)) == before


def test_on_windows_ctrl_c_at_the_server_is_not_for_the_work(tmp_path, monkeypatch):
    given = {"CREATE_NO_WINDOW": 0x08000000, "CREATE_NEW_PROCESS_GROUP": 0x200}
    code = (
        f"import subprocess; vars(subprocess).update({given}); from snowmatch.web import jobs; print(jobs.OWN_CONSOLE)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) == 0x08000200
    options = {}
    monkeypatch.setattr(jobs, "OWN_CONSOLE", int(said.stdout))
    monkeypatch.setattr(
        jobs.subprocess, "Popen", lambda *_, **given: options.update(given) or SimpleNamespace(wait=int)
    )
    start_job(tmp_path, "batch")
    assert options["creationflags"] == 0x08000200


def test_after_the_clock_was_set_back_old_work_is_lost_and_new_work_is_the_newest(tmp_path):
    for n in range(31):
        place = tmp_path / ".snowmatch" / "jobs" / f"20990101-0000{n:02}-index"
        place.mkdir(parents=True)
        about = {"kind": "index", "arguments": [], "started": time.time() + 3600}
        (place / "job.json").write_text(json.dumps(about))
    assert {job.state for job in list_jobs(tmp_path)} == {"lost"}
    job = start_job(tmp_path, "batch")
    assert list_jobs(tmp_path)[0].id == job.id == "20990101-000031-batch"
    assert abs(job.started - time.time()) < 60
    finished(tmp_path, job)


def test_work_that_ends_while_it_is_looked_at_is_not_lost(tmp_path, monkeypatch):
    with running_job(tmp_path) as place:
        assert read_job(tmp_path, place.name).state == "running"
        ended = json.dumps({"status": 0, "ended": time.time()})
        monkeypatch.setattr(jobs, "_alive", lambda place: bool((place / "ended.json").write_text(ended)) and False)
        assert read_job(tmp_path, place.name).state == "done"


def test_a_job_whose_process_died_is_lost(folder):
    place = folder / ".snowmatch" / "jobs" / "20200101-000000-index"
    place.mkdir(parents=True)
    (place / "job.json").write_text(json.dumps({"kind": "index", "arguments": [], "started": 0}))
    assert read_job(folder, place.name).state == "lost"


# --- the server -------------------------------------------------------------------------------------------------------


def test_the_server_listens_on_this_computer_alone():
    with listen(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(SnowmatchError, match=f"port {port} cannot be used"):
            listen(port)
    assert f"127.0.0.1:{port}" in TokenDoor(port, "x").hosts


def test_decisions_of_others_are_seen(folder):
    one, other = State(folder, observer="a"), State(folder, observer="b")
    before = len(other.identities().rows)
    one.append(lambda now: [name_sightings(now, [4], "umai", "a")])
    assert len(other.identities().rows) == before + 1
    assert other.identities().named[4].individual == "umai"


def test_decisions_of_one_step_of_a_coarse_clock_are_in_the_catalog(tmp_path):
    """The time stamps of FAT32 are those of even seconds."""
    state = State(make_catalog(tmp_path), observer="a")
    sizes = []
    for name in ("umai", "aika"):
        state.append(lambda now, name=name: [name_sightings(now, [4], name, "a")])
        os.utime(state.decisions_file, ns=(10**18, 10**18))
        sizes.append(state.decisions_file.stat().st_size)
        assert state.catalog().data.annotations[4].individual == name
    assert sizes[0] == sizes[1]


def test_a_copy_of_the_decisions_that_is_put_back_is_told_and_used_after_a_new_start(tmp_path):
    catalog = make_catalog(tmp_path)
    state = State(catalog, observer="a")
    state.append(lambda now: [name_sightings(now, [4], "umai", "a")])
    shutil.copy(state.decisions_file, tmp_path / "copy")
    state.append(lambda now: [name_sightings(now, [4], "aika", "a")])
    assert state.identities().named[4].individual == "aika"
    shutil.copy(tmp_path / "copy", state.decisions_file)
    with pytest.raises(SnowmatchError, match="started again, the program goes on with the file that is there now"):
        state.identities()
    assert State(catalog).identities().named[4].individual == "umai"


def test_the_command_serves_and_stops_cleanly(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "snowmatch.cli", "serve", str(folder), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    address = process.stdout.readline().split()[-1]
    with urllib.request.urlopen(address) as entered:
        cookie = entered.headers["set-cookie"].split(";")[0]
    place = address.partition("?")[0]
    with urllib.request.urlopen(urllib.request.Request(place, headers={"cookie": cookie})) as page:
        assert b"snowmatch" in page.read()
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(place)
    refused.value.close()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert not said


def test_old_uploads_are_forgotten(tmp_path):
    place = tmp_path / ".snowmatch" / "uploads" / "questions"
    place.mkdir(parents=True)
    for name, days in (("old.json", 31), ("new.json", 29)):
        (place / name).write_text("{}")
        os.utime(place / name, (time.time() - days * 86400,) * 2)
    assert forget_old_uploads(tmp_path) == 1
    assert [path.name for path in place.iterdir()] == ["new.json"]


def test_a_server_that_runs_for_long_forgets_old_uploads_too(client, folder):
    old = folder / ".snowmatch" / "uploads" / "old.json"
    sent(client, jpeg(1))
    old.write_text("{}")
    os.utime(old, (time.time() - 31 * 86400,) * 2)
    sent(client, jpeg(2))
    assert not old.exists()


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_words_can_be_read_on_every_ground(scheme):
    style = (PACKAGE / "static" / "style.css").read_text("utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    colours = {name: each[scheme] for name, *each in found}
    for ground in ("ground", "card", "raised"):
        for words in ("text", "faint", "accent", "warning", "excellent", "good", "fair", "uncertain"):
            assert contrast(colours[words], colours[ground]) >= 4.5, (words, ground)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    for ground in ("ground", "card"):
        assert contrast(colours["edge"], colours[ground]) >= 3, ground  # where a field begins


@pytest.mark.parametrize("asked", ["spots", "evidence"])
def test_rows_that_came_meanwhile_do_not_mix_up_the_photos_that_are_compared(tmp_path, asked):
    """A large catalog is not loaded again at once, but its features are read as they are now."""
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    state = client.app.state.snowmatch
    bars = [a.annotation for a in state.identities().annotations[2:4]]
    state._took = 1000.0
    head, *rows = (catalog / "catalog.csv").read_text().splitlines(keepends=True)
    first = 'images/00.jpg,,left_flank,naryn,st0,2025-02-01T10:00:00,e9,"20,20,280,200"\n'
    (catalog / "images" / "00.jpg").write_bytes(jpeg(9))
    (catalog / "catalog.csv").write_text("".join([head, first, *rows]))
    open_catalog(catalog).index("sift", SETTINGS, workers=1)
    if asked == "spots":
        found = client.get("/review/spots", params={"mode": "open", "a": bars[0], "b": bars[1]})
        assert len(found.json()["spots"]) > 20
    else:
        assert state.evidence().pairs == State(catalog).evidence().pairs


@pytest.mark.parametrize("part", ["", "/passport"])
def test_sightings_whose_times_are_impossible_are_told_below_the_timeline(tmp_path, part):
    catalog = make_catalog(tmp_path)
    table = catalog / "catalog.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("2025-03-02", "1900-01-01"), encoding="utf-8")
    text = client_of(catalog).get(f"/individuals/aika{part}", params={"lang": "en"}).text
    (line,) = re.findall(r"<p>Not drawn, since the time cannot be right .*</p>", text)
    assert ">1900-01-01 10:00, naryn st1</a></p>" in line
    assert text.count('class="dot"') == 1


@pytest.mark.parametrize(
    ("page", "name", "value"),
    [
        *(("photos", name, "gone") for name in ("individual", "location", "station")),
        *(
            ("photos", name, value)
            for name, value in (("state", "stale"), ("outline", "neither"), ("body_part", "head"))
        ),
        *(("individuals", name, "gone") for name in ("location", "station")),
        *(("individuals", name, value) for name, value in (("part", "unknown"), ("sex", "female"))),
    ],
)
def test_a_filter_by_what_is_not_there_any_more_is_shown(client, page, name, value):
    text = client.get(f"/{page}", params={name: value}).text
    assert 'class="tile"' not in text
    assert 'class="animal-card"' not in text
    (choice,) = re.findall(rf'<select name="{name}">(.*?)</select>', text, re.DOTALL)
    assert re.findall(r'value="([^"]*)" selected', choice) == [value]


def test_a_species_is_offered_once_and_found_by_any_of_its_names(tmp_path):
    catalog = make_catalog(tmp_path)
    table = catalog / "catalog.csv"
    species = ["Panthera uncia", "Snow leopard", "ирбис", "Snow leopard", "Lynx lynx"]
    head, *rows = table.read_text(encoding="utf-8").splitlines()
    lines = [f"{head},species", *(f"{row},{name}" for row, name in zip(rows, species, strict=True))]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    client = client_of(catalog)
    text = client.get("/photos", params={"lang": "en"}).text
    offered = re.search(r'<datalist id="species">(.*?)</datalist>', text)[1]
    assert re.findall(r'value="([^"]*)"', offered) == ["Lynx lynx", "Snow leopard"]
    for asked, count in (("снежный барс", 4), ("snow LEOPARD", 4), ("lynx", 1), ("uncia", 1), ("panthera leo", 0)):
        found = client.get("/photos", params={"q": asked, "lang": "en"}).text
        assert found.count('<li class="tile">') == count, asked
