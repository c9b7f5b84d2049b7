"""What the reading threads do for a media file. Imports PyAV: import it late, best in such a thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from av.error import FFmpegError

from manycast.hub.source import SourceError
from manycast.sources.files.cursor import Cursor
from manycast.sources.files.groups import NEAR_US, FileGroup
from manycast.sources.files.opening import NothingCarried, open_file
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.plan import FilePlan
from manycast.sources.files.whole_ts import WholeCursor, WholePlan, plan_whole

log = logging.getLogger(__name__)

AnyPlan = FilePlan | WholePlan
AnyCursor = Cursor | WholeCursor
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """How to read a file, the start of a reading, and the file's first group."""

    plan: AnyPlan
    cursor: AnyCursor
    first: FileGroup


def open_and_begin(path: Path, stamp: FileStamp, *, whole: bool = False) -> OpenedFile:
    """Open a file that was found as `stamp` says. Raises SourceError when it has nothing to play.

    `whole` asks for a transport stream as one track; one with nothing else that can be carried is played so anyway.
    """
    plan, cursor = _guarded(path, lambda: _begin_whole(path, stamp) if whole else _begin(path, stamp))
    try:
        first = _guarded(path, cursor.next_group)
        if first is None:
            raise SourceError(f"{path.name}: it holds no frames")
    except BaseException:
        cursor.close()
        raise
    return OpenedFile(plan, cursor, first)


def read_groups(
    plan: AnyPlan, cursor: AnyCursor | None, position_us: int, first_end_us: int, *, exact: bool
) -> tuple[AnyCursor, list[FileGroup]]:
    """Read the group at a position, with a cursor that stands anywhere, or a new one.

    Args:
        position_us: Where a group starts when `exact`, else any position for which the last seekable group at or
            before it is wanted.
        first_end_us: Where the file's first group ends.

    Returns: The cursor, and the groups that were read: with `exact`, one of them is the wanted one, else the first.
    Raises: SourceError, and the cursor is closed.
    """
    used = cursor or _guarded(plan.path, lambda: _new_cursor(plan))
    try:
        return used, _guarded(plan.path, lambda: _read_groups(plan, used, position_us, first_end_us, exact=exact))
    except BaseException:
        used.close()
        raise


def _begin(path: Path, stamp: FileStamp) -> tuple[AnyPlan, AnyCursor]:
    try:
        plan, demuxer = open_file(path, stamp)
    except NothingCarried as error:
        if error.format_name != "mpegts":
            raise
        log.info("%s; played as a whole", error)
        return _begin_whole(path, stamp)
    try:
        return plan, Cursor(plan, demuxer)
    except BaseException:
        demuxer.close()
        raise


def _begin_whole(path: Path, stamp: FileStamp) -> tuple[WholePlan, WholeCursor]:
    plan = plan_whole(path, stamp)
    return plan, WholeCursor(plan)


def _new_cursor(plan: AnyPlan) -> AnyCursor:
    return Cursor(plan) if isinstance(plan, FilePlan) else WholeCursor(plan)


def _read_groups(
    plan: AnyPlan, cursor: AnyCursor, position_us: int, first_end_us: int, *, exact: bool
) -> list[FileGroup]:
    next_us = cursor.next_position_us
    if exact and next_us == position_us:
        group = cursor.next_group()
        return [] if group is None else [group]
    if next_us is not None and next_us <= position_us and (not plan.indexed or position_us - next_us <= NEAR_US):
        groups = cursor.walk(position_us)
        if groups:
            return groups
    return cursor.find(position_us, first_end_us)


def _guarded(path: Path, call: Callable[[], T]) -> T:
    """Turn what FFmpeg and the system raise into SourceError."""
    try:
        return call()
    except SourceError:
        raise
    except (FFmpegError, OSError, ValueError, OverflowError) as error:
        raise SourceError(f"{path.name}: {error}") from error
