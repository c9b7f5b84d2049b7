"""FLV messages to frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from manycast.media import h264, h265
from manycast.media.aac import AudioSpecificConfig, parameters_from_config
from manycast.media.ac3 import FRAME_SAMPLES as AC3_FRAME_SAMPLES
from manycast.media.ac3 import Ac3Header
from manycast.media.av1 import split_obus
from manycast.media.bits import MalformedBitstream
from manycast.media.clock import Unwrapper
from manycast.media.configuration import parse_av1c
from manycast.media.flac import frame_samples as flac_frame_samples
from manycast.media.flac import parameters_from_config as flac_parameters
from manycast.media.flac import split_frames as split_flac
from manycast.media.frame import Frame
from manycast.media.mpeg_audio import MpegAudioHeader
from manycast.media.nal import split_length_prefixed
from manycast.media.opus import SAMPLE_RATE_HZ as OPUS_RATE_HZ
from manycast.media.opus import packet_samples
from manycast.media.sample_clock import SampleClock
from manycast.media.track import (
    AudioParameters,
    Codec,
    CodecParameters,
    H264Parameters,
    H265Parameters,
    MediaKind,
    PlainParameters,
    Track,
)
from manycast.wire import amf
from manycast.wire.flv.message import (
    AC_3,
    AV01,
    AVC1,
    EX_HEADER,
    FLAC,
    HVC1,
    MP3,
    MP4A,
    OPUS,
    VP09,
    AacPacketType,
    AudioPacketType,
    AvcPacketType,
    FlvMessage,
    MalformedFlv,
    MessageType,
    NotCarried,
    SoundFormat,
    VideoCodecId,
    VideoFrameType,
    VideoPacketType,
)

VIDEO, AUDIO = 0, 1  # indices of tracks
VIDEO_CLOCK_HZ = 90_000
MAX_METADATA_BYTES = 64 * 1024

_SOUND_RATES_HZ = (5_512, 11_025, 22_050, 44_100)
_OPUS_HEAD_BYTES = 19
_ONE_TRACK = 0  # AvMultitrackType

_FOURCCS = {AVC1: Codec.H264, HVC1: Codec.H265, AV01: Codec.AV1, VP09: Codec.VP9}

Unpack = Callable[[bytes], list[bytes]]


class FlvDemuxer:
    """The messages of one sender, in order. Frames have the index 0 for picture and 1 for sound.

    A track is known from its decoder's configuration, or where its codec has none, from its first frame.
    """

    def __init__(self) -> None:
        self.video: Track | None = None
        self.audio: Track | None = None
        self.metadata: dict[str, amf.Value] = {}  # what onMetaData said, as it came
        self._clock = Unwrapper(32)
        self._unpack: Unpack = split_length_prefixed
        self._samples: SampleClock | None = None
        self._frame_samples = 0  # of AAC

    @property
    def expected(self) -> frozenset[MediaKind]:
        """What kinds the sender says it has; empty when it has not said so."""
        said = {MediaKind.VIDEO: ("videocodecid", "width"), MediaKind.AUDIO: ("audiocodecid", "audiosamplerate")}
        return frozenset(kind for kind, names in said.items() if any(self.metadata.get(name) for name in names))

    @property
    def tracks(self) -> dict[int, Track | None]:
        """By index; None for one that has not come."""
        return {VIDEO: self.video, AUDIO: self.audio}

    @property
    def awaited(self) -> frozenset[int]:
        """The indices of the tracks to wait for: those that the sender says it has, or both."""
        indices = {MediaKind.VIDEO: VIDEO, MediaKind.AUDIO: AUDIO}
        return frozenset(indices[kind] for kind in self.expected or indices)

    def push(self, message: FlvMessage) -> list[Frame]:
        """The frames of a message, none or one. Raises MalformedFlv; the next message can be read all the same."""
        if not message.body:
            return []
        try:
            if message.kind is MessageType.VIDEO:
                return self._video(message)
            if message.kind is MessageType.AUDIO:
                return self._audio(message)
            self._data(message)
        except (MalformedBitstream, amf.MalformedAmf) as error:
            raise MalformedFlv(f"{message.kind.name.lower()} message: {error}") from error
        return []

    def _data(self, message: FlvMessage) -> None:
        if len(message.body) > MAX_METADATA_BYTES:
            raise MalformedFlv(f"data message of {len(message.body)} bytes, at most {MAX_METADATA_BYTES}")
        values = amf.decode(message.body[message.kind is MessageType.DATA_AMF3 :])
        if values[:1] == ["@setDataFrame"]:
            del values[0]
        if len(values) > 1 and values[0] == "onMetaData" and isinstance(values[1], dict):
            self.metadata = values[1]

    # Pictures

    def _video(self, message: FlvMessage) -> list[Frame]:
        body = message.body
        frame_type = body[0] >> 4 & 7
        if frame_type == VideoFrameType.COMMAND:
            return []
        if body[0] & EX_HEADER:
            return self._ex_video(message, body[0] & 0x0F, frame_type == VideoFrameType.KEY)
        codec_id = body[0] & 0x0F
        if codec_id not in (VideoCodecId.AVC, VideoCodecId.HEVC):
            raise NotCarried(f"video codec {codec_id}: only H.264 and H.265 can be taken from FLV and RTMP")
        if len(body) < 5:
            raise MalformedFlv(f"video message of {len(body)} bytes")
        codec = Codec.H264 if codec_id == VideoCodecId.AVC else Codec.H265
        if body[1] == AvcPacketType.SEQUENCE_HEADER:
            self._configure_video(codec, body[5:])
        elif body[1] == AvcPacketType.NALU:
            composition_ms = int.from_bytes(body[2:5], signed=True)
            return self._picture(message, body[5:], composition_ms, frame_type == VideoFrameType.KEY)
        return []

    def _ex_video(self, message: FlvMessage, packet_type: int, keyframe: bool) -> list[Frame]:
        body, position = message.body, 1
        while packet_type == VideoPacketType.MOD_EX:
            packet_type, position = _skip_mod_ex(body, position)
        one_of_many = packet_type == VideoPacketType.MULTITRACK
        if one_of_many:
            packet_type, position = _first_track(body, position, "video")
        if packet_type == VideoPacketType.METADATA:
            return []
        fourcc, position = body[position : position + 4], position + 4 + one_of_many
        codec = _FOURCCS.get(fourcc)
        if codec is None:
            raise NotCarried(f"video codec {fourcc!r}: only H.264, H.265, AV1 and VP9 can be taken from FLV and RTMP")
        if packet_type == VideoPacketType.SEQUENCE_START:
            self._configure_video(codec, body[position:])
        elif packet_type == VideoPacketType.CODED_FRAMES and codec in (Codec.AV1, Codec.VP9):
            return self._picture(message, body[position:], 0, keyframe)
        elif packet_type == VideoPacketType.CODED_FRAMES:
            composition_ms = int.from_bytes(body[position : position + 3], signed=True)
            return self._picture(message, body[position + 3 :], composition_ms, keyframe)
        elif packet_type == VideoPacketType.CODED_FRAMES_X:
            return self._picture(message, body[position:], 0, keyframe)
        return []

    def _configure_video(self, codec: Codec, record: bytes) -> None:
        parameters: CodecParameters
        if codec is Codec.AV1:
            parameters, self._unpack = parse_av1c(record), split_obus
        elif codec is Codec.VP9:
            parameters, self._unpack = PlainParameters(), _whole
        else:
            parse = h264.parse_avcc if codec is Codec.H264 else h265.parse_hvcc
            parameters, length_size = parse(record)
            self._unpack = partial(split_length_prefixed, length_size=length_size)
        self.video = Track(codec=codec, clock_rate_hz=VIDEO_CLOCK_HZ, parameters=parameters)

    def _picture(self, message: FlvMessage, data: bytes, composition_ms: int, keyframe: bool) -> list[Frame]:
        if self.video is None:
            return []  # nothing can be made of it yet
        units = self._unpack(data)
        parameters = self.video.parameters
        if keyframe and isinstance(parameters, H264Parameters):
            units = [*parameters.sps, *parameters.pps, *units]
        elif keyframe and isinstance(parameters, H265Parameters):
            units = [*parameters.vps, *parameters.sps, *parameters.pps, *units]
        dts = self._clock.unwrap(message.timestamp_ms) * 90
        return [
            Frame(track_index=0, dts_ticks=dts, pts_ticks=dts + composition_ms * 90, keyframe=keyframe, units=units)
        ]

    # Sound

    def _audio(self, message: FlvMessage) -> list[Frame]:
        body = message.body
        sound_format = body[0] >> 4
        if sound_format == SoundFormat.EX_HEADER:
            return self._ex_audio(message, body[0] & 0x0F)
        if sound_format == SoundFormat.AAC:
            if len(body) < 2:
                raise MalformedFlv("AAC message of 1 byte")
            if body[1] == AacPacketType.SEQUENCE_HEADER:
                self._configure_aac(body[2:])
                return []
            return self._sound(message, body[2:], self._frame_samples)
        if sound_format in (SoundFormat.MP3, SoundFormat.MP3_8K):
            return self._mp3(message, body[1:])
        if sound_format in (SoundFormat.G711A, SoundFormat.G711U):
            codec = Codec.G711A if sound_format == SoundFormat.G711A else Codec.G711U
            channels = 1 + (body[0] & 1)
            if self.audio is None or self.audio.codec is not codec:
                self._set_audio(codec, 8_000, channels)  # whatever the rate bits say (FLV E.4.2.1)
            return self._sound(message, body[1:], (len(body) - 1) // channels)
        raise NotCarried(f"sound format {sound_format}, wanted AAC, MP3, G.711, or one of Enhanced RTMP")

    def _ex_audio(self, message: FlvMessage, packet_type: int) -> list[Frame]:
        body, position = message.body, 1
        while packet_type == AudioPacketType.MOD_EX:
            packet_type, position = _skip_mod_ex(body, position)
        one_of_many = packet_type == AudioPacketType.MULTITRACK
        if one_of_many:
            packet_type, position = _first_track(body, position, "audio")
        fourcc, data = body[position : position + 4], body[position + 4 + one_of_many :]
        starts, carries = packet_type == AudioPacketType.SEQUENCE_START, packet_type == AudioPacketType.CODED_FRAMES
        if fourcc == MP4A and starts:
            self._configure_aac(data)
        elif fourcc == OPUS and starts:
            if len(data) < _OPUS_HEAD_BYTES or not data.startswith(b"OpusHead"):
                raise MalformedFlv("Opus without its identification header")
            self._set_audio(Codec.OPUS, OPUS_RATE_HZ, data[9])
        elif fourcc == MP4A and carries:
            return self._sound(message, data, self._frame_samples)
        elif fourcc == OPUS and carries:
            if self.audio is None:
                self._set_audio(Codec.OPUS, OPUS_RATE_HZ, 2)
            return self._sound(message, data, packet_samples(data))
        elif fourcc == MP3 and carries:
            return self._mp3(message, data)
        elif fourcc == AC_3 and carries:
            header = Ac3Header.parse(data)
            if self.audio is None:
                self._set_audio(Codec.AC3, header.sample_rate_hz, header.channels)
            return self._sound(message, data, AC3_FRAME_SAMPLES)
        elif fourcc == FLAC and starts:
            self._configure_flac(data)
        elif fourcc == FLAC and carries:
            return self._flac(message, data)
        elif fourcc not in (MP4A, OPUS, MP3, AC_3, FLAC):
            raise NotCarried(f"audio codec {fourcc!r}: only AAC, Opus, MP3, AC-3, FLAC and G.711 can be taken")
        return []

    def _configure_aac(self, config: bytes) -> None:
        parameters = parameters_from_config(config)
        if self.audio is not None and self.audio.parameters == parameters:
            return
        parsed = AudioSpecificConfig.parse(config)
        self._frame_samples = parsed.core_frame_samples * parameters.sample_rate_hz // parsed.core_rate_hz
        self._samples = SampleClock(parameters.sample_rate_hz, parameters.sample_rate_hz)
        self.audio = Track(codec=Codec.AAC, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)

    def _configure_flac(self, config: bytes) -> None:
        """FFmpeg sends STREAMINFO without the marker and the block header that belong in front of it."""
        parameters = flac_parameters(config)
        if self.audio is None or self.audio.parameters != parameters:
            self._samples = SampleClock(parameters.sample_rate_hz, parameters.sample_rate_hz)
            self.audio = Track(codec=Codec.FLAC, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)

    def _flac(self, message: FlvMessage, data: bytes) -> list[Frame]:
        """One frame or more, one behind the other (Enhanced RTMP version 2, "FlacCodedData")."""
        frames: list[Frame] = []
        samples = 0  # of those before
        for unit in split_flac(data) if data else ():
            frames += self._sound(message, unit, length := flac_frame_samples(unit), after=samples)
            samples += length
        return frames

    def _mp3(self, message: FlvMessage, data: bytes) -> list[Frame]:
        if not data:
            return []
        header = MpegAudioHeader.parse(data)
        if self.audio is None or self.audio.codec is not Codec.MP3:
            self._set_audio(Codec.MP3, header.sample_rate_hz, header.channels, clock_rate_hz=90_000)
        return self._sound(message, data, header.frame_samples)

    def _set_audio(self, codec: Codec, sample_rate_hz: int, channels: int, *, clock_rate_hz: int | None = None) -> None:
        parameters = AudioParameters(sample_rate_hz=sample_rate_hz, channels=channels)
        clock_rate_hz = clock_rate_hz or sample_rate_hz
        self._samples = SampleClock(sample_rate_hz, clock_rate_hz)
        self.audio = Track(codec=codec, clock_rate_hz=clock_rate_hz, parameters=parameters)

    def _sound(self, message: FlvMessage, data: bytes, samples: int, *, after: int = 0) -> list[Frame]:
        """A frame of so many samples; as many as `after` come before it in the same message."""
        if self.audio is None or self._samples is None or not data:
            return []
        about = self._clock.unwrap(message.timestamp_ms) * self.audio.clock_rate_hz // 1000 + after
        ticks = self._samples.time(about, samples)
        return [Frame(track_index=1, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[data])]


def _whole(data: bytes) -> list[bytes]:
    return [data]


def _first_track(body: bytes, position: int, kind: str) -> tuple[int, int]:
    """Of a message of one among several tracks ("Multitrack", Enhanced RTMP version 2), the packet type, and where its
    fourCC stands, with the track's number behind it. Raises NotCarried for all tracks but the first."""
    if position + 6 > len(body):
        raise MalformedFlv("a multitrack message that ends within its head")
    if body[position] >> 4 != _ONE_TRACK:
        raise NotCarried(f"several {kind} tracks in one message: only messages of one can be taken")
    if body[position + 5] != 0:
        raise NotCarried(f"more than one {kind} track: only the first is taken")
    return body[position] & 0x0F, position + 1


def _skip_mod_ex(body: bytes, position: int) -> tuple[int, int]:
    """Pass over one modifier ("ModEx", Enhanced RTMP version 2): the packet type behind it, and where it goes on."""
    size = body[position] + 1 if position < len(body) else 0
    position += 1
    if size == 256:
        size = int.from_bytes(body[position : position + 2]) + 1
        position += 2
    position += size
    if position >= len(body):
        raise MalformedFlv("a modifier that reaches past the end of the message")
    return body[position] & 0x0F, position + 1
