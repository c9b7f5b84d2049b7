"""Encodes pictures without delay. Imports PyAV: import it late, best in the thread that encodes."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import ThreadType
from av.error import FFmpegError
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from manycast.hub.output import VideoOutput
from manycast.media.frame import Frame
from manycast.media.nal import split_annex_b
from manycast.media.track import (
    Codec,
    CodecParameters,
    H264Parameters,
    H265Parameters,
    Mpeg4Parameters,
    PlainParameters,
    Track,
)

CLOCK_HZ = 90_000
KEYFRAME_INTERVAL_S = 2
MAX_SIZE = 16_384
MAX_JPEG_SIZE = 2040  # pixels each way: RFC 2435 counts blocks of 8 in a byte
MAX_REPEATED_S = 1.0  # a longer gap is left as it is, where a frame rate asks for pictures in it
MAX_THREADS = 4  # more slices only cost

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a codec is encoded. `bits` are per pixel and picture where no bit rate is asked for."""

    encoder: str
    parameters: CodecParameters
    bits: float
    time_base_hz: int
    multiple: int = 2  # of both sides
    pixel_format: str = "yuv420p"


_KINDS: Mapping[Codec, _Kind] = {
    Codec.H264: _Kind("libx264", H264Parameters(), 0.1, CLOCK_HZ),
    Codec.H265: _Kind("libx265", H265Parameters(), 0.07, CLOCK_HZ),
    # MPEG-4 counts time in 16 bits (vop_time_increment_resolution).
    Codec.MPEG4: _Kind("mpeg4", Mpeg4Parameters(), 0.15, 30_000),
    Codec.MJPEG: _Kind("mjpeg", PlainParameters(), 0.5, CLOCK_HZ, multiple=8, pixel_format="yuvj420p"),
}
ENCODED = frozenset(_KINDS)


def video_track(codec: Codec) -> Track:
    """What comes out, before the first keyframe has told the rest."""
    return Track(codec=codec, clock_rate_hz=CLOCK_HZ, parameters=_KINDS[codec].parameters)


class VideoEncoder:
    """Pictures in, frames out. Used by one thread; everything is freed with the object.

    Keyframes come every KEYFRAME_INTERVAL_S, with their parameter sets in front of them.
    """

    def __init__(
        self,
        output: VideoOutput,
        track_index: int = 0,
        *,
        source_rate: float = 0.0,
        follow_size: bool = True,
        cheap: bool = False,
        shared_input: bool = False,
        name: str = "video",
    ) -> None:
        """`output.codec` is one of ENCODED.

        `source_rate` is the pictures a second that come, 0 where unknown. `follow_size`: where no size is asked for, a
        new size in mid-stream is taken over; else pictures are scaled to the first one's. `cheap` is for synthetic
        pictures, which look the same at a third of the cost. `shared_input`: others encode the same pictures, so they
        are left as they are.
        """
        assert output.codec is not None
        self._output = output
        self._kind = _KINDS[output.codec]
        self._codec = output.codec
        self._track_index = track_index
        self._rate = float(output.frame_rate or source_rate or 25.0)
        self._follow_size = follow_size
        self._cheap = cheap
        self._shared_input = shared_input
        self._name = name
        self._encoder: VideoCodecContext | None = None
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None  # of the pictures that come
        self._size: tuple[int, int] = (0, 0)  # of those that leave
        self._times: deque[int] = deque()
        self._last_ticks: int | None = None
        self._last_key_ticks: int | None = None
        self._last_slot: int | None = None
        self._previous: VideoFrame | None = None
        self._key_wanted = False
        self.size_changes = 0

    @property
    def track(self) -> Track:
        return video_track(self._codec)

    def force_keyframe(self) -> None:
        """Make the next picture one."""
        self._key_wanted = True

    def wants(self, ticks: int) -> bool:
        """Whether a picture of that time would be encoded: False where the frame rate leaves it out."""
        if not self._output.frame_rate:
            return self._last_ticks is None or ticks > self._last_ticks
        return self._last_slot is None or self._slot(ticks) > self._last_slot

    def encode(self, picture: VideoFrame, ticks: int) -> list[Frame]:
        """The frames of one picture, at a time in ticks of CLOCK_HZ: none where the frame rate leaves it out, several
        where pictures are repeated. Raises FFmpegError."""
        if not self.wants(ticks):
            self._previous = picture if self._output.frame_rate else None
            return []
        if not self._output.frame_rate:
            return self._encode_at(picture, ticks)
        slot, last = self._slot(ticks), self._last_slot
        frames: list[Frame] = []
        if last is not None and self._previous is not None and slot - last <= MAX_REPEATED_S * self._rate:
            for between in range(last + 1, slot):
                frames += self._encode_at(self._previous, self._slot_ticks(between))
        self._last_slot = slot
        self._previous = picture
        return frames + self._encode_at(picture, self._slot_ticks(slot))

    def finish(self) -> list[Frame]:
        """What is still inside; no more pictures may come."""
        encoder, self._encoder = self._encoder, None
        return self._frames(encoder, None) if encoder is not None else []

    def _slot(self, ticks: int) -> int:
        return (ticks * self._output.frame_rate * 2 + CLOCK_HZ) // (2 * CLOCK_HZ)

    def _slot_ticks(self, slot: int) -> int:
        return slot * CLOCK_HZ // self._output.frame_rate

    def _encode_at(self, picture: VideoFrame, ticks: int) -> list[Frame]:
        shape = (picture.width, picture.height, picture.format.name)
        if shape != self._shape:
            self._reshape(picture, shape)
        fitted = self._fitted(picture)
        time_base = Fraction(1, self._kind.time_base_hz)
        fitted.pts = ticks * self._kind.time_base_hz // CLOCK_HZ
        fitted.time_base = time_base
        due = self._last_key_ticks is None or ticks - self._last_key_ticks >= self._key_interval_ticks
        fitted.pict_type = PictureType.I if due or self._key_wanted else PictureType.NONE
        if due or self._key_wanted:
            self._last_key_ticks, self._key_wanted = ticks, False
        self._last_ticks = ticks
        self._times.append(ticks)
        assert self._encoder is not None
        return self._frames(self._encoder, fitted)

    @property
    def _key_interval_ticks(self) -> int:
        """Half a picture less, for times that are rounded."""
        return int((KEYFRAME_INTERVAL_S - 0.5 / self._rate) * CLOCK_HZ)

    def _frames(self, encoder: VideoCodecContext, picture: VideoFrame | None) -> list[Frame]:
        frames = []
        for packet in encoder.encode(picture):
            ticks = self._times.popleft() if self._times else (self._last_ticks or 0)
            data = bytes(packet)
            units = split_annex_b(data) if self._codec in (Codec.H264, Codec.H265) else [data]
            frames.append(
                Frame(
                    track_index=self._track_index,
                    dts_ticks=ticks,
                    pts_ticks=ticks,
                    keyframe=packet.is_keyframe,
                    units=units,
                )
            )
        return frames

    def _reshape(self, picture: VideoFrame, shape: tuple[int, int, str]) -> None:
        """Another size or format comes: scale it, and encode anew where the size is to follow."""
        fixed = self._output.width or self._output.height or not self._follow_size
        if self._encoder is None or not fixed:
            size = self._wanted_size(picture.width, picture.height)
            if self._encoder is None or size != self._size:
                self.size_changes += self._encoder is not None
                self._size = size
                self._times.clear()
                self._last_key_ticks = None
                self._encoder = self._open()
        self._shape = shape
        self._graph = self._make_graph(picture)

    def _wanted_size(self, width: int, height: int) -> tuple[int, int]:
        wanted_width, wanted_height = self._output.size_of(width, height)
        largest = MAX_SIZE
        if self._codec is Codec.MJPEG:
            largest = MAX_JPEG_SIZE
            if max(wanted_width, wanted_height) > largest:
                shrink = largest / max(wanted_width, wanted_height)
                log.warning(
                    "%s: %dx%d is too large for JPEG in RTP, made smaller", self._name, wanted_width, wanted_height
                )
                wanted_width, wanted_height = int(wanted_width * shrink), int(wanted_height * shrink)
        multiple = self._kind.multiple
        return (
            max(16, min(largest, wanted_width) // multiple * multiple),
            max(16, min(largest, wanted_height) // multiple * multiple),
        )

    def _make_graph(self, picture: VideoFrame) -> Graph | None:
        """Scales, with bars at the sides where the shape differs; None where pictures are right as they come."""
        width, height = self._size
        pixel_format = self._kind.pixel_format
        right = (picture.width, picture.height) == self._size and picture.format.name == pixel_format
        if right and not self._shared_input:
            return None
        graph = Graph()
        source = graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=Fraction(1, CLOCK_HZ),
        )
        full = ":out_range=full" if pixel_format.startswith("yuvj") else ":out_range=limited"
        nodes = [source]
        if abs(picture.width * height - picture.height * width) > max(width, height) * 16:
            scale = f"{width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2{full}"
            nodes.append(graph.add("scale", scale))
            nodes.append(graph.add("format", pixel_format))
            nodes.append(graph.add("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2"))
        else:
            nodes.append(graph.add("scale", f"{width}:{height}{full}"))
            nodes.append(graph.add("format", pixel_format))
        nodes.append(graph.add("setsar", "1"))
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes)
        graph.configure()
        return graph

    def _fitted(self, picture: VideoFrame) -> VideoFrame:
        if self._graph is None:
            return picture
        self._graph.push(picture)
        fitted = self._graph.pull()
        assert isinstance(fitted, VideoFrame)
        return fitted

    def _bit_rate(self) -> int:
        """In bits a second, as asked for or by size and rate."""
        width, height = self._size
        return self._output.bit_rate_bps or max(64_000, int(width * height * min(self._rate, 60.0) * self._kind.bits))

    def _open(self) -> VideoCodecContext:
        encoder = av.CodecContext.create(self._kind.encoder, "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height = self._size
        encoder.pix_fmt = self._kind.pixel_format
        encoder.time_base = Fraction(1, self._kind.time_base_hz)
        encoder.framerate = Fraction(self._rate).limit_denominator(1001)
        encoder.gop_size = max(1, round(self._rate * KEYFRAME_INTERVAL_S * 2))  # the clock asks for them sooner
        encoder.max_b_frames = 0
        encoder.options = self._options()
        threads = min(MAX_THREADS, os.cpu_count() or 1)
        pixels = self._size[0] * self._size[1]
        encoder.thread_count = 1 if self._cheap or pixels <= 640 * 360 else threads
        encoder.thread_type = ThreadType.SLICE
        if self._codec is not Codec.MJPEG or self._output.bit_rate_bps:
            encoder.bit_rate = self._bit_rate()
        try:
            encoder.open()
        except FFmpegError as error:
            size = "x".join(map(str, self._size))
            log.warning("%s: the encoder %s does not open at %s: %s", self._name, self._kind.encoder, size, error)
            raise
        return encoder

    def _options(self) -> dict[str, str]:
        bit_rate = str(self._bit_rate())
        match self._codec:
            case Codec.H264:
                preset = "ultrafast" if self._cheap else "superfast"
                bounds = {"maxrate": bit_rate, "bufsize": bit_rate}
                return {"preset": preset, "tune": "zerolatency", "forced-idr": "1"} | bounds
            case Codec.H265:
                parameters = "log-level=error:bframes=0:repeat-headers=1:frame-threads=1:pools=2:open-gop=0"
                return {
                    "preset": "ultrafast",
                    "tune": "zerolatency",
                    "forced-idr": "1",
                    "x265-params": parameters,
                    "maxrate": bit_rate,
                    "bufsize": bit_rate,
                }
            case Codec.MJPEG:
                return {"huffman": "default"} | (
                    {} if self._output.bit_rate_bps else {"flags": "+qscale", "global_quality": str(5 * 118)}
                )
            case _:
                return {"maxrate": bit_rate, "bufsize": bit_rate}
