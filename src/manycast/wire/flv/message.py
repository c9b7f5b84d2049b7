"""What FLV files and RTMP carry alike: messages of sound, picture and data (FLV 10.1 annex E, RTMP 1.0 section 7.1)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from manycast.errors import ProtocolError


class MalformedFlv(ProtocolError):
    """Bytes that are no FLV, or that contradict themselves."""


class NotCarried(MalformedFlv):
    """A track that cannot be taken, of which every message says so again."""


class MessageType(IntEnum):
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    DATA = 18


class FlvMessage(NamedTuple):
    kind: MessageType
    timestamp_ms: int  # of decoding, on the stream's timeline
    body: bytes


# How Enhanced RTMP names codecs (FOURCC).
AVC1 = b"avc1"
HVC1 = b"hvc1"
AV01 = b"av01"
VP08 = b"vp08"
VP09 = b"vp09"
MP4A = b"mp4a"
MP3 = b".mp3"
OPUS = b"Opus"
AC_3 = b"ac-3"
FLAC = b"fLaC"


class VideoFrameType(IntEnum):
    """Upper bits of a video message's first byte (FLV E.4.3.1)."""

    KEY = 1
    INTER = 2
    COMMAND = 5


class VideoCodecId(IntEnum):
    """Lower bits of the same byte, where they name a codec."""

    AVC = 7
    HEVC = 12  # never in Adobe's table, but what players knew before Enhanced RTMP


class AvcPacketType(IntEnum):
    """Second byte for AVC, and for HEVC in its old form (FLV E.4.3.1)."""

    SEQUENCE_HEADER = 0
    NALU = 1
    END_OF_SEQUENCE = 2


class VideoPacketType(IntEnum):
    """Lower bits of the first byte in Enhanced RTMP (version 2, "ExVideoTagHeader")."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    CODED_FRAMES_X = 3  # without composition time: it is 0
    METADATA = 4
    MPEG2_TS_SEQUENCE_START = 5
    MULTITRACK = 6
    MOD_EX = 7


class SoundFormat(IntEnum):
    """Upper bits of an audio message's first byte (FLV E.4.2.1)."""

    MP3 = 2
    G711A = 7
    G711U = 8
    EX_HEADER = 9  # Enhanced RTMP
    AAC = 10
    MP3_8K = 14


class AacPacketType(IntEnum):
    SEQUENCE_HEADER = 0
    RAW = 1


class AudioPacketType(IntEnum):
    """Lower bits of the first byte in Enhanced RTMP ("ExAudioTagHeader")."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    MULTICHANNEL_CONFIG = 4
    MULTITRACK = 5
    MOD_EX = 7


EX_HEADER = 0x80  # in a video message's first byte: Enhanced RTMP
