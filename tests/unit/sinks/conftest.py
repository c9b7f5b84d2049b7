"""A sound card for tests: ALSA's own, whose sound ends in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.sound_card import SoundCard


@pytest.fixture
def sound_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoundCard:
    card = SoundCard(tmp_path)
    for name, value in card.environment.items():
        monkeypatch.setenv(name, value)
    return card
