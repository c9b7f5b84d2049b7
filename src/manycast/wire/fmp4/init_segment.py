"""The init segment: what stands before the first fragment (ISO/IEC 14496-12 section 8, fragments: 8.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manycast.wire.fmp4.box import UNITY_MATRIX, box, full_box
from manycast.wire.fmp4.sample_entry import Description

_BRANDS = (b"iso6", b"iso5", b"mp41")
_MOVIE_TIMESCALE = 1000  # of durations that are all 0
_ENABLED_IN_MOVIE = 3
_UNDETERMINED = b"und"


@dataclass(frozen=True, slots=True, kw_only=True)
class MovieTrack:
    track_id: int  # from 1
    timescale_hz: int
    description: Description

    @property
    def is_video(self) -> bool:
        return self.description.size is not None


def serialize_init_segment(tracks: Sequence[MovieTrack]) -> bytes:
    """`ftyp` and `moov` of a movie that is all in fragments."""
    following = max(track.track_id for track in tracks) + 1
    header = full_box(
        b"mvhd",
        0,
        0,
        bytes(8) + _MOVIE_TIMESCALE.to_bytes(4) + bytes(4),
        (0x10000).to_bytes(4) + (0x0100).to_bytes(2) + bytes(10),  # rate, volume, reserved
        UNITY_MATRIX + bytes(24) + following.to_bytes(4),
    )
    extends = box(b"mvex", *(_trex(track) for track in tracks))
    return box(b"ftyp", _BRANDS[0], bytes(4), *_BRANDS) + box(b"moov", header, *map(_trak, tracks), extends)


def _trex(track: MovieTrack) -> bytes:
    return full_box(b"trex", 0, 0, track.track_id.to_bytes(4) + (1).to_bytes(4) + bytes(12))


def _trak(track: MovieTrack) -> bytes:
    width, height = track.description.size or (0, 0)
    header = full_box(
        b"tkhd",
        0,
        _ENABLED_IN_MOVIE,
        bytes(8) + track.track_id.to_bytes(4) + bytes(8) + bytes(8),
        bytes(4) + (0 if track.is_video else 0x0100).to_bytes(2) + bytes(2),  # layer, alternate group, volume
        UNITY_MATRIX + (width << 16).to_bytes(4) + (height << 16).to_bytes(4),
    )
    return box(b"trak", header, _mdia(track))


def _mdia(track: MovieTrack) -> bytes:
    header = full_box(b"mdhd", 0, 0, bytes(8) + track.timescale_hz.to_bytes(4) + bytes(4) + _language(_UNDETERMINED))
    kind, name = (b"vide", b"Video\0") if track.is_video else (b"soun", b"Sound\0")
    handler = full_box(b"hdlr", 0, 0, bytes(4) + kind + bytes(12) + name)
    media_header = full_box(b"vmhd", 0, 1, bytes(8)) if track.is_video else full_box(b"smhd", 0, 0, bytes(4))
    here = full_box(b"dref", 0, 0, (1).to_bytes(4), full_box(b"url ", 0, 1))  # the media is in the same file
    samples = box(
        b"stbl",
        full_box(b"stsd", 0, 0, (1).to_bytes(4), track.description.entry),
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
    return box(b"mdia", header, handler, box(b"minf", media_header, box(b"dinf", here), samples))


def _language(code: bytes) -> bytes:
    """Three letters of 5 bits each, and pre_defined."""
    first, second, third = (letter - 0x60 for letter in code)
    return (first << 10 | second << 5 | third).to_bytes(2) + bytes(2)
