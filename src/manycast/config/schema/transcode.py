"""What encodes and decodes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.rules import one_word_of


class Engine(StrEnum):
    SOFTWARE = "SOFTWARE"
    AUTO = "AUTO"
    NVIDIA = "NVIDIA"
    QSV = "QSV"
    VAAPI = "VAAPI"


EngineWord = Annotated[Engine, one_word_of(Engine)]


class Transcode(Group):
    encoder: EngineWord = setting(
        Engine.SOFTWARE,
        "What encodes H.264 and H.265. Hardware that is not there, or not in this build of FFmpeg, is replaced by "
        "software, with a warning. AUTO: the first that works.",
        ours=True,
    )
    decoder: EngineWord = setting(Engine.SOFTWARE, "What decodes video that is transcoded, in the same way.", ours=True)
