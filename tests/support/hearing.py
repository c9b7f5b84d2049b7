"""What is to be heard in decoded sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from support.programs import tone_level

SILENCE = 0.01  # of the full range
PIECE_S, BREAK_S = 0.02, 0.005
PURE = 0.8  # the level of a tone that is nothing else
SHARE = 0.8  # of the pieces: a seam or a lost packet spoils the one it is in


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


def check_tone(samples: Sequence[int], frequency_hz: float, rate_hz: int = 8000, *, seconds: float) -> None:
    """At least so long one tone is heard, and next to nothing else: told by pieces of 20 ms, without those in which it
    is silent. For what is sent in real time: programs that wait for the processor leave gaps, and clips have seams.
    """
    size = round(rate_hz * PIECE_S)
    pieces = [samples[begin : begin + size] for begin in range(0, len(samples) - size + 1, size)]
    heard = [piece for piece in pieces if _longest_silence(piece) < rate_hz * BREAK_S]
    pure = sum(tone_level(piece, frequency_hz, rate_hz) > PURE for piece in heard)
    found = f"of {len(pieces)} pieces {len(heard)} are heard, {pure} are the tone"
    assert pure * PIECE_S >= seconds, found
    assert pure >= SHARE * len(heard), found


def _longest_silence(samples: Sequence[int]) -> int:
    loud = np.flatnonzero(np.abs(np.asarray(samples)) > SILENCE * 32_768)
    return int(np.diff(loud, prepend=-1, append=len(samples)).max())
