"""One access unit of one track."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Frame:
    """One access unit, in decoding order.

    `units` holds NAL units without start codes for H.264 and H.265, without access unit delimiters; one item for
    audio: a raw AAC access unit (no ADTS), an Opus packet, or interleaved G.711 samples of any number.
    A keyframe that has passed `normalise` starts with its track's parameter sets.
    Timestamps are in ticks of the track's `clock_rate_hz`, unwrapped; all tracks of a stream share one zero.
    """

    track_index: int
    dts_ticks: int
    pts_ticks: int
    keyframe: bool  # decodable without any frame before it; always true for audio
    units: list[bytes]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.units))
