"""How fast, and which way, a file is played to one viewer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MIN_SCALE, MAX_SCALE = 0.25, 16.0  # forward; backwards it is from -1 to -16
MIN_SMOOTH_SCALE, MAX_SMOOTH_SCALE = 0.5, 2.0  # between them every picture is sent, outside only keyframes
MIN_SPEED, MAX_SPEED = 0.1, 8.0
KEYFRAME_INTERVAL_US = 50_000  # between two keyframes that are shown; those between them are left out


class Selection(Enum):
    """Which frames of a file are sent."""

    ALL = "all"
    PICTURES = "pictures"  # without sound, which would have to be stretched
    KEYFRAMES = "keyframes"


@dataclass(frozen=True, slots=True)
class Pace:
    """RFC 2326's `Scale` (section 12.34) and `Speed` (section 12.35).

    With a scale, timestamps follow what the viewer sees (appendix B): at 2 the pictures of two seconds have the
    timestamps of one. With a speed they stay as they are, and come sooner.
    """

    scale: float = 1.0  # below 0: backwards
    speed: float = 1.0

    @property
    def selection(self) -> Selection:
        if self.scale == 1.0:
            return Selection.ALL
        smooth = MIN_SMOOTH_SCALE <= self.scale <= MAX_SMOOTH_SCALE
        return Selection.PICTURES if smooth else Selection.KEYFRAMES

    @property
    def backwards(self) -> bool:
        return self.scale < 0

    @property
    def rate(self) -> float:
        """Bytes per second in proportion to those of the file, at most."""
        return self.speed * min(max(1.0, self.scale), MAX_SMOOTH_SCALE)

    @property
    def stride_us(self) -> float:
        """How far apart in the file two keyframes are to be at least."""
        return KEYFRAME_INTERVAL_US * abs(self.scale)


NORMAL_PACE = Pace()


def nearest_pace(scale: float, speed: float, *, has_video: bool) -> Pace:
    """What can be given for a scale other than 0 and a speed above 0; sound alone is played at its own scale only."""
    if not has_video:
        scale = 1.0
    elif scale < 0:
        scale = min(max(scale, -MAX_SCALE), -1.0)
    else:
        scale = min(max(scale, MIN_SCALE), MAX_SCALE)
    return Pace(round(scale, 3), round(min(max(speed, MIN_SPEED), MAX_SPEED), 3))
