"""What the name of a capture says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote


class PartKind(Enum):
    """The value is what the name begins with."""

    CAMERA = "videodevice"
    SCREEN = "screenlive"
    WINDOW = "window"
    MICROPHONE = "audiodevice"
    SYSTEM_SOUND = "systemsound"

    @property
    def is_sound(self) -> bool:
        return self in (PartKind.MICROPHONE, PartKind.SYSTEM_SOUND)


@dataclass(frozen=True, slots=True)
class Part:
    """One device. By its name, where that is not None, else by its number among its kind."""

    kind: PartKind
    index: int = 0
    name: str | None = None

    def __str__(self) -> str:
        """The one name of all that mean the same, such as `screenlive` and `screenlive0`."""
        if self.name is not None:
            return f"{self.kind.value}={self.name}"
        return self.kind.value + (str(self.index) if self.index else "")


# A plus sign in a title or a device's name joins nothing unless the name of a capture follows.
_CAPTURE_FOLLOWS = r"(?=(?:videodevice|audiodevice|screenlive|systemsound)(?:$|[\d=+])|window=)"
_JOINT = re.compile(r"\+" + _CAPTURE_FOLLOWS)
# FFmpeg takes a plus sign in the stream id of an SRT address for a space.
_SPACE_FOR_JOINT = re.compile(r"^((?:videodevice|audiodevice|screenlive)\d{0,3}|systemsound) " + _CAPTURE_FOLLOWS)
_NUMBERED = re.compile(r"(videodevice|audiodevice|screenlive)(\d{1,3})?")
_NAMED = re.compile(r"(videodevice|audiodevice|window)=(.+)", re.DOTALL)


def address_name(kind: PartKind, name: str) -> str:
    """How a device or window of a name is written in an address."""
    return f"{kind.value}={quote(name, safe='()')}"


def parse_capture(name: str) -> tuple[Part, ...] | None:
    """The parts of a name as it stands in an address behind the application: a picture, a sound, or both.

    None for what only begins like one.
    """
    parts = [_parse_part(text) for text in _JOINT.split(_SPACE_FOR_JOINT.sub(r"\1+", name))]
    pictures = [part for part in parts if part is not None and not part.kind.is_sound]
    sounds = [part for part in parts if part is not None and part.kind.is_sound]
    if None in parts or len(pictures) > 1 or len(sounds) > 1:
        return None
    return (*pictures, *sounds)


def parse_whole(name: str) -> Part | None:
    """The one device that a name means if its plus signs join nothing; None where that makes no difference."""
    return _parse_part(name) if _JOINT.search(name) else None


def _parse_part(text: str) -> Part | None:
    if numbered := _NUMBERED.fullmatch(text):
        return Part(PartKind(numbered[1]), int(numbered[2] or 0))
    if named := _NAMED.fullmatch(text):
        return Part(PartKind(named[1]), name=named[2])
    return Part(PartKind.SYSTEM_SOUND) if text == PartKind.SYSTEM_SOUND.value else None
