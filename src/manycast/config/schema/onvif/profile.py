"""Profiles: what a device offers to be watched."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.rules import PathNameRule, between, one_of, one_word_of, stream_address
from manycast.config.schema.values import Switch, Text
from manycast.onvif.state.profiles import AudioEncoding, VideoEncoding


class H264Profile(StrEnum):
    BASELINE = "Baseline"
    MAIN = "Main"
    EXTENDED = "Extended"
    HIGH = "High"


class H265Profile(StrEnum):
    MAIN = "Main"
    MAIN10 = "Main10"


class Mpeg4Profile(StrEnum):
    SP = "SP"
    ASP = "ASP"


PictureLength = Annotated[int, between(16, 16384)]
Quality = Annotated[int, between(0, 100, note="higher is better")]
TimeoutSeconds = Annotated[int, between(1, 3600, unit="s")]
FramesPerSecond = Annotated[int, between(1, 240, unit="frames/s")]
EncodingInterval = Annotated[int, between(1, 1000, note="1: every picture, 2: every second one")]
BitRateLimit = Annotated[int, between(1, 1_000_000, unit="kb/s")]
GovLength = Annotated[int, between(1, 10_000, unit="pictures")]
KilohertzRate = Annotated[int, one_of(8, 11, 12, 16, 22, 24, 32, 44, 48, unit="kHz")]
GivenUri = Annotated[str, stream_address("rtsp", "rtsps", "http", "https")]
StreamPath = Annotated[str, PathNameRule()]


class VideoSource(Group):
    width: PictureLength = setting(1280, "Width of the picture.")
    height: PictureLength = setting(720, "Height of the picture.")


class H264(Group):
    gov_length: GovLength = setting(25, "From one keyframe to the next.")
    h264_profile: Annotated[H264Profile, one_word_of(H264Profile)] = setting(H264Profile.MAIN, "Profile of H.264.")


class H265(Group):
    gov_length: GovLength = setting(25, "From one keyframe to the next.")
    h265_profile: Annotated[H265Profile, one_word_of(H265Profile)] = setting(H265Profile.MAIN, "Profile of H.265.")


class Mpeg4(Group):
    gov_length: GovLength = setting(25, "From one keyframe to the next.")
    mpeg4_profile: Annotated[Mpeg4Profile, one_word_of(Mpeg4Profile)] = setting(
        Mpeg4Profile.SP, "Profile of MPEG-4: simple or advanced simple."
    )


class VideoEncoder(Group):
    width: PictureLength = setting(1280, "Width of the encoded picture.")
    height: PictureLength = setting(720, "Height of the encoded picture.")
    quality: Quality = setting(4, "Quality of the encoded picture.")
    session_timeout: TimeoutSeconds = setting(10, "When an RTSP session of this stream is taken for dead.")
    framerate: FramesPerSecond = setting(25, "The most pictures that are sent.")
    encoding_interval: EncodingInterval = setting(1, "How many pictures there are for one that is encoded.")
    bitrate_limit: BitRateLimit = setting(2048, "The most that is sent.")
    encoding: Annotated[VideoEncoding, one_word_of(VideoEncoding)] = setting(VideoEncoding.H264, "Video codec.")
    h264: H264 = setting(H264(), "Holds when the codec is H264.")
    h265: H265 = setting(H265(), "Holds when the codec is H265.")
    mpeg4: Mpeg4 = setting(Mpeg4(), "Holds when the codec is MPEG4.")


class AudioSource(Group):
    """Counts by being there."""


class AudioEncoder(Group):
    session_timeout: TimeoutSeconds = setting(10, "When an RTSP session of this stream is taken for dead.")
    sample_rate: KilohertzRate = setting(8, "Sample rate; 11, 22 and 44 are 11025, 22050 and 44100 Hz.")
    bitrate: BitRateLimit = setting(64, "Bit rate.")
    encoding: Annotated[AudioEncoding, one_word_of(AudioEncoding)] = setting(AudioEncoding.G711, "Audio codec.")


class Profile(Group):
    name: Text | None = setting(None, "Its name; not configured: Profile1, Profile2, ...", ours=True)
    video_source: VideoSource | None = setting(
        None, "Without this group, no video. Profiles whose sources have the same size have the same source."
    )
    video_encoder: VideoEncoder | None = setting(None, "How video is encoded.")
    audio_source: AudioSource | None = setting(None, "An empty group; without it, no audio.")
    audio_encoder: AudioEncoder | None = setting(None, "How audio is encoded.")
    stream_uri: GivenUri | None = setting(
        None,
        "The address that clients are given, as it is written here; not configured: that of `stream` on this server.",
        show=False,
    )
    append_params: Switch = setting(
        False,
        "Whether the encoding's parameters are put behind `stream_uri`; the server's own address always has them. "
        'In XML an attribute: `<stream_uri append_params="1">`.',
    )
    stream: StreamPath | None = setting(
        None, "Path of the stream on this server, such as live/cam; not configured: test.mp4.", ours=True
    )
