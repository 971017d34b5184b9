"""Photos: all formats are read upright and as RGB, chips map back to the photo, and bad files raise clear errors."""

import warnings
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import open_regular
from snowmatch.core.types import Features
from snowmatch.photos import formats
from snowmatch.photos.chips import MASK_EROSION, MAX_UPSCALE, clip_bbox, inside, make_chip, to_photo
from snowmatch.photos.facts import read_facts
from snowmatch.photos.pixels import read_mask, read_photo

ORIENTATION, EXIF_IFD, ORIGINAL, DIGITIZED, CHANGED = 0x0112, 0x8769, 0x9003, 0x9004, 0x0132


def scene(width=93, height=61):
    """Return blocks of colour without symmetry, so that each of the eight orientations looks different."""
    pixels = np.full((height, width, 3), 120, np.uint8)
    pixels[: height // 3, : width // 2] = (220, 40, 40)
    pixels[height // 2 :, : width // 4] = (30, 60, 200)
    pixels[height // 4 : height // 2, -width // 3 :] = (240, 230, 60)
    return pixels


def close(a, b, limit):
    return a.shape == b.shape and np.abs(a.astype(int) - b).mean() < limit


def turned(pixels, orientation):
    """Return the pixels turned by Pillow's own function."""
    image = Image.fromarray(pixels)
    image.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp", "heic"])
def test_exif_orientation_is_applied_once(tmp_path, extension, orientation):
    if extension == "heic":
        pytest.importorskip("pillow_heif")
    path = tmp_path / f"photo.{extension}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exact = {"lossless": True} if extension == "webp" else {}
    Image.fromarray(scene()).save(path, exif=exif.tobytes() if extension == "heic" else exif, quality=95, **exact)
    pixels = read_photo(path)
    assert close(pixels, turned(scene(), orientation), 4)
    assert read_facts(path).image_size == (pixels.shape[1], pixels.shape[0])
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("value", [0, 9, 700])
def test_an_invalid_orientation_means_upright(tmp_path, value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    Image.fromarray(scene()).save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "photo.png"), scene())


GREY = np.asarray(Image.fromarray(scene()).convert("L"))
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)
KINDS = {
    "plain.JPG": (scene(), "RGB", {"quality": 95}, scene()),
    "progressive.jpg": (scene(), "RGB", {"quality": 95, "progressive": True}, scene()),
    "cmyk.jpg": (scene(), "CMYK", {"quality": 95}, scene()),
    "grey.jpeg": (GREY, "L", {"quality": 95}, GREY_RGB),
    "cmyk.tif": (scene(), "CMYK", {}, scene()),
    "palette.png": (scene(), "P", {}, scene()),
    "alpha.png": (scene(), "RGBA", {}, scene()),
    "grey_alpha.png": (GREY, "LA", {}, GREY_RGB),
    "bits16.png": (GREY.astype(np.uint16) * 256 + 3, None, {}, GREY_RGB),
    "bits16.tif": (GREY.astype(np.uint16) * 256 + 3, None, {}, GREY_RGB),
    "bits16_lzw.tiff": (GREY.astype(np.uint16) * 256 + 3, None, {"compression": "tiff_lzw"}, GREY_RGB),
    "old.bmp": (scene(), "RGB", {}, scene()),
    "lossless.webp": (scene(), "RGB", {"lossless": True}, scene()),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_photo_becomes_8_bit_rgb(tmp_path, name):
    pixels, mode, options, expected = KINDS[name]
    image = Image.fromarray(pixels)
    (image.quantize(16) if mode == "P" else image.convert(mode) if mode else image).save(tmp_path / name, **options)
    found = read_photo(tmp_path / name)
    assert found.dtype == np.uint8
    assert close(found, expected, 3 if "jp" in name.lower() else 0.5)


def test_a_1_bit_image_stays_black_and_white(tmp_path):
    Image.fromarray(GREY > 127).save(tmp_path / "one_bit.png")
    assert np.array_equal(read_photo(tmp_path / "one_bit.png")[..., 0] == 255, GREY > 127)


def test_a_16_bit_colour_png_keeps_its_upper_bits(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), scene()[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(read_photo(tmp_path / "deep.png"), scene())


def test_transparent_pixels_become_grey(tmp_path):
    alpha = np.full(scene().shape[:2], 255, np.uint8)
    alpha[:20] = 0
    Image.fromarray(np.dstack([scene(), alpha])).save(tmp_path / "cut.png")
    Image.fromarray(scene()).quantize(8).save(tmp_path / "palette.png", transparency=bytes([0] * 8))
    pixels = read_photo(tmp_path / "cut.png")
    assert (pixels[:20] == 128).all()
    assert np.array_equal(pixels[20:], scene()[20:])
    assert (read_photo(tmp_path / "palette.png") == 128).all()


def test_a_tall_photo_is_read_without_an_error_between_strips(tmp_path):
    rng = np.random.default_rng(0)
    tall = rng.integers(0, 256, (600, 37, 3), dtype=np.uint8)
    Image.fromarray(tall).save(tmp_path / "tall.png")
    assert np.array_equal(read_photo(tmp_path / "tall.png"), tall)


@pytest.mark.slow
def test_a_photo_of_100_megapixels_is_read_without_a_warning(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("L", (12500, 8001), 77).save(path, compress_level=1)
    pixels = read_photo(path)
    assert pixels.shape == (8001, 12500, 3)
    assert (pixels[::1000, ::1000] == 77).all()
    chip = make_chip(pixels, None, None, 700, "grey")
    assert chip.pixels.shape == (448, 700)


def test_a_photo_above_pillows_limit_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    Image.new("L", (300, 200)).save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 29_000)
    with pytest.raises(SnowmatchError, match=r"big\.png has more than 0 megapixels"):
        read_photo(tmp_path / "big.png")


def truncated(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-3000])


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.tif", "photo.webp"])
def test_a_truncated_photo_raises_an_error(tmp_path, name):
    truncated(tmp_path / name)
    expected = "truncated" if name in ("photo.jpg", "photo.png") else "copy it again"
    with pytest.raises(SnowmatchError, match=rf"photo\.\w+ .*{expected}"):
        read_photo(tmp_path / name)


def test_each_bad_file_has_its_own_message(tmp_path):
    (tmp_path / "text.jpg").write_text("these are my notes")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "script.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(GREY.astype(np.int32) * 1000).save(tmp_path / "deep.tif")
    expected = {
        "text.jpg": "is not a readable photo, expected one of JPEG, PNG, TIFF, WEBP",
        "script.jpg": "is not a readable photo",
        "empty.jpg": "is empty",
        "folder.jpg": "is a folder",
        "absent.jpg": "does not exist",
        "float.tif": "floating-point",
        "deep.tif": "32 bits",
    }
    for name, text in expected.items():
        with pytest.raises(SnowmatchError) as caught:
            read_photo(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(str(tmp_path / name) + " ")
        assert text in message
        assert "\n" not in message


def test_a_heic_photo_without_pillow_heif_raises_an_error_with_the_install_command(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "register_heif_opener", None)
    monkeypatch.setattr(formats, "FORMATS", ("JPEG", "PNG"))
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(SnowmatchError, match="pip install pillow-heif"):
        read_photo(tmp_path / "IMG_1.HEIC")


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage" * 3, b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01", b"Exif\0\0MM\0*\xff\xff\xff\xff"]
)
@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_a_photo_with_damaged_exif_is_read(tmp_path, exif, extension):
    path = tmp_path / f"photo.{extension}"
    Image.fromarray(scene()).save(path, exif=exif)
    assert read_photo(path).shape == scene().shape
    assert read_facts(path).image_size == (93, 61)
    assert read_facts(path).taken is None


def test_other_warnings_of_pillow_are_shown(tmp_path):
    Image.fromarray(scene()).save(tmp_path / "photo.png")
    with pytest.warns(UserWarning, match="something new"), formats.open_photo(tmp_path / "photo.png"):
        warnings.warn("something new", UserWarning, stacklevel=1)


def with_times(path, **times):
    exif = Image.Exif()
    exif[0x010F] = "a camera's maker"  # Pillow does not save EXIF that has only sub-folders
    exif.update(times.get("root", {}))
    exif.get_ifd(EXIF_IFD).update(times.get("exif", {}))
    Image.fromarray(scene()).save(path, exif=exif)
    return path


def test_the_time_is_when_the_photo_was_taken_and_other_exif_times_come_after_it(tmp_path):
    taken = with_times(
        tmp_path / "a.jpg", exif={ORIGINAL: "2012:09:17 19:42:18"}, root={CHANGED: "2020:01:01 00:00:00"}
    )
    facts = read_facts(taken)
    assert (facts.taken, facts.time_tag) == (datetime(2012, 9, 17, 19, 42, 18), "DateTimeOriginal")
    edited = with_times(
        tmp_path / "b.jpg", exif={DIGITIZED: "2019:01:01 00:00:00"}, root={CHANGED: "2020:01:01 00:00:00"}
    )
    facts = read_facts(edited)
    assert (facts.taken, facts.time_tag) == (datetime(2019, 1, 1), "DateTimeDigitized")
    facts = read_facts(with_times(tmp_path / "d.jpg", root={CHANGED: "2020:01:01 00:00:00"}))
    assert (facts.taken, facts.time_tag) == (datetime(2020, 1, 1), "DateTime")
    assert read_facts(with_times(tmp_path / "c.png", exif={ORIGINAL: "2012:09:17 19:42:18"})).taken.year == 2012


TIMES = ["2020-01-31 10:00:00", "2020/01/31 10:00:00", "2020:01:31T10:00:00", "2020:01:31 10:00", "2020: 1:31 10: 0: 0"]
TIMES += ["  2020:01:31 10:00:00  ", "2020:01:31 10:00:00.25+06:00", "2020:1:31 10:00:00"]
TIMES += ["2020:01:31\t10:00:00"]


@pytest.mark.parametrize("text", TIMES)
def test_times_that_are_not_written_as_exif_asks_are_read(tmp_path, text):
    path = with_times(tmp_path / "a.jpg", exif={ORIGINAL: text}, root={CHANGED: "2024:06:01 12:00:00"})
    facts = read_facts(path)
    assert (facts.taken, facts.time_tag) == (datetime(2020, 1, 31, 10), "DateTimeOriginal")


@pytest.mark.parametrize(
    "text", ["2020/01/31 09:05:03 PM", "2020:01:31 09:05 p.m.", "2020:01:31 09:05:13.5AM", "2020:01:31 09:05:03\0PM"]
)
def test_a_time_with_am_or_pm_is_no_time(tmp_path, text):
    assert read_facts(with_times(tmp_path / "a.jpg", exif={ORIGINAL: text})).taken is None


@pytest.mark.parametrize("text", ["2020:01:31 10", "2020:01:31 10:00:xx", "2020:01:31 24:00:00", "2020:01:31", "10:00"])
def test_half_a_time_is_no_time(tmp_path, text):
    assert read_facts(with_times(tmp_path / "a.jpg", exif={ORIGINAL: text})).taken is None


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "    :  :     :  :  ", "", "yesterday", "2012:13:40 99:00:00"])
def test_a_clock_that_was_never_set_gives_no_time(tmp_path, text):
    assert read_facts(with_times(tmp_path / "a.jpg", exif={ORIGINAL: text})).taken is None


# --- boxes and masks --------------------------------------------------------------------------------------------------


def test_boxes_are_clipped_to_the_photo():
    assert clip_bbox((10, 20, 30, 40), (100, 100)) == (10, 20, 30, 40)
    assert clip_bbox((-10, -5, 30, 40), (100, 80)) == (0, 0, 20, 35)
    assert clip_bbox((90, 70, 30, 40), (100, 80)) == (90, 70, 10, 10)
    assert clip_bbox((-10, -10, 1000, 1000), (100, 80)) == (0, 0, 100, 80)


@pytest.mark.parametrize("bbox", [(100, 0, 5, 5), (0, 80, 5, 5), (-9, 0, 9, 5), (0, -9, 5, 9)])
def test_a_box_outside_the_photo_names_the_box_and_the_photos_size(bbox):
    with pytest.raises(SnowmatchError, match=rf"box {','.join(map(str, bbox))} lies outside .* 100 x 80"):
        clip_bbox(bbox, (100, 80))


@pytest.mark.parametrize("bbox", [(5, 5, 0, 5), (5, 5, 5, 0), (5, 5, -3, 5), (5, 5, 5, -3)])
def test_a_box_without_area_is_refused(bbox):
    with pytest.raises(SnowmatchError, match="no area"):
        clip_bbox(bbox, (100, 80))


def test_masks_of_any_mode_are_true_above_127(tmp_path):
    grey = np.full((20, 30), 127, np.uint8)
    grey[5:10, 7:20] = 128
    for mode in ("L", "RGB", "P", "RGBA"):
        Image.fromarray(grey).convert(mode).save(tmp_path / f"{mode}.png")
        assert np.array_equal(read_mask(tmp_path / f"{mode}.png", (30, 20)), grey > 127)
    Image.fromarray(grey > 127).save(tmp_path / "bits.png")
    assert np.array_equal(read_mask(tmp_path / "bits.png", (30, 20)), grey > 127)
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "empty.png")
    assert not read_mask(tmp_path / "empty.png", (30, 20)).any()


def test_transparent_parts_of_a_mask_are_not_the_animal(tmp_path):
    values = np.full((20, 30, 4), 255, np.uint8)
    values[:, :10, 3] = 0
    Image.fromarray(values).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png", (30, 20)), values[..., 3] > 0)


def test_masks_of_a_wrong_size_or_with_label_values_are_refused(tmp_path):
    Image.fromarray(np.full((20, 30), 255, np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(SnowmatchError, match="30 x 20 px, expected 20 x 30, the size of the upright photo"):
        read_mask(tmp_path / "mask.png", (20, 30))
    Image.fromarray(np.eye(20, dtype=np.uint8)).save(tmp_path / "labels.png")
    with pytest.raises(SnowmatchError, match="values up to 1, expected values above 127"):
        read_mask(tmp_path / "labels.png", (20, 20))


# --- chips, and their keypoints in the photo --------------------------------------------------------------------------


def features_at(keypoints, shapes=None):
    n = len(keypoints)
    one = np.ones(n, np.float32)
    return Features(
        np.asarray(keypoints, np.float32).reshape(n, 2),
        np.zeros((n, 4), np.uint8),
        one,
        8 * one,
        one,
        shapes,
        (1, 1),
    )


def dot(size, x, y, radius):
    """Return a photo with one soft white dot with the centre (x, y)."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    weight = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat((255 * weight).round().astype(np.uint8)[..., None], 3, axis=2)


def centre(pixels):
    weights = pixels.astype(float)
    rows, columns = np.indices(weights.shape)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("size", [(93, 61), (61, 93), (641, 359), (1279, 853)])
@pytest.mark.parametrize("bbox", [None, "odd"])
@pytest.mark.parametrize("chip_size", [50, 127, 700])
def test_a_keypoint_of_a_chip_maps_to_its_place_in_the_photo(size, bbox, chip_size):
    box = None if bbox is None else (3, 5, size[0] - 10, size[1] - 21)
    x, y = size[0] * 0.61, size[1] * 0.37
    chip = make_chip(dot(size, x, y, min(size) / 20), box, None, chip_size, "grey")
    found = to_photo(features_at([centre(chip.pixels)]), chip)
    assert np.abs(found.keypoints - (x, y)).max() < 0.5
    assert found.image_size == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_keypoints_are_in_pixels_of_the_upright_photo(tmp_path, orientation):
    """From file to keypoint, for each of the eight orientations of a camera."""
    upright = dot((181, 119), 130, 31, 6)
    back = {6: 8, 8: 6}.get(orientation, orientation)  # the inverse orientation
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(turned(upright, back)).save(tmp_path / "photo.jpg", quality=95, exif=exif)
    chip = make_chip(read_photo(tmp_path / "photo.jpg"), (20, 3, 155, 99), None, 77, "grey")
    pixels = chip.pixels.astype(int)
    pixels[pixels < 20] = 0  # remove the ringing of JPEG
    found = to_photo(features_at([centre(pixels)]), chip)
    assert np.abs(found.keypoints - (130, 31)).max() < 0.5
    assert found.image_size == (181, 119)


def test_frames_and_scales_are_resized_by_the_chips_scale_on_each_axis():
    chip = make_chip(np.zeros((31, 100, 3), np.uint8), None, None, 33, "rgb")
    assert chip.pixels.shape == (10, 33, 3)
    sx, sy = chip.scale
    assert sx != sy
    shapes = np.array([[2.0, 0.7, 8.0]], np.float32)  # a * d = (8 / 2)^2
    found = to_photo(features_at([[0, 0]], shapes), chip)
    frame = np.diag([sx, sy]) @ [[2.0, 0.0], [0.7, 8.0]]
    assert np.allclose(found.shapes[0], [frame[0, 0], frame[1, 0], frame[1, 1]])
    assert np.allclose(found.shapes[:, 0] * found.shapes[:, 2], (found.scales / 2) ** 2)
    assert found.shapes.dtype == found.keypoints.dtype == found.scales.dtype == np.float32


def test_a_chip_without_features_gives_no_features_in_the_photo():
    chip = make_chip(scene(), None, None, 50, "rgb")
    found = to_photo(features_at(np.zeros((0, 2)), np.zeros((0, 3), np.float32)), chip)
    assert len(found) == 0
    assert found.image_size == (93, 61)


def test_the_longest_side_has_the_chip_size_and_small_boxes_are_enlarged_up_to_a_limit():
    photo = scene(300, 201)
    assert make_chip(photo, None, None, 150, "grey").pixels.shape == (100, 150)
    assert make_chip(photo, (0, 0, 20, 10), None, 700, "rgb").pixels.shape == (10 * MAX_UPSCALE, 20 * MAX_UPSCALE, 3)
    assert make_chip(photo, (0, 0, 300, 1), None, 30, "grey").pixels.shape == (1, 30)
    same = make_chip(photo, (10, 20, 50, 40), None, 50, "rgb")
    assert np.array_equal(same.pixels, photo[20:60, 10:60])
    assert make_chip(photo, (290, 195, 50, 50), None, 40, "rgb").origin == (290, 195)


def test_a_smaller_chip_does_not_alias():
    noise = np.repeat(np.random.default_rng(0).integers(0, 256, (400, 600, 1), dtype=np.uint8), 3, axis=2)
    chip = make_chip(noise, None, None, 100, "grey")
    assert chip.pixels.std() < 1.1 * noise.std() / 6  # each pixel is the mean of 36 pixels


def test_the_mask_is_eroded_at_the_silhouette_but_not_at_the_chips_border():
    mask = np.zeros((300, 600), bool)
    mask[100:, 200:400] = True
    chip = make_chip(np.zeros((300, 600, 3), np.uint8), None, mask, 600, "grey")
    depth = round(MASK_EROSION * 600)
    expected = np.zeros_like(mask)
    expected[100 + depth :, 200 + depth : 400 - depth] = True
    assert np.array_equal(chip.mask, expected)
    everywhere = make_chip(
        np.zeros((300, 600, 3), np.uint8), (100, 50, 301, 199), np.ones((300, 600), bool), 77, "grey"
    )
    assert everywhere.mask.all()


def test_the_mask_is_cut_and_resized_like_the_pixels():
    photo = dot((400, 301), 250, 130, 30)
    mask = photo[..., 0] > 60
    chip = make_chip(photo, (120, 31, 251, 203), mask, 200, "grey")
    found = to_photo(features_at([centre(chip.mask)]), chip)
    assert np.abs(found.keypoints - (250, 130)).max() < 0.5
    assert chip.mask.mean() < mask[31:234, 120:371].mean()


def test_inside_rounds_to_the_nearest_pixel_and_is_false_beyond_the_mask():
    mask = np.zeros((4, 6), bool)
    mask[2, 3] = mask[0, 0] = True
    points = np.array([[3, 2], [3.4, 1.6], [3.6, 2], [2, 3], [-0.4, 0.4], [-0.6, 0], [6, 2], [0, 99]], np.float32)
    assert inside(mask, points).tolist() == [True, True, False, False, True, False, False, False]
    assert inside(None, points).all()
    assert inside(mask, np.zeros((0, 2), np.float32)).shape == (0,)


def test_arrays_of_a_wrong_type_raise_a_value_error():
    photo = scene()
    with pytest.raises(ValueError, match="expected uint8"):
        make_chip(photo[..., 0], None, None, 50, "grey")
    with pytest.raises(ValueError, match="expected bool"):
        make_chip(photo, None, np.ones((3, 3), bool), 50, "grey")
    with pytest.raises(ValueError, match="channels 'gray'"):
        make_chip(photo, None, None, 50, "gray")


@pytest.mark.real
def test_real_photos_and_masks_fit_each_other():
    folder = Path(__file__).parents[2] / "shared" / "data" / "snow_leopard"
    if not folder.exists():
        pytest.skip("no real photos beside the project")
    for mask in sorted((folder / "masks").iterdir())[::60]:
        photo = next((folder / "images").glob(mask.stem + ".*"))
        pixels = read_photo(photo)
        size = (pixels.shape[1], pixels.shape[0])
        assert read_facts(photo).image_size == size
        assert read_mask(mask, size).any()


def test_a_length_that_the_file_cannot_have_asks_for_no_memory(tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 30)).save(photo)
    content = photo.read_bytes()
    with open_regular(photo) as file:
        assert file.read(1 << 50) == content  # a plain file asks for a petabyte first
        assert file.read(1 << 50) == b""
        file.seek(5)
        assert file.read() == content[5:]
        file.seek(-3, 2)
        assert (file.read(2), file.read(None)) == (content[-3:-1], content[-1:])
    start = content.index(b"IDAT") - 4
    photo.write_bytes(content[:start] + b"\x7f\xff\xff\xff" + content[start + 4 :])
    assert read_photo(photo).shape == (10, 30, 3)  # the pixels are whole
