"""GStreamer speaks to the back channel; ffmpeg listens to what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.hearing import check_tone
from support.programs import from_server, mono_samples, running
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
TALKER = Path(__file__).parents[2] / "contrib" / "speak.py"
TONE_HZ = 700
CODECS = {  # its name in the log, and the rate of its sound
    "PCMU": ("G711U", 8000),
    "PCMA": ("G711A", 8000),
    "G722": ("G722", 16_000),
    "G726": ("G726", 8000),
    "OPUS": ("OPUS", 48_000),
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
    check_tone(samples, TONE_HZ, rate, seconds=0.6)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", CODECS)
def test_what_gstreamer_says_is_heard_everywhere(speaking: Speaking, codec: str, transport: str) -> None:
    assert SYSTEM_PYTHON.exists()
    server = speaking.server
    url = server.url("door")
    shown, rate_hz = CODECS[codec]
    source = f"audiotestsrc is-live=true freq={TONE_HZ}"
    options = ["--transport", transport, "--codec", codec, "--source", source]
    with running(str(SYSTEM_PYTHON), str(TALKER), url, *options):
        wait_until(
            lambda: f"stream door/backchannel ({shown}, " in server.log,
            "GStreamer speaks (it wants: apt install python3-gi gir1.2-gstreamer-1.0)",
        )
        samples = mono_samples(*from_server(f"{url}/backchannel", "tcp"), seconds=1.5)
    check_tone(samples, TONE_HZ, seconds=0.6)
    wait_until(lambda: " recorded, " in server.log, "the end of the recording")
    (recording,) = speaking.talks.iterdir()
    has_tone(recording, rate_hz, 1)
    has_tone(speaking.card.played, 48_000, 2)
