"""Frames as MP4 and FLV store them: parameter sets apart from the frames, NAL units behind their lengths, OBUs with
their sizes."""

from __future__ import annotations

from dataclasses import replace

from manycast.media import av1, h264, h265
from manycast.media.av1_format import Av1Format
from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.h264 import H264NalType
from manycast.media.h265 import H265NalType
from manycast.media.nal import join_length_prefixed
from manycast.media.track import (
    Av1Parameters,
    ForeignParameters,
    H264Parameters,
    H265Parameters,
    JpegParameters,
    Track,
)

_VideoParameters = H264Parameters | H265Parameters | Av1Parameters

_H264_SETS = (H264NalType.SPS, H264NalType.PPS)
_H265_SETS = (H265NalType.VPS, H265NalType.SPS, H265NalType.PPS)


class SampleWriter:
    """Turns the frames of one track into samples, and follows the parameters its keyframes bring."""

    __slots__ = ("track",)

    def __init__(self, track: Track) -> None:
        self.track = track  # what describes the latest sample

    def sample(self, frame: Frame) -> bytes:
        """A frame that has passed `normalise`, as one sample; `track` is a new one when its parameters have changed."""
        parameters = self.track.parameters
        if isinstance(parameters, H264Parameters):
            return join_length_prefixed(self._without_h264_sets(frame, parameters))
        if isinstance(parameters, H265Parameters):
            return join_length_prefixed(self._without_h265_sets(frame, parameters))
        if isinstance(parameters, Av1Parameters):
            if frame.keyframe:
                self._follow(parameters, Av1Parameters(sequence_header=av1.sequence_header_of(frame.units)))
            return av1.with_size_fields(frame.units)
        return frame.units[0] if len(frame.units) == 1 else b"".join(frame.units)

    def _without_h264_sets(self, frame: Frame, known: H264Parameters) -> list[bytes]:
        if not frame.keyframe:
            return frame.units
        sets = [unit for unit in frame.units if unit[0] & 0x1F in _H264_SETS]
        parameters = H264Parameters(
            sps=tuple(unit for unit in sets if unit[0] & 0x1F == H264NalType.SPS),
            pps=tuple(unit for unit in sets if unit[0] & 0x1F == H264NalType.PPS),
        )
        self._follow(known, parameters)
        return [unit for unit in frame.units if unit[0] & 0x1F not in _H264_SETS]

    def _without_h265_sets(self, frame: Frame, known: H265Parameters) -> list[bytes]:
        if not frame.keyframe:
            return frame.units
        sets = [unit for unit in frame.units if unit[0] >> 1 & 0x3F in _H265_SETS]
        parameters = H265Parameters(
            vps=tuple(unit for unit in sets if unit[0] >> 1 & 0x3F == H265NalType.VPS),
            sps=tuple(unit for unit in sets if unit[0] >> 1 & 0x3F == H265NalType.SPS),
            pps=tuple(unit for unit in sets if unit[0] >> 1 & 0x3F == H265NalType.PPS),
        )
        self._follow(known, parameters)
        return [unit for unit in frame.units if unit[0] >> 1 & 0x3F not in _H265_SETS]

    def _follow(self, known: _VideoParameters, parameters: _VideoParameters) -> None:
        if parameters.complete and parameters != known:
            self.track = replace(self.track, parameters=parameters)


def picture_size(track: Track) -> tuple[int, int] | None:
    """Width and height in pixels; None where the track does not tell."""
    try:
        match track.parameters:
            case H264Parameters(sps=(first, *_)):
                form: h264.H264Sps | h265.H265Sps | Av1Format = h264.H264Sps.parse(first)
            case H265Parameters(sps=(first, *_)):
                form = h265.H265Sps.parse(first)
            case Av1Parameters(sequence_header=header):
                form = Av1Format.parse(header)
            case JpegParameters(width=width, height=height) | ForeignParameters(width=width, height=height) if width:
                return width, height
            case _:
                return None
    except MalformedBitstream:
        return None
    return form.width, form.height


def frame_rate(track: Track) -> float | None:
    """Pictures a second, by the track's parameters; None where they do not tell."""
    try:
        match track.parameters:
            case H264Parameters(sps=(first, *_)):
                rate = h264.H264Sps.parse(first).frame_rate
            case H265Parameters(sps=(first, *_)):
                rate = h265.H265Sps.parse(first).frame_rate
            case _:
                return None
    except MalformedBitstream:
        return None
    return float(rate) if rate else None
