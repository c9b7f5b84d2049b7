"""One access unit of one track."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Frame:
    """One access unit, in decoding order.

    `units` holds NAL units without start codes for H.264 and H.265, without access unit delimiters; the OBUs of a
    temporal unit, each with its header and without size field, for AV1, without temporal delimiters; and one item for
    everything else: a raw AAC access unit (no ADTS), an Opus, Vorbis, Theora, VP8 or VP9 packet, an MPEG audio or
    AC-3 frame with its header, interleaved samples of any number (G.711, G.722, G.726, L16 in network order), AMR
    frames in storage format (RFC 4867 section 5.3), a picture with its start codes and headers (MPEG-4, MPEG-1/2), a
    whole JPEG image, transport stream packets, or an XML document. Of an UNKNOWN codec it holds RTP payloads as they
    came, each behind a byte that is 1 where the packet had the marker and 0 elsewhere.
    A keyframe that has passed `normalise` starts with its track's parameter sets. Headers of Theora and Vorbis that
    came within the stream are items before the packet, until `normalise` takes them.
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
