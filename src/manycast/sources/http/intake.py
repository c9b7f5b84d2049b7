"""What comes by HTTP, by its type, to a stream of ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from manycast.hub.source import FrameSink, SourceError
from manycast.media.frame import Frame
from manycast.media.track import Codec, JpegParameters, Track
from manycast.sources.flv_messages import FlvIntake
from manycast.sources.ts_packets import TsIntake
from manycast.wire.flv.reader import FlvReader
from manycast.wire.mpegts.packet import PACKET_BYTES, SYNC_BYTE
from manycast.wire.multipart import MultipartReader, boundary_of

JPEG_TRACK = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=JpegParameters())
JPEG_TYPES = frozenset({"image/jpeg", "image/jpg", "image/pjpeg"})
UNTYPED = frozenset({"", "application/octet-stream", "binary/octet-stream"})
TYPED_BY_BYTES = PACKET_BYTES + 1  # a packet of a transport stream, and the sync byte of the next one

Publish = Callable[[Sequence[Track]], FrameSink]


class Intake(Protocol):
    """Takes the bytes of a body."""

    @property
    def published(self) -> bool: ...

    @property
    def last_fault(self) -> str: ...

    def push(self, data: bytes, *, now_s: float) -> None:
        """Raises ManycastError for what cannot be read."""


class Pictures:
    """JPEG pictures, each shown when it comes."""

    def __init__(self, publish: Publish) -> None:
        self.last_fault = ""
        self._publish = publish
        self._sink: FrameSink | None = None
        self._began_s = time.monotonic()
        self._last_ticks = -1

    @property
    def published(self) -> bool:
        return self._sink is not None

    def picture(self, data: bytes, *, now_s: float) -> None:
        """Take one; what is no whole JPEG is left out."""
        end = data.rfind(b"\xff\xd9")
        if not data.startswith(b"\xff\xd8") or end < 0:
            self.last_fault = f"a part that is no whole JPEG: {len(data)} bytes, beginning with {data[:16]!r}"
            return
        ticks = max(self._last_ticks + 1, int((now_s - self._began_s) * JPEG_TRACK.clock_rate_hz))
        self._last_ticks = ticks
        if self._sink is None:
            self._sink = self._publish([JPEG_TRACK])
        frame = Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[data[: end + 2]])
        self._sink.push(frame)


class MotionJpeg:
    """Pictures in an endless multipart body."""

    def __init__(self, publish: Publish, content_type: str) -> None:
        self._pictures = Pictures(publish)
        self._reader = MultipartReader(boundary_of(content_type))

    @property
    def published(self) -> bool:
        return self._pictures.published

    @property
    def last_fault(self) -> str:
        return self._pictures.last_fault

    def push(self, data: bytes, *, now_s: float) -> None:
        for part in self._reader.receive(data):
            self._pictures.picture(part, now_s=now_s)


class FlvStream:
    """An FLV file without an end."""

    def __init__(self, publish: Publish) -> None:
        self._reader = FlvReader()
        self._intake = FlvIntake(publish)

    @property
    def published(self) -> bool:
        return self._intake.published

    @property
    def last_fault(self) -> str:
        return self._intake.last_fault

    def push(self, data: bytes, *, now_s: float) -> None:
        for message in self._reader.receive(data):
            self._intake.push(message, now_s=now_s)


def type_of(content_type: str) -> str:
    """A `Content-Type` without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def type_by_bytes(head: bytes) -> str | None:
    """The type of a body that begins so, TYPED_BY_BYTES of it or all; None where it cannot be told."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"FLV\x01"):
        return "video/x-flv"
    if head.startswith(b"#EXTM3U"):
        return "application/vnd.apple.mpegurl"
    if head.lstrip(b"\r\n").startswith(b"--"):
        return "multipart/x-mixed-replace"
    return "video/mp2t" if head[::PACKET_BYTES] == bytes((SYNC_BYTE, SYNC_BYTE)) else None


def intake_for(content_type: str, path: str, publish: Publish) -> Intake:
    """Raises SourceError for a type that is no stream."""
    kind = type_of(content_type)
    name = path.lower()
    if kind.startswith("multipart/"):
        return MotionJpeg(publish, content_type)
    if kind in ("video/x-flv", "video/flv") or name.endswith(".flv"):
        return FlvStream(publish)
    if kind in ("video/mp2t", "video/mpeg") or name.endswith(".ts"):
        return TsIntake(publish)
    raise SourceError(
        f"the server answers with {kind or 'something without a type'}; "
        "wanted multipart JPEG, a JPEG, FLV, MPEG-TS or HLS"
    )
