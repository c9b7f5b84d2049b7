"""Speech in every codec becomes samples again."""

from __future__ import annotations

import pytest
from av.error import FFmpegError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import tone_level
from support.speech import TONE_HZ, spoken_tone

from manycast.hub.backchannel import audio_track, g726_track, offered_tracks
from manycast.media.track import Codec, Track
from manycast.sinks.decoder import SpeechDecoder, shape_of

OFFERED = offered_tracks(audio_track(Codec.G711U))


def name_of(track: Track) -> str:
    return f"{track.codec.value}-{getattr(track.parameters, 'bit_rate', '')}"


def decode(track: Track, packets: list[bytes], rate_hz: int, channels: int = 1) -> list[int]:
    decoder = SpeechDecoder(track, rate_hz=rate_hz, channels=channels)
    return list(memoryview(b"".join(map(decoder.decode, packets))).cast("h"))


@pytest.mark.parametrize("track", OFFERED, ids=name_of)
def test_a_tone_is_heard(track: Track) -> None:
    rate_hz, channels = shape_of(track)
    assert channels == 1
    samples = decode(track, spoken_tone(track, 1.0), rate_hz)
    assert len(samples) == pytest.approx(rate_hz, rel=0.03)
    assert tone_level(samples[rate_hz // 10 :], TONE_HZ, rate_hz) > 0.95


@pytest.mark.parametrize("track", OFFERED, ids=name_of)
def test_what_comes_out_has_the_rate_and_channels_wanted(track: Track) -> None:
    samples = decode(track, spoken_tone(track, 0.5), 48_000, channels=2)
    left, right = samples[::2], samples[1::2]
    assert left == right
    assert len(left) == pytest.approx(24_000, rel=0.06)
    assert tone_level(left[4800:], TONE_HZ, 48_000) > 0.95


def test_stereo_keeps_its_sides() -> None:
    track = audio_track(Codec.G711U, 16_000, 2)
    loud, quiet = 0x80, 0xFF
    samples = decode(track, [bytes((loud, quiet)) * 320], 16_000, channels=2)
    assert set(samples[::2]) == {32_124}
    assert set(samples[1::2]) == {0}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(OFFERED), st.lists(st.binary(min_size=1, max_size=200), max_size=5))
def test_bad_bytes_are_a_fault_and_no_more(track: Track, packets: list[bytes]) -> None:
    decoder = SpeechDecoder(track, rate_hz=8000, channels=1)
    for packet in packets:
        try:
            samples = decoder.decode(packet)
        except FFmpegError:
            continue
        assert len(samples) <= 2 * 8000 * 2  # 200 bytes are never more than a second or two


def test_the_packing_of_g726_is_that_of_rtp() -> None:
    """The first sample in the lowest bits (RFC 3551 section 4.5.4): swapped halves are another sound."""
    track = g726_track(32_000)
    packets = spoken_tone(track, 0.5)
    swapped = [bytes((byte >> 4 | byte << 4 & 0xF0) for byte in packet) for packet in packets]
    assert tone_level(decode(track, packets, 8000)[800:], TONE_HZ) > 0.95
    assert tone_level(decode(track, swapped, 8000)[800:], TONE_HZ) < 0.95
