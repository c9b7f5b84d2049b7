"""Looking at the first packets of a stream: what it is, and what its times are worth. Imports PyAV."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet
from av.stream import Stream

from manycast.media.bits import MalformedBitstream
from manycast.media.dts import DtsEstimator
from manycast.media.track import Codec
from manycast.sources.files.anchors import AnchorOrder
from manycast.sources.files.audio_tracks import AudioFacts, describe_audio
from manycast.sources.files.foreign import TrialDecoder
from manycast.sources.files.picture_order import PictureSlots
from manycast.sources.files.plan import Lane
from manycast.sources.files.samples import SampleReader
from manycast.sources.files.timing import Sample, reorder_delay
from manycast.sources.files.tracks import ANCHORED_CODECS, REORDERED_CODECS, Carried

PROBE_VIDEO_FRAMES = 100  # enough to see how far frames are reordered
SPARE_DEPTH = 2  # frames more than that, in case it was not enough

_COUNTING_DEMUXERS = frozenset({"avi", "h264", "hevc", "mpegvideo"})  # their times only number the frames
_PTS_DEMUXERS = frozenset({"m4v", "matroska", "ogg"})  # they store no dts
_UNTIMED_DEMUXERS = frozenset({"ac3"})  # their times are sums of rounded lengths


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of a stream's codec."""
    # There is no context for what FFmpeg has no decoder for.
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


class VideoProbe:
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
            if self._samples or (sample.keyframe and self._reader.track.parameters.complete):
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


class ForeignProbe:
    """Sees whether what can only be decoded can be decoded."""

    def __init__(self, stream: Stream, carried: Carried) -> None:
        self.stream = stream
        self.done = False
        self.fault: str | None = None
        self._carried = carried
        self._decoder: TrialDecoder | None = None

    def look(self, packet: Packet[Stream]) -> None:
        if self.done or not (self._decoder or packet.is_keyframe):
            return
        self._decoder = self._decoder or TrialDecoder(self._carried)
        self.done = self._decoder.decodes(packet)

    def give_up(self) -> None:
        """There are no more packets to look at."""
        if not self.done:
            self.done = True
            self.fault = "cannot be decoded"

    def lane(self, zero_s: Fraction) -> Lane:
        assert self.stream.time_base is not None
        return Lane(
            stream_index=self.stream.index,
            carried=self._carried,
            time_base=self.stream.time_base,
            zero_s=zero_s,
        )


class AudioProbe:
    """Sees the first packet, whose header may be the only place that says what it is."""

    def __init__(self, stream: Stream, codec: Codec, format_name: str) -> None:
        self.stream = stream
        self._untimed = format_name in _UNTIMED_DEMUXERS
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
                codec_name=codec_name(self.stream),
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


Probe = VideoProbe | AudioProbe | ForeignProbe
