"""A sound card without a loudspeaker: an ALSA device that writes what it is to play into a WAV file."""

from __future__ import annotations

from pathlib import Path

CONFIG = """
pcm.!default {{ type file  slave.pcm null  file "{file}"  format "wav" }}
pcm.null {{ type null }}
"""


class SoundCard:
    """Its default device, for processes with this environment."""

    def __init__(self, folder: Path) -> None:
        self.played = folder / "played.wav"
        config = folder / "asoundrc"
        config.write_text(CONFIG.format(file=self.played))
        self.environment = {"ALSA_CONFIG_PATH": str(config)}
