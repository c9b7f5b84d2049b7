"""Clock arithmetic: unwrapping and changing the rate of timestamps, and NTP's form of the wall clock."""

from __future__ import annotations

NTP_UNIX_EPOCH_S = 2_208_988_800  # 1900-01-01 to 1970-01-01 (RFC 3550 section 4)


class Unwrapper:
    """Turns counters that wrap at 2**bits into ones that do not.

    The nearest value wins: a smaller timestamp is usually a reordered packet or a B-frame, not a wrap.
    """

    __slots__ = ("_half", "_last", "_size")

    def __init__(self, bits: int) -> None:
        self._size = 1 << bits
        self._half = self._size >> 1
        self._last: int | None = None

    def unwrap(self, value: int) -> int:
        if self._last is None:
            self._last = value
            return value
        delta = (value - self._last) % self._size
        if delta >= self._half:
            delta -= self._size
        self._last += delta
        return self._last


def rescale(ticks: int, from_hz: int, to_hz: int) -> int:
    """Convert a timestamp between clock rates, rounding down; exact when the rates are equal."""
    return ticks if from_hz == to_hz else ticks * to_hz // from_hz


def ntp_from_unix(unix_s: float) -> int:
    """The 64-bit NTP timestamp (32.32 fixed point) of a Unix time in seconds."""
    return int((unix_s + NTP_UNIX_EPOCH_S) * 4294967296.0) & 0xFFFFFFFFFFFFFFFF


def unix_from_ntp(ntp: int) -> float:
    """The Unix time in seconds of a 64-bit NTP timestamp."""
    return ntp / 4294967296.0 - NTP_UNIX_EPOCH_S
