"""Frames to a transport stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from manycast.media.aac import AudioSpecificConfig, adts_header
from manycast.media.bits import MalformedBitstream
from manycast.media.clock import rescale
from manycast.media.frame import Frame
from manycast.media.nal import join_annex_b
from manycast.media.track import AacParameters, AudioParameters, Codec, MediaKind, Track
from manycast.wire.mpegts.packet import CLOCK_HZ, PAT_PID, PCR_EXTENSION, serialize_packets
from manycast.wire.mpegts.pes import AUDIO_STREAM_ID, PRIVATE_STREAM_1, VIDEO_STREAM_ID, serialize_pes
from manycast.wire.mpegts.tables import (
    DescriptorTag,
    ElementaryStream,
    ProgramAssociation,
    ProgramMap,
    StreamType,
    section_payload,
)

PROGRAM = 1
PMT_PID = 0x1000
FIRST_PID = 0x0100
TABLE_INTERVAL_TICKS = CLOCK_HZ // 2  # of a stream without keyframes; with them the tables go before each
PCR_LEAD_TICKS = CLOCK_HZ * 7 // 10  # how far the clock is behind what is decoded: a receiver's buffer

# What has a place in a transport stream; but of AAC not what ADTS cannot say.
CARRIED = frozenset(
    {
        *(Codec.H264, Codec.H265, Codec.MPEG_VIDEO, Codec.MPEG4),
        *(Codec.AAC, Codec.MP3, Codec.AC3, Codec.OPUS),
    }
)

_H264_DELIMITER = b"\x09\xf0"  # any kind of slice may follow (ITU-T H.264 section 7.4.2.4)
_H265_DELIMITER = b"\x46\x01\x50"

Wrap = Callable[[Frame], bytes]


@dataclass(slots=True)
class _Lane:
    """One track on its way out."""

    stream: ElementaryStream
    stream_id: int
    clock_rate_hz: int
    wrap: Wrap
    counter: int = 0


def _annex_b(delimiter: bytes) -> Wrap:
    return lambda frame: join_annex_b([delimiter, *frame.units])


def _adts(track: Track) -> Wrap | None:
    """Raw access units behind ADTS headers; None for what ADTS cannot say."""
    assert isinstance(track.parameters, AacParameters)
    try:
        config = AudioSpecificConfig.parse(track.parameters.config)
        adts_header(config, 0)
    except MalformedBitstream:
        return None
    return lambda frame: b"".join(adts_header(config, len(unit)) + unit for unit in frame.units)


def _whole(frame: Frame) -> bytes:
    return b"".join(frame.units)


def _opus(frame: Frame) -> bytes:
    """Packets behind control headers, as the Opus project proposed it and everyone does."""
    parts = []
    for unit in frame.units:
        size = len(unit)
        parts.append(b"\x7f\xe0" + b"\xff" * (size // 255) + bytes((size % 255,)) + unit)
    return b"".join(parts)


def lane_of(track: Track, pid: int) -> _Lane | None:
    """How a track goes into a transport stream; None where it cannot."""
    rate = track.clock_rate_hz
    match track.codec:
        case Codec.H264:
            return _Lane(ElementaryStream(StreamType.H264, pid), VIDEO_STREAM_ID, rate, _annex_b(_H264_DELIMITER))
        case Codec.H265:
            stream = ElementaryStream(StreamType.H265, pid, ((DescriptorTag.REGISTRATION, b"HEVC"),))
            return _Lane(stream, VIDEO_STREAM_ID, rate, _annex_b(_H265_DELIMITER))
        case Codec.MPEG_VIDEO:
            return _Lane(ElementaryStream(StreamType.MPEG2_VIDEO, pid), VIDEO_STREAM_ID, rate, _whole)
        case Codec.MPEG4:
            return _Lane(ElementaryStream(StreamType.MPEG4_VIDEO, pid), VIDEO_STREAM_ID, rate, _whole)
        case Codec.AAC:
            wrap = _adts(track)
            if wrap is None:
                return None
            return _Lane(ElementaryStream(StreamType.AAC_ADTS, pid), AUDIO_STREAM_ID, rate, wrap)
        case Codec.MP3:
            return _Lane(ElementaryStream(StreamType.MPEG1_AUDIO, pid), AUDIO_STREAM_ID, rate, _whole)
        case Codec.AC3:
            descriptors = ((DescriptorTag.REGISTRATION, b"AC-3"), (DescriptorTag.AC3, b"\0"))
            return _Lane(ElementaryStream(StreamType.AC3, pid, descriptors), PRIVATE_STREAM_1, rate, _whole)
        case Codec.OPUS:
            assert isinstance(track.parameters, AudioParameters)
            channels = bytes((0x80, track.parameters.channels))
            descriptors = ((DescriptorTag.REGISTRATION, b"Opus"), (DescriptorTag.EXTENSION, channels))
            return _Lane(ElementaryStream(StreamType.PRIVATE, pid, descriptors), PRIVATE_STREAM_1, rate, _opus)
    return None


class TsMuxer:
    """One program: the first video and the first audio track of a stream that it can carry."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.left_out: list[Track] = []
        self._lanes: dict[int, _Lane] = {}
        kinds: set[MediaKind] = set()
        for index, track in enumerate(tracks):
            lane = None if track.kind in kinds else lane_of(track, FIRST_PID + index)
            if lane is None:
                self.left_out.append(track)
            else:
                self._lanes[index] = lane
                kinds.add(track.kind)
        self.has_video = MediaKind.VIDEO in kinds
        first = min(self._lanes.values(), key=lambda lane: lane.stream_id != VIDEO_STREAM_ID, default=None)
        self._pcr_pid = first.stream.pid if first is not None else 0
        association = ProgramAssociation(1, 0, ((PROGRAM, PMT_PID),))
        streams = tuple(lane.stream for lane in self._lanes.values())
        self._pat = section_payload([association.serialize()])
        self._pmt = section_payload([ProgramMap(PROGRAM, self._pcr_pid, 0, streams).serialize()])
        self._pat_counter = self._pmt_counter = 0
        self._tables_due: int | None = None

    @property
    def usable(self) -> bool:
        """Something is left to carry."""
        return bool(self._lanes)

    @property
    def carried(self) -> tuple[int, ...]:
        """The tracks that are not left out, by their index."""
        return tuple(self._lanes)

    def tables(self) -> bytes:
        """The packets that say what is in the stream."""
        pat, self._pat_counter = serialize_packets(PAT_PID, self._pat, self._pat_counter)
        pmt, self._pmt_counter = serialize_packets(PMT_PID, self._pmt, self._pmt_counter)
        return pat + pmt

    def frame(self, frame: Frame) -> bytes:
        """The packets of one frame, a multiple of 188 bytes; tables go before a video keyframe.

        Without bytes for a track that is left out.
        """
        lane = self._lanes.get(frame.track_index)
        if lane is None:
            return b""
        dts = rescale(frame.dts_ticks, lane.clock_rate_hz, CLOCK_HZ)
        pts = rescale(frame.pts_ticks, lane.clock_rate_hz, CLOCK_HZ)
        is_video = lane.stream_id == VIDEO_STREAM_ID
        tables = b""
        if (frame.keyframe and is_video) or self._tables_due is None or dts >= self._tables_due:
            tables = self.tables()
            self._tables_due = dts + TABLE_INTERVAL_TICKS
        payload = serialize_pes(lane.stream_id, lane.wrap(frame), pts=pts + PCR_LEAD_TICKS, dts=dts + PCR_LEAD_TICKS)
        packets, lane.counter = serialize_packets(
            lane.stream.pid,
            payload,
            lane.counter,
            pcr=dts * PCR_EXTENSION if lane.stream.pid == self._pcr_pid else None,
            random_access=frame.keyframe and (is_video or not self.has_video),
        )
        return tables + packets
