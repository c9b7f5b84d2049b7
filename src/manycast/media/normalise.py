"""Brings frames into the one form in which the hub carries them, whatever brought them in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from manycast.media import ac3, av1, h264, h265, jpeg, mpeg4, mpeg_audio, xiph
from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.h264 import H264NalType
from manycast.media.h265 import H265NalType
from manycast.media.track import (
    AudioParameters,
    Av1Parameters,
    Codec,
    H264Parameters,
    H265Parameters,
    JpegParameters,
    Mpeg4Parameters,
    Track,
)

_KEEP, _SET, _INTRA, _DROP = range(4)
_H264_ACTIONS = bytes(
    _DROP
    # Delimiters, ends and filler carry no picture; types 0 and from 24 on cannot be told from RTP's own
    # packets.
    if nal_unit_type in (0, 9, 10, 11, 12) or nal_unit_type >= 24
    else _SET
    if nal_unit_type in (H264NalType.SPS, H264NalType.PPS)
    else _INTRA
    if nal_unit_type in (H264NalType.IDR, H264NalType.SEI)
    else _KEEP
    for nal_unit_type in (first_byte & 0x1F for first_byte in range(256))
)
_H265_ACTIONS = bytes(
    _DROP
    if nal_unit_type in (35, 36, 37, 38, 48, 49, 50)
    else _SET
    if nal_unit_type in (H265NalType.VPS, H265NalType.SPS, H265NalType.PPS)
    else _INTRA
    if 16 <= nal_unit_type <= 23
    else _KEEP
    for nal_unit_type in (first_byte >> 1 & 0x3F for first_byte in range(256))
)
_AUDIO_HEADERS: dict[Codec, Callable[[bytes], AudioParameters]] = {
    Codec.MP3: mpeg_audio.parameters_of,
    Codec.AC3: ac3.parameters_of,
}


def normalise(frame: Frame, track: Track) -> Track:
    """Mend one frame in place; the caller owns it. Audio is left alone, but rate and channels are read from frames
    that tell them.

    - Units that carry no picture are dropped: delimiters, filler, ends of sequence and stream, empty ones.
      A frame of nothing else has no units then.
    - Parameter sets found in the frame go into the track's, each in the place of the one with its id.
      Broken ones are dropped. So do the configuration of MPEG-4, the sequence header of AV1, and the headers of
      Theora and Vorbis, which leave the frame. Of JPEG the track tells what its images are.
    - `frame.keyframe` says what the content says, and False while the parameter sets are not complete. Of codecs
      without them it stays as it is.
    - A keyframe gets all the track's parameter sets in front, VPS, SPS and PPS in this order; of MPEG-4 and AV1 it gets
      what it lacks.

    Returns: The track, or a new one when its parameter sets have changed.
    """
    codec = track.codec
    if codec is Codec.H264:
        actions, shortest = _H264_ACTIONS, 1
    elif codec is Codec.H265:
        actions, shortest = _H265_ACTIONS, 2
    elif (read_header := _AUDIO_HEADERS.get(codec)) is not None:
        return _with_header(frame, track, read_header)
    elif (mend := _OTHERS.get(codec)) is not None:
        return mend(frame, track)
    else:
        return track
    kept: list[bytes] | None = None  # made only when a unit goes
    seen = 0
    for index, unit in enumerate(frame.units):
        if len(unit) < shortest or (action := actions[unit[0]]) == _DROP:
            if kept is None:
                kept = frame.units[:index]
            continue
        seen |= 1 << action
        if kept is not None:
            kept.append(unit)
    if kept is not None:
        frame.units = kept
    if seen <= 1 << _KEEP:  # nearly every frame
        frame.keyframe = False
        return track
    if seen & 1 << _SET:
        track = _take_sets(frame, track, actions)
    parameters = track.parameters
    if isinstance(parameters, H264Parameters):
        frame.keyframe = parameters.complete and h264.is_keyframe(frame.units)
        sets = parameters.sps + parameters.pps
    else:
        assert isinstance(parameters, H265Parameters)
        frame.keyframe = parameters.complete and h265.is_keyframe(frame.units)
        sets = parameters.vps + parameters.sps + parameters.pps
    if frame.keyframe:
        pictures = [unit for unit in frame.units if actions[unit[0]] != _SET]
        frame.units = [*sets, *pictures]
    return track


def _with_header(frame: Frame, track: Track, read_header: Callable[[bytes], AudioParameters]) -> Track:
    try:
        parameters = read_header(frame.units[0]) if frame.units else track.parameters
    except MalformedBitstream:
        return track
    return track if parameters == track.parameters else replace(track, parameters=parameters)


def _take_sets(frame: Frame, track: Track, actions: bytes) -> Track:
    """Move the frame's parameter sets into the track's parameters; drop the broken ones from the frame."""
    parameters = track.parameters
    broken = []
    for unit in frame.units:
        if actions[unit[0]] == _SET:
            try:
                if isinstance(parameters, H264Parameters):
                    parameters = h264.with_parameter_set(parameters, unit)
                elif isinstance(parameters, H265Parameters):
                    parameters = h265.with_parameter_set(parameters, unit)
            except MalformedBitstream:
                broken.append(unit)
    if broken:
        frame.units = [unit for unit in frame.units if unit not in broken]
    return track if parameters == track.parameters else replace(track, parameters=parameters)


def _mend_mpeg4(frame: Frame, track: Track) -> Track:
    parameters = track.parameters
    assert isinstance(parameters, Mpeg4Parameters)
    picture = frame.units[0] if frame.units else b""
    picture_type = mpeg4.vop_type(picture)
    found = mpeg4.configuration_of(picture) if not picture.startswith(_VOP) else b""
    if found and found != parameters.config:
        parameters = Mpeg4Parameters(config=found)
        track = replace(track, parameters=parameters)
    frame.keyframe = picture_type is mpeg4.VopType.I and parameters.complete
    if picture_type is None:
        frame.units = []
    elif frame.keyframe and not found:
        frame.units = [parameters.config + picture]
    return track


def _mend_av1(frame: Frame, track: Track) -> Track:
    parameters = track.parameters
    assert isinstance(parameters, Av1Parameters)
    obus = [obu for obu in frame.units if obu and av1.obu_type(obu) not in av1.DROPPED]
    found = av1.sequence_header_of(obus)
    if found and found != parameters.sequence_header:
        parameters = Av1Parameters(sequence_header=found)
        track = replace(track, parameters=parameters)
    frame.keyframe = parameters.complete and av1.is_keyframe(obus, parameters.sequence_header)
    frame.units = [parameters.sequence_header, *obus] if frame.keyframe and not found else obus
    return track


def _see_jpeg(frame: Frame, track: Track) -> Track:
    known = track.parameters
    if not isinstance(known, JpegParameters) or not frame.units:
        return track
    try:
        found = jpeg.parameters_of(frame.units[0])
    except MalformedBitstream:
        return track
    if known.fault:
        found = replace(found, fault=known.fault)
    return track if found == known else replace(track, parameters=found)


def _mend_xiph(frame: Frame, track: Track) -> Track:
    parameters, frame.units = xiph.take_headers(track.codec, frame.units)
    if parameters is None or parameters == track.parameters:
        return track
    return replace(track, parameters=parameters)


_VOP = b"\0\0\1\xb6"
_OTHERS: dict[Codec, Callable[[Frame, Track], Track]] = {
    Codec.MPEG4: _mend_mpeg4,
    Codec.MJPEG: _see_jpeg,
    Codec.AV1: _mend_av1,
    Codec.THEORA: _mend_xiph,
    Codec.VORBIS: _mend_xiph,
}
