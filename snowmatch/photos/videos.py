"""Frames of videos as upright pixels, with the time of the camera's clock. PyAV (FFmpeg) decodes them.

PyAV is an optional package. A frame is decoded by one thread: with several, the pixels of a damaged video can depend on
the number of cores.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import CHUNK, open_regular, unreadable
from snowmatch.core.text import counted
from snowmatch.photos.clock import read_clock

# The only formats that are opened. FFmpeg also knows playlists, which would make it open other files and addresses.
_OPENED = {"format_whitelist": "mov,avi,matroska,asf,mpeg,mpegts,mpegvideo,h264,m4v", "protocol_whitelist": ""}
# Keys that hold the time at which a recording began, the most trustworthy first: the first one is a local time
_TIMES = ("com.apple.quicktime.creationdate", "creation_time", "date")
FIRST_YEAR = 1980  # 1904 and 1970 are the zeros of clocks that were not set
QUALITY = 92  # of the JPEG: differences to the decoded frame are smaller than those of the video's own compression
BEGINNING = 1 << 16  # bytes that tell recordings apart, and that a copy that ends too early still has
MISSING = Fraction(2)  # seconds that may be missing at the end of a video: its header need not be exact
_AGAIN = "copy it again from the camera's card"
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    seconds: since the first frame. taken: the time of the camera's clock; None if it is not known. pixels: (H, W, 3)
    uint8 RGB, upright.
    """

    seconds: Fraction
    taken: datetime | None
    pixels: np.ndarray


def check_reader() -> None:
    """Raise SnowmatchError if the package that reads videos is not installed."""
    _pyav()


def read_frames(path: Path, every: float, limit: int, began: datetime | None = None) -> Iterator[Frame]:
    """Yield the first frame of a video, and then the first frame after each `every` seconds, at most `limit` frames.

    began: the time of the first frame, if the video contains none. The video's own time is used as it is written, also
    if it is marked as UTC: cameras write the time of their clock.

    Raises SnowmatchError if the file is not a video that can be read. If only a part can be read, the frames of that
    part come before the error. Raises ValueError if `every` or `limit` is not positive.
    """
    if every <= 0 or limit < 1:
        raise ValueError(f"every is {every}, limit is {limit}, expected positive numbers")
    av = _pyav()
    seconds = end = Fraction(0)
    try:
        with open_regular(path) as file, av.open(file, container_options=_OPENED, metadata_errors="replace") as opened:
            stream = _stream(path, opened)
            began = _time_of(opened, stream) or began
            found = broken = 0
            wanted = Fraction(0)
            for seconds, shown, image in _decoded(av, opened, stream):
                end = seconds + shown
                if image is None:
                    broken += 1
                elif seconds >= wanted:
                    yield Frame(seconds, _moment(began, seconds), _pixels(image, stream))
                    found += 1
                    if found == limit:
                        return
                    step = Fraction(every).limit_denominator(1000)
                    wanted = (seconds // step + 1) * step
            length = _length(file, opened, stream)
    except av.FFmpegError as error:
        raise SnowmatchError(f"{path} {_what_is_wrong(path, seconds, error)}") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if not found:
        raise SnowmatchError(f"{path} contains no frame that can be decoded: {_AGAIN}, or remove it")
    if length is not None and length - end > max(MISSING, length / 10):
        raise SnowmatchError(f"{path} ends after {float(end):.0f} s of {float(length):.0f} s: {_AGAIN}")
    if broken:
        raise SnowmatchError(f"{path} is damaged, {counted(broken, 'piece')} cannot be decoded: {_AGAIN}")


def frame_jpeg(frame: Frame, comment: str) -> bytes:
    """Return a frame as the bytes of a JPEG with a comment (ASCII), and with the time in EXIF if it is known."""
    exif = Image.Exif()
    if frame.taken is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = frame.taken.strftime("%Y:%m:%d %H:%M:%S")
    buffer = io.BytesIO()
    image = Image.fromarray(frame.pixels)
    image.save(buffer, "JPEG", quality=QUALITY, exif=exif, comment=comment.encode("ascii"))
    return buffer.getvalue()


def content_mark(path: Path) -> str:
    """Return 16 hex digits that tell videos apart: a hash of the length and of the first and the last megabyte.

    Raises SnowmatchError if the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            length = file.seek(0, io.SEEK_END)
            file.seek(0)
            digest = hashlib.sha256(f"{length} ".encode() + file.read(CHUNK))
            file.seek(max(0, length - CHUNK))
            digest.update(file.read(CHUNK))
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest()[:16]


def recording_mark(path: Path) -> str:
    """Return what tells recordings apart, also in a copy that ends too early: the time of the video, "" if it contains
    none, and 16 hex digits of its beginning.

    Raises SnowmatchError if the file is not a video that can be read.
    """
    av = _pyav()
    try:
        with open_regular(path) as file:
            digest = hashlib.sha256(file.read(BEGINNING)).hexdigest()[:16]
            file.seek(0)
            with av.open(file, container_options=_OPENED, metadata_errors="replace") as opened:
                began = _time_of(opened, _stream(path, opened))
    except av.FFmpegError as error:
        raise SnowmatchError(f"{path} {_what_is_wrong(path, Fraction(0), error)}") from error
    except OSError as error:
        raise unreadable(path, error) from error
    return f"{began or ''} {digest}"


def _pyav() -> ModuleType:
    try:
        import av
        import av.error
    except ImportError as error:
        raise SnowmatchError('reading videos needs one more package: pip install "snowmatch[video]"') from error
    return av


def _stream(path: Path, opened: Any) -> Any:
    """Return the video of a file. Raises SnowmatchError if it has none; the cover of a recording of sound is none."""
    for stream in opened.streams.video:
        if stream.codec_context is not None and "attached_pic" not in str(stream.disposition):
            stream.thread_count = 1
            return stream
    raise SnowmatchError(f"{path} contains no video{' but sound' * bool(opened.streams.audio)}: remove it")


def _decoded(av: ModuleType, opened: Any, stream: Any) -> Iterator[tuple[Fraction, Fraction, Any]]:
    """Yield the time (s, since the first frame) of each frame, how long it is shown (s), and the decoded frame.

    The frame is None for a piece that cannot be decoded.
    """
    first: Fraction | None = None
    seconds = shown = Fraction(0)
    number = 0
    for packet in opened.demux(stream):
        if packet.duration and packet.time_base:
            shown = packet.duration * packet.time_base
        try:
            images = packet.decode()
        except av.error.InvalidDataError:
            yield seconds, shown, None
            continue
        for image in images:
            at = image.pts * image.time_base if image.pts is not None and image.time_base else None
            if at is None:
                at = (first or 0) + number / (stream.average_rate or Fraction(25))
            first = at if first is None else first
            number += 1
            seconds = max(seconds, at - first)
            yield seconds, shown, None if image.is_corrupt else image


def _pixels(image: Any, stream: Any) -> np.ndarray:
    """Return the upright pixels of a decoded frame, with square pixels."""
    ratio = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio or 1
    upright = Image.fromarray(image.to_ndarray(format="rgb24"))
    if ratio != 1 and Fraction(1, 4) < ratio < 4:
        upright = upright.resize((max(1, round(upright.width * ratio)), upright.height), Image.Resampling.BICUBIC)
    turn = _TURNS.get(round(image.rotation / 90) * 90 % 360)
    return np.asarray(upright if turn is None else upright.transpose(turn))


def _time_of(opened: Any, stream: Any) -> datetime | None:
    for key in _TIMES:
        for values in (opened.metadata, stream.metadata):
            moment = read_clock(values.get(key, ""))
            if moment is not None and moment.year >= FIRST_YEAR:
                return moment
    return None


def _moment(began: datetime | None, seconds: Fraction) -> datetime | None:
    try:
        return None if began is None else began + timedelta(seconds=int(seconds))
    except OverflowError:  # the clock of a damaged video
        return None


def _length(file: BinaryIO, opened: Any, stream: Any) -> Fraction | None:
    """Return the length of the video (s) that the header states; None if it states none."""
    if stream.duration:
        return stream.duration * stream.time_base * max(Fraction(1), Fraction(_avi_bytes(file), opened.size))
    alone = len(opened.streams) == 1  # otherwise the length may be that of the sound
    return Fraction(opened.duration, 1_000_000) if alone and opened.duration else None


def _avi_bytes(file: BinaryIO) -> int:
    """Return the number of bytes that an AVI states; 0 for other files. FFmpeg shortens an AVI that ends too early."""
    file.seek(0)
    head = file.read(12)
    return int.from_bytes(head[4:8], "little") + 8 if head[:4] == b"RIFF" and head[8:] == b"AVI " else 0


def _what_is_wrong(path: Path, seconds: Fraction, error: Exception) -> str:
    if not path.stat().st_size:
        return f"is empty (0 bytes): {_AGAIN}"
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())
    if seconds:
        return f"is damaged after {float(seconds):.0f} s ({reason}): {_AGAIN}"
    return f"is not a readable video ({reason}): {_AGAIN}, or remove it"
