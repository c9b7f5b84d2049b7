"""Audio from a viewer to the server."""

from __future__ import annotations

from manycast.config.schema.base import Group, setting
from manycast.config.schema.values import (
    AudioCodec,
    BackchannelCodec,
    FilePath,
    SpokenChannels,
    SpokenSampleRate,
    Text,
)

NO_DEVICE = "none"


class Backchannel(Group):
    codec: BackchannelCodec = setting(
        AudioCodec.G711U, "Codec that is offered first; all others that can be decoded are offered behind it."
    )
    samplerate: SpokenSampleRate = setting(8000, "Sample rate of G711. G722 always has 16000, G726 8000, OPUS 48000.")
    channels: SpokenChannels = setting(1, "1 mono, 2 stereo. G722 and G726 are always mono.")
    output: Text = setting(
        "default", "Audio device that plays what is said, by its ALSA name; `none`: no device.", ours=True
    )
    record: FilePath | None = setting(
        None, "Folder in which each talk becomes a WAV file. Not configured: nothing is recorded.", ours=True
    )

    @property
    def device(self) -> str | None:
        """The name of the audio device; None where none is wanted."""
        return None if self.output.lower() == NO_DEVICE else self.output
