"""What is converted for protocols that cannot carry it."""

from __future__ import annotations

from manycast.config.schema.base import Group, setting
from manycast.config.schema.values import Switch


class Convert(Group):
    video: Switch = setting(
        True, "Video that a protocol cannot carry is converted to H.264 for its viewers, else left out.", ours=True
    )
    audio: Switch = setting(
        True, "Audio that a protocol cannot carry is converted to AAC for its viewers, else left out.", ours=True
    )
