"""Small pictures: what they show, that damaged ones are made again, and the map of what was found."""

import io
import threading
import time

import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.types import Annotation
from snowmatch.photos.pixels import Part, read_parts, read_photo
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.maps import KEY, save_maps
from snowmatch.views import previews
from snowmatch.views.found_map import found_map
from snowmatch.views.previews import SHOWN, photo_size, preview, with_margin
from snowmatch.views.shade import scenery_shade


@pytest.fixture(params=[1, 6], ids=["upright", "turned"])
def photo(request, tmp_path):
    """A large smooth photo; its EXIF may turn it."""
    down, across = np.mgrid[:1200, :1800]
    pixels = np.stack([across / 1800, down / 1200, (across + down) / 3000], -1)
    exif = Image.Exif()
    exif[0x0112] = request.param
    Image.fromarray((255 * pixels).astype(np.uint8)).save(tmp_path / "a.jpg", quality=95, exif=exif)
    return tmp_path / "a.jpg"


def opened(content):
    return np.asarray(Image.open(io.BytesIO(content)), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("size", [160, 640, 1280])
def test_an_animal_is_shown_at_the_same_place_at_every_size(photo, size):
    whole = read_photo(photo)
    assert photo_size(photo) == whole.shape[1::-1]
    box = (200, 300, 620, 410)
    found = opened(preview(photo.parent, Annotation(0, "a.jpg", bbox=box), "animal", size))
    left, top, right, bottom = with_margin(box, whole.shape[1::-1])
    expected = whole[top:bottom, left:right]
    assert max(found.shape) <= size
    assert found.shape[1] / found.shape[0] == pytest.approx(expected.shape[1] / expected.shape[0], rel=0.03)
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert np.abs(found[row, column] - expected[row, column]).max() < 8


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_parts_of_a_turned_photo_are_those_of_the_upright_one(tmp_path, turn, name):
    down, across = np.mgrid[:120, :180]
    exif = Image.Exif()
    exif[0x0112] = turn
    pixels = np.stack([across, down, (across + down) // 2], -1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, quality=100, exif=exif)
    whole = read_photo(tmp_path / name)
    size = whole.shape[1], whole.shape[0]
    edges = (11, 20, 80, 60)
    parts = [Part(edges, 69, 69), Part((0, 0, *size), 60, 60)]
    told, (cut, small) = read_parts(tmp_path / name, lambda whole: parts)
    assert told == size
    assert np.array_equal(cut, whole[20:60, 11:80])
    expected = whole.reshape(size[1] // 3, 3, size[0] // 3, 3, 3).mean((1, 3))
    assert np.abs(small - expected).max() <= 1
    assert read_parts(tmp_path / name, lambda whole: []) == (size, [])


@pytest.mark.parametrize("turn", [1, 3, 6])
def test_the_size_of_a_tiff_is_that_of_its_upright_largest_page(tmp_path, turn):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    thumbnail = Image.new("RGB", (6, 4))
    thumbnail.save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(pixels)], tiffinfo={274: turn})
    Image.fromarray(pixels).save(tmp_path / "b.tif", tiffinfo={274: turn})
    for name in ("a.tif", "b.tif"):
        height, width = read_photo(tmp_path / name).shape[:2]
        assert photo_size(tmp_path / name) == (width, height)
        shade = scenery_shade(tmp_path, Annotation(0, name, bbox=(2, 30, 10, 10)), 160)
        assert Image.open(io.BytesIO(shade)).size == (width, height)
        Image.fromarray(read_photo(tmp_path / name)).save(tmp_path / "upright.png")
        shown = [preview(tmp_path, Annotation(0, n, bbox=(2, 30, 9, 9)), "animal", 160) for n in (name, "upright.png")]
        assert shown[0] == shown[1]


@pytest.mark.parametrize(("kind", "size"), [("photo", 640), ("outline", 320)])
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_a_preview_decodes_the_photo_once(tmp_path, monkeypatch, name, kind, size):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, **({"compression": "tiff_lzw"} if name == "a.tif" else {}))
    decoded = []
    for real in (TiffImageFile, ImageFile.ImageFile):  # a compressed TIFF has a way of its own

        def load(image, real=real, way=real.load):
            decoded.extend([real] if image.tile else [])
            return way(image)

        monkeypatch.setattr(real, "load", load)
    assert preview(tmp_path, Annotation(0, name, bbox=(2, 30, 9, 9)), kind, size)
    assert len(decoded) == 1


@pytest.mark.parametrize("kind", previews.KINDS)
def test_a_damaged_tiff_has_no_preview_and_the_error_tells_why(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (80, 90, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.tif")
    whole = (tmp_path / "a.tif").read_bytes()
    box = (200, 200, 9, 9)  # outside the photo: what is wrong with the photo is told first
    for number, content in enumerate((whole[:-3000], whole[:100], b"")):
        name = f"{number}.tif"
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SnowmatchError) as told:
            read_photo(tmp_path / name)
        with pytest.raises(SnowmatchError) as same:
            preview(tmp_path, Annotation(0, name, bbox=box), kind, 160)
        assert str(same.value) == str(told.value)


def test_what_a_question_shows_of_a_photo_is_of_one_decoding_in_any_order(photo, monkeypatch):
    folder, annotation = photo.parent, Annotation(0, "a.jpg", bbox=(200, 300, 620, 410))
    read = []
    real = previews.read_parts

    def slowly(*given):
        read.append(given)
        time.sleep(0.1)  # the other request comes meanwhile
        return real(*given)

    monkeypatch.setattr(previews, "read_parts", slowly)
    found = {}

    def ask(kind, size):
        found[kind, size] = preview(folder, annotation, kind, size)

    threads = [threading.Thread(target=ask, args=each) for each in SHOWN]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == 1
    for kept in (folder / ".snowmatch" / "previews").glob("*/*.jpg"):
        kept.unlink()
    for kind, size in reversed(SHOWN):
        assert preview(folder, annotation, kind, size) == found[kind, size]
    assert len(read) == 2


def test_pictures_are_shown_where_nothing_can_be_kept(photo, monkeypatch):
    folder, annotation = photo.parent, Annotation(0, "a.jpg", bbox=(200, 300, 620, 410))
    (folder / ".snowmatch").write_text("a file has the place of the folder")
    assert max(opened(preview(folder, annotation, "photo", 640)).shape) == 640
    (folder / ".snowmatch").unlink()
    (folder / "a.jpg").write_bytes(b"no photo")
    for _ in range(2):  # an error is not remembered
        with pytest.raises(SnowmatchError, match="not a readable photo"):
            preview(folder, annotation, "photo", 640)


def test_a_small_photo_is_not_enlarged(tmp_path):
    Image.new("RGB", (90, 60), "red").save(tmp_path / "a.jpg")
    assert opened(preview(tmp_path, Annotation(0, "a.jpg"), "photo", 320)).shape[:2] == (60, 90)
    assert opened(preview(tmp_path, Annotation(0, "a.jpg", bbox=(88, 58, 1, 1)), "animal", 320)).shape[:2] == (1, 1)


def test_a_kept_picture_that_was_cut_off_is_made_again(photo):
    folder, annotation = photo.parent, Annotation(0, "a.jpg")
    content = preview(folder, annotation, "photo", 320)
    (kept,) = (folder / ".snowmatch" / "previews").glob("*/*.jpg")
    kept.write_bytes(content[:500])
    assert preview(folder, annotation, "photo", 320) == content
    assert kept.read_bytes()[:-4] == content  # a checksum follows
    assert not list(kept.parent.glob(".*"))


def test_the_map_tints_where_the_animal_was_found(photo):
    folder, annotation = photo.parent, Annotation(0, "a.jpg")
    assert found_map(folder, annotation, 320) is None
    cells = np.zeros((6, 9), np.uint8)
    cells[:, :4] = 255
    save_maps(folder, {file_sha256(photo)[:KEY]: ("mark", ForegroundMap(cells, "burst"))})
    tint = opened(found_map(folder, annotation, 320))
    assert tint.shape[1::-1] == tuple(round(320 * side / max(photo_size(photo))) for side in photo_size(photo))
    assert tint[:, 2, 3].min() > 100
    assert tint[:, -3, 3].max() == 0
