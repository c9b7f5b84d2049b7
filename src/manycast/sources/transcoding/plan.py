"""Which tracks differ from what is asked for, and in what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from manycast.hub.output import AudioOutput, Output, VideoOutput
from manycast.media.sample import frame_rate, picture_size
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Codec,
    FlacParameters,
    ForeignParameters,
    G726Parameters,
    JpegParameters,
    MediaKind,
    Track,
    XiphParameters,
)
from manycast.sources.encoding.sound_shape import settled, unlike_asked

Wanted = VideoOutput | AudioOutput | None

RATE_TOLERANCE = 0.01  # 29.97 is 30, to people

_ENCODED_VIDEO = frozenset({Codec.H264, Codec.H265, Codec.MPEG4, Codec.MJPEG})
_ENCODED_AUDIO = frozenset({Codec.AAC, Codec.G711A, Codec.G711U, Codec.G722, Codec.G726, Codec.OPUS})
_NOT_DECODED = frozenset({Codec.MPEG_TS, Codec.METADATA, Codec.UNKNOWN})


def needed(tracks: Sequence[Track], output: Output) -> list[Wanted]:
    """For each track what it is to become, with a codec; None where it passes as it is."""
    found: list[Wanted] = []
    for track in tracks:
        if track.codec in _NOT_DECODED:
            found.append(None)
        elif track.kind is MediaKind.VIDEO:
            found.append(_video(track, output.video))
        else:
            found.append(_audio(track, output.audio))
    return found


def compromises(tracks: Sequence[Track], wanted: Sequence[Wanted]) -> Iterator[str]:
    """What is to be said of codecs that cannot do what is asked."""
    for track, output in zip(tracks, wanted, strict=True):
        if isinstance(output, AudioOutput):
            said = unlike_asked(output, settled(output, *shape_of(track)))
            if said is not None:
                yield said


def described(track: Track, output: VideoOutput | AudioOutput) -> str:
    """A change, for the log: the codecs, and whatever else is asked for."""
    match output:
        case VideoOutput():
            asked = {"width": output.width, "height": output.height, "framerate": output.frame_rate}
        case AudioOutput():
            asked = {"samplerate": output.sample_rate_hz, "channels": output.channels}
    codec = track.codec if output.codec is None else output.codec
    said = [f"{name} {value}" for name, value in asked.items() if value]
    return f"{track.codec_name} to {codec.value}" + (f" ({', '.join(said)})" if said else "")


def shape_of(track: Track) -> tuple[int, int]:
    """Sample rate in Hz and channels; 0 where the track does not tell."""
    match track.parameters:
        case (
            AacParameters() | AudioParameters() | FlacParameters() | ForeignParameters() | XiphParameters()
        ) as parameters:
            return parameters.sample_rate_hz, parameters.channels
        case G726Parameters():
            return 8000, 1
        case _:
            return 0, 0


def _video(track: Track, output: VideoOutput) -> VideoOutput | None:
    odd_jpeg = isinstance(track.parameters, JpegParameters) and bool(track.parameters.fault)  # we encode no such
    differs = output.codec is not None and (output.codec is not track.codec or odd_jpeg)
    if output.width or output.height:
        size = picture_size(track)
        differs = differs or size is None or output.size_of(*size) != size
    if output.frame_rate:
        rate = frame_rate(track)
        differs = differs or rate is None or abs(rate / output.frame_rate - 1) > RATE_TOLERANCE
    if not differs:
        return None
    own = track.codec if track.codec in _ENCODED_VIDEO else Codec.H264
    return replace(output, codec=output.codec or own)


def _audio(track: Track, output: AudioOutput) -> AudioOutput | None:
    rate_hz, channels = shape_of(track)
    codec = output.codec or track.codec
    differs = codec is not track.codec
    # Of these the codec itself knows only one rate, whatever is asked for; Opus does not even tell.
    if codec not in (Codec.G722, Codec.G726):
        if output.sample_rate_hz and codec is not Codec.OPUS:
            differs = differs or output.sample_rate_hz != rate_hz
        differs = differs or bool(output.channels and output.channels != channels)
    if not differs:
        return None
    return replace(output, codec=codec if codec in _ENCODED_AUDIO else Codec.AAC)
