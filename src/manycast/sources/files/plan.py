"""What is found out about a file when it is opened, and holds for every later reading of it. Imports PyAV."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet
from av.stream import Stream

from manycast.hub.source import SourceError
from manycast.media.bits import MalformedBitstream
from manycast.media.dts import DtsEstimator
from manycast.media.track import AacParameters, AudioParameters, Codec, MediaKind, Track
from manycast.sources.files.demuxer import UNINDEXED_DEMUXERS, Demuxer
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.samples import SampleReader
from manycast.sources.files.timing import (
    FrameGrid,
    GivenTimes,
    PcmTimes,
    Sample,
    SortedTimes,
    TimeScale,
    TrackTimes,
    reorder_delay,
)
from manycast.sources.files.tracks import (
    CODECS,
    Carried,
    aac_frame_ticks,
    describe_aac,
    describe_plain_audio,
    describe_video,
)

log = logging.getLogger(__name__)

PROBE_BYTES = 16 << 20  # how far into a file its first keyframe and its parameter sets are looked for
PROBE_PACKETS = 5000
PROBE_VIDEO_FRAMES = 100  # enough to see how far frames are reordered
SPARE_DEPTH = 2  # frames more than that, in case it was not enough

_COUNTING_DEMUXERS = frozenset({"avi", "h264", "hevc"})  # their times do no more than number the frames
_PTS_DEMUXERS = frozenset({"matroska", "ogg"})  # they store no dts


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One stream of a file on its way to becoming a track."""

    stream_index: int
    carried: Carried
    time_base: Fraction
    zero_s: Fraction = Fraction(0)  # the container's time that is 0
    ordered: bool = False  # whether the pts follow from the slices' picture order
    delay: int | None = None  # for SortedTimes, in units of the time base
    depth: int = 0  # likewise, in frames
    origin: int | None = None  # for FrameGrid: the time of the first frame

    def make_times(self) -> TrackTimes:
        """The timing for one reading of the file."""
        track = self.carried.track
        scale = TimeScale(self.time_base, self.zero_s, track.clock_rate_hz)
        match track.parameters:
            case AudioParameters(channels=channels) if track.codec is not Codec.OPUS:
                return PcmTimes(scale, channels)
            case AacParameters() as parameters if self.origin is not None and scale.unit_ticks != 1:
                grid = FrameGrid(aac_frame_ticks(parameters), scale.ticks(self.origin), scale.unit_ticks)
                return GivenTimes(scale, grid)
        if self.delay is not None:
            return SortedTimes(scale, scale.length_ticks(self.delay), self.depth)
        return GivenTimes(scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan:
    """How to read a file."""

    path: Path
    stamp: FileStamp
    lanes: tuple[Lane, ...]  # video first
    zero_s: Fraction
    indexed: bool  # whether the container can be searched
    duration_us: int | None

    @property
    def tracks(self) -> tuple[Track, ...]:
        return tuple(lane.carried.track for lane in self.lanes)

    def open_again(self) -> Demuxer:
        """Open the file for one more reading, from its start. Raises SourceError."""
        demuxer = Demuxer(self.path, self.stamp)
        demuxer.select([lane.stream_index for lane in self.lanes])
        return demuxer


def open_file(path: Path, stamp: FileStamp) -> tuple[FilePlan, Demuxer]:
    """Open a file and find out how to read it. Raises SourceError when nothing in it can be carried.

    The demuxer stands at the file's start.
    """
    demuxer = Demuxer(path, stamp)
    try:
        plan = _probe(demuxer, path, stamp)
    except BaseException:
        demuxer.close()
        raise
    return plan, demuxer


def _probe(demuxer: Demuxer, path: Path, stamp: FileStamp) -> FilePlan:
    probes, left_out = _choose(demuxer)
    if probes:
        demuxer.select([probe.stream.index for probe in probes])
        _read_first_packets(demuxer, probes)
    good = [probe for probe in probes if probe.fault is None]
    left_out += [f"{_describe(probe.stream)} ({probe.fault})" for probe in probes if probe.fault is not None]
    found = ", ".join(left_out)
    if not good:
        raise SourceError(f"{path.name}: nothing that can be carried, only {found or 'neither picture nor sound'}")
    if found:
        log.info("%s: left out: %s", path.name, found)
    demuxer.select([probe.stream.index for probe in good])
    starts = [start for probe in good if (start := _start_s(probe.stream)) is not None]
    zero_s = min(starts, default=Fraction(0))
    return FilePlan(
        path=path,
        stamp=stamp,
        lanes=tuple(probe.lane(zero_s) for probe in good),
        zero_s=zero_s,
        indexed=demuxer.format_name not in UNINDEXED_DEMUXERS,
        duration_us=demuxer.duration_us,
    )


def _choose(demuxer: Demuxer) -> tuple[list[_VideoProbe | _AudioProbe], list[str]]:
    """The first video and the first audio stream that may be carried, and the names of what cannot be."""
    video: list[_VideoProbe | _AudioProbe] = []
    audio: list[_VideoProbe | _AudioProbe] = []
    left_out = []
    for stream in demuxer.streams:
        codec = CODECS.get(_codec_name(stream))
        if codec is None:
            if stream.type in ("video", "audio"):
                left_out.append(_describe(stream))
        elif codec.kind is MediaKind.AUDIO:
            audio = audio or [_AudioProbe(stream, codec)]
        elif not video:
            try:
                carried = describe_video(codec, stream.codec_context.extradata or b"")
                video = [_VideoProbe(stream, carried, demuxer.format_name)]
            except MalformedBitstream as error:
                left_out.append(f"{_describe(stream)} ({error})")
    return video + audio, left_out


def _codec_name(stream: Stream) -> str:
    # There is no context for what FFmpeg has no decoder for.
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _describe(stream: Stream) -> str:
    return f"{stream.type} {_codec_name(stream)}"


def _start_s(stream: Stream) -> Fraction | None:
    """When a stream's first frame is shown, by the container's clock, if it has one."""
    if stream.start_time is None or stream.time_base is None:
        return None
    return stream.start_time * stream.time_base


def _read_first_packets(demuxer: Demuxer, probes: Sequence[_VideoProbe | _AudioProbe]) -> None:
    """Let the probes look at packets until they know enough; then it is as if none had been read."""
    packets: list[Packet[Stream]] = []
    size_bytes = 0
    by_index = {probe.stream.index: probe for probe in probes}
    while not all(probe.done for probe in probes):
        within_limits = size_bytes < PROBE_BYTES and len(packets) < PROBE_PACKETS
        packet = demuxer.read() if within_limits else None
        if packet is None:
            for probe in probes:
                probe.give_up()
            break
        packets.append(packet)
        size_bytes += packet.size
        by_index[packet.stream_index].look(packet)
    demuxer.unread(packets)


class _VideoProbe:
    """Finds the parameter sets and the first keyframe, and how far frames are reordered where that is needed."""

    def __init__(self, stream: Stream, carried: Carried, format_name: str) -> None:
        self.stream = stream
        self.done = False
        self.fault: str | None = None
        self._ordered = format_name in _COUNTING_DEMUXERS
        self._needs_delay = self._ordered or format_name in _PTS_DEMUXERS
        self._carried = carried
        self._reader = SampleReader(stream, 0, carried, ordered=self._ordered)
        self._samples: list[Sample] = []  # from the first keyframe on

    def look(self, packet: Packet[Stream]) -> None:
        if not self.done:
            self._take(self._reader.push(packet))

    def give_up(self) -> None:
        """There are no more packets to look at."""
        self._take(self._reader.flush())
        self.done = True
        if not self._samples:
            self.fault = "no keyframe found"

    def _take(self, samples: list[Sample]) -> None:
        for sample in samples:
            if sample.keyframe or self._samples:
                self._samples.append(sample)
        self.done = len(self._samples) >= (PROBE_VIDEO_FRAMES if self._needs_delay else 1)

    def lane(self, zero_s: Fraction) -> Lane:
        assert self.stream.time_base is not None
        track = self._reader.track
        lane = Lane(
            stream_index=self.stream.index,
            carried=replace(self._carried, track=track),
            time_base=self.stream.time_base,
            zero_s=zero_s,
            ordered=self._ordered,
        )
        if not self._needs_delay:
            return lane
        first = self._samples[0]
        estimator = DtsEstimator.for_track(track)  # knows what the stream says, and learns from its frames
        for sample in self._samples:
            if sample.pts is not None:
                estimator.push(sample.pts)
        delay = max(reorder_delay(self._samples), estimator.reorder_depth * first.duration)
        return replace(lane, delay=delay, depth=estimator.reorder_depth + SPARE_DEPTH)


class _AudioProbe:
    """Sees the first packet, whose header may be the only place that says what it is."""

    def __init__(self, stream: Stream, codec: Codec) -> None:
        self.stream = stream
        self.done = False
        self.fault: str | None = None
        self._codec = codec
        self._carried: Carried | None = None
        self._origin: int | None = None

    def look(self, packet: Packet[Stream]) -> None:
        if self.done:
            return
        try:
            self._carried = self._describe(bytes(packet))
        except MalformedBitstream as error:
            self.fault = str(error)
        else:
            self.fault = None
            self._origin = packet.pts
            self.done = True

    def give_up(self) -> None:
        """There are no more packets to look at."""
        self.done = True
        if self._carried is None and self.fault is None:
            self.fault = "no packets found"

    def _describe(self, first_packet: bytes) -> Carried:
        context = self.stream.codec_context
        if self._codec is Codec.AAC:
            return describe_aac(context.extradata or b"", first_packet)
        assert isinstance(context, AudioCodecContext)
        return describe_plain_audio(self._codec, context.sample_rate, context.channels)

    def lane(self, zero_s: Fraction) -> Lane:
        assert self._carried is not None
        assert self.stream.time_base is not None
        return Lane(
            stream_index=self.stream.index,
            carried=self._carried,
            time_base=self.stream.time_base,
            zero_s=zero_s,
            origin=self._origin,
        )
