"""Talks played on a sound card, which here is a file of ALSA's."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from support.programs import tone_level
from support.sound_card import SoundCard
from support.speech import TONE_HZ, loudest, read_wav, spoken_tone

from manycast.alsa import find_alsa_files
from manycast.hub.backchannel import audio_track
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.sinks.audio_device import CUSHION_S, AudioDevice
from manycast.sinks.ear import DecodingEar

PCMU = audio_track(Codec.G711U)


def say(ear: DecodingEar, track: Track, packets: list[bytes]) -> None:
    for packet in packets:
        ear.hear(track, Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[packet]))


@pytest.mark.parametrize("track", [PCMU, audio_track(Codec.G722), audio_track(Codec.OPUS)])
async def test_a_talk_is_played(sound_card: SoundCard, track: Track) -> None:
    device = AudioDevice("default")
    ear = device.ear("door", "somebody")
    assert not sound_card.played.exists()  # nothing is opened before the first sound
    say(ear, track, spoken_tone(track, 1.0))
    ear.end()
    await device.close()
    rate_hz, channels, samples = read_wav(sound_card.played)
    assert (rate_hz, channels) == (48_000, 2)
    cushion = round(CUSHION_S * rate_hz)
    assert loudest(samples[:cushion]) == 0
    assert len(samples) - cushion == pytest.approx(48_000, rel=0.03)
    assert tone_level(samples[cushion + 4800 :], TONE_HZ, rate_hz) > 0.95


def test_the_device_is_free_again_after_the_talk(sound_card: SoundCard) -> None:
    device = AudioDevice("default")
    for _ in range(3):
        ear = device.ear("door", "somebody")
        say(ear, PCMU, [bytes(160)])
        ear.end()
        ear.join()
        assert not [name for name in _open_files() if name == str(sound_card.played)]


def test_without_a_device_there_is_one_warning(
    sound_card: SoundCard, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    device = AudioDevice("nosuchdevice")
    for _ in range(3):
        ear = device.ear("door", "somebody")
        say(ear, PCMU, [bytes(160)] * 5)
        ear.end()
        ear.join()
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("audio device nosuchdevice cannot be opened: ")
    assert "ALSA" not in capfd.readouterr().err


def test_a_device_that_came_is_used_and_missed_again(
    sound_card: SoundCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device = AudioDevice("default")
    there = sound_card.environment["ALSA_CONFIG_PATH"]
    gone = tmp_path / "gone"
    gone.write_text("pcm.other { type null }")
    for config in (str(gone), there, str(gone)):
        monkeypatch.setenv("ALSA_CONFIG_PATH", config)
        ear = device.ear("door", "somebody")
        say(ear, PCMU, [bytes(160)])
        ear.end()
        ear.join()
    assert sound_card.played.exists()
    assert len(caplog.records) == 2


def test_the_files_of_alsa_are_found_but_what_the_user_says_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSA_CONFIG_DIR", "/mine")
    find_alsa_files()
    assert os.environ["ALSA_CONFIG_DIR"] == "/mine"


def _open_files() -> list[str]:
    folder = Path("/proc/self/fd")
    return [os.readlink(link) for link in folder.iterdir() if link.exists()]
