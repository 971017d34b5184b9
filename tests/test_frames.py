"""Photos from videos: the times, the order, the bursts; what is damaged, what exists already, and what is skipped."""

import os
import struct
import sys
from datetime import datetime
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.records import load_records
from snowmatch.cli import main
from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file
from snowmatch.photos.facts import read_facts
from snowmatch.photos.pixels import read_photo
from snowmatch.photos.videos import content_mark, read_frames
from snowmatch.review import frames as frames_of_videos
from snowmatch.review.frames import take_frames

RATE = 10  # frames a second of the drawn videos
CODECS = {".mp4": "mpeg4", ".avi": "mjpeg", ".mov": "mpeg4", ".mkv": "mpeg4", ".m4v": "mpeg4", ".mpg": "mpeg2video"}
CODECS |= {".wmv": "wmv2", ".3gp": "h263"}
NOON = "2023-05-01T12:00:00Z"
TURNED = {  # the matrices of a video's header, row by row, and where the red corner then is: (right, below)
    90: ((0, 1, 0, -1, 0, 0), (True, False)),
    180: ((-1, 0, 0, 0, -1, 0), (True, True)),
    270: ((0, -1, 0, 1, 0, 0), (False, True)),
}


@pytest.fixture
def av():
    return pytest.importorskip("av")


@pytest.fixture
def film(av, tmp_path):
    """Return a function that draws a video: the red corner is at the top left, and the grey of the rest is 8 a second.

    The last row of the picture is never red, so that a turn is seen.
    """

    def draw(name, seconds=3.0, taken=NOON, size=(352, 288), rate=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = CODECS[path.suffix.lower()]
        with av.open(str(path), "w", options=options) as video:
            if taken:
                video.metadata["creation_time"] = taken
            rate = rate or (30 if codec == "mpeg2video" else RATE)
            stream = video.add_stream(codec, rate=rate)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.bit_rate = 4_000_000
            video.start_encoding()
            for n in range(int(seconds * rate)):
                pixels = np.full((size[1], size[0], 3), 40 + round(8 * n / rate) % 200, np.uint8)
                pixels[: size[1] // 2, : size[0] // 2] = 250, 0, 0
                video.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            video.mux(stream.encode())
        return path

    return draw


def run(*words):
    return CliRunner().invoke(main, ["frames", *map(str, words), "--workers", "1"])


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def times(folder):
    return [read_facts(p).taken for p in sorted(folder.rglob("*.jpg"))]


def grey(pixels):
    return float(pixels[-60:-20, -60:-20].mean())


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "VID.mp4").write_bytes(b"video")
    result = run(tmp_path, tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        'Error: reading videos needs one more package: pip install "snowmatch[video]"'
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["clip.MP4", "clip.3gp", "clip.mpeg"])
def test_the_note_on_skipped_videos_names_the_command(tmp_path, name):
    (tmp_path / "aika").mkdir()
    (tmp_path / "aika" / name).write_bytes(b"video")
    with pytest.raises(SnowmatchError, match="contains no photos") as caught:
        load_catalog(tmp_path)
    assert advice(caught.value.code, caught.value.data) == f"snowmatch frames {tmp_path} OUT"
    Image.new("RGB", (60, 40), "grey").save(tmp_path / "aika" / "photo.jpg")
    (note,) = [n for n in load_catalog(tmp_path).notes if "video" in n.text]
    assert note.text.startswith("1 video was skipped")
    assert advice(note.code, note.data) == f"snowmatch frames {tmp_path} OUT"


def test_a_video_that_a_table_names_as_a_photo_is_called_a_video(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"video")
    with pytest.raises(SnowmatchError, match="is a video, expected a photo"):
        read_photo(tmp_path / "clip.mp4")


@pytest.mark.parametrize("suffix", CODECS)
def test_every_kind_of_video_gives_a_frame_a_second(film, tmp_path, suffix):
    film(f"cards/S01/VID_0001{suffix.upper()}")
    assert run(tmp_path / "cards", tmp_path / "out").exit_code == 0
    assert list(tree(tmp_path / "out")) == [f"S01/VID_0001_00{n}.jpg" for n in range(3)]
    photos = [read_photo(p) for p in sorted((tmp_path / "out").rglob("*.jpg"))]
    assert [grey(p) for p in photos] == pytest.approx([40, 48, 56], abs=2.5)
    corner = photos[0][20:60, 20:60].mean((0, 1))
    assert corner == pytest.approx([250, 0, 0], abs=8)


def test_the_times_follow_the_clock_of_the_video_as_it_is_written(film, tmp_path):
    film("cards/VID.mp4", 2.5, "2023-05-01T23:59:59Z")
    run(tmp_path / "cards", tmp_path / "out", "--every", "0.5")
    assert times(tmp_path / "out") == [
        datetime(2023, 5, day, hour, minute, second)
        for day, hour, minute, second in [(1, 23, 59, 59)] * 2 + [(2, 0, 0, 0)] * 2 + [(2, 0, 0, 1)]
    ]


def test_frames_are_taken_from_the_beginning_up_to_the_limit(film, tmp_path):
    path = film("VID.mp4", 3)
    seconds = [frame.seconds for frame in read_frames(path, 0.25, 4)]
    assert seconds == [0, Fraction(3, 10), Fraction(5, 10), Fraction(8, 10)]  # ten frames a second
    assert len(list(read_frames(path, 0.001, 1000))) == 30
    assert len(list(read_frames(path, 100, 1000))) == 1


@pytest.mark.parametrize("degrees", TURNED)
def test_a_turned_video_gives_upright_frames(film, degrees):
    path = film("VID.mp4", 0.5)
    content = path.read_bytes()
    at = content.index(b"tkhd") + 44  # the matrix in the header of the track. Source: ISO 14496-12
    matrix, (right, below) = TURNED[degrees]
    a, b, u, c, d, v = matrix
    numbers = [n << 16 for n in (a, b, u, c, d, v, 0, 0)] + [1 << 30]
    path.write_bytes(content[:at] + struct.pack(">9i", *numbers) + content[at + 36 :])
    (frame,) = read_frames(path, 1, 1)
    assert frame.pixels.shape == ((352, 288, 3) if degrees != 180 else (288, 352, 3))
    y, x = np.nonzero((frame.pixels[..., 0] > 200) & (frame.pixels[..., 1] < 60))
    assert (x.mean() > frame.pixels.shape[1] / 2, y.mean() > frame.pixels.shape[0] / 2) == (right, below)


def test_pixels_that_are_not_square_become_square(film):
    (frame,) = read_frames(film("VID.3gp"), 1, 1)  # this size of this codec has pixels of 12:11
    assert frame.pixels.shape == (288, 384, 3)


def test_the_frames_of_a_video_are_one_encounter_of_its_station(film, tmp_path):
    film("cards/naryn/S01/_unidentified/VID_0001.mp4")
    film("cards/naryn/S01/_unidentified/VID_0002.mp4", taken="2023-05-01T15:00:00Z")
    film("cards/naryn/S02/_unidentified/VID_0001.mp4")
    run(tmp_path / "cards", tmp_path / "out")
    data = load_catalog(tmp_path / "out", load_records(tmp_path / "out"))
    assert len(data.annotations) == 9
    assert len({a.encounter for a in data.annotations}) == 3
    assert {(a.location, a.station) for a in data.annotations} == {("naryn", "S01"), ("naryn", "S02")}
    assert len({(a.encounter, a.path.rsplit("_", 1)[0]) for a in data.annotations}) == 3


def test_a_video_without_a_time_gets_a_note_and_no_time_until_file_times_are_asked_for(film, tmp_path):
    path = film("cards/VID.avi", taken="")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    film("cards/OTHER.mp4")
    result = run(tmp_path / "cards", tmp_path / "out")
    assert result.exit_code == 0
    assert "1 video contains no time, so the frames have none: VID.avi (--file-times)" in result.stderr
    assert times(tmp_path / "out")[3:] == [None] * 3
    assert "no time" in run(tmp_path / "cards", tmp_path / "out").stderr  # also if nothing is left to do
    result = run(tmp_path / "cards", tmp_path / "out", "--file-times")
    assert "no time" not in result.stderr
    assert times(tmp_path / "out") == [
        *(datetime(2023, 5, 1, 12, 0, second) for second in range(3)),
        *(datetime.fromtimestamp(1_600_000_000 + second) for second in range(3)),
    ]


@pytest.mark.parametrize("taken", ["1970-01-01T00:00:00Z", "1904-01-01T00:00:00Z"])
def test_the_zero_of_a_clock_is_no_time(film, taken):
    (frame,) = read_frames(film("VID.mkv", taken=taken), 1, 1)
    assert frame.taken is None


def test_the_time_in_an_avi_is_found(film):
    path = film("VID.avi", taken="")
    content = path.read_bytes()
    stamp = b"MON MAY 01 12:00:07 2023\n\0"  # as cameras write it
    chunk = b"IDIT" + struct.pack("<I", len(stamp)) + stamp
    length = struct.pack("<I", struct.unpack("<I", content[4:8])[0] + len(chunk))
    path.write_bytes(content[:4] + length + content[8:12] + chunk + content[12:])
    assert next(read_frames(path, 1, 1)).taken == datetime(2023, 5, 1, 12, 0, 7)


def test_two_runs_write_the_same_bytes_with_any_number_of_processes(film, tmp_path):
    for n in range(3):
        film(f"cards/S{n}/VID.mp4")
    take_frames(tmp_path / "cards", tmp_path / "one", workers=1)
    take_frames(tmp_path / "cards", tmp_path / "two", workers=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_second_run_writes_nothing(film, tmp_path, monkeypatch):
    film("cards/S01/VID_0001.mp4")
    (tmp_path / "cards" / "bad.avi").write_bytes(b"")
    first = run(tmp_path / "cards", tmp_path / "out")
    monkeypatch.setattr(frames_of_videos, "replace_file", None)
    second = run(tmp_path / "cards", tmp_path / "out")
    assert first.stdout == f"3 frames of 1 video in {tmp_path / 'out'}; 1 video failed or damaged\n"
    assert "3 frames of 1 video" in second.stdout
    assert "1 video was done before" in second.stdout
    assert second.exit_code == 1


@pytest.mark.parametrize("after", range(3))
def test_a_stopped_run_goes_on_and_gives_what_one_run_gives(film, tmp_path, monkeypatch, after):
    film("cards/VID.mp4")
    written = []

    def stop(path, write):
        if len(written) == after:
            raise KeyboardInterrupt
        written.append(path)
        replace_file(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(frames_of_videos, "replace_file", stop)
        result = run(tmp_path / "cards", tmp_path / "out")
    assert result.exit_code == 1
    assert "the same command continues" in result.stderr
    assert len(list(tmp_path.rglob("out/*.jpg"))) == after
    assert run(tmp_path / "cards", tmp_path / "out").exit_code == 0
    take_frames(tmp_path / "cards", tmp_path / "whole", workers=1)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_frame_that_was_deleted_comes_back(film, tmp_path):
    film("cards/VID.mp4")
    run(tmp_path / "cards", tmp_path / "out")
    before = tree(tmp_path / "out")
    (tmp_path / "out" / "VID_001.jpg").unlink()
    run(tmp_path / "cards", tmp_path / "out")
    assert tree(tmp_path / "out") == before


def test_no_file_of_somebody_else_is_replaced(film, tmp_path):
    film("cards/VID.mp4")
    film("cards/OTHER.mp4")
    (tmp_path / "out").mkdir()
    Image.new("RGB", (60, 40), "grey").save(tmp_path / "out" / "VID_002.jpg")
    before = (tmp_path / "out" / "VID_002.jpg").read_bytes()
    result = run(tmp_path / "cards", tmp_path / "out")
    assert result.exit_code == 1
    assert "VID_002.jpg exists, and snowmatch did not write it" in result.stderr
    assert list(tree(tmp_path / "out")) == ["OTHER_000.jpg", "OTHER_001.jpg", "OTHER_002.jpg", "VID_002.jpg"]
    assert (tmp_path / "out" / "VID_002.jpg").read_bytes() == before


def test_other_settings_and_other_videos_do_not_mix_with_frames_that_exist(film, tmp_path):
    film("cards/VID.mp4")
    run(tmp_path / "cards", tmp_path / "out")
    before = tree(tmp_path / "out")
    assert "was taken with other settings" in run(tmp_path / "cards", tmp_path / "out", "--every", "2").stderr
    film("cards/VID.mp4", 5)
    assert "is a frame of an earlier copy of this video" in run(tmp_path / "cards", tmp_path / "out").stderr
    assert tree(tmp_path / "out") == before


def test_frames_that_the_table_of_the_catalog_does_not_list_are_told(film, tmp_path):
    film("cards/VID.mp4")
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "catalog.csv").write_text("path,timestamp\nfilms/VID_001.jpg,\nold.jpg,no time\n")
    said = run(tmp_path / "cards", catalog / "films").stderr
    assert (
        f"note: 2 frames without a row in {catalog / 'catalog.csv'}, so not in the catalog yet: add rows for them "
        "(films/VID_000.jpg, films/VID_002.jpg)"
    ) in said
    (catalog / "catalog.csv").write_text("path\n" + "".join(f"films/VID_00{n}.jpg\n" for n in range(3)))
    assert run(tmp_path / "cards", catalog / "films").stderr == ""


def test_videos_that_differ_in_the_extension_get_names_of_their_own_and_keep_them(film, tmp_path):
    film("cards/VID.mp4")
    run(tmp_path / "cards", tmp_path / "out")
    film("cards/VID.avi")
    run(tmp_path / "cards", tmp_path / "out")
    assert sorted({name[:-8] for name in tree(tmp_path / "out")}) == ["VID", "VID_avi"]
    run(tmp_path / "cards", tmp_path / "new")
    assert sorted({name[:-8] for name in tree(tmp_path / "new")}) == ["VID_avi", "VID_mp4"]
    (tmp_path / "cards" / "VID.mp4").unlink()
    assert "1 video was done before" in run(tmp_path / "cards", tmp_path / "new").stdout
    assert len(tree(tmp_path / "new")) == 6


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def test_each_bad_video_is_one_line_and_the_others_go_on(av, film, tmp_path):
    cards = tmp_path / "cards"
    film("cards/good.mp4")
    cut(film("cards/half.mp4"))
    (cards / "empty.avi").write_bytes(b"")
    (cards / "text.mkv").write_text("no video " * 999)
    Image.new("RGB", (60, 40)).save(cards / "photo.mov", "JPEG")
    film("cards/none.avi", 0)
    (cards / "lost.mp4").symlink_to(cards / "nowhere.mp4")
    with av.open(str(cards / "sound.mp4"), "w") as video:
        stream = video.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        sound.sample_rate = 44100
        video.mux(stream.encode(sound))
        video.mux(stream.encode())
    result = run(cards, tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout == f"3 frames of 1 video in {tmp_path / 'out'}; 7 videos failed or damaged\n"
    failed = dict(line.removeprefix("failed: ").split(": ", 1) for line in result.stderr.splitlines())
    assert list(failed) == [f"{n}" for n in sorted(p.name for p in cards.iterdir() if p.name != "good.mp4")]
    assert failed["empty.avi"].startswith("is empty (0 bytes)")
    assert failed["sound.mp4"].startswith("contains no video but sound")
    assert failed["none.avi"].startswith("contains no")
    assert failed["lost.mp4"].startswith("does not exist")
    assert all("is not a readable video" in failed[name] for name in ("half.mp4", "text.mkv", "photo.mov"))
    assert {name[:4] for name in tree(tmp_path / "out")} == {"good"}


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("VID.avi", {}, "ends after 5 s of 10 s"),
        ("VID.mp4", {"movflags": "faststart"}, "ends after 5 s of 10 s"),
        ("VID.mkv", {}, "ends after 5 s of 10 s"),
        ("VID.mpg", {}, "is damaged, 1 piece cannot be decoded"),  # it states no length
    ],
)
def test_of_half_a_video_the_readable_frames_are_kept_and_a_line_says_so(
    film, tmp_path, monkeypatch, name, options, said
):
    cut(film(f"cards/{name}", 10, **options))
    result = run(tmp_path / "cards", tmp_path / "out")
    count = len(tree(tmp_path / "out"))
    assert 3 <= count <= 8
    assert result.exit_code == 1
    assert f"{count} frames of 1 video" in result.stdout
    assert f"failed: {name}: " in result.stderr
    assert said in result.stderr
    before = tree(tmp_path / "out")
    monkeypatch.setattr(frames_of_videos, "replace_file", None)  # nothing is written again
    again = run(tmp_path / "cards", tmp_path / "out")
    assert (again.stderr, again.exit_code) == (result.stderr, 1)
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
@pytest.mark.parametrize(("seconds", "between"), [(15, 5), (300, 60), (5, 5)])
def test_a_video_with_few_frames_ends_when_the_last_one_was_shown(film, suffix, seconds, between):
    found = [frame.seconds for frame in read_frames(film(f"VID{suffix}", seconds, rate=Fraction(1, between)), 1, 30)]
    assert found == list(range(0, seconds, between))


def test_half_a_video_with_few_frames_ends_too_early(film):
    path = film("VID.avi", 100, rate=Fraction(1, 5))
    cut(path)
    with pytest.raises(SnowmatchError, match=r"ends after \d\d s of \d\d+ s"):
        list(read_frames(path, 1, 30))


def damage(path):
    """Write zeros over a picture in the middle of an AVI."""
    content = bytearray(path.read_bytes())
    at = content.index(b"00dc", len(content) // 2) + 8
    length = struct.unpack("<I", content[at - 4 : at])[0]
    content[at : at + length] = bytes(length)
    path.write_bytes(content)


def test_a_damaged_piece_costs_only_its_own_frames(film, tmp_path):
    damage(film("cards/VID.avi", 3))
    result = run(tmp_path / "cards", tmp_path / "out")
    assert "failed: VID.avi: is damaged, 1 piece cannot be decoded" in result.stderr
    assert len(tree(tmp_path / "out")) == 3


@pytest.mark.parametrize("ends", [1000, 1 << 20])
def test_a_video_that_was_damaged_and_is_copied_again_gives_its_own_frames(film, tmp_path, monkeypatch, ends):
    """Damage in the middle leaves the length and both ends of a video as they are. ends: bytes."""
    monkeypatch.setattr("snowmatch.photos.videos.CHUNK", ends)
    path = film("cards/VID.avi", 8)
    sound = path.read_bytes()
    take_frames(tmp_path / "cards", tmp_path / "sound", workers=1)
    mark = content_mark(path)
    damage(path)
    assert (content_mark(path) == mark) == (ends == 1000)
    assert run(tmp_path / "cards", tmp_path / "out").exit_code == 1
    path.write_bytes(sound)
    result = run(tmp_path / "cards", tmp_path / "out")
    assert (result.exit_code, "failed" in result.stderr) == (0, False)
    pixels = [[read_photo(p) for p in sorted((tmp_path / n).rglob("*.jpg"))] for n in ("out", "sound")]
    np.testing.assert_array_equal(*pixels)
    assert "1 video was done before" in run(tmp_path / "cards", tmp_path / "out").stdout


@pytest.mark.parametrize("stopped", [False, True])
def test_the_whole_copy_of_half_a_video_takes_its_place(film, tmp_path, monkeypatch, stopped):
    path = film("cards/VID.avi", 10)
    whole = path.read_bytes()
    take_frames(tmp_path / "cards", tmp_path / "whole", workers=1)
    cut(path)
    run(tmp_path / "cards", tmp_path / "out")
    assert len(tree(tmp_path / "out")) < 10
    path.write_bytes(whole)
    film("cards/VID.mp4", 1)  # the names of the frames stay, though there is another video of this name now
    if stopped:
        with monkeypatch.context() as patch:
            patch.setattr(frames_of_videos, "_remove", lambda *given: "no space left")
            assert "no space left" in run(tmp_path / "cards", tmp_path / "out").stderr
    result = run(tmp_path / "cards", tmp_path / "out")
    assert (result.exit_code, "failed" in result.stderr) == (0, False)
    found = tree(tmp_path / "out")
    assert {name: found[name] for name in found if "mp4" not in name} == tree(tmp_path / "whole")


def test_the_file_times_of_a_damaged_video_stay(film, tmp_path):
    cut(film("cards/VID.avi", 10, taken=""))
    run(tmp_path / "cards", tmp_path / "out", "--file-times")
    before = tree(tmp_path / "out")
    run(tmp_path / "cards", tmp_path / "out")
    assert tree(tmp_path / "out") == before


def correct_times(folder):
    """Correct the clock in EXIF, as exiftool does it: the comments stay."""
    for path in folder.glob("*.jpg"):
        path.write_bytes(path.read_bytes().replace(b"2023:05:01", b"2024:05:01"))


@pytest.mark.parametrize("damaged", [False, True])
def test_only_missing_frames_are_written_and_corrected_times_stay(film, tmp_path, monkeypatch, damaged):
    path = film("cards/VID.mp4", 10, movflags="faststart")
    if damaged:
        cut(path)
    first = run(tmp_path / "cards", tmp_path / "out")
    correct_times(tmp_path / "out")
    before = tree(tmp_path / "out")
    monkeypatch.setattr("snowmatch.photos.videos.QUALITY", 91)  # another encoder gives other bytes
    again = run(tmp_path / "cards", tmp_path / "out")
    assert tree(tmp_path / "out") == before
    assert again.stderr == first.stderr
    for name in ("VID_000.jpg", "VID_002.jpg"):
        (tmp_path / "out" / name).unlink()
    assert run(tmp_path / "cards", tmp_path / "out").stderr == first.stderr  # nothing was replaced
    after = tree(tmp_path / "out")
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == ["VID_000.jpg", "VID_002.jpg"]


@pytest.mark.parametrize("older", [False, True])
def test_file_times_are_written_into_the_frames_of_a_damaged_video(film, tmp_path, older):
    cut(film("cards/VID.avi", 10, taken=""))
    run(tmp_path / "cards", tmp_path / "out")
    if older:  # the first version told it only in the first frame
        for path in (tmp_path / "out").glob("VID_00[1-9].jpg"):
            path.write_bytes(path.read_bytes().replace(b'"timed"', b'"tamed"'))
    said = run(tmp_path / "cards", tmp_path / "out", "--file-times").stderr
    take_frames(tmp_path / "cards", tmp_path / "alone", file_times=True, workers=1)
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")
    assert f"{len(tree(tmp_path / 'out'))} frames of earlier runs replaced" in said


def test_of_another_damaged_copy_no_frame_of_the_first_stays(film, tmp_path):
    path = film("cards/VID.avi", 10)
    whole = path.read_bytes()
    cut(path)
    run(tmp_path / "cards", tmp_path / "out")
    before = len(tree(tmp_path / "out"))
    path.write_bytes(whole)
    cut(path, 0.8)
    said = run(tmp_path / "cards", tmp_path / "out").stderr
    take_frames(tmp_path / "cards", tmp_path / "alone", workers=1)
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")
    assert (
        f"{before} frames of earlier runs replaced or removed for those of the videos as they are now: VID.avi" in said
    )


def test_frames_of_a_damaged_copy_are_not_replaced_by_fewer_of_one_that_is_damaged_more(film, tmp_path):
    path = film("cards/VID.avi", 10)
    whole = path.read_bytes()
    cut(path)
    run(tmp_path / "cards", tmp_path / "out")
    before = tree(tmp_path / "out")
    path.write_bytes(whole[: int(0.3 * len(whole))])
    for _ in range(2):
        result = run(tmp_path / "cards", tmp_path / "out")
        assert result.exit_code == 1
        assert tree(tmp_path / "out") == before
        assert "replaced" not in result.stderr
        assert f"{len(before)} frames of 1 video" in result.stdout
        assert "from the camera's card; it gives 3 frames, those of the earlier copy stay" in result.stderr
    path.write_bytes(whole)
    assert run(tmp_path / "cards", tmp_path / "out").exit_code == 0
    assert len(tree(tmp_path / "out")) == 10


@pytest.mark.parametrize(("suffix", "options"), [(".avi", {}), (".mp4", {"movflags": "faststart"})])
@pytest.mark.parametrize(("seconds", "sound"), [(20, True), (6, False)])
def test_a_video_of_another_card_replaces_no_frame_of_a_damaged_one(film, tmp_path, suffix, options, seconds, sound):
    """Cameras give the same names on each card, and decisions stay with the names of the frames."""
    cut(film(f"card1/DCIM/VID{suffix}", 10, **options))
    run(tmp_path / "card1", tmp_path / "out")
    before = tree(tmp_path / "out")
    path = film(f"card2/DCIM/VID{suffix}", seconds, **options)
    if not sound:
        cut(path)
    result = run(tmp_path / "card2", tmp_path / "out")
    assert result.exit_code == 1
    assert "is a frame of an earlier copy of this video, or of another video of the same name" in result.stderr
    assert tree(tmp_path / "out") == before


def test_a_frame_of_a_damaged_video_of_an_older_version_is_not_replaced(film, tmp_path):
    path = film("cards/VID.avi", 10)
    whole = path.read_bytes()
    cut(path)
    run(tmp_path / "cards", tmp_path / "out")
    first = tmp_path / "out" / "VID_000.jpg"
    first.write_bytes(first.read_bytes().replace(b'"recording"', b'"another__"'))
    path.write_bytes(whole)
    before = tree(tmp_path / "out")
    assert "is a frame of an earlier copy of this video" in run(tmp_path / "cards", tmp_path / "out").stderr
    assert tree(tmp_path / "out") == before


def test_a_video_that_begins_as_a_damaged_one_but_has_another_time_replaces_nothing(film, tmp_path, monkeypatch):
    monkeypatch.setattr("snowmatch.photos.videos.BEGINNING", 4)
    cut(film("cards/VID.avi", 10, taken=""))
    run(tmp_path / "cards", tmp_path / "out", "--file-times")
    before = tree(tmp_path / "out")
    path = film("cards/VID.avi", 10, taken="")
    content = path.read_bytes()
    stamp = b"MON MAY 01 12:00:07 2023\n\0"
    chunk = b"IDIT" + struct.pack("<I", len(stamp)) + stamp
    path.write_bytes(content[:12] + chunk + content[12:])
    assert "is a frame of an earlier copy of this video" in run(tmp_path / "cards", tmp_path / "out").stderr
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {path}\n"]
)
def test_a_playlist_opens_no_other_file(film, tmp_path, text):
    path = film("elsewhere/VID.mp4")
    (tmp_path / "list.mp4").write_text(text.format(path=path))
    with pytest.raises(SnowmatchError, match="is not a readable video"):
        list(read_frames(tmp_path / "list.mp4", 1, 1))


def test_one_video_and_a_folder_inside_the_source(film, tmp_path):
    path = film("cards/S01/VID.mp4")
    assert run(path, tmp_path / "one").exit_code == 0
    assert list(tree(tmp_path / "one")) == ["VID_000.jpg", "VID_001.jpg", "VID_002.jpg"]
    for _ in range(2):
        assert run(tmp_path / "cards", tmp_path / "cards" / "frames").exit_code == 0
        assert len(list((tmp_path / "cards" / "frames" / "S01").iterdir())) == 3


def test_the_frames_go_into_a_catalog_that_is_indexed_already(film, tmp_path):
    film("cards/naryn/S01/_unidentified/VID_0001.mp4")
    (tmp_path / "out" / ".snowmatch").mkdir(parents=True)
    assert run(tmp_path / "cards", tmp_path / "out").exit_code == 0
    refused = run(tmp_path / "cards", tmp_path / "out" / ".snowmatch" / "x")
    assert "which snowmatch keeps for itself" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing", "out"), "does not exist, expected a video"),
        (("photos", "out"), r"contains no videos (only 1 .jpg); expected files with .3gp"),
        (("cards", "file"), "is a file, expected a folder"),
        (("cards", "out", "--every", "0"), "expected 0.001 s or more"),
        (("cards", "out", "--every", "nan"), "expected 0.001 s or more"),
        (("cards", "out", "--limit", "0"), "expected 1 or more"),
    ],
)
def test_wrong_words_are_one_line(film, tmp_path, monkeypatch, words, message):
    film("cards/VID.mp4")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "photos" / "a.jpg")
    (tmp_path / "file").write_text("a file")
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_names_that_are_hard_to_read_or_too_long(film, tmp_path):
    source = film("VID.mp4")
    cards = tmp_path / "cards"
    cards.mkdir()
    strange = ["Барс 1.mp4", "a b'c.mp4", "%d_%03d.mp4", "http:x.mp4"]
    for name in [*strange, "x" * 251 + ".mp4"]:
        (cards / name).write_bytes(source.read_bytes())
    result = run(cards, tmp_path / "out")
    assert {name[:-8] for name in tree(tmp_path / "out")} == {name[:-4] for name in strange}
    assert "too long for the name of a frame" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_frame_keeps_no_other_data_of_the_video(av, film, tmp_path):
    path = film("VID.mp4")
    with av.open(str(path)) as old, av.open(str(tmp_path / "cards.mov"), "w") as new:
        new.metadata.update({"location": "+42.1+078.2/", "artist": "somebody", "creation_time": NOON})
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    run(tmp_path / "cards.mov", tmp_path / "out")
    content = b"".join(tree(tmp_path / "out").values())
    assert b"42.1" in (tmp_path / "cards.mov").read_bytes()
    assert b"42.1" not in content
    assert b"somebody" not in content
    assert len(tree(tmp_path / "out")) == 3
