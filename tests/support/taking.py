"""What a source has published, without a hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from manycast.hub.source import FrameSink
from manycast.media.frame import Frame
from manycast.media.track import Track


@dataclass
class Taken:
    tracks: list[Track] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)

    def publish(self, tracks: Sequence[Track]) -> FrameSink:
        assert not self.tracks, "published twice"
        self.tracks = list(tracks)
        return self

    def push(self, frame: Frame) -> None:
        self.frames.append(frame)
