"""Segments of HLS to frames: transport streams, MP4 fragments, AAC on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from manycast.hub.source import SourceError
from manycast.media.aac import AdtsHeader, parameters_from_config
from manycast.media.clock import Unwrapper, rescale
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.wire.mpegts.demux import TsDemuxer

VIDEO, AUDIO = 0, 1  # the indices of frames
PACKET_BYTES = 188
MPEG_CLOCK_HZ = 90_000
FRAME_SAMPLES = 1024  # of AAC

_ID3_HEADER_BYTES = 10
_TIMESTAMP_OWNER = b"com.apple.streaming.transportStreamTimestamp\0"  # RFC 8216 section 3.4
_BOXES = (b"ftyp", b"styp", b"moof", b"sidx", b"moov", b"emsg", b"prft")


class SegmentReader(Protocol):
    """Reads the segments of one rendition, one after the other."""

    @property
    def tracks(self) -> Mapping[int, Track | None]:
        """Those known by now; None for what is announced only."""

    @property
    def last_fault(self) -> str: ...

    async def read(self, data: bytes, init: bytes) -> list[Frame]:
        """The frames of a segment; `init` is what its playlist says comes before it.

        Raises ManycastError for what cannot be read.
        """


def reader_for(data: bytes) -> SegmentReader:
    """By the first bytes of a segment. Raises SourceError."""
    if data[:1] == b"\x47" and data[PACKET_BYTES : PACKET_BYTES + 1] in (b"\x47", b""):
        return TsSegments()
    if data[4:8] in _BOXES:
        return Mp4Segments()
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xF6 == 0xF0):
        return AacSegments()
    raise SourceError(f"segments of an unknown kind, beginning with {data[:16]!r}")


class TsSegments:
    def __init__(self) -> None:
        self._demuxer = TsDemuxer()

    @property
    def tracks(self) -> Mapping[int, Track | None]:
        return self._demuxer.tracks

    @property
    def last_fault(self) -> str:
        left_out = ", ".join(self._demuxer.left_out)
        return self._demuxer.last_fault or (f"nothing in it can be carried: {left_out}" if left_out else "")

    async def read(self, data: bytes, init: bytes) -> list[Frame]:
        # Whole frames, and counters that may begin anew: what a segment ends with is not waited for in the next one.
        return self._demuxer.receive(init + data) + self._demuxer.end_section()


class AacSegments:
    """ADTS, behind an ID3 tag that holds the time."""

    def __init__(self) -> None:
        self.tracks: dict[int, Track | None] = {AUDIO: None}
        self.last_fault = ""
        self._clock = Unwrapper(33)
        self._next_ticks = 0

    async def read(self, data: bytes, init: bytes) -> list[Frame]:
        sound, begin = _without_id3(init + data)
        frames: list[Frame] = []
        position = 0
        while position < len(sound):
            header = AdtsHeader.parse(sound, position)
            unit = sound[position + header.header_bytes : position + header.frame_bytes]
            if len(unit) < header.frame_bytes - header.header_bytes:
                break
            track = self._track_of(header, unit)
            if begin is not None:
                self._next_ticks = rescale(self._clock.unwrap(begin), MPEG_CLOCK_HZ, track.clock_rate_hz)
                begin = None
            ticks = self._next_ticks
            frames.append(Frame(track_index=AUDIO, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[unit]))
            self._next_ticks += FRAME_SAMPLES
            position += header.frame_bytes
        return frames

    def _track_of(self, header: AdtsHeader, unit: bytes) -> Track:
        track = self.tracks[AUDIO]
        if track is None:
            parameters = parameters_from_config(header.config(unit).serialize())
            track = Track(codec=Codec.AAC, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)
            self.tracks[AUDIO] = track
        return track


def _without_id3(data: bytes) -> tuple[bytes, int | None]:
    """What is behind the tags in front, and the time they hold, in ticks of 90 kHz (33 bits)."""
    begin = None
    while data[:3] == b"ID3" and len(data) >= _ID3_HEADER_BYTES:
        size = 0
        for byte in data[6:10]:  # 7 bits each
            size = size << 7 | byte & 0x7F
        tag, data = data[: _ID3_HEADER_BYTES + size], data[_ID3_HEADER_BYTES + size :]
        found = tag.find(_TIMESTAMP_OWNER)
        value = tag[found + len(_TIMESTAMP_OWNER) :][:8]
        if found >= 0 and len(value) == 8:
            begin = int.from_bytes(value) & 0x1_FFFF_FFFF
    return data, begin


class Mp4Segments:
    """Read by FFmpeg, in a thread; all it is given is the segment."""

    def __init__(self) -> None:
        self.tracks: dict[int, Track | None] = {}
        self.last_fault = ""

    async def read(self, data: bytes, init: bytes) -> list[Frame]:
        from manycast.sources.http.mp4_segment import read_mp4

        found = await asyncio.to_thread(read_mp4, init + data)
        self.tracks |= found.tracks
        self.last_fault = "; ".join(found.left_out)
        return found.frames
