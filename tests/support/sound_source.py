"""A microphone without a room: an ALSA device that plays a tone from a file, as often as it is recorded."""

from __future__ import annotations

import array
import math
from pathlib import Path

RATE_HZ = 8000
SECONDS = 30

CONFIG = """
pcm.!default {{
    type file slave.pcm null file "/dev/null" infile "{tone}" format "raw"
    hint {{ show on description "The tone" }}
}}
pcm.silent {{ type null hint {{ show on description "Second microphone (silent)" }} }}
pcm.null {{ type null }}
pcm.systemsound {{
    type file slave.pcm null file "/dev/null" infile "{other}" format "raw"
    hint {{ show on description "What is played" }}
}}
"""


class SoundSource:
    """For processes with this environment: `default` gives a tone of one frequency, `systemsound` of another."""

    def __init__(self, folder: Path, *, hz: int = 440, system_hz: int = 880) -> None:
        for name, frequency in (("tone.raw", hz), ("other.raw", system_hz)):
            samples = array.array("h")
            for index in range(RATE_HZ * SECONDS):
                sample = int(12_000 * math.sin(2 * math.pi * frequency * index / RATE_HZ))
                samples.extend((sample, sample))
            (folder / name).write_bytes(samples.tobytes())
        config = folder / "asoundrc"
        config.write_text(CONFIG.format(tone=folder / "tone.raw", other=folder / "other.raw"))
        self.environment = {"ALSA_CONFIG_PATH": str(config)}
