"""What is asked of a stream, where it is to differ from what comes in; and which rule asks it of which name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manycast.hub.names import is_capture_name
from manycast.media.track import Codec

_CAPTURE_KINDS = ("videodevice", "audiodevice", "screenlive", "window", "systemsound")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOutput:
    """Of video; None and 0 are the source's own. With only one of width and height, the other follows."""

    codec: Codec | None = None
    width: int = 0
    height: int = 0
    frame_rate: int = 0
    bit_rate_bps: int = 0  # 0: worked out from size and rate

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """The size that a picture of that size is to have."""
        if self.width and not self.height:
            return self.width, round(self.width * height / width)
        if self.height and not self.width:
            return round(self.height * width / height), self.height
        return self.width or width, self.height or height


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioOutput:
    """Of sound; None and 0 are the source's own."""

    codec: Codec | None = None
    sample_rate_hz: int = 0
    channels: int = 0
    bit_rate_bps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What one rule asks for."""

    pattern: str | None = None  # a name, `*.ext`, or what a capture's name begins with; None: everything
    video: VideoOutput = VideoOutput()
    audio: AudioOutput = AudioOutput()
    sound_asked: bool = False  # the rule says something of sound

    def matches(self, name: str) -> bool:
        """Whether the rule is for a name without its application: of a file, or of a capture, its picture first.

        `screenlive` is for `screenlive1`, too, and for `screenlive+audiodevice`.
        """
        pattern = self.pattern
        if pattern is None or pattern == "*":
            return True
        if is_capture_name(name):
            return name.startswith(pattern) if pattern in _CAPTURE_KINDS else _same_capture(pattern, name)
        if pattern.startswith("*."):
            return name.lower().endswith(pattern[1:].lower())
        return name in (pattern, pattern.lstrip("/")) or name.endswith(f"/{pattern}")


def _same_capture(pattern: str, name: str) -> bool:
    """Whether a capture is the one that a pattern names, whatever sound is joined to it."""
    pattern, name = _spelled_out(pattern), _spelled_out(name)
    return name == pattern or name.startswith(f"{pattern}+")


def _spelled_out(name: str) -> str:
    """With the number of the first device where there is none; titles of windows have no case."""
    if name.startswith("window="):
        return name.casefold()
    return re.sub(r"^(videodevice|audiodevice|screenlive)(?=$|\+)", r"\g<1>0", name)


ORIGINAL = Output()


class OutputRules:
    """The rules of every application, tried from top to bottom, and those of single paths."""

    def __init__(
        self, rules: Mapping[str, Sequence[Output]] | None = None, at: Mapping[str, Output] | None = None
    ) -> None:
        """`rules` are by the application's name, in order, for files and captures; `at` are those of proxies and
        pushers, by the path in the hub."""
        self._rules = {application: tuple(outputs) for application, outputs in (rules or {}).items()}
        self._at = dict(at or {})

    @property
    def by_application(self) -> tuple[tuple[Output, ...], ...]:
        """The rules for files and captures of each application, in order; of those that have none, too."""
        return tuple(self._rules.values())

    def at(self, path: str) -> Output | None:
        """What is asked of a live stream at a path; None where it is sent as it comes in."""
        return self._at.get(path)

    def find(self, application: str, name: str) -> Output:
        """The first rule for a name; ORIGINAL where there is none."""
        return next((output for output in self._rules.get(application, ()) if output.matches(name)), ORIGINAL)
