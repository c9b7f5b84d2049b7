"""Reads the playlists of other servers (RFC 8216 section 4).

What a player who is not close to the live edge needs: parts and their hints (low latency) are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from manycast.errors import ProtocolError

MAX_PLAYLIST_BYTES = 4 * 1024 * 1024  # a film of ten hours in segments of two seconds has 2 MiB
MAX_TARGET_DURATION_S = 600.0
MAX_VARIANTS = 1000

_ATTRIBUTE = re.compile(r'\s*([A-Z0-9-]{1,64})=("[^"]*"|[^",]*)(?:,|$)')
_RANGE = re.compile(r"(\d{1,18})(?:@(\d{1,18}))?")


class MalformedPlaylist(ProtocolError):
    """Text that is no playlist, or one of a kind that is not read here."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a resource."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Key:
    """How segments are encrypted; `iv` is None where the segment's number is it (section 5.2)."""

    method: str
    uri: str
    iv: bytes | None = None


@dataclass(frozen=True, slots=True)
class InitSection:
    """What decoders need before the segments."""

    uri: str
    range: ByteRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSegment:
    number: int  # its media sequence number
    uri: str
    duration_s: float
    range: ByteRange | None = None
    discontinuity: bool = False  # it does not go on from the one before
    key: Key | None = None
    init: InitSection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentList:
    """A media playlist."""

    target_duration_s: float
    segments: tuple[ListedSegment, ...]
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVariant:
    """One form in which a stream is offered. `audio_uri` is where its sound is, if not in the same segments."""

    uri: str
    bandwidth_bps: int
    codecs: tuple[str, ...] = ()
    audio_uri: str | None = None


@dataclass(frozen=True, slots=True)
class VariantList:
    """A multivariant playlist."""

    variants: tuple[ListedVariant, ...]


def parse_playlist(data: bytes) -> SegmentList | VariantList:
    """Read a playlist. Bad bytes raise MalformedPlaylist and nothing else."""
    if len(data) > MAX_PLAYLIST_BYTES:
        raise MalformedPlaylist(f"a playlist of {len(data)} bytes, at most {MAX_PLAYLIST_BYTES}")
    lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
    if not lines or not lines[0].startswith("#EXTM3U"):
        raise MalformedPlaylist(f"a playlist that begins with {data[:20]!r}, wanted #EXTM3U")
    if any(line.startswith("#EXT-X-STREAM-INF:") for line in lines):
        return _parse_variants(lines)
    return _SegmentReader().read(lines)


class _SegmentReader:
    """What holds for the next segment."""

    def __init__(self) -> None:
        self._target_s = 0.0
        self._first = 0
        self._ended = False
        self._segments: list[ListedSegment] = []
        self._duration_s: float | None = None
        self._range: ByteRange | None = None
        self._range_end = 0  # of the segment before, where the next one begins if it does not say
        self._discontinuity = False
        self._key: Key | None = None
        self._init: InitSection | None = None

    def read(self, lines: list[str]) -> SegmentList:
        for line in lines:
            if line.startswith("#EXT"):
                name, _, value = line[1:].partition(":")
                self._tag(name, value)
            elif line and not line.startswith("#"):
                self._segment(line)
        if not 0 < self._target_s <= MAX_TARGET_DURATION_S:
            raise MalformedPlaylist(f"a target duration of {self._target_s:g} s")
        return SegmentList(target_duration_s=self._target_s, segments=tuple(self._segments), ended=self._ended)

    def _tag(self, name: str, value: str) -> None:
        match name:
            case "EXT-X-TARGETDURATION":
                self._target_s = _number(value)
            case "EXT-X-MEDIA-SEQUENCE":
                self._first = int(_number(value))
            case "EXT-X-ENDLIST":
                self._ended = True
            case "EXTINF":
                self._duration_s = _number(value.partition(",")[0])
            case "EXT-X-BYTERANGE":
                self._range = _byte_range(value, self._range_end)
            case "EXT-X-DISCONTINUITY":
                self._discontinuity = True
            case "EXT-X-KEY":
                self._key = _key(_attributes(value))
            case "EXT-X-MAP":
                attributes = _attributes(value)
                found = attributes.get("BYTERANGE")
                self._init = InitSection(_uri(attributes), None if found is None else _byte_range(found, 0))
            case _:
                pass  # what players can do without

    def _segment(self, uri: str) -> None:
        if self._duration_s is None:
            raise MalformedPlaylist(f"a segment without EXTINF: {uri[:80]!r}")
        self._segments.append(
            ListedSegment(
                number=self._first + len(self._segments),
                uri=uri,
                duration_s=self._duration_s,
                range=self._range,
                discontinuity=self._discontinuity,
                key=self._key,
                init=self._init,
            )
        )
        self._range_end = 0 if self._range is None else self._range.first + self._range.count
        self._duration_s = self._range = None
        self._discontinuity = False


def _parse_variants(lines: list[str]) -> VariantList:
    sounds: dict[str, str] = {}  # by their group
    variants: list[ListedVariant] = []
    attributes: dict[str, str] | None = None
    groups: list[str | None] = []
    for line in lines:
        if line.startswith("#EXT-X-MEDIA:"):
            media = _attributes(line.partition(":")[2])
            if media.get("TYPE") == "AUDIO" and media.get("URI"):
                group = media.get("GROUP-ID", "")
                if group not in sounds or media.get("DEFAULT") == "YES":
                    sounds[group] = media["URI"]
        elif line.startswith("#EXT-X-STREAM-INF:"):
            attributes = _attributes(line.partition(":")[2])
        elif line and not line.startswith("#") and attributes is not None:
            codecs = tuple(name.strip() for name in attributes.get("CODECS", "").split(",") if name.strip())
            bandwidth = int(_number(attributes.get("BANDWIDTH", "0")))
            variants.append(ListedVariant(uri=line, bandwidth_bps=bandwidth, codecs=codecs))
            groups.append(attributes.get("AUDIO"))
            attributes = None
            if len(variants) > MAX_VARIANTS:
                raise MalformedPlaylist(f"more than {MAX_VARIANTS} variants")
    if not variants:
        raise MalformedPlaylist("a playlist of variants without any")
    return VariantList(
        tuple(
            ListedVariant(
                uri=variant.uri,
                bandwidth_bps=variant.bandwidth_bps,
                codecs=variant.codecs,
                audio_uri=None if group is None else sounds.get(group),
            )
            for variant, group in zip(variants, groups, strict=True)
        )
    )


def _attributes(text: str) -> dict[str, str]:
    """An attribute list (section 4.2)."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _ATTRIBUTE.match(text, position)
        if match is None:
            raise MalformedPlaylist(f"{text[position : position + 40]!r} is no NAME=value")
        found[match[1]] = match[2].strip('"')
        position = match.end()
    return found


def _key(attributes: dict[str, str]) -> Key | None:
    method = attributes.get("METHOD", "")
    if method == "NONE":
        return None
    iv = attributes.get("IV")
    if iv is None:
        return Key(method, _uri(attributes))
    digits = iv[2:]
    if iv[:2].lower() != "0x" or not re.fullmatch(r"[0-9A-Fa-f]{1,32}", digits):
        raise MalformedPlaylist(f"an initialisation vector of {iv[:40]!r}")
    return Key(method, _uri(attributes), int(digits, 16).to_bytes(16))


def _uri(attributes: dict[str, str]) -> str:
    uri = attributes.get("URI")
    if not uri:
        raise MalformedPlaylist("a tag without its URI")
    return uri


def _byte_range(text: str, following: int) -> ByteRange:
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise MalformedPlaylist(f"a byte range of {text[:40]!r}")
    return ByteRange(following if match[2] is None else int(match[2]), int(match[1]))


def _number(text: str) -> float:
    text = text.strip()
    if not re.fullmatch(r"\d{1,18}(\.\d{1,18})?", text):
        raise MalformedPlaylist(f"{text[:40]!r} is no number")
    return float(text)
