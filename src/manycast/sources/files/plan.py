"""What is found out about a file when it is opened, and holds for every later reading of it. Imports PyAV."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet
from av.stream import Disposition, Stream

from manycast.hub.source import SourceError
from manycast.media.bits import MalformedBitstream
from manycast.media.dts import DtsEstimator
from manycast.media.frame import Frame
from manycast.media.track import Codec, MediaKind, Track
from manycast.sources.files.anchors import AnchorOrder
from manycast.sources.files.audio_tracks import AudioFacts, describe_audio
from manycast.sources.files.demuxer import UNINDEXED_DEMUXERS, Demuxer
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.pcm import loses_bits
from manycast.sources.files.picture_order import PictureSlots
from manycast.sources.files.samples import SampleReader
from manycast.sources.files.timing import (
    AnchorTimes,
    FrameGrid,
    GivenTimes,
    PcmTimes,
    Sample,
    SortedTimes,
    TimeScale,
    TrackTimes,
    reorder_delay,
)
from manycast.sources.files.tracks import ANCHORED_CODECS, REORDERED_CODECS, Carried, codec_of, describe_video
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.payload import UnsupportedFormat
from manycast.wire.rtp.sender import MAX_PAYLOAD_BYTES

log = logging.getLogger(__name__)

PROBE_BYTES = 16 << 20  # how far into a file its first keyframe and its parameter sets are looked for
PROBE_PACKETS = 5000
PROBE_VIDEO_FRAMES = 100  # enough to see how far frames are reordered
MADE_UP_S = 2  # writers of Ogg end a page after a second at most
SPARE_DEPTH = 2  # frames more than that, in case it was not enough

_COUNTING_DEMUXERS = frozenset({"avi", "h264", "hevc", "mpegvideo"})  # their times only number the frames
_PTS_DEMUXERS = frozenset({"m4v", "matroska", "ogg"})  # they store no dts
_NO_MEDIA = Disposition.attached_pic | Disposition.timed_thumbnails  # covers, previews
_UNTIMED_DEMUXERS = frozenset({"ac3"})  # their times are sums of rounded lengths
_WHOLLY_REFUSED = {"dv": "DV video"}  # nobody wants the sound alone


class NothingCarried(SourceError):
    """A media file whose streams cannot be carried; `format_name` is FFmpeg's."""

    def __init__(self, name: str, found: str, format_name: str) -> None:
        super().__init__(f"{name}: nothing that can be carried, only {found}")
        self.format_name = format_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One stream of a file on its way to becoming a track."""

    stream_index: int
    carried: Carried
    time_base: Fraction
    zero_s: Fraction = Fraction(0)  # the container's time that is 0
    ordered: bool = False  # whether the pts follow from the pictures' order
    untimed: bool = False  # whether the container's times are better not used
    delay: int | None = None  # for SortedTimes, in units of the time base
    depth: int = 0  # likewise, in frames
    origin: int | None = None  # for FrameGrid: the time of the first frame

    def make_times(self) -> TrackTimes:
        """The timing for one reading of the file."""
        carried = self.carried
        scale = TimeScale(self.time_base, self.zero_s, carried.track.clock_rate_hz)
        if carried.bits_per_tick is not None:
            return PcmTimes(scale, carried.bits_per_tick)
        if carried.frame_ticks is not None and self.origin is not None and scale.unit_ticks != 1:
            return GivenTimes(scale, FrameGrid(carried.frame_ticks, scale.ticks(self.origin), scale.unit_ticks))
        if self.delay is not None:
            return SortedTimes(scale, scale.length_ticks(self.delay), self.depth)
        return AnchorTimes(scale) if carried.track.codec in ANCHORED_CODECS else GivenTimes(scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan:
    """How to read a file."""

    path: Path
    stamp: FileStamp
    lanes: tuple[Lane, ...]  # video first
    zero_s: Fraction
    indexed: bool  # whether the container can be searched
    made_up_times: bool  # whether the first times after a search may be wrong
    duration_us: int | None

    @property
    def preroll_s(self) -> int:
        """How far before a wanted place a search has to go."""
        if self.made_up_times:
            return MADE_UP_S
        # Without video the first second that is read is not whole.
        return 0 if self.tracks[0].kind is MediaKind.VIDEO else 1

    @property
    def tracks(self) -> tuple[Track, ...]:
        return tuple(lane.carried.track for lane in self.lanes)

    def open_again(self) -> Demuxer:
        """Open the file for one more reading, from its start. Raises SourceError."""
        demuxer = Demuxer(self.path, self.stamp)
        demuxer.select([lane.stream_index for lane in self.lanes])
        return demuxer


def open_file(path: Path, stamp: FileStamp) -> tuple[FilePlan, Demuxer]:
    """Open a file and find out how to read it. Raises SourceError; NothingCarried when nothing in it can be carried.

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
    if (reason := _WHOLLY_REFUSED.get(demuxer.format_name)) is not None:
        raise NothingCarried(path.name, reason, demuxer.format_name)
    probes, left_out = _choose(demuxer)
    if probes:
        demuxer.select([probe.stream.index for probe in probes])
        _read_first_packets(demuxer, probes)
    good = [probe for probe in probes if probe.fault is None]
    left_out += [f"{_describe(probe.stream)} ({probe.fault})" for probe in probes if probe.fault is not None]
    found = ", ".join(left_out)
    if not good:
        raise NothingCarried(path.name, found or "neither picture nor sound", demuxer.format_name)
    if found:
        log.info("%s: left out: %s", path.name, found)
    for probe in good:
        if loses_bits(name := _codec_name(probe.stream)):
            log.info("%s: %s is sent with 16 bits a sample", path.name, name)
    demuxer.select([probe.stream.index for probe in good])
    starts = [start for probe in good if (start := _start_s(probe.stream)) is not None]
    zero_s = min(starts, default=Fraction(0))
    lanes = tuple(probe.lane(zero_s) for probe in good)
    return FilePlan(
        path=path,
        stamp=stamp,
        lanes=lanes,
        zero_s=zero_s,
        indexed=_is_indexed(demuxer.format_name, lanes),
        made_up_times=demuxer.format_name == "ogg",  # up to the end of a page, where its time stands
        duration_us=demuxer.duration_us,
    )


def _is_indexed(format_name: str, lanes: Sequence[Lane]) -> bool:
    if format_name == "wav" and lanes[0].carried.track.codec is Codec.G722:
        return False  # FFmpeg looks for a time where twice that time is
    return format_name not in UNINDEXED_DEMUXERS


def _choose(demuxer: Demuxer) -> tuple[list[_VideoProbe | _AudioProbe], list[str]]:
    """The first video and the first audio stream that may be carried, and the names of what cannot be."""
    video: list[_VideoProbe | _AudioProbe] = []
    audio: list[_VideoProbe | _AudioProbe] = []
    left_out = []
    for stream in demuxer.streams:
        codec = codec_of(_codec_name(stream))
        if stream.disposition & _NO_MEDIA:
            continue
        if codec is None:
            if stream.type in ("video", "audio"):
                left_out.append(_describe(stream))
        elif codec.kind is MediaKind.AUDIO:
            audio = audio or [_AudioProbe(stream, codec, untimed=demuxer.format_name in _UNTIMED_DEMUXERS)]
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
        is_reordered = carried.track.codec in REORDERED_CODECS
        self._ordered = is_reordered and format_name in _COUNTING_DEMUXERS
        self._needs_delay = self._ordered or (is_reordered and format_name in _PTS_DEMUXERS)
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
            if not self._samples and sample.keyframe and self._carried.track.codec is Codec.MJPEG:
                self.fault = _jpeg_fault(self._carried.track, sample)
            if sample.keyframe or self._samples:
                self._samples.append(sample)
        self.done = len(self._samples) >= (PROBE_VIDEO_FRAMES if self._needs_delay else 1)

    def _put_in_order(self) -> None:
        """Matroska holds films from AVI with the times of AVI, which FFmpeg then leaves without pts (V_MS/VFW/FOURCC).

        Their B pictures have some, as they are shown when they are decoded.
        """
        track = self._reader.track
        self._ordered = True
        order, slots = AnchorOrder(is_mpeg4=track.codec is Codec.MPEG4), PictureSlots()
        samples, self._samples = self._samples, []
        for sample in samples:
            sample.dts = sample.dts or 0
            count = order.count(sample.units, track.parameters, keyframe=sample.keyframe)
            self._samples += slots.push(sample, count)
        self._samples += slots.flush()

    def lane(self, zero_s: Fraction) -> Lane:
        assert self.stream.time_base is not None
        track = self._reader.track
        is_anchored = track.codec in ANCHORED_CODECS
        if self._needs_delay and is_anchored and any(sample.pts is None for sample in self._samples):
            self._put_in_order()
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


def _jpeg_fault(track: Track, sample: Sample) -> str | None:
    """Why images like this one cannot be carried; RFC 2435 leaves out much of what JPEG is."""
    frame = Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=sample.units)
    try:
        format_for_codec(track.codec).packetiser(track, MAX_PAYLOAD_BYTES).packetise(frame)
    except UnsupportedFormat as error:
        return str(error)
    return None


class _AudioProbe:
    """Sees the first packet, whose header may be the only place that says what it is."""

    def __init__(self, stream: Stream, codec: Codec, *, untimed: bool) -> None:
        self.stream = stream
        self._untimed = untimed
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
        assert isinstance(context, AudioCodecContext)
        return describe_audio(
            self._codec,
            AudioFacts(
                codec_name=_codec_name(self.stream),
                sample_rate_hz=context.sample_rate,
                channels=context.channels,
                bit_rate_bps=context.bit_rate or 0,
                extradata=context.extradata or b"",
                first_packet=first_packet,
            ),
        )

    def lane(self, zero_s: Fraction) -> Lane:
        assert self._carried is not None
        assert self.stream.time_base is not None
        return Lane(
            stream_index=self.stream.index,
            carried=self._carried,
            time_base=self.stream.time_base,
            zero_s=zero_s,
            untimed=self._untimed,
            origin=self._origin,
        )
