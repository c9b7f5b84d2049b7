"""How much is given to viewers, the same for all protocols."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerLimits:
    max_sessions: int | None = None  # of all protocols together; None: as many as the machine can do
    backlog_s: float = 2.0  # how much of a stream waits for a slow viewer before frames are dropped
