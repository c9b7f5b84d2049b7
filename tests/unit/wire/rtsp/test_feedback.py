"""What descriptions say of RTCP feedback."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtsp.described import read_media
from manycast.wire.rtsp.feedback import KeyframeFeedback, announced_keyframe_feedback, read_keyframe_feedback
from manycast.wire.sdp import MediaDescription, SessionDescription

PLI, FIR = KeyframeFeedback.PICTURE_LOSS, KeyframeFeedback.FULL_INTRA


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["rtcp-fb:96 nack"], None),
        (["rtcp-fb:96 nack pli"], PLI),
        (["rtcp-fb:* nack pli"], PLI),
        (["RTCP-FB:96  NACK  PLI"], PLI),
        (["rtcp-fb:96 ccm fir"], FIR),
        (["rtcp-fb:96 ccm fir", "rtcp-fb:96 nack pli"], PLI),
        (["rtcp-fb:96 ccm fir;smaxpr=120", "rtcp-fb:96 trr-int 100"], None),
        (["rtcp-fb:97 nack pli", "rtcp-fb:96 ccm fir"], FIR),
        (["rtcp-fb:97 nack pli"], None),
        (["rtcp-fb:96 nack pli soon"], None),
        (["rtcp-fb", "rtcp-fb:", "rtcp-fb:96"], None),
    ],
)
@pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/AVPF"])
def test_what_a_sender_listens_to_is_read(lines: list[str], expected: KeyframeFeedback | None, profile: str) -> None:
    text = f"v=0\r\nm=video 0 {profile} 96\r\na=rtpmap:96 H264/90000\r\n" + "".join(f"a={line}\r\n" for line in lines)
    carried, _ = read_media(SessionDescription.parse(text.encode()).media[0])
    assert carried is not None
    assert carried.feedback is expected


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("RTP/AVP", None),
        ("RTP/AVPF", PLI),
        ("RTP/SAVP", None),
        ("RTP/SAVPF", PLI),
        ("RTP/AVPF/TCP", PLI),
        ("UDP", None),
    ],
)
def test_without_a_word_the_profile_tells(profile: str, expected: KeyframeFeedback | None) -> None:
    section = MediaDescription(kind="video", port=0, protocol=profile, payload_types=(96,))
    assert read_keyframe_feedback(section, 96) is expected


def test_nobody_asks_for_keyframes_of_sound() -> None:
    text = b"v=0\r\nm=audio 0 RTP/AVPF 8\r\na=rtcp-fb:* nack pli\r\n"
    carried, _ = read_media(SessionDescription.parse(text).media[0])
    assert carried is not None
    assert carried.feedback is None


@given(st.integers(0, 127))
def test_what_we_announce_is_read_as_such(payload_type: int) -> None:
    section = MediaDescription(kind="video", port=0, attributes=announced_keyframe_feedback(payload_type))
    assert read_keyframe_feedback(section, payload_type) is PLI
    assert read_keyframe_feedback(replace(section, attributes=section.attributes[1:]), payload_type) is FIR
    assert read_keyframe_feedback(section, (payload_type + 1) % 128) is None


@given(st.lists(st.tuples(st.sampled_from(["rtcp-fb", "Rtcp-Fb", "fmtp"]), st.none() | st.text(max_size=40))))
def test_any_attributes_are_read_or_passed_over(attributes: list[tuple[str, str | None]]) -> None:
    found = read_keyframe_feedback(MediaDescription(kind="video", port=0, attributes=tuple(attributes)), 96)
    assert found is None or any((value or "").lower().split()[1:] for _, value in attributes)
