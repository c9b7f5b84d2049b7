"""One segment of MP4 to frames. Imports PyAV: import it late, in the thread that reads."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from manycast.hub.source import SourceError
from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.track import Codec, MediaKind, Track
from manycast.sources.files.audio_tracks import AudioFacts, describe_audio
from manycast.sources.files.probes import codec_name
from manycast.sources.files.samples import SampleReader
from manycast.sources.files.timing import TimeScale
from manycast.sources.files.tracks import Carried, codec_of, describe_video
from manycast.sources.http.segments import AUDIO, VIDEO


@dataclass(slots=True)
class Mp4Segment:
    """What was in it; indices are VIDEO and AUDIO."""

    frames: list[Frame] = field(default_factory=list)
    tracks: dict[int, Track] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def read_mp4(data: bytes) -> Mp4Segment:
    """Read a segment with its initialisation in front. Blocks. Raises SourceError."""
    found = Mp4Segment()
    try:
        with av.open(
            io.BytesIO(data),
            format="mov",
            container_options={"protocol_whitelist": "none", "enable_drefs": "0"},
            metadata_errors="replace",
        ) as container:
            assert isinstance(container, InputContainer)
            lanes = _choose(list(container.streams), found)
            for packet in container.demux([lane.stream for lane in lanes.values()]) if lanes else ():
                if packet.size:
                    lanes[packet.stream_index].push(packet, found)
    except (FFmpegError, MalformedBitstream) as error:
        raise SourceError(f"a segment that cannot be read: {error}") from error
    return found


class _Lane:
    """One stream; what it is may take its first packet to tell."""

    def __init__(self, stream: Stream, codec: Codec, index: int) -> None:
        self.stream = stream
        self._codec = codec
        self._index = index
        self._reader: SampleReader | None = None
        self._scale: TimeScale | None = None

    def push(self, packet: Packet[Stream], found: Mp4Segment) -> None:
        if self._reader is None or self._scale is None:
            assert self.stream.time_base is not None
            carried = self._describe(bytes(packet))
            self._reader = SampleReader(self.stream, self._index, carried)
            self._scale = TimeScale(self.stream.time_base, Fraction(0), carried.track.clock_rate_hz)
        for sample in self._reader.push(packet):
            if sample.dts is None:
                continue
            dts_ticks = self._scale.ticks(sample.dts)
            frame = Frame(
                track_index=self._index,
                dts_ticks=dts_ticks,
                pts_ticks=dts_ticks if sample.pts is None else self._scale.ticks(sample.pts),
                keyframe=sample.keyframe,
                units=sample.units,
            )
            found.frames.append(frame)
        found.tracks[self._index] = self._reader.track

    def _describe(self, first_packet: bytes) -> Carried:
        context = self.stream.codec_context
        if self._index == VIDEO:
            return describe_video(self._codec, context.extradata or b"")
        assert isinstance(context, AudioCodecContext)
        facts = AudioFacts(
            codec_name=codec_name(self.stream),
            sample_rate_hz=context.sample_rate,
            channels=context.channels,
            bit_rate_bps=context.bit_rate or 0,
            extradata=context.extradata or b"",
            first_packet=first_packet,
        )
        return describe_audio(self._codec, facts)


def _choose(streams: list[Stream], found: Mp4Segment) -> dict[int, _Lane]:
    """The first video and the first audio stream that can be carried, by FFmpeg's index."""
    lanes: dict[int, _Lane] = {}
    taken: set[int] = set()
    for stream in streams:
        codec = codec_of(codec_name(stream))
        index = VIDEO if codec is not None and codec.kind is MediaKind.VIDEO else AUDIO
        if codec is None or index in taken or stream.time_base is None:
            found.left_out.append(f"{stream.type} {codec_name(stream)} is left out")
            continue
        taken.add(index)
        lanes[stream.index] = _Lane(stream, codec, index)
    return lanes
