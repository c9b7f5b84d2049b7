"""One viewer's part in one stream, in the form asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from manycast.hub.flv_packager import FlvPackager, OldHevcFlvPackager, TagLayout
from manycast.hub.fmp4_packager import Fmp4Layout, Fmp4Packager
from manycast.hub.rtp_packager import Framing
from manycast.hub.stream import Stream, StreamEnded
from manycast.hub.tcp_viewer import TcpOutbox, TcpViewer
from manycast.media.track import Track
from manycast.wire.flv.file import CONTENT_TYPE as FLV_TYPE
from manycast.wire.flv.file import file_header
from manycast.wire.http import HttpError

MP4_TYPE = "video/mp4"


class Play(Protocol):
    content_type: str
    viewer: TcpViewer

    def begin(self, preamble: bytes) -> None:
        """Send `preamble`, what stands before all frames, and the frames from the latest keyframe on."""

    def close(self) -> None: ...


class FlvPlay:
    content_type = FLV_TYPE

    def __init__(
        self,
        stream: Stream,
        outbox: TcpOutbox,
        framing: Framing | None,
        on_end: Callable[[str], None],
        *,
        old_hevc: bool,
    ) -> None:
        """`framing` wraps each piece. Raises HttpError when there is nothing to play."""
        self._stream = stream
        self._framing = framing
        packager = _watch(stream, self, OldHevcFlvPackager if old_hevc else FlvPackager, on_end)
        muxer = packager.muxer
        if not muxer.usable:
            stream.unwatch(self)
            raise _nothing_for(stream.tracks, "FLV")
        self._header = file_header(has_audio=muxer.has_audio, has_video=muxer.has_video)
        self.viewer = TcpViewer(outbox, packager.limit)
        self._join = partial(packager.join, self.viewer, TagLayout(framing))
        self._leave = partial(packager.leave, self.viewer, TagLayout(framing))

    def begin(self, preamble: bytes) -> None:
        self._join(preamble=preamble + (self._header if self._framing is None else self._framing(self._header)))

    def close(self) -> None:
        self._leave()
        self._stream.unwatch(self)


class Mp4Play:
    content_type = MP4_TYPE

    def __init__(self, stream: Stream, outbox: TcpOutbox, layout: Fmp4Layout, on_end: Callable[[str], None]) -> None:
        """Raises HttpError when there is nothing to play."""
        self._stream = stream
        packager = _watch(stream, self, Fmp4Packager, on_end)
        if not packager.muxer.usable:
            stream.unwatch(self)
            raise _nothing_for(stream.tracks, "MP4 for browsers")
        self.viewer = TcpViewer(outbox, packager.limit)
        self._join = partial(packager.join, self.viewer, layout)
        self._leave = partial(packager.leave, self.viewer, layout)

    def begin(self, preamble: bytes) -> None:
        self._join(preamble=preamble)

    def close(self) -> None:
        self._leave()
        self._stream.unwatch(self)


PackagerT = TypeVar("PackagerT", FlvPackager, Fmp4Packager)


def _watch(stream: Stream, watcher: object, packager: type[PackagerT], on_end: Callable[[str], None]) -> PackagerT:
    try:
        return stream.watch(watcher, packager, on_end)
    except StreamEnded as error:
        raise HttpError(404, f"{stream.path} has just ended: {error}") from error


def _nothing_for(tracks: Sequence[Track], form: str) -> HttpError:
    names = ", ".join(track.codec_name for track in tracks)
    return HttpError(406, f"{form} cannot carry {names}, and there is nothing else in the stream")
