"""Decodes frames of any codec. Imports PyAV: import it late, best in the thread that decodes."""

from __future__ import annotations

import heapq
import io
import logging
from collections.abc import Mapping
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import Flags, ThreadType
from av.codec.hwaccel import HWAccel
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from manycast.decoder_packet import decoder_packet
from manycast.media.av1 import with_size_fields
from manycast.media.clock import rescale
from manycast.media.frame import Frame
from manycast.media.nal import join_annex_b
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Codec,
    FlacParameters,
    ForeignParameters,
    G726Parameters,
    Track,
    XiphParameters,
)
from manycast.media.xiph import empty_comment
from manycast.sources.encoding.engines import SOFTWARE, Engines, HardwareCodec

THREADS = 2
MAX_REORDERED = 16  # pictures; as many as any decoder holds back

_VIDEO: Mapping[Codec, str] = {
    Codec.H264: "h264",
    Codec.H265: "hevc",
    Codec.MPEG4: "mpeg4",
    Codec.MJPEG: "mjpeg",
    Codec.MPEG_VIDEO: "mpeg2video",
    Codec.VP8: "vp8",
    Codec.VP9: "vp9",
    Codec.AV1: "libdav1d",
    Codec.THEORA: "theora",
}
_AUDIO: Mapping[Codec, str] = {
    Codec.AAC: "aac",
    Codec.G711A: "pcm_alaw",
    Codec.G711U: "pcm_mulaw",
    Codec.G722: "g722",
    Codec.G726: "g726le",
    Codec.OPUS: "libopus",
    Codec.MP3: "mp3float",
    Codec.AC3: "ac3",
    Codec.FLAC: "flac",
    Codec.L16: "pcm_s16be",
    Codec.AMR: "amrnb",
    Codec.AMR_WB: "amrwb",
    Codec.VORBIS: "vorbis",
}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}

log = logging.getLogger(__name__)


class _Faults:
    """Says once that something is broken, counts the rest."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.count = 0

    def add(self, error: Exception) -> None:
        self.count += 1
        if self.count == 1:
            log.warning("%s: cannot be decoded in places: %s", self._name, error)
        else:
            log.debug("%s: %s (%d times)", self._name, error, self.count)


class VideoDecoder:
    """Frames of one track in, pictures out. Used by one thread.

    After a fault, what comes is left out up to the next keyframe.
    """

    def __init__(self, track: Track, name: str, engines: Engines = SOFTWARE) -> None:
        self._track = track
        self._engines = engines
        self._hardware: HardwareCodec | None = None
        self._faults = _Faults(name)
        self._time_base = Fraction(1, track.clock_rate_hz)
        self.lacks_keyframe = True
        self._times: list[int] | None = [] if _is_reordered(track) else None
        self._decoder = self._open()

    @property
    def faults(self) -> int:
        return self._faults.count

    def decode(self, frame: Frame) -> list[tuple[VideoFrame, int]]:
        """The pictures that are ready, with their times in ticks of the track's clock."""
        if self.lacks_keyframe and not frame.keyframe:
            return []
        packet = decoder_packet(self._data(frame))
        packet.pts, packet.dts, packet.time_base = frame.pts_ticks, frame.dts_ticks, self._time_base
        try:
            pictures = self._decoder.decode(packet)
        except FFmpegError as error:
            if self._hardware is not None and self.lacks_keyframe:
                self._engines.give_up_decoder(self._hardware, error)
                self._restart()
                return self.decode(frame)
            self._faults.add(error)
            self._restart()
            return []
        self.lacks_keyframe = False
        if self._times is not None:
            heapq.heappush(self._times, frame.pts_ticks)
            if len(self._times) > MAX_REORDERED:
                heapq.heappop(self._times)
        return self._timed(pictures)

    def finish(self) -> list[tuple[VideoFrame, int]]:
        """What is still inside; no more frames may come."""
        try:
            return self._timed(self._decoder.decode(None))
        except FFmpegError:
            return []

    def _timed(self, pictures: list[VideoFrame]) -> list[tuple[VideoFrame, int]]:
        times = [heapq.heappop(self._times) if self._times else picture.pts for picture in pictures]
        return [
            (picture, time)
            for picture, time in zip(pictures, times, strict=True)
            if time is not None and not picture.is_corrupt
        ]

    def _data(self, frame: Frame) -> bytes:
        if self._track.codec in (Codec.H264, Codec.H265):
            return join_annex_b(frame.units)
        if self._track.codec is Codec.AV1:
            return with_size_fields(frame.units)
        return frame.units[0] if len(frame.units) == 1 else b"".join(frame.units)

    def _restart(self) -> None:
        self.lacks_keyframe = True
        if self._times is not None:
            self._times.clear()
        if self._track.codec is Codec.FOREIGN:
            self._decoder.flush_buffers()
        else:
            self._decoder = self._open()

    def _open(self) -> VideoCodecContext:
        for hardware in self._engines.decoders(self._track.codec):
            try:
                decoder = self._opened(hardware.name, hardware.device)
            except (FFmpegError, ValueError, NotImplementedError) as error:  # ValueError: the build does not have it
                self._engines.give_up_decoder(hardware, error)
                continue
            if hardware.device is None or decoder.is_hwaccel:
                self._hardware = hardware
                return decoder
            self._engines.give_up_decoder(hardware, NotImplementedError("this build of FFmpeg does not have it"))
        self._hardware = None
        if isinstance(self._track.parameters, ForeignParameters):
            foreign = self._track.parameters.open_decoder()
            assert isinstance(foreign, VideoCodecContext)
            foreign.thread_type = ThreadType.SLICE
            foreign.thread_count = THREADS
            return foreign
        return self._opened(_VIDEO[self._track.codec], None)

    def _opened(self, name: str, device: str | None) -> VideoCodecContext:
        decoder = av.CodecContext.create(name, "r", hwaccel=None if device is None else HWAccel(device))
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_type = ThreadType.SLICE  # threads for whole pictures would each hold one back
        decoder.thread_count = THREADS
        if self._track.codec is Codec.AV1:
            decoder.flags |= Flags.low_delay  # else dav1d holds pictures back
        if isinstance(self._track.parameters, XiphParameters):
            decoder.extradata = _xiph_headers(self._track.codec, self._track.parameters)
        decoder.open()
        return decoder


class AudioDecoder:
    """Frames of one track in, sound out. Used by one thread."""

    def __init__(self, track: Track, name: str) -> None:
        self._track = track
        self._faults = _Faults(name)
        self._decoder = _open_audio(track)

    @property
    def faults(self) -> int:
        return self._faults.count

    def decode(self, frame: Frame) -> list[tuple[AudioFrame, int]]:
        """The sound of a frame in pieces, with when each begins, counted in samples of its rate."""
        found: list[tuple[AudioFrame, int]] = []
        samples = 0
        try:
            for unit in self._units(frame):
                for sound in self._decoder.decode(decoder_packet(unit)):
                    begin = rescale(frame.pts_ticks, self._track.clock_rate_hz, sound.sample_rate)
                    found.append((sound, begin + samples))
                    samples += sound.samples
        except FFmpegError as error:
            self._faults.add(error)
            if self._track.codec is Codec.FOREIGN:
                self._decoder.flush_buffers()
            else:
                self._decoder = _open_audio(self._track)
        return found

    def _units(self, frame: Frame) -> list[bytes]:
        whole = frame.units[0] if len(frame.units) == 1 else b"".join(frame.units)
        if self._track.codec in _STORED_SIZES:
            return _speech_frames(whole, _STORED_SIZES[self._track.codec])
        return [whole]


# Bytes behind the first one of a speech frame, by its type (RFC 4867 section 3.6, RFC 3267).
_STORED_SIZES: Mapping[Codec, tuple[int, ...]] = {
    Codec.AMR: (12, 13, 15, 17, 19, 20, 26, 31, 5),
    Codec.AMR_WB: (17, 23, 32, 36, 40, 46, 50, 58, 60, 5),
}


def _speech_frames(data: bytes, sizes: tuple[int, ...]) -> list[bytes]:
    found, position = [], 0
    while position < len(data):
        kind = data[position] >> 3 & 0x0F
        size = 1 + (sizes[kind] if kind < len(sizes) else 0)
        found.append(data[position : position + size])
        position += size
    return found


def _is_reordered(track: Track) -> bool:
    """Whether the times of pictures may be those of decoding only, as ASF and AVI have them."""
    return isinstance(track.parameters, ForeignParameters) and track.parameters.reordered


def _open_audio(track: Track) -> AudioCodecContext:
    parameters = track.parameters
    if isinstance(parameters, G726Parameters):
        return _open_g726(parameters.bit_rate)
    if isinstance(parameters, ForeignParameters):
        foreign = parameters.open_decoder()
        assert isinstance(foreign, AudioCodecContext)
        return foreign
    decoder = av.CodecContext.create(_AUDIO[track.codec], "r")
    assert isinstance(decoder, AudioCodecContext)
    match parameters:
        case AacParameters():
            decoder.extradata = parameters.config
        case FlacParameters():
            decoder.extradata = parameters.streaminfo
        case XiphParameters():
            decoder.extradata = _xiph_headers(track.codec, parameters)
        case AudioParameters() if parameters.complete:
            decoder.sample_rate = parameters.sample_rate_hz
            decoder.layout = _LAYOUTS[min(8, parameters.channels)]
    decoder.open()
    return decoder


def _open_g726(bit_rate: int) -> AudioCodecContext:
    """FFmpeg's decoder wants to know the bits of a sample, which only a container can tell it through PyAV."""
    bits = bit_rate // 8000
    with av.open(io.BytesIO(bytes(bits)), format="g726le", options={"code_size": str(bits)}) as container:
        return container.streams.audio[0].codec_context


def _xiph_headers(codec: Codec, parameters: XiphParameters) -> bytes:
    """The three headers, each behind its length in 16 bits, as FFmpeg takes them."""
    comment = parameters.comment or empty_comment(codec)
    headers = (parameters.identification, comment, parameters.setup)
    return b"".join(len(header).to_bytes(2) + header for header in headers)
