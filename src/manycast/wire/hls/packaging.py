"""What is in segments: a transport stream, or fragments of MP4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from manycast.media.codec_string import codec_string
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.sample import picture_size
from manycast.media.track import Codec, MediaKind, Track
from manycast.wire.fmp4.fragment import Sample, serialize_fragment
from manycast.wire.fmp4.mux import Fmp4Muxer
from manycast.wire.mpegts.mux import TsMuxer
from manycast.wire.mpegts.packet import PAT_PID

# What every player of HLS knows.
CARRIED = frozenset({Codec.H264, Codec.H265, Codec.AAC, Codec.MP3, Codec.FLAC})

# What HLS has in fragments of MP4 only (HLS authoring specification), and what has no place in a transport stream.
_FRAGMENTED_ONLY = frozenset({Codec.H265, Codec.AV1, Codec.VP9, Codec.OPUS, Codec.FLAC})
_MP3 = "mp4a.40.34"
_NAMES = {"mp4a.69": _MP3, "mp4a.6B": _MP3, "flac": "fLaC"}  # what HLS calls otherwise


class Packaging(Protocol):
    """Frames in, the bytes of parts out. A frame is first packed, then added to the part under way."""

    suffix: str  # of files
    media_type: str
    left_out: Sequence[Track]

    @property
    def leading(self) -> int | None:
        """The track at whose frames it is cut: the picture's, or else the sound's; None where nothing is left."""

    @property
    def version(self) -> object:
        """Another one when decoders need new parameters."""

    @property
    def init_segment(self) -> bytes | None:
        """What decoders need first; None where it stands in every segment."""

    @property
    def codecs(self) -> tuple[str, ...]:
        """By RFC 6381; empty where one of them has no name."""

    @property
    def size(self) -> tuple[int, int] | None: ...

    def pack(self, frame: Frame) -> bool:
        """Take a frame; False when it is not carried, or nobody could decode it yet."""

    def cut(self) -> bytes:
        """What was added since the last cut; the frame packed last is not among it."""

    def add(self) -> None:
        """Let the frame packed last be part of what is cut next."""


class TsPackaging:
    suffix = "ts"
    media_type = "video/mp2t"
    init_segment = None

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._muxer = TsMuxer(tracks)
        self.left_out: Sequence[Track] = self._muxer.left_out
        self._tracks = {index: tracks[index] for index in self._muxer.carried}
        self.leading = _leading(tracks, self._muxer.carried)
        self.version: object = None if self.leading is None else self._tracks[self.leading]
        self._packed = b""
        self._parts: list[bytes] = []

    @property
    def codecs(self) -> tuple[str, ...]:
        names = [_MP3 if track.codec is Codec.MP3 else codec_string(track) for track in self._tracks.values()]
        return () if None in names else tuple(name for name in names if name is not None)

    @property
    def size(self) -> tuple[int, int] | None:
        return next((size for track in self._tracks.values() if (size := picture_size(track)) is not None), None)

    def pack(self, frame: Frame) -> bool:
        index = frame.track_index
        if index == self.leading and frame.keyframe:
            # On a copy of the list: the frame is not ours.
            again = Frame(
                track_index=index,
                dts_ticks=frame.dts_ticks,
                pts_ticks=frame.pts_ticks,
                keyframe=True,
                units=list(frame.units),
            )
            self.version = self._tracks[index] = normalise(again, self._tracks[index])
        self._packed = self._muxer.frame(frame)
        return bool(self._packed)

    def cut(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data

    def add(self) -> None:
        if not self._parts and (self._packed[1] & 0x1F, self._packed[2]) != (0, PAT_PID):
            self._parts.append(self._muxer.tables())  # every part begins with them: a player may begin there
        self._parts.append(self._packed)


class Fmp4Packaging:
    suffix = "m4s"
    media_type = "video/mp4"

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._muxer = Fmp4Muxer(tracks)
        self.left_out: Sequence[Track] = self._muxer.left_out
        self.leading = _leading(tracks, self._muxer.carried)
        self._packed: Sample | None = None
        self._samples: list[Sample] = []
        self._sequence = 0

    @property
    def version(self) -> object:
        return self._muxer.movie

    @property
    def init_segment(self) -> bytes | None:
        return None if self._muxer.movie is None else self._muxer.movie.init_segment

    @property
    def codecs(self) -> tuple[str, ...]:
        movie = self._muxer.movie
        return () if movie is None else tuple(_NAMES.get(name, name) for name in movie.codecs)

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self._muxer.movie is None else self._muxer.movie.size

    def pack(self, frame: Frame) -> bool:
        self._packed = self._muxer.sample(frame)
        return self._packed is not None and bool(self._packed.data) and self._muxer.movie is not None

    def cut(self) -> bytes:
        self._sequence += 1
        data = serialize_fragment(self._samples, self._sequence) if self._samples else b""
        self._samples = []
        return data

    def add(self) -> None:
        assert self._packed is not None
        self._samples.append(self._packed)


def packaging_for(tracks: Sequence[Track]) -> Packaging:
    """A transport stream where HLS has the codecs in it, else fragments of MP4."""
    transport_stream, fragments = TsPackaging(tracks), Fmp4Packaging(tracks)
    if len(fragments.left_out) < len(transport_stream.left_out):
        return fragments
    carried = [track for track in tracks if track not in fragments.left_out]
    return fragments if any(track.codec in _FRAGMENTED_ONLY for track in carried) else transport_stream


def _leading(tracks: Sequence[Track], carried: Sequence[int]) -> int | None:
    video = [index for index in carried if tracks[index].kind is MediaKind.VIDEO]
    return next(iter(video or carried), None)
