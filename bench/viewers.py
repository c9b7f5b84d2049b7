"""What a viewer of the load generator has seen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViewerFigures:
    """Counts since the viewer began. `last` are the latest sequence numbers of video and audio."""

    received_bytes: int
    packets: int
    gaps: int  # jumps in the sequence numbers
    fault: str  # why the viewer is no more; empty while all is well
    last: tuple[int, int]
    session: str
    video_timestamp: int = 0  # the latest one; RTP over TCP only
