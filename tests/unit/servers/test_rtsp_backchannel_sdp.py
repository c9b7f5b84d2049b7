"""How the back channel is described."""

from __future__ import annotations

import pytest

from manycast.hub.backchannel import audio_track, offered_tracks
from manycast.media.track import Codec, Track
from manycast.servers.rtsp.backchannel import describe_backchannel, offered_rtpmaps
from manycast.wire.sdp import Direction

CONFIGURED = [
    (audio_track(Codec.G711U), 0, "PCMU", 8000, None),
    (audio_track(Codec.G711A), 8, "PCMA", 8000, None),
    (audio_track(Codec.G711U, 16_000, 2), 96, "PCMU", 16_000, 2),
    (audio_track(Codec.G711A, 48_000), 96, "PCMA", 48_000, None),
    (audio_track(Codec.G722), 9, "G722", 8000, None),
    (audio_track(Codec.G726), 99, "G726-32", 8000, None),
    (audio_track(Codec.OPUS), 101, "opus", 48_000, 2),
]


@pytest.mark.parametrize(("first", "payload_type", "name", "rate_hz", "channels"), CONFIGURED)
def test_the_configured_codec_comes_first_and_every_type_stands_once(
    first: Track, payload_type: int, name: str, rate_hz: int, channels: int | None
) -> None:
    section = describe_backchannel(offered_tracks(first), "rtsp://h/door")
    assert (section.kind, section.direction, section.control) == ("audio", Direction.SENDONLY, "audioback")
    types = section.payload_types
    assert types[0] == payload_type
    rtpmap = section.rtpmaps[payload_type]
    assert (rtpmap.encoding_name, rtpmap.clock_rate_hz, rtpmap.channels) == (name, rate_hz, channels)
    assert len(set(types)) == len(types) == len(offered_tracks(first))
    assert list(section.rtpmaps) == list(types)
    assert {0, 8, 9, 97, 98, 99, 100, 101} <= set(types)


def test_the_example_of_onvif_is_met() -> None:
    """G726 as numbered there, in a section with PCMU."""
    lines = describe_backchannel(offered_tracks(audio_track(Codec.G711U)), "rtsp://h/door").serialize()
    for number, bits in zip(range(97, 101), (16, 24, 32, 40), strict=True):
        assert f"a=rtpmap:{number} G726-{bits}/8000" in lines


def test_opus_says_whether_stereo_is_wanted() -> None:
    for channels, fmtp in ((1, {}), (2, {"stereo": "1"})):
        (rtpmap,) = offered_rtpmaps([audio_track(Codec.OPUS, channels=channels)])
        assert rtpmap.fmtp == fmtp
