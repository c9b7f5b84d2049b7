"""Encodes pictures without delay. Imports PyAV: import it late, best in the thread that encodes."""

from __future__ import annotations

import logging
from collections import deque
from fractions import Fraction

from av.error import FFmpegError
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from manycast.hub.output import VideoOutput
from manycast.media.frame import Frame
from manycast.media.jpeg import MAX_RTP_SIDE
from manycast.media.nal import split_annex_b
from manycast.media.track import Codec, Track
from manycast.sources.encoding.engines import SOFTWARE, Engines
from manycast.sources.encoding.video_codec import OpenEncoder, open_encoder
from manycast.sources.encoding.video_form import (
    CLOCK_HZ,
    KEYFRAME_INTERVAL_S,
    KINDS,
    VideoForm,
    video_track,
)

MAX_SIZE = 16_384
MAX_REPEATED_S = 1.0  # a longer gap is left as it is, where a frame rate asks for pictures in it

log = logging.getLogger(__name__)


class VideoEncoder:
    """Pictures in, frames out. Used by one thread; everything is freed with the object.

    Keyframes come every KEYFRAME_INTERVAL_S and when they are asked for, with their parameter sets in front of them.
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
        engines: Engines = SOFTWARE,
        name: str = "video",
    ) -> None:
        """`output.codec` is one of KINDS.

        `source_rate` is the pictures a second that come, 0 where unknown. `follow_size`: where no size is asked for, a
        new size in mid-stream is taken over; else pictures are scaled to the first one's. `cheap` is for synthetic
        pictures. `shared_input`: others encode the same pictures, so they
        are left as they are.
        """
        assert output.codec is not None
        self._output = output
        self._kind = KINDS[output.codec]
        self._codec = output.codec
        self._track_index = track_index
        self._rate = float(output.frame_rate or source_rate or 25.0)
        self._follow_size = follow_size
        self._cheap = cheap
        self._shared_input = shared_input
        self._engines = engines
        self._name = name
        self._encoder: OpenEncoder | None = None
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
        """Make the next picture one. For any thread."""
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
        return self._frames(encoder.context, None) if encoder is not None else []

    def _slot(self, ticks: int) -> int:
        return (ticks * self._output.frame_rate * 2 + CLOCK_HZ) // (2 * CLOCK_HZ)

    def _slot_ticks(self, slot: int) -> int:
        return slot * CLOCK_HZ // self._output.frame_rate

    def _encode_at(self, picture: VideoFrame, ticks: int) -> list[Frame]:
        shape = (picture.width, picture.height, picture.format.name)
        if shape != self._shape:
            self._reshape(picture, shape)
        due = self._last_key_ticks is None or ticks - self._last_key_ticks >= self._key_interval_ticks
        wanted = PictureType.I if due or self._key_wanted else PictureType.NONE
        if wanted is PictureType.I:
            self._last_key_ticks, self._key_wanted = ticks, False
        self._last_ticks = ticks
        assert self._encoder is not None
        if self._encoder.hardware is None:
            return self._encode_fitted(self._encoder, picture, ticks, wanted)
        try:
            return self._encode_fitted(self._encoder, picture, ticks, wanted)
        except FFmpegError as error:
            self._engines.give_up_encoder(self._encoder.hardware, error)
        self._encoder = self._open()
        self._graph = self._make_graph(picture)
        self._last_key_ticks = ticks
        return self._encode_fitted(self._encoder, picture, ticks, PictureType.I)

    def _encode_fitted(self, encoder: OpenEncoder, picture: VideoFrame, ticks: int, wanted: PictureType) -> list[Frame]:
        fitted = self._fitted(picture)
        fitted.pts = ticks * self._kind.time_base_hz // CLOCK_HZ
        fitted.time_base = Fraction(1, self._kind.time_base_hz)
        fitted.pict_type = wanted
        self._times.append(ticks)
        return self._frames(encoder.context, fitted)

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
                self._last_key_ticks = None
                self._encoder = self._open()
        self._shape = shape
        self._graph = self._make_graph(picture)

    def _wanted_size(self, width: int, height: int) -> tuple[int, int]:
        wanted_width, wanted_height = self._output.size_of(width, height)
        largest = MAX_SIZE
        if self._codec is Codec.MJPEG:
            largest = MAX_RTP_SIDE
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
        assert self._encoder is not None
        pixel_format = self._encoder.pixel_format
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

    def _open(self) -> OpenEncoder:
        self._times.clear()
        width, height = self._size
        form = VideoForm(
            codec=self._codec,
            width=width,
            height=height,
            rate=self._rate,
            bit_rate_bps=self._output.bit_rate_bps,
            cheap=self._cheap,
        )
        return open_encoder(form, self._engines, self._name)
