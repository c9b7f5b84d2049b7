"""What turns a stream's frames into the bytes of one wire format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from manycast.hub.fanout import BacklogLimit
from manycast.media.frame import Frame
from manycast.media.track import Track


class Packager(Protocol):
    """One per stream and format. It keeps its viewers in fan-outs and writes to them as frames come."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        """`cached` is the stream's group of pictures so far; `limit` bounds what waits for one viewer."""

    def push(self, frame: Frame) -> None:
        """Build a frame's bytes and hand them to all viewers."""

    def set_clock(self, unix_at_zero_s: float) -> None:
        """The wall clock time, in Unix seconds, of the timeline's zero; called again when the timeline jumps."""

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Do what is due; called about once a second."""

    def end(self) -> None:
        """Tell all viewers, in the format's own way, that the stream has ended."""

    def close(self) -> None:
        """Let go of what is kept for new viewers: there will be none. Old ones may refer to it for some time yet."""
