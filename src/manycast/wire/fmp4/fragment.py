"""Fragments: `moof` with the times, sizes and kinds of some samples, and `mdat` with their bytes (ISO/IEC 14496-12
section 8.8)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_MOOF = struct.Struct(">I4sI4sII")  # moof, mfhd
_TRAF = struct.Struct(">I4sI4sIII4sIQI4sIIi")  # traf, tfhd, tfdt, and trun up to its samples
_SAMPLE = struct.Struct(">IIIi")
_DEFAULT_BASE_IS_MOOF = 0x020000
_TFDT_64_BIT = 1 << 24
# trun of version 1, whose composition offsets are signed; offset of the data, and of each sample all four fields.
_TRUN = 1 << 24 | 0x000F01
_SYNC, _NOT_SYNC = 0x0200_0000, 0x0101_0000  # sample flags: depends on none; depends on others and is no sync sample
_MAX_DURATION = 0xFFFF_FFFF
_MAX_OFFSET = 0x7FFF_FFFF


@dataclass(slots=True)
class Sample:
    """One frame of one track, on the movie's timeline, in ticks of the track's timescale."""

    track_id: int
    dts_ticks: int  # from 0 on
    pts_ticks: int
    duration_ticks: int
    keyframe: bool
    data: bytes


def serialize_fragment(samples: Sequence[Sample], sequence: int) -> bytes:
    """One fragment of samples in decoding order, at least one; `sequence` grows from fragment to fragment.

    Within a track the times of all but the first sample follow from the durations before them.
    """
    runs: dict[int, list[Sample]] = {}
    for sample in samples:
        runs.setdefault(sample.track_id, []).append(sample)
    moof_bytes = _MOOF.size + len(runs) * _TRAF.size + len(samples) * _SAMPLE.size
    parts = [_MOOF.pack(moof_bytes, b"moof", 16, b"mfhd", 0, sequence & 0xFFFF_FFFF)]
    offset = moof_bytes + 8
    for track_id, run in runs.items():
        trun_bytes = 20 + len(run) * _SAMPLE.size
        parts.append(
            _TRAF.pack(
                8 + 16 + 20 + trun_bytes,
                b"traf",
                16,
                b"tfhd",
                _DEFAULT_BASE_IS_MOOF,
                track_id,
                20,
                b"tfdt",
                _TFDT_64_BIT,
                run[0].dts_ticks,
                trun_bytes,
                b"trun",
                _TRUN,
                len(run),
                offset,
            )
        )
        for sample in run:
            composition = sample.pts_ticks - sample.dts_ticks
            parts.append(
                _SAMPLE.pack(
                    min(sample.duration_ticks, _MAX_DURATION),
                    len(sample.data),
                    _SYNC if sample.keyframe else _NOT_SYNC,
                    max(-_MAX_OFFSET, min(composition, _MAX_OFFSET)),
                )
            )
            offset += len(sample.data)
    parts.append((offset - moof_bytes).to_bytes(4) + b"mdat")
    for run in runs.values():
        parts += [sample.data for sample in run]
    return b"".join(parts)
