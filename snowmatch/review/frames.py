"""Photos from videos: the frames of one video become a burst of one station.

Every frame has a comment that tells the video and the settings. The first frame is written last, with the number of
frames. So a stopped run can go on, and no file of somebody else is replaced. Frames of a damaged copy are replaced by
those of another copy only if both are surely of one recording, and not by fewer frames of a copy that is damaged too.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from snowmatch.catalog.folders import find_videos
from snowmatch.catalog.sheet import column_name, read_sheet
from snowmatch.catalog.table import COLUMNS, paths_of_rows
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import cores, in_order, open_pool
from snowmatch.core.files import replace_file
from snowmatch.core.home import CSV_NAME, EXCEL_NAME, HOME
from snowmatch.core.notes import Note
from snowmatch.core.outputs import HEAD
from snowmatch.core.text import counted, same_name, some
from snowmatch.photos.videos import Frame, check_reader, content_mark, frame_jpeg, read_frames, recording_mark

EVERY = 1.0  # seconds between two frames
LIMIT = 30  # frames of a video
MARK = "snowmatch-frame-1"  # the beginning of the comment in every frame
LONGEST = 250  # bytes of a name: file systems allow 255, and long videos may have more digits
_END = re.compile(r"_\d{3,}\.jpg")


@dataclass(frozen=True)
class Taken:
    """What was done with one video.

    frames: number of its frames. before: they existed before this run. timed: they have a time. problem: why the video,
    or a part of it, could not be read; "" otherwise. stop: why no more frames can be written at all. replaced: number
    of frames of earlier runs that were replaced or removed.
    """

    frames: int = 0
    before: bool = False
    timed: bool = True
    problem: str = ""
    stop: str = ""
    replaced: int = 0


@dataclass(frozen=True)
class FramesReport:
    """The result of a run.

    videos: number of videos with frames. before: of these, how many had all frames before this run. failed: the path
    and the reason of each video that could not be read, or only in part.
    """

    out: Path
    videos: int
    frames: int
    before: int
    failed: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]

    def summary(self) -> str:
        """Return one line for people."""
        done = f"{counted(self.frames, 'frame')} of {counted(self.videos, 'video')} in {self.out}"
        before = f"; {counted(self.before, 'video was', 'videos were')} done before" if self.before else ""
        failed = f"; {counted(len(self.failed), 'video')} failed or damaged" if self.failed else ""
        return done + before + failed


@dataclass(frozen=True)
class TakeFrames:
    """The task that takes the frames of one video. path: from the source. stem: of the frames' paths in the output."""

    path: str
    stem: str

    def run(self, source: Path, out: Path, every: float, limit: int, file_times: bool) -> Taken:
        """Write the frames that are missing."""
        video = source / self.path
        try:
            wanted = {"video": video.name, "content": content_mark(video), "every": every, "limit": limit}
            stem = out / self.stem
            existing = _frames_in(stem)
            done = _done(stem, existing, wanted)
            if done is not None and not done.problem and (done.timed or not file_times):
                return done  # a video with a problem may have been copied again: it is read again
            recording = recording_mark(video)
            _check_ours(stem, existing, wanted, recording)
            began = _file_time(video) if file_times or (done is not None and done.timed) else None
        except SnowmatchError as error:
            return Taken(problem=_short(error, video))
        return _write(video, stem, wanted, recording, began, existing)


def take_frames(
    source: Path,
    out: Path,
    every: float = EVERY,
    limit: int = LIMIT,
    *,
    file_times: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FramesReport:
    """Write frames of a video, or of all videos in a folder, as JPEGs into the folder `out`.

    The folders below `source` are made in `out` too. A frame is taken every `every` seconds, at most `limit` of a
    video. file_times: the time of the file is used for a video that contains no time. workers: number of processes;
    None for all cores. progress: called with (done, total) videos.

    Raises SnowmatchError if there is no video, if the package that reads videos is missing, or if `out` cannot be
    written. A video that cannot be read does not stop the run: it is in `failed`.
    """
    if not (every >= 0.001 and every < 1e6):
        raise SnowmatchError(f"one frame every {every} s: expected 0.001 s or more")
    if limit < 1:
        raise SnowmatchError(f"{limit} frames of a video: expected 1 or more")
    check_reader()
    if HOME in Path(os.path.abspath(out)).parts:
        raise SnowmatchError(f"{out} lies in a folder {HOME}, which snowmatch keeps for itself: choose another folder")
    if os.path.lexists(out) and not out.is_dir():
        raise SnowmatchError(f"{out} is a file, expected a folder: choose another name")
    notes: list[Note] = []
    if source.is_dir():
        videos = ["/".join(parts) for parts in find_videos(source, notes)]
    elif source.exists():
        source, videos = source.parent, [source.name]
    else:
        raise SnowmatchError(f"{source} does not exist, expected a video or a folder of videos: check the path")
    tasks = _tasks(sorted(videos), source, out)
    results: list[Taken] = []
    processes = min(workers or cores(), len(tasks))
    with open_pool(processes, (source, out, every, limit, file_times)) as pool:
        for _, taken in in_order(pool, tasks, lambda task: task):
            if taken.stop:
                raise SnowmatchError(taken.stop)
            results.append(taken)
            if progress is not None:
                progress(len(results), len(tasks))
    without = [task.path for task, taken in zip(tasks, results, strict=True) if taken.frames and not taken.timed]
    if without:
        text = f"{counted(len(without), 'video contains', 'videos contain')} no time, so the frames have none"
        notes.append(Note("frames-without-time", f"{text}: {some(without)}", {"count": len(without)}))
    replaced = [task.path for task, taken in zip(tasks, results, strict=True) if taken.replaced]
    if replaced:
        count = sum(taken.replaced for taken in results)
        text = f"{counted(count, 'frame')} of earlier runs replaced or removed for those of the videos as they are now"
        notes.append(Note("frames-replaced", f"{text}: {some(replaced)}", {"count": count}))
    notes += _notes_on_table(Path(os.path.abspath(out)), tasks, results)
    failed = tuple((task.path, taken.problem) for task, taken in zip(tasks, results, strict=True) if taken.problem)
    frames, before = sum(taken.frames for taken in results), sum(taken.before for taken in results)
    return FramesReport(out, sum(taken.frames > 0 for taken in results), frames, before, failed, tuple(notes))


def _tasks(videos: list[str], source: Path, out: Path) -> list[TakeFrames]:
    """Return a task for each video. Where two videos differ only in the extension, it becomes part of the name.

    Frames that exist keep their names, whatever other videos have come or gone since.
    """
    stems = Counter(os.path.splitext(path)[0].casefold() for path in videos)
    tasks = []
    for path in videos:
        stem, extension = os.path.splitext(path)
        names = (stem, f"{stem}_{extension[1:]}")
        marks = [_mark_of(_name(out / name, 0)) for name in names]
        content = _mark_or_none(content_mark, source / path) if any(marks) else ""
        recording = _mark_or_none(recording_mark, source / path) if any(m.get("problem") for m in marks) else ""
        had = [
            n
            for n, m in zip(names, marks, strict=True)
            if m
            and m.get("video") == Path(path).name
            and (m.get("content") == content or _of_damaged_copy(m, recording))
        ]
        tasks.append(TakeFrames(path, had[0] if had else names[stems[stem.casefold()] > 1]))
    return tasks


def _notes_on_table(out: Path, tasks: list[TakeFrames], results: list[Taken]) -> list[Note]:
    """Return a note if frames lie in a catalog whose table has no rows for them, so that they do not count."""
    tables = (folder / name for folder in (out, *out.parents) for name in (CSV_NAME, EXCEL_NAME))
    if (table := next((path for path in tables if path.is_file()), None)) is None:
        return []
    try:
        sheet = read_sheet(table, COLUMNS, [])
    except SnowmatchError:  # each command that opens the catalog says what is wrong
        return []
    columns = [column_name(heading) for heading in sheet.head]
    listed = set(paths_of_rows(columns, [cells for _, cells in sheet.rows])) if "path" in columns else set()
    frames = [
        _name(out / task.stem, n).relative_to(table.parent).as_posix()
        for task, taken in zip(tasks, results, strict=True)
        for n in range(taken.frames)
    ]
    if not (missing := [frame for frame in frames if same_name(frame) not in listed]):
        return []
    text = f"{counted(len(missing), 'frame')} without a row in {table}, so not in the catalog yet: add rows for them"
    return [Note("frames-without-row", f"{text} ({some(missing)})", {"count": len(missing)})]


def _mark_or_none(mark_of: Callable[[Path], str], path: Path) -> str:
    try:
        return mark_of(path)
    except SnowmatchError:  # the task reports the reason
        return ""


def _write(
    video: Path,
    stem: Path,
    wanted: dict[str, Any],
    recording: str,
    began: datetime | None,
    existing: dict[str, dict[str, Any]],
    again: bool = False,
) -> Taken:
    """Write the frames of a video that are missing; the first one comes last. Nothing is written if no frame can be
    read.

    recording: the mark of the recording. existing: the marks of the frames of earlier runs, by name. Those that this
    video does not have are removed. The marks tell what is missing: a person may have corrected times in EXIF since,
    and another encoder gives other bytes. again: write all frames, whatever the marks tell.
    """
    earlier = existing.get(_name(stem, 0).name, {})
    if earlier.get("problem") and not _agrees(earlier, wanted):
        count, problem = _readable(video, wanted, began)
        if problem and count < earlier["frames"]:
            text = f"{problem}; it gives {counted(count, 'frame')}, those of the earlier copy stay"
            return Taken(earlier["frames"], True, earlier["timed"], text)
    replaced = {name for name, mark in existing.items() if not _agrees(mark, wanted)}
    frames = read_frames(video, wanted["every"], wanted["limit"], began)
    first: Frame | None = None
    count, problem = 0, ""
    while True:
        try:
            frame = next(frames, None)
        except SnowmatchError as error:
            problem, frame = _short(error, video), None
        if frame is None:
            break
        if first is None:
            first = frame
        else:
            path, mark = _name(stem, count), {**wanted, "frame": count, "timed": first.taken is not None}
            if again or not _held(existing.get(path.name, {}), mark, earlier):
                replaced |= existing.keys() & {path.name}
                if stop := _save(path, frame, mark):
                    return Taken(stop=stop)
        count += 1
    if first is None:
        return Taken(problem=problem)
    if earlier.get("problem") and not problem and _agrees(earlier, wanted) and not again:
        # a new copy of a video that was damaged in the middle: its marks do not differ, but its frames may
        return _write(video, stem, wanted, recording, began, existing, again=True)
    taken = Taken(count, False, first.taken is not None, problem)
    if stop := _remove(stem, existing, count, wanted if problem else {}):
        return replace(taken, stop=stop)
    path = _name(stem, 0)
    mark = {**wanted, "recording": recording, "frame": 0, "frames": count, "timed": taken.timed, "problem": problem}
    if again or not _held(earlier, mark, earlier):
        replaced |= existing.keys() & {path.name}
        stop = _save(path, first, mark)
    return replace(taken, stop=stop, replaced=len(replaced))


def _readable(video: Path, wanted: dict[str, Any], began: datetime | None) -> tuple[int, str]:
    """Return how many frames of a video can be read, and why no more; "" if it was read in full."""
    count = 0
    try:
        for _ in read_frames(video, wanted["every"], wanted["limit"], began):
            count += 1
    except SnowmatchError as error:
        return count, _short(error, video)
    return count, ""


def _remove(stem: Path, existing: dict[str, dict[str, Any]], count: int, kept: dict[str, Any]) -> str:
    """Remove the frames from number `count` on. Returns "", or why one cannot be removed.

    kept: frames with these marks stay, since a card that fails may give fewer of them than before; {}: none.
    """
    for name, mark in existing.items():
        number = int(name[len(stem.name) + 1 : -4])
        if number < count or mark.get("frame") != number or (kept and _agrees(mark, kept)):
            continue
        try:
            stem.with_name(name).unlink(missing_ok=True)
        except OSError as error:
            return f"{stem.with_name(name)} cannot be removed: {error.strerror or error}"
    return ""


def _save(path: Path, frame: Frame, mark: dict[str, Any]) -> str:
    """Write one frame. Returns "", or why it cannot be written."""
    data = frame_jpeg(frame, f"{MARK} {json.dumps(mark)}")
    try:
        replace_file(path, lambda file: file.write(data))
    except SnowmatchError as error:
        return str(error)
    return ""


def _held(existing: dict[str, Any], mark: dict[str, Any], first: dict[str, Any]) -> bool:
    """Return whether the mark of an existing frame tells what `mark` does.

    first: the mark of the first frame. What older versions left out of a mark is as there, or as in `mark`.
    """
    return bool(existing) and _agrees({**mark, **first, **existing}, mark)


def _name(stem: Path, number: int) -> Path:
    return stem.with_name(f"{stem.name}_{number:03d}.jpg")


def _frames_in(stem: Path) -> dict[str, dict[str, Any]]:
    """Return the marks of the existing files that have names of frames of one video, by name."""
    try:
        names = os.listdir(stem.parent)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    own = [name for name in sorted(names) if name.startswith(stem.name) and _END.fullmatch(name[len(stem.name) :])]
    return {name: _mark_of(stem.with_name(name)) for name in own}


def _mark_of(path: Path) -> dict[str, Any]:
    """Return what the comment of a frame tells; an empty dictionary for any other file."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD).decode("latin-1")
        mark = json.JSONDecoder().raw_decode(head.partition(f"{MARK} ")[2])[0]
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _done(stem: Path, existing: dict[str, dict[str, Any]], wanted: dict[str, Any]) -> Taken | None:
    """Return what an earlier run did, if all frames exist; otherwise None."""
    first = existing.get(_name(stem, 0).name, {})
    count = first.get("frames", 0)
    if not _agrees(first, wanted) or not count or any(_name(stem, n).name not in existing for n in range(count)):
        return None
    return Taken(count, True, first["timed"], first["problem"])


def _file_time(video: Path) -> datetime | None:
    """Return the local time at which a file was written last (s); None if it has no sensible one."""
    try:
        return datetime.fromtimestamp(int(video.stat().st_mtime))
    except (OSError, OverflowError, ValueError):
        return None


def _agrees(mark: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return wanted.items() <= mark.items()


def _of_damaged_copy(first: dict[str, Any], recording: str) -> bool:
    """Return whether a first frame is of a damaged copy of this recording. Older versions wrote no `recording`."""
    return bool(first.get("problem") and recording and first.get("recording") == recording)


def _check_ours(stem: Path, existing: dict[str, dict[str, Any]], wanted: dict[str, Any], recording: str) -> None:
    """Raise SnowmatchError if a file has the name of a frame and is not the same frame of an earlier run.

    Frames of an earlier, damaged copy of the same recording may be replaced. Raises it too if the names are longer than
    file systems allow.
    """
    if len(os.fsencode(_name(stem, 0).name)) > LONGEST:
        raise SnowmatchError(f"{stem.name} is too long for the name of a frame: rename the video")
    first = existing.get(_name(stem, 0).name, {})
    damaged = {**wanted, "content": first.get("content")} if _of_damaged_copy(first, recording) else wanted
    for name, mark in existing.items():
        if _agrees(mark, wanted) or _agrees(mark, damaged):
            continue
        path = stem.with_name(name)
        if not mark:
            why = "exists, and snowmatch did not write it or somebody has edited it"
        elif all(mark.get(key) == wanted[key] for key in ("video", "content")):
            why = "was taken with other settings"
        elif mark.get("video") == wanted["video"]:
            why = "is a frame of an earlier copy of this video, or of another video of the same name"
        else:
            why = "is a frame of another video"
        raise SnowmatchError(f"{path} {why}: choose another folder, or move it away")


def _short(error: SnowmatchError, video: Path) -> str:
    """Return the text of an error without the path at its beginning, which the list of failures shows."""
    return str(error).removeprefix(f"{video} ")
