"""Channels, as the configuration describes them: what the media services begin with."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from manycast.onvif.state.base import Part


class VideoEncoding(StrEnum):
    """The names of onvif.cfg, which are those of ONVIF."""

    JPEG = "JPEG"
    MPEG4 = "MPEG4"
    H264 = "H264"
    H265 = "H265"


class AudioEncoding(StrEnum):
    """The names of onvif.cfg, which are those of ONVIF."""

    G711 = "G711"
    G726 = "G726"
    AAC = "AAC"


class VideoSource(Part):
    """Profiles whose sources have the same size have the same source."""

    width: int = 1280
    height: int = 720


class VideoEncoder(Part):
    width: int = 1280
    height: int = 720
    quality: float = 4.0
    session_timeout_s: int = 10
    framerate: int = 25  # the most, in frames a second
    encoding_interval: int = 1
    bitrate_kbps: int = 2048  # the most
    encoding: VideoEncoding = VideoEncoding.H264
    gov_length: int = 25
    encoding_profile: str | None = None  # Main, High, ...; SP and ASP of MPEG-4; None: JPEG has none


class AudioEncoder(Part):
    session_timeout_s: int = 10
    sample_rate_khz: int = 8
    bitrate_kbps: int = 64
    encoding: AudioEncoding = AudioEncoding.G711


class StreamUri(Part):
    """What GetStreamUri gives: an address as it is, or a stream of this server."""

    uri: str | None = Field(None, repr=False)  # may carry a login
    append_params: bool = False  # to `uri`; a stream of this server always has them
    stream: str = "test.mp4"  # its path, where there is no `uri`


class Profile(Part):
    name: str
    video_source: VideoSource | None = None
    video_encoder: VideoEncoder | None = None
    audio: bool = False  # has an audio source
    audio_encoder: AudioEncoder | None = None
    stream_uri: StreamUri = Field(default_factory=StreamUri)
