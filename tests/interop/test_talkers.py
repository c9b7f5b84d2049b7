"""GStreamer speaks to the back channel; ffmpeg listens to what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.programs import from_server, mono_samples, running, tone_level
from support.publishing import publishing
from support.server import ServerProcess
from support.sound_card import SoundCard
from support.speech import read_wav
from support.waiting import wait_until

CONFIG = """
rtsp:
  udp_base_port: UDP_BASE
backchannel:
  record: talks
"""
SYSTEM_PYTHON = Path("/usr/bin/python3")  # the one that the distribution's GStreamer bindings are for
TALKER = Path(__file__).parent.parent / "support" / "gst_talker.py"
TONE_HZ = 700
CODECS = {
    "G711U": ("audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay", 8000),
    "G711A": ("audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay", 8000),
    "G722": ("audio/x-raw,rate=16000,channels=1 ! avenc_g722 ! rtpg722pay", 16_000),
    "G726": ("audio/x-raw,rate=8000,channels=1 ! avenc_g726 bitrate=32000 ! rtpg726pay pt=99 force-aal2=false", 8000),
    "OPUS": ("audio/x-raw,rate=48000,channels=1 ! opusenc ! rtpopuspay pt=101", 48_000),
}


@dataclass
class Speaking:
    server: ServerProcess
    card: SoundCard
    talks: Path


@pytest.fixture
def speaking(tmp_path: Path) -> Iterator[Speaking]:
    card = SoundCard(tmp_path)
    with ServerProcess(tmp_path, config=CONFIG, environment=card.environment) as server, publishing(server, "door"):
        yield Speaking(server, card, tmp_path / "talks")


def has_tone(file: Path, rate_hz: int, channels: int) -> None:
    rate, count, samples = read_wav(file)
    assert (rate, count) == (rate_hz, channels)
    assert tone_level(samples[rate // 5 : rate + rate // 5], TONE_HZ, rate) > 0.95


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", CODECS)
def test_what_gstreamer_says_is_heard_everywhere(speaking: Speaking, codec: str, transport: str) -> None:
    assert SYSTEM_PYTHON.exists()
    server = speaking.server
    url = server.url("door")
    pipeline, rate_hz = CODECS[codec]
    with running(str(SYSTEM_PYTHON), str(TALKER), url, transport, str(TONE_HZ), pipeline):
        wait_until(
            lambda: f"stream door/backchannel ({codec}, " in server.log,
            "GStreamer speaks (it wants: apt install python3-gi gir1.2-gstreamer-1.0)",
        )
        samples = mono_samples(*from_server(f"{url}/backchannel", "tcp"), seconds=1.5)
    assert tone_level(samples[4000:], TONE_HZ) > 0.95
    wait_until(lambda: " recorded, " in server.log, "the end of the recording")
    (recording,) = speaking.talks.iterdir()
    has_tone(recording, rate_hz, 1)
    has_tone(speaking.card.played, 48_000, 2)
