"""What is left out of a live source while transcoding it cannot keep up."""

from __future__ import annotations

import logging
from enum import Enum

LATE_S = 0.4  # further behind than this, pictures are decoded but not encoded
MAX_WAITED_S = 2.0  # what has waited longer is not even decoded, nor what follows up to the next keyframe
MAX_WAITED_AT_START_S = 10.0  # who joins gets a whole group of pictures at once, which takes its time

log = logging.getLogger(__name__)


class Treatment(Enum):
    ENCODE = 0
    DECODE = 1  # only: the next pictures need it
    DROP = 2


class Overload:
    """Judges the pictures of one run. Sound is never left out."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._caught_up = False
        self._dropping = False
        self._said = False
        self.left_out = 0  # pictures, without those from before the viewer came

    def judge(self, *, keyframe: bool, behind_s: float, waited_s: float) -> Treatment:
        """What is to be done with a picture: `behind_s` is how much of the stream waits behind it, `waited_s` how long
        it has waited itself."""
        if behind_s < LATE_S and waited_s < LATE_S:
            self._caught_up = True
        too_long = waited_s > (MAX_WAITED_S if self._caught_up else MAX_WAITED_AT_START_S)
        self._dropping = too_long or (self._dropping and not keyframe)
        if self._dropping:
            return self._left_out(Treatment.DROP)
        return self._left_out(Treatment.DECODE) if behind_s > LATE_S else Treatment.ENCODE

    def _left_out(self, treatment: Treatment) -> Treatment:
        if self._caught_up:
            self.left_out += 1
            if not self._said:
                self._said = True
                log.warning("%s: transcoding cannot keep up, pictures are left out", self._name)
        return treatment
