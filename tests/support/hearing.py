"""What is to be heard in decoded sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

SILENCE = 0.01  # of the full range


def samples_of(blocks: Sequence[AudioFrame], rate_hz: int = 8000) -> np.ndarray:
    """Mono, from -1 to 1."""
    resampler = AudioResampler(format="flt", layout="mono", rate=rate_hz)
    parts = [out.to_ndarray()[0] for block in blocks for out in resampler.resample(block)]
    return np.concatenate(parts)


def loudest_hz(blocks: Sequence[AudioFrame]) -> float | None:
    """The frequency that is loudest; None where all is silent."""
    samples = samples_of(blocks)
    samples = samples[len(samples) // 4 :]
    if np.abs(samples).max() < SILENCE:
        return None
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * 8000 / len(samples))
