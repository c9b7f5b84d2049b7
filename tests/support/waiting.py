"""Waiting for a condition instead of sleeping for a guess."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

POLL_S = 0.02
DEADLINE_S = 60.0  # generous: only a failing test ever waits that long


def wait_until(condition: Callable[[], object], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Poll until `condition()` is true; fails, saying what never came true."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(POLL_S)


async def until(condition: Callable[[], object], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """The same without blocking the event loop."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {deadline_s:.0f} s: {what}"
        await asyncio.sleep(POLL_S)
