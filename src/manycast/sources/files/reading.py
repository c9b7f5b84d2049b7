"""What the reading threads do for a media file. Imports PyAV: import it late, best in such a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from av.error import FFmpegError

from manycast.hub.source import SourceError
from manycast.sources.files.cursor import Cursor
from manycast.sources.files.groups import NEAR_US, FileGroup
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.plan import FilePlan, open_file

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """How to read a file, the start of a reading, and the file's first group."""

    plan: FilePlan
    cursor: Cursor
    first: FileGroup


def open_and_begin(path: Path, stamp: FileStamp) -> OpenedFile:
    """Open a file that was found as `stamp` says. Raises SourceError when it has nothing to play."""
    plan, demuxer = _guarded(path, lambda: open_file(path, stamp))
    try:
        cursor = _guarded(path, lambda: Cursor(plan, demuxer))
        first = _guarded(path, cursor.next_group)
        if first is None:
            raise SourceError(f"{path.name}: it holds no frames")
    except BaseException:
        demuxer.close()
        raise
    return OpenedFile(plan, cursor, first)


def read_groups(
    plan: FilePlan, cursor: Cursor | None, position_us: int, first_end_us: int, *, exact: bool
) -> tuple[Cursor, list[FileGroup]]:
    """Read the group at a position, with a cursor that stands anywhere, or a new one.

    Args:
        position_us: Where a group starts when `exact`, else any position for which the last seekable group at or
            before it is wanted.
        first_end_us: Where the file's first group ends.

    Returns: The cursor, and the groups that were read: with `exact`, one of them is the wanted one, else the first.
    Raises: SourceError, and the cursor is closed.
    """
    cursor = cursor or _guarded(plan.path, lambda: Cursor(plan))
    try:
        return cursor, _guarded(plan.path, lambda: _read_groups(plan, cursor, position_us, first_end_us, exact=exact))
    except BaseException:
        cursor.close()
        raise


def _read_groups(
    plan: FilePlan, cursor: Cursor, position_us: int, first_end_us: int, *, exact: bool
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
