"""The kinds of values that occur in several blocks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import SecretStr

from manycast.config.schema.rules import (
    AddressRule,
    NameRule,
    PathRule,
    SecretRule,
    SuffixRule,
    SwitchRule,
    TextRule,
    between,
    one_of,
    one_word_of,
)


class VideoCodec(StrEnum):
    """Video codecs by their names in a configuration file."""

    H264 = "H264"
    H265 = "H265"
    MP4 = "MP4"  # MPEG-4 part 2, not the file format
    JPEG = "JPEG"


class AudioCodec(StrEnum):
    """Audio codecs by their names in a configuration file."""

    G711A = "G711A"
    G711U = "G711U"
    G722 = "G722"
    G726 = "G726"
    AAC = "AAC"
    OPUS = "OPUS"


_SAMPLE_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

Switch = Annotated[bool, SwitchRule()]
Port = Annotated[int, between(1, 65535)]
Address = Annotated[str, AddressRule()]
Text = Annotated[str, TextRule()]
Username = Annotated[str, TextRule(allowed="a text on one line without a colon", forbidden=":")]
Secret = Annotated[SecretStr, SecretRule()]
FilePath = Annotated[Path, PathRule()]
ApplicationName = Annotated[str, NameRule()]
Suffix = Annotated[str, SuffixRule()]

OutputVideoCodec = Annotated[VideoCodec, one_word_of(VideoCodec)]
OutputAudioCodec = Annotated[AudioCodec, one_word_of(AudioCodec)]
BackchannelCodec = Annotated[AudioCodec, one_word_of(AudioCodec, without=frozenset({AudioCodec.AAC}))]

PictureSize = Annotated[int, between(0, 16384, note="0: original")]
FrameRate = Annotated[int, between(0, 240, note="0: original")]
BitRate = Annotated[int, between(0, 1_000_000, unit="kb/s", note="0: automatic")]
SampleRate = Annotated[int, one_of(0, *_SAMPLE_RATES, unit="Hz", note="0: original")]
Channels = Annotated[int, one_of(0, 1, 2, note="0: original")]
SpokenSampleRate = Annotated[int, one_of(0, *_SAMPLE_RATES, unit="Hz", zero=8000, note="0: 8000")]
SpokenChannels = Annotated[int, one_of(0, 1, 2, zero=1, note="0: 1")]
