"""Frames to FLV messages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from manycast.media import h264, h265
from manycast.media.bits import MalformedBitstream
from manycast.media.configuration import serialize_av1c, serialize_vpcc
from manycast.media.flac import BLOCK_HEADER as FLAC_BLOCK_HEADER
from manycast.media.flac import MARKER as FLAC_MARKER
from manycast.media.frame import Frame
from manycast.media.sample import SampleWriter, frame_rate, picture_size
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Av1Parameters,
    Codec,
    FlacParameters,
    H264Parameters,
    H265Parameters,
    MediaKind,
    Track,
)
from manycast.media.vp9 import Vp9Format
from manycast.wire import amf
from manycast.wire.flv.message import (
    AC_3,
    AV01,
    EX_HEADER,
    FLAC,
    HVC1,
    OPUS,
    VP09,
    AacPacketType,
    AudioPacketType,
    AvcPacketType,
    FlvMessage,
    MessageType,
    SoundFormat,
    VideoCodecId,
    VideoFrameType,
    VideoPacketType,
)

ENCODER = "Manycast"

# What players of FLV and RTMP know without having said so, and what comes with Enhanced RTMP besides.
PLAIN_CODECS = frozenset({Codec.H264, Codec.H265, Codec.AAC, Codec.G711A, Codec.G711U, Codec.MP3})
_ENHANCED = {AV01: Codec.AV1, VP09: Codec.VP9, OPUS: Codec.OPUS, AC_3: Codec.AC3, FLAC: Codec.FLAC}
ENHANCED_CODECS = PLAIN_CODECS.union(_ENHANCED.values())


def known_codecs(fourccs: Collection[str]) -> frozenset[Codec]:
    """What a player can be sent who names these codecs in `connect`, or "*" for all (Enhanced RTMP)."""
    if "*" in fourccs:
        return ENHANCED_CODECS
    return PLAIN_CODECS.union(codec for fourcc, codec in _ENHANCED.items() if fourcc.decode() in fourccs)


# The whole message before the first frame, from a track and, where there is one, the keyframe it goes before; empty
# while it is not known.
Configuration = Callable[[Track, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Writing:
    """How the messages of one track are written.

    `key` and `inter` begin the messages of frames, up to the composition time or the payload.
    """

    key: bytes
    inter: bytes
    composition: bool  # a time of 3 bytes follows
    codec_id: float  # what onMetaData calls it
    configuration: Configuration | None = None  # None: the codec has none


def _avc_configuration(track: Track, _keyframe: bytes) -> bytes:
    assert isinstance(track.parameters, H264Parameters)
    head = bytes((VideoFrameType.KEY << 4 | VideoCodecId.AVC, AvcPacketType.SEQUENCE_HEADER, 0, 0, 0))
    return head + h264.serialize_avcc(track.parameters)


def _hevc_configuration(track: Track, _keyframe: bytes) -> bytes:
    assert isinstance(track.parameters, H265Parameters)
    return _sequence_start(HVC1) + h265.serialize_hvcc(track.parameters)


def _old_hevc_configuration(track: Track, _keyframe: bytes) -> bytes:
    assert isinstance(track.parameters, H265Parameters)
    head = bytes((VideoFrameType.KEY << 4 | VideoCodecId.HEVC, AvcPacketType.SEQUENCE_HEADER, 0, 0, 0))
    return head + h265.serialize_hvcc(track.parameters)


def _aac_configuration(track: Track, _keyframe: bytes) -> bytes:
    assert isinstance(track.parameters, AacParameters)
    return bytes((_AAC_HEAD, AacPacketType.SEQUENCE_HEADER)) + track.parameters.config


def _opus_configuration(track: Track, _keyframe: bytes) -> bytes:
    """With the identification header of RFC 7845 section 5.1."""
    assert isinstance(track.parameters, AudioParameters)
    head = b"OpusHead" + bytes((1, track.parameters.channels)) + bytes(2) + (48_000).to_bytes(4, "little") + bytes(3)
    return _ex_audio(AudioPacketType.SEQUENCE_START, OPUS) + head


def _flac_configuration(track: Track, _keyframe: bytes) -> bytes:
    assert isinstance(track.parameters, FlacParameters)
    head = _ex_audio(AudioPacketType.SEQUENCE_START, FLAC)
    return head + FLAC_MARKER + FLAC_BLOCK_HEADER + track.parameters.streaminfo


def _old_video(codec_id: VideoCodecId, configuration: Configuration) -> Writing:
    key, inter = (
        bytes((frame_type << 4 | codec_id, AvcPacketType.NALU))
        for frame_type in (VideoFrameType.KEY, VideoFrameType.INTER)
    )
    return Writing(key, inter, True, codec_id, configuration)


def _av1_configuration(track: Track, _keyframe: bytes) -> bytes:
    assert isinstance(track.parameters, Av1Parameters)
    return _sequence_start(AV01) + serialize_av1c(track.parameters.sequence_header)


def _vp9_configuration(_track: Track, keyframe: bytes) -> bytes:
    """What VP9 is, only its keyframes tell."""
    try:
        return _sequence_start(VP09) + serialize_vpcc(Vp9Format.parse(keyframe)) if keyframe else b""
    except MalformedBitstream:
        return b""


def _sequence_start(fourcc: bytes) -> bytes:
    return bytes((EX_HEADER | VideoFrameType.KEY << 4 | VideoPacketType.SEQUENCE_START,)) + fourcc


def _ex_video(fourcc: bytes, configuration: Configuration, *, composition: bool) -> Writing:
    key, inter = (
        bytes((EX_HEADER | frame_type << 4 | VideoPacketType.CODED_FRAMES,)) + fourcc
        for frame_type in (VideoFrameType.KEY, VideoFrameType.INTER)
    )
    return Writing(key, inter, composition, int.from_bytes(fourcc), configuration)


def _ex_audio(packet_type: AudioPacketType, fourcc: bytes) -> bytes:
    return bytes((SoundFormat.EX_HEADER << 4 | packet_type,)) + fourcc


def _audio(head: bytes, codec_id: float, configuration: Configuration | None = None) -> Writing:
    return Writing(head, head, False, codec_id, configuration)


# The rate, size and type bits of AAC always say 44 kHz, 16 bits, stereo (FLV E.4.2.1).
_AAC_HEAD = SoundFormat.AAC << 4 | 0x0F
_SOUND_RATES_HZ = {5_512: 0, 11_025: 1, 22_050: 2, 44_100: 3}  # others say 44 kHz; the frames know better

_HEVC = _ex_video(HVC1, _hevc_configuration, composition=True)
_AV1 = _ex_video(AV01, _av1_configuration, composition=False)
_VP9 = _ex_video(VP09, _vp9_configuration, composition=False)
_OLD_HEVC = _old_video(VideoCodecId.HEVC, _old_hevc_configuration)


def _plain_audio(sound_format: SoundFormat, track: Track) -> Writing:
    assert isinstance(track.parameters, AudioParameters)
    rate = _SOUND_RATES_HZ.get(track.parameters.sample_rate_hz, 3 if sound_format is SoundFormat.MP3 else 0)
    stereo = track.parameters.channels > 1
    return _audio(bytes((sound_format << 4 | rate << 2 | 2 | stereo,)), sound_format)


def _writing_of(track: Track, *, old_hevc: bool) -> Writing | None:
    """How a track is written; None where FLV cannot carry it."""
    match track.codec:
        case Codec.H264:
            return _old_video(VideoCodecId.AVC, _avc_configuration)
        case Codec.H265:
            return _OLD_HEVC if old_hevc else _HEVC
        case Codec.AV1:
            return _AV1
        case Codec.VP9:
            return _VP9
        case Codec.AAC:
            return _audio(bytes((_AAC_HEAD, AacPacketType.RAW)), SoundFormat.AAC, _aac_configuration)
        case Codec.G711A:
            return _plain_audio(SoundFormat.G711A, track)
        case Codec.G711U:
            return _plain_audio(SoundFormat.G711U, track)
        case Codec.MP3:
            return _plain_audio(SoundFormat.MP3, track)
        case Codec.OPUS:
            head = _ex_audio(AudioPacketType.CODED_FRAMES, OPUS)
            return _audio(head, int.from_bytes(OPUS), _opus_configuration)
        case Codec.AC3:
            return _audio(_ex_audio(AudioPacketType.CODED_FRAMES, AC_3), int.from_bytes(AC_3))
        case Codec.FLAC:
            head = _ex_audio(AudioPacketType.CODED_FRAMES, FLAC)
            return _audio(head, int.from_bytes(FLAC), _flac_configuration)
    return None


class _TrackMuxer:
    __slots__ = ("_clock_rate_hz", "_configuration", "_latest_ms", "_sent", "_writing", "kind", "samples")

    def __init__(self, track: Track, writing: Writing) -> None:
        self.kind = MessageType.VIDEO if track.kind is MediaKind.VIDEO else MessageType.AUDIO
        self.samples = SampleWriter(track)
        self._writing = writing
        self._clock_rate_hz = track.clock_rate_hz
        self._latest_ms = 0
        self._configuration = b""
        self._sent: Track | None = None  # what the latest configuration message said

    def configuration(self, timestamp_ms: int, keyframe: bytes = b"") -> list[FlvMessage]:
        """What a player needs before the next frame; nothing while it is not known."""
        track = self.samples.track
        if self._writing.configuration is None or not track.parameters.complete:
            return []
        self._configuration = self._writing.configuration(track, keyframe) or self._configuration
        if not self._configuration:
            return []
        self._sent = track
        return [FlvMessage(self.kind, timestamp_ms, self._configuration)]

    def frame(self, frame: Frame) -> list[FlvMessage]:
        sample = self.samples.sample(frame)
        dts_ms = frame.dts_ticks * 1000 // self._clock_rate_hz
        # Time never runs backwards within a track: players take that for a fault.
        timestamp_ms = self._latest_ms = max(dts_ms, self._latest_ms)
        messages = []
        if self.samples.track is not self._sent:
            messages = self.configuration(timestamp_ms, sample if frame.keyframe else b"")
        head = self._writing.key if frame.keyframe else self._writing.inter
        if self._writing.composition:
            pts_ms = frame.pts_ticks * 1000 // self._clock_rate_hz
            # Where the clock was set back, the picture is shown at once: none is shown before it is decoded.
            head += max(0, min(pts_ms - timestamp_ms, 0x7F_FFFF)).to_bytes(3)
        messages.append(FlvMessage(self.kind, timestamp_ms, head + sample))
        return messages

    def metadata(self) -> dict[str, amf.Value]:
        track = self.samples.track
        if self.kind is MessageType.VIDEO:
            described: dict[str, amf.Value] = {"videocodecid": self._writing.codec_id}
            size, rate = picture_size(track), frame_rate(track)
            if size is not None:
                described |= {"width": float(size[0]), "height": float(size[1])}
            return described | ({"framerate": rate} if rate is not None else {})
        described = {"audiocodecid": self._writing.codec_id}
        parameters = track.parameters
        if isinstance(parameters, AudioParameters | AacParameters | FlacParameters) and parameters.sample_rate_hz:
            described |= {"audiosamplerate": float(parameters.sample_rate_hz), "stereo": parameters.channels > 1}
        return described


class FlvMuxer:
    """The messages of one stream: its first video and its first audio track that FLV can carry."""

    def __init__(self, tracks: Sequence[Track], *, old_hevc: bool = False) -> None:
        """`old_hevc` writes H.265 as codec id 12, for players that do not know Enhanced RTMP."""
        self._tracks: dict[int, _TrackMuxer] = {}
        self.left_out: list[Track] = []
        kinds: set[MediaKind] = set()
        for index, track in enumerate(tracks):
            writing = _writing_of(track, old_hevc=old_hevc)
            if writing is None or track.kind in kinds:
                self.left_out.append(track)
            else:
                self._tracks[index] = _TrackMuxer(track, writing)
                kinds.add(track.kind)
        self.has_video = MediaKind.VIDEO in kinds
        self.has_audio = MediaKind.AUDIO in kinds

    @property
    def usable(self) -> bool:
        """Something is left to carry."""
        return bool(self._tracks)

    def start(self, timestamp_ms: int) -> list[FlvMessage]:
        """What a player gets first: a description of the stream, and what its decoders need."""
        described = amf.EcmaArray()
        configurations: list[FlvMessage] = []
        for track in self._tracks.values():
            described |= track.metadata()
            configurations += track.configuration(timestamp_ms)
        described["encoder"] = ENCODER
        # ffmpeg takes a description with a later time for a track of its own.
        metadata = FlvMessage(MessageType.DATA, 0, amf.encode("onMetaData", described))
        return [metadata, *configurations]

    def messages(self, frame: Frame) -> list[FlvMessage]:
        """The messages of one frame; none for a track that is left out."""
        track = self._tracks.get(frame.track_index)
        return track.frame(frame) if track is not None else []
