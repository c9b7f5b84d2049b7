"""The text of playlists (RFC 8216 section 4; low latency: draft-pantos-hls-rfc8216bis section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor

MEDIA_TYPE = "application/vnd.apple.mpegurl"
PARTS_IN_SEGMENTS = 2  # of so many whole segments the parts are listed, for players who follow closely
HOLD_BACK_PARTS = 3  # how far from the end a player begins (PART-HOLD-BACK: at least twice, better three times)
SKIP_BOUNDARY = 6  # target durations (CAN-SKIP-UNTIL: at least so many)

_PLAIN_VERSION, _MAP_VERSION, _LOW_LATENCY_VERSION = 3, 6, 9  # section 7


@dataclass(frozen=True, slots=True)
class PartEntry:
    uri: str
    duration_s: float
    independent: bool  # decoding can begin in it

    def line(self) -> str:
        independent = ",INDEPENDENT=YES" if self.independent else ""
        return f'#EXT-X-PART:DURATION={self.duration_s:.5f},URI="{self.uri}"{independent}\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEntry:
    """A segment as it is listed; the text is made once."""

    uri: str
    duration_s: float
    unix_s: float | None = None  # when its first picture was, by the wall clock
    discontinuity: bool = False  # what follows does not go on from what was before
    map_uri: str | None = None  # of what decoders need first, where it does not stand in the segment itself
    parts: tuple[PartEntry, ...] = ()

    def head(self) -> str:
        """What stands before its parts."""
        return segment_head(self.discontinuity, self.unix_s)

    def tail(self) -> str:
        return f"#EXTINF:{self.duration_s:.5f},\n{self.uri}\n"


def segment_head(discontinuity: bool, unix_s: float | None) -> str:
    lines = "#EXT-X-DISCONTINUITY\n" if discontinuity else ""
    if unix_s is not None:
        moment = datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
        lines += f"#EXT-X-PROGRAM-DATE-TIME:{moment.replace('+00:00', 'Z')}\n"
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSegment:
    """The segment that is being made, as far as it is listed: its parts."""

    unix_s: float | None
    discontinuity: bool
    map_uri: str | None
    parts: Sequence[PartEntry]
    hint: str  # what the next part will be called


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlaylist:
    target_duration_s: int
    first_sequence: int
    discontinuity_sequence: int  # how many discontinuities have left the list
    segments: Sequence[SegmentEntry]
    part_target_s: float | None = None  # None: no low latency
    open_segment: OpenSegment | None = None
    ended: bool = False

    def serialize(self, *, skip: bool = False) -> bytes:
        """The whole list; with `skip`, without what a player who asks for a delta update has already (section 6.2.5.1).

        Nothing old enough to be skipped, or no low latency: the whole list.
        """
        skipped = self._skippable() if skip and self.part_target_s is not None else 0
        parts = [self._head(), f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n" if skipped else ""]
        map_uri = self.segments[skipped - 1].map_uri if skipped else None
        first_with_parts = len(self.segments) - PARTS_IN_SEGMENTS
        for index, segment in enumerate(self.segments[skipped:], skipped):
            parts.append(segment.head())
            if segment.map_uri != map_uri:
                parts.append(f'#EXT-X-MAP:URI="{segment.map_uri}"\n')
                map_uri = segment.map_uri
            if index >= first_with_parts:
                parts += [part.line() for part in segment.parts]
            parts.append(segment.tail())
        if self.ended:
            parts.append("#EXT-X-ENDLIST\n")
        elif self.open_segment is not None and self.part_target_s is not None:
            parts.append(self._open(self.open_segment, map_uri))
        return "".join(parts).encode()

    def _head(self) -> str:
        version = _MAP_VERSION if any(segment.map_uri for segment in self.segments) else _PLAIN_VERSION
        control = ""
        if self.part_target_s is not None:
            version = _LOW_LATENCY_VERSION
            hold_back_s = self.part_target_s * HOLD_BACK_PARTS
            skip_s = self.target_duration_s * SKIP_BOUNDARY
            control = (
                f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_back_s:.3f},"
                f"CAN-SKIP-UNTIL={skip_s}\n#EXT-X-PART-INF:PART-TARGET={self.part_target_s:.3f}\n"
            )
        discontinuities = (
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuity_sequence}\n" if self.discontinuity_sequence else ""
        )
        return (
            f"#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{self.target_duration_s}\n{control}"
            f"#EXT-X-MEDIA-SEQUENCE:{self.first_sequence}\n{discontinuities}"
        )

    def _open(self, segment: OpenSegment, map_uri: str | None) -> str:
        lines = ""
        if segment.parts:
            lines = segment_head(segment.discontinuity, segment.unix_s)
            if segment.map_uri != map_uri:
                lines += f'#EXT-X-MAP:URI="{segment.map_uri}"\n'
            lines += "".join([part.line() for part in segment.parts])
        return f'{lines}#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{segment.hint}"\n'

    def _skippable(self) -> int:
        """How many segments from the front are further from the end than the boundary."""
        boundary_s = self.target_duration_s * SKIP_BOUNDARY
        left_s = sum(part.duration_s for part in self.open_segment.parts) if self.open_segment is not None else 0.0
        for index in range(len(self.segments) - 1, -1, -1):
            left_s += self.segments[index].duration_s
            if left_s > boundary_s:
                return index
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The one form in which a stream is offered."""

    uri: str
    peak_bps: int
    average_bps: int
    codecs: tuple[str, ...]  # RFC 6381; empty where one of them has no name
    size: tuple[int, int] | None = None  # of the pictures, in pixels
    frame_rate: float | None = None


def multivariant_playlist(variant: Variant) -> bytes:
    """The list a player asks for first (section 4.3.4.2)."""
    attributes = [f"BANDWIDTH={variant.peak_bps}", f"AVERAGE-BANDWIDTH={variant.average_bps}"]
    if variant.codecs:
        attributes.append(f'CODECS="{",".join(variant.codecs)}"')
    if variant.size is not None:
        attributes.append(f"RESOLUTION={variant.size[0]}x{variant.size[1]}")
    if variant.frame_rate is not None:
        attributes.append(f"FRAME-RATE={variant.frame_rate:.3f}")
    return (
        f"#EXTM3U\n#EXT-X-VERSION:{_MAP_VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        f"#EXT-X-STREAM-INF:{','.join(attributes)}\n{variant.uri}\n"
    ).encode()


def rounded_duration_s(duration_s: float) -> int:
    """As EXTINF is compared with EXT-X-TARGETDURATION: to the nearest integer (section 4.3.3.1)."""
    return floor(duration_s + 0.5)
