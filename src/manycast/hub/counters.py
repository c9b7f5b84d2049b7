"""What is counted, per viewer and per stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ViewerCounters:
    """Frames count as sent when they are given to the kernel or to the backlog; first reports count with them."""

    sent_frames: int = 0
    sent_bytes: int = 0
    dropped_frames: int = 0
    drop_episodes: int = 0  # how often dropping up to a keyframe began
    lost_bytes: int = 0  # UDP only: what the kernel had no room for

    def __str__(self) -> str:
        text = f"{_frames(self.sent_frames)}, {self.sent_bytes / 1e6:.1f} MB"
        if self.lost_bytes:
            text += f", {self.lost_bytes} bytes the kernel had no room for"
        if self.dropped_frames:
            episodes = "1 episode" if self.drop_episodes == 1 else f"{self.drop_episodes} episodes"
            text += f", {_frames(self.dropped_frames)} dropped in {episodes}"
        return text


@dataclass(slots=True)
class StreamCounters:
    received_frames: int = 0
    received_bytes: int = 0
    keyframes: int = 0

    def __str__(self) -> str:
        return f"{_frames(self.received_frames)} ({self.keyframes} key), {self.received_bytes / 1e6:.1f} MB"


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
