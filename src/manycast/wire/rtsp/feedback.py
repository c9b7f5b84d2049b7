"""What a description says of RTCP feedback: how its sender can be asked for a keyframe."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from manycast.wire.sdp import Attribute


class KeyframeFeedback(Enum):
    """The messages that ask for one, by their words in SDP; the one for a lost picture costs the sender least."""

    PICTURE_LOSS = "nack pli"  # RFC 4585 section 4.2
    FULL_INTRA = "ccm fir"  # RFC 5104 section 7.1


def read_keyframe_feedback(attributes: Iterable[Attribute], payload_type: int) -> KeyframeFeedback | None:
    """What the sender of a payload type listens to; None where it announces nothing of the kind."""
    announced = set()
    for name, value in attributes:
        formats, *words = (value or "").lower().split()[:3] or [""]
        if name.lower() == "rtcp-fb" and formats in ("*", str(payload_type)):
            announced.add(" ".join(words))
    return next((feedback for feedback in KeyframeFeedback if feedback.value in announced), None)


def announced_keyframe_feedback(payload_type: int) -> tuple[Attribute, ...]:
    """The lines that say that all of them are listened to."""
    return tuple(("rtcp-fb", f"{payload_type} {feedback.value}") for feedback in KeyframeFeedback)
