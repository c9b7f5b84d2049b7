"""Decoding timestamps for frames that come with presentation timestamps only."""

from __future__ import annotations

from bisect import bisect_right

from manycast.media import mpeg4
from manycast.media.bits import MalformedBitstream
from manycast.media.h264 import H264Sps
from manycast.media.h265 import H265Sps
from manycast.media.track import Codec, H264Parameters, H265Parameters, Mpeg4Parameters, Track

MAX_REORDER_DEPTH = 16  # frames a decoder can hold back (ITU-T H.264 section A.3.1, H.265 section A.4.2)
MAX_JUMP_S = 10.0  # more is a sender that started anew: 16 frames reordered at 2 frames/s make 8 s
_DEFAULT_FRAME_RATE = 30


class DtsEstimator:
    """Derives strictly increasing dts from the pts of frames in decoding order, without holding a frame back.

    With N frames at most before a frame in decoding order and after it in presentation order, frame i (from
    0) is decoded at the (i-N)-th smallest pts of all: pts are dts shuffled, and N frames late. Of the
    frames so far that is the pts with N greater ones. The first N frames have no such pts; theirs are set
    before the first pts.

    N starts from what the stream says and grows when a frame comes with a pts that more than N others have
    passed. That frame, and perhaps the next few, get a dts above their pts, since dts were given out already
    and must increase. When pts jump by more than MAX_JUMP_S, dts follow them, also backwards.
    """

    __slots__ = ("_frame_ticks", "_last_dts", "_max_jump_ticks", "_recent", "reorder_depth")

    def __init__(self, reorder_depth: int = 0, *, clock_rate_hz: int = 90_000, frame_ticks: int | None = None) -> None:
        """`reorder_depth` is N; `frame_ticks` the usual distance of frames, for the first N dts."""
        self.reorder_depth = min(reorder_depth, MAX_REORDER_DEPTH)
        self._frame_ticks = frame_ticks or max(1, clock_rate_hz // _DEFAULT_FRAME_RATE)
        self._max_jump_ticks = int(MAX_JUMP_S * clock_rate_hz)
        self._recent: list[int] = []  # the greatest pts so far, ascending
        self._last_dts: int | None = None

    @classmethod
    def for_track(cls, track: Track) -> DtsEstimator:
        """An estimator that starts from what the track's SPS say, or from no reordering.

        MPEG-1, MPEG-2 and MPEG-4 hold one picture back, for the B pictures shown before it. Of the first two it
        cannot be told whether they do: they are taken to, and if not, dts are one picture early.
        """
        depth, frame_ticks = _reorder_depth(track), None
        for sps in _sequence_parameter_sets(track):
            depth = max(depth, sps.max_num_reorder_frames or 0)
            if sps.frame_rate:
                frame_ticks = int(track.clock_rate_hz / sps.frame_rate)
        return cls(depth, clock_rate_hz=track.clock_rate_hz, frame_ticks=frame_ticks)

    def push(self, pts_ticks: int) -> int:
        """Return the dts of the next frame in decoding order."""
        recent = self._recent
        if recent and abs(pts_ticks - recent[-1]) > self._max_jump_ticks:
            recent.clear()
            self._last_dts = None
        if not recent or pts_ticks >= recent[-1]:
            recent.append(pts_ticks)
        else:
            index = bisect_right(recent, pts_ticks)
            passed_by = len(recent) - index
            recent.insert(index, pts_ticks)
            if passed_by > self.reorder_depth:
                self.reorder_depth = min(passed_by, MAX_REORDER_DEPTH)
        if len(recent) > MAX_REORDER_DEPTH + 1:
            del recent[0]
        missing = self.reorder_depth + 1 - len(recent)
        dts = recent[-1 - self.reorder_depth] if missing <= 0 else recent[0] - missing * self._frame_ticks
        if self._last_dts is not None and dts <= self._last_dts:
            dts = self._last_dts + 1
        self._last_dts = dts
        return dts


def _reorder_depth(track: Track) -> int:
    """Of codecs other than H.264 and H.265."""
    if isinstance(track.parameters, Mpeg4Parameters):
        return int(mpeg4.has_b_vops(track.parameters.config))
    return int(track.codec is Codec.MPEG_VIDEO)


def _sequence_parameter_sets(track: Track) -> list[H264Sps | H265Sps]:
    found: list[H264Sps | H265Sps] = []
    try:
        match track.parameters:
            case H264Parameters(sps=units):
                found += map(H264Sps.parse, units)
            case H265Parameters(sps=units):
                found += map(H265Sps.parse, units)
    except MalformedBitstream:
        pass
    return found
