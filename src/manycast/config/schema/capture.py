"""Cameras, screens, windows and microphones."""

from __future__ import annotations

from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.rules import between

LingerSeconds = Annotated[int, between(1, 3600, unit="s")]


class Capture(Group):
    linger: LingerSeconds = setting(10, "How long a device stays open after its last viewer.", ours=True)
