"""Audio from a viewer to the server."""

from __future__ import annotations

from manycast.config.schema.base import Group, setting
from manycast.config.schema.values import AudioCodec, BackchannelCodec, SpokenChannels, SpokenSampleRate


class Backchannel(Group):
    codec: BackchannelCodec = setting(AudioCodec.G711U, "Codec that is asked for.")
    samplerate: SpokenSampleRate = setting(8000, "Sample rate.")
    channels: SpokenChannels = setting(1, "1 mono, 2 stereo. G726 is always mono.")
