"""Streams of a file in codecs that no protocol here carries: they are kept to be converted. Imports PyAV."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from av.audio.codeccontext import AudioCodecContext
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext

from manycast.media.track import Codec, ForeignParameters, MediaKind, Track
from manycast.sources.files.demuxer import Demuxer
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.tracks import VIDEO_CLOCK_HZ, Carried, unpack_whole

MAX_RATE_HZ = 768_000  # beyond what any recording has
MAX_CHANNELS = 64


def describe_foreign(path: Path, stamp: FileStamp, stream: Stream) -> Carried | None:
    """A stream that can only be decoded; None where it says nothing that could be."""
    context = stream.codec_context
    if context is None:
        return None
    open_decoder = partial(_open_decoder, path, stamp, stream.index)
    codec = context.codec
    if isinstance(context, VideoCodecContext):
        clock_rate_hz = VIDEO_CLOCK_HZ
        parameters = ForeignParameters(
            kind=MediaKind.VIDEO,
            name=codec.canonical_name,
            open_decoder=open_decoder,
            width=context.width,
            height=context.height,
            intra_only=codec.intra_only,
            reordered=codec.reorder,
        )
    elif isinstance(context, AudioCodecContext):
        if not (0 < context.sample_rate <= MAX_RATE_HZ and 0 < context.channels <= MAX_CHANNELS):
            return None
        clock_rate_hz = context.sample_rate
        parameters = ForeignParameters(
            kind=MediaKind.AUDIO,
            name=codec.canonical_name,
            open_decoder=open_decoder,
            sample_rate_hz=context.sample_rate,
            channels=context.channels,
        )
    else:
        return None
    track = Track(codec=Codec.FOREIGN, clock_rate_hz=clock_rate_hz, parameters=parameters)
    return Carried(track=track, unpack=unpack_whole)


class TrialDecoder:
    """Shows whether a stream can be decoded. Not by the demuxer's own decoder, which would stay as long as that."""

    def __init__(self, carried: Carried) -> None:
        """Raises SourceError."""
        assert isinstance(carried.track.parameters, ForeignParameters)
        decoder = carried.track.parameters.open_decoder()
        assert isinstance(decoder, VideoCodecContext | AudioCodecContext)
        self._decoder = decoder

    def decodes(self, packet: Packet[Stream]) -> bool:
        """Whether a picture or sound comes of a packet and those before it."""
        try:
            return bool(self._decoder.decode(packet))
        except FFmpegError:
            return False


def _open_decoder(path: Path, stamp: FileStamp, stream_index: int) -> CodecContext:
    """A decoder that has been told all that the file says: some of that PyAV hands on in no other way.

    Raises SourceError.
    """
    demuxer = Demuxer(path, stamp)
    try:
        return demuxer.streams[stream_index].codec_context
    finally:
        demuxer.close()
