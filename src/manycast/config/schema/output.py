"""What leaves the server, where it is not what came in."""

from __future__ import annotations

from manycast.config.schema.base import Group, setting
from manycast.config.schema.values import (
    BitRate,
    Channels,
    FrameRate,
    OutputAudioCodec,
    OutputVideoCodec,
    PictureSize,
    SampleRate,
    Text,
)


class VideoOutput(Group):
    codec: OutputVideoCodec | None = setting(None, "Video codec; not configured: original.")
    width: PictureSize = setting(0, "Width in pixels. With only one of width and height, the other follows.")
    height: PictureSize = setting(0, "Height in pixels.")
    framerate: FrameRate = setting(0, "Frames in a second. Original is 15 for a screen and 25 for a camera.")
    bitrate: BitRate = setting(0, "Video bit rate, where something is encoded.")


class AudioOutput(Group):
    codec: OutputAudioCodec | None = setting(None, "Audio codec; not configured: original.")
    samplerate: SampleRate = setting(0, "Sample rate. Original is 8000 for an audio device.")
    channels: Channels = setting(0, "1 mono, 2 stereo. Original is 2 for an audio device. G726 is always mono.")
    bitrate: BitRate = setting(
        0,
        "Audio bit rate, where something is encoded. G726 knows 16, 24, 32 and 40, else it is 32.",
    )


class Output(Group):
    url: Text | None = setting(
        None,
        "What it applies to: a file name (`sample.flv`), an extension (`*.mp4`) or the name of a capture "
        "(`screenlive`, `videodevice`). Not configured: everything. The first output that matches is used.",
    )
    video: VideoOutput | None = setting(None, "Video parameters; without this group, the original's.")
    audio: AudioOutput | None = setting(None, "Audio parameters; without this group, the original's.")
