"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        # Of the C library in use; musl has nothing like it, and needs nothing.
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim


_trim = _find_trim()


def give_back() -> None:
    """Let glibc part with what it has kept after files were played: about as much as the cache held.

    It takes milliseconds; not for the event loop.
    """
    if _trim is not None:
        _trim(0)
