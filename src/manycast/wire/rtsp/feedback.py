"""What a description says of RTCP feedback: how its sender can be asked for a keyframe."""

from __future__ import annotations

from enum import Enum

from manycast.wire.sdp import Attribute, MediaDescription

_NAME = "rtcp-fb"


class KeyframeFeedback(Enum):
    """The messages that ask for one, by their words in SDP, the preferred one first."""

    PICTURE_LOSS = "nack pli"  # RFC 4585 section 4.2
    FULL_INTRA = "ccm fir"  # RFC 5104 section 7.1


def read_keyframe_feedback(section: MediaDescription, payload_type: int) -> KeyframeFeedback | None:
    """What the sender of a payload type listens to; None where it does not.

    A sender with the profile AVPF that names nothing may be sent what suits its codec (RFC 4585 section 4.2).
    """
    announced = [(value or "").lower().split() for name, value in section.attributes if name.lower() == _NAME]
    if not announced:
        return KeyframeFeedback.PICTURE_LOSS if section.protocol.partition("AVP")[2].startswith("F") else None
    meant = {" ".join(words) for formats, *words in filter(None, announced) if formats in ("*", str(payload_type))}
    return next((feedback for feedback in KeyframeFeedback if feedback.value in meant), None)


def announced_keyframe_feedback(payload_type: int) -> tuple[Attribute, ...]:
    """The lines that say that all of them are listened to."""
    return tuple((_NAME, f"{payload_type} {feedback.value}") for feedback in KeyframeFeedback)
