"""Exact times for sound that comes with times rounded to milliseconds."""

from __future__ import annotations

TOLERANCE_S = 0.03  # more than rounding and a sender's jitter make; then something is missing, or time has jumped


class SampleClock:
    """Follows a track of sound, frame after frame: each begins where the one before has ended.

    Containers such as FLV round times to milliseconds; players of formats that count samples hear the difference.
    """

    __slots__ = ("_base_ticks", "_clock_rate_hz", "_sample_rate_hz", "_samples", "_tolerance_ticks")

    def __init__(self, sample_rate_hz: int, clock_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._clock_rate_hz = clock_rate_hz
        self._tolerance_ticks = int(TOLERANCE_S * clock_rate_hz)
        self._base_ticks: int | None = None
        self._samples = 0  # since the base

    def time(self, about_ticks: int, samples: int) -> int:
        """When a frame of so many samples begins, in ticks of the clock; `about_ticks` is what its sender says."""
        if self._base_ticks is not None:
            ticks = self._base_ticks + self._samples * self._clock_rate_hz // self._sample_rate_hz
            if abs(ticks - about_ticks) <= self._tolerance_ticks:
                self._samples += samples
                return ticks
        self._base_ticks = about_ticks
        self._samples = samples
        return about_ticks
