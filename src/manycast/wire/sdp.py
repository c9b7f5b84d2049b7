"""Session descriptions (SDP, RFC 8866, with the RTSP attributes of RFC 2326 appendix C)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from manycast.errors import ProtocolError
from manycast.wire.rtp.payload import RtpMap

MAX_SDP_BYTES = 64 * 1024  # ten cameras' parameter sets fit many times
MAX_MEDIA = 32  # a pushed program has 2 to 8

# The length of each number is bounded: int() of a hostile one is slow, and refuses above 4300 digits.
_RTPMAP = re.compile(r"([0-9]{1,3})\s+([^\s/]+)\s*/\s*([0-9]{1,9})(?:\s*/\s*([0-9]{1,3}))?")
_PAYLOAD_TYPE_FIRST = re.compile(r"([0-9]{1,3})(?:[\s;]+(.*))?")
_FRAMERATE = re.compile(r"[0-9]{1,4}(?:\.[0-9]{0,9})?")
_BANDWIDTH = re.compile(r"(AS|TIAS)\s*:\s*([0-9]{1,12})", re.IGNORECASE)
_CONNECTION = re.compile(r"IN\s+IP[46]\s+([^\s/]+)(?:/([0-9]{1,3}))?(?:/[0-9]{1,5})?", re.IGNORECASE)
_MEDIA = re.compile(r"([^\s]+)\s+([0-9]{1,5})(?:/[0-9]{1,5})?\s+([^\s]+)(.*)")

# Some peers leave out the semicolon between fmtp parameters. What looks like `name=` after a space, and is
# not the padding of base64, begins the next one.
_FMTP_NEXT = re.compile(r";| (?=[A-Za-z][A-Za-z0-9-]*=[^=\s;])")


class MalformedSdp(ProtocolError):
    """Text that is no session description."""


class Direction(Enum):
    """Which way a medium goes, as seen by who wrote the description (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


_DIRECTIONS = {direction.value: direction for direction in Direction}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The `o=` line (RFC 8866 section 5.2); always of the Internet."""

    username: str = "-"
    session_id: str = "0"  # digits by the RFC; not all keep to it
    session_version: str = "0"
    address: str = "127.0.0.1"

    def serialize(self) -> str:
        return (
            f"{self.username} {self.session_id} {self.session_version} IN {_address_type(self.address)} {self.address}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A `c=` line (RFC 8866 section 5.7)."""

    address: str
    ttl: int | None = None  # of an IPv4 multicast group

    def serialize(self) -> str:
        ttl = "" if self.ttl is None else f"/{self.ttl}"
        return f"IN {_address_type(self.address)} {self.address}{ttl}"


Attribute = tuple[str, str | None]  # name, and value if there is a colon


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaDescription:
    """An `m=` line and what stands below it."""

    kind: str  # "video", "audio", "application", ...; in lower case
    port: int  # 0 in descriptions by RTSP: SETUP gives the port
    protocol: str = "RTP/AVP"
    payload_types: tuple[int, ...] = ()  # 0..127, the preferred one first; formats that are no numbers are left out
    connection: Connection | None = None
    bandwidth_kbps: int | None = None
    control: str | None = None
    range: str | None = None
    direction: Direction | None = None  # None: that of the session, which is sendrecv when unsaid
    framerate: float | None = None  # frames per second
    rtpmaps: dict[int, RtpMap] = field(default_factory=dict)  # by payload type; the static ones may be missing
    attributes: tuple[Attribute, ...] = ()  # all others, also what could not be read

    def serialize(self) -> str:
        if not self.payload_types:
            raise ValueError(f"medium {self.kind!r} without a payload type")
        formats = " ".join(map(str, self.payload_types))
        lines = [f"m={self.kind} {self.port} {self.protocol} {formats}"]
        if self.connection is not None:
            lines.append(f"c={self.connection.serialize()}")
        if self.bandwidth_kbps is not None:
            lines.append(f"b=AS:{self.bandwidth_kbps}")
        for rtpmap in self.rtpmaps.values():
            lines += _rtpmap_lines(rtpmap)
        if self.framerate is not None:
            lines.append(f"a=framerate:{_decimal(self.framerate)}")
        lines += map(_attribute_line, self.attributes)
        if self.range is not None:
            lines.append(f"a=range:{self.range}")
        if self.direction is not None:
            lines.append(f"a={self.direction.value}")
        if self.control is not None:
            lines.append(f"a=control:{self.control}")
        return _joined(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDescription:
    """A whole description. `serialize()` writes every line RFC 8866 demands; `parse()` demands hardly any."""

    origin: Origin | None = None
    name: str = "-"
    connection: Connection | None = None
    bandwidth_kbps: int | None = None
    control: str | None = None
    range: str | None = None  # the value of `a=range`, for wire.rtsp.headers.parse_range
    direction: Direction | None = None
    attributes: tuple[Attribute, ...] = ()
    media: tuple[MediaDescription, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a description; what is not understood is passed over. Raises MalformedSdp.

        `o=`, `s=` and `t=` may be missing, lines may end in LF or CR alone, and lines that are no `x=...`
        (folded parameter sets, say) count for nothing.
        """
        if len(body) > MAX_SDP_BYTES:
            raise MalformedSdp(f"{len(body)} bytes, at most {MAX_SDP_BYTES}")
        sections = _split_sections(body)
        if not sections[0] and len(sections) == 1:
            raise MalformedSdp(f"no session description: {body[:80]!r}")
        session = _Section(sections[0])
        return cls(
            origin=session.origin,
            name=session.name,
            connection=session.connection,
            bandwidth_kbps=session.bandwidth_kbps,
            control=session.control,
            range=session.range,
            direction=session.direction,
            attributes=tuple(session.attributes),
            media=tuple(_parse_media(section) for section in sections[1:]),
        )

    def serialize(self) -> bytes:
        """The description as bytes. What would break a line is our own mistake: ValueError."""
        lines = ["v=0", f"o={(self.origin or Origin()).serialize()}", f"s={self.name or '-'}"]
        if self.connection is not None:
            lines.append(f"c={self.connection.serialize()}")
        if self.bandwidth_kbps is not None:
            lines.append(f"b=AS:{self.bandwidth_kbps}")
        lines.append("t=0 0")
        lines += map(_attribute_line, self.attributes)
        if self.control is not None:
            lines.append(f"a=control:{self.control}")
        if self.range is not None:
            lines.append(f"a=range:{self.range}")
        if self.direction is not None:
            lines.append(f"a={self.direction.value}")
        text = _joined(lines) + "".join(medium.serialize() for medium in self.media)
        return text.encode("utf-8", "surrogateescape")


class _Section:
    """The lines of the session or of one medium, sorted into fields."""

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        self.origin: Origin | None = None
        self.name = "-"
        self.connection: Connection | None = None
        self.bandwidth_kbps: int | None = None
        self.control: str | None = None
        self.range: str | None = None
        self.direction: Direction | None = None
        self.framerate: float | None = None
        self.rtpmaps: dict[int, RtpMap] = {}
        self.attributes: list[Attribute] = []
        for letter, value in lines:
            self._take_line(letter, value)

    def _take_line(self, letter: str, value: str) -> None:
        match letter:
            case "v" if value != "0":
                raise MalformedSdp(f"version {value[:40]!r}, wanted 0")
            case "o":
                self.origin = _parse_origin(value)
            case "s":
                self.name = value or "-"
            case "c":
                self.connection = _parse_connection(value) or self.connection
            case "b":
                self._take_bandwidth(value)
            case "a":
                self._take_attribute(value)

    def _take_bandwidth(self, value: str) -> None:
        match = _BANDWIDTH.fullmatch(value)
        if match is None:
            return
        if match[1].upper() == "AS":
            self.bandwidth_kbps = int(match[2])
        elif self.bandwidth_kbps is None:  # TIAS is in bits and leaves the headers out (RFC 3890); AS is better
            self.bandwidth_kbps = -(-int(match[2]) // 1000)

    def _take_attribute(self, text: str) -> None:
        name, colon, value = text.partition(":")
        name, value = name.strip(), value.strip()
        match name.lower():
            case "control" if colon:
                self.control = value
            case "range" if colon:
                self.range = value
            case "framerate" if _FRAMERATE.fullmatch(value):
                self.framerate = float(value)
            case "rtpmap" if (rtpmap := _parse_rtpmap(value)) is not None:
                self.rtpmaps[rtpmap.payload_type] = rtpmap
            case word if word in _DIRECTIONS and not colon:
                self.direction = _DIRECTIONS[word]
            case _ if name:
                self.attributes.append((name, value if colon else None))

    def take_fmtp(self) -> None:
        """Move the `a=fmtp` of known payload types into their maps; they may stand above their `a=rtpmap`."""
        others: list[Attribute] = []
        for name, value in self.attributes:
            match = _PAYLOAD_TYPE_FIRST.fullmatch(value or "") if name.lower() == "fmtp" else None
            rtpmap = self.rtpmaps.get(int(match[1])) if match else None
            if match is None or rtpmap is None:
                others.append((name, value))
            else:
                rtpmap.fmtp.update(parse_fmtp(match[2] or ""))
        self.attributes = others


def parse_fmtp(text: str) -> dict[str, str]:
    """Read the parameters of an `a=fmtp` line behind its payload type; names in lower case, order kept.

    A parameter without `=` has the value "". Of equal names the last one counts.
    """
    parameters = {}
    for part in _FMTP_NEXT.split(" ".join(text.split())):
        name, _, value = part.partition("=")
        if name := name.strip().lower():
            parameters[name] = value.strip()
    return parameters


def _split_sections(body: bytes) -> list[list[tuple[str, str]]]:
    """The lines as (letter, value): those of the session, then those of each medium, its `m` first."""
    text = body.decode("utf-8", "surrogateescape").replace("\0", "")
    sections: list[list[tuple[str, str]]] = [[]]
    for line in re.split(r"[\r\n]+", text):
        if line[1:2] != "=" or not line[0].isalpha():
            continue
        letter, value = line[0].lower(), line[2:].strip()
        if letter == "m":
            if len(sections) > MAX_MEDIA:
                raise MalformedSdp(f"more than {MAX_MEDIA} media")
            sections.append([])
        sections[-1].append((letter, value))
    return sections


def _parse_media(lines: list[tuple[str, str]]) -> MediaDescription:
    match = _MEDIA.fullmatch(lines[0][1])
    if match is None or int(match[2]) > 65535:
        raise MalformedSdp(f"media line {lines[0][1][:80]!r}, wanted 'kind port protocol formats'")
    section = _Section(lines[1:])
    section.take_fmtp()
    numbers = (int(text) for text in match[4].split() if re.fullmatch(r"[0-9]{1,3}", text))
    return MediaDescription(
        kind=match[1].lower(),
        port=int(match[2]),
        protocol=match[3].upper(),
        payload_types=tuple(number for number in numbers if number <= 127),
        connection=section.connection,
        bandwidth_kbps=section.bandwidth_kbps,
        control=section.control,
        range=section.range,
        direction=section.direction,
        framerate=section.framerate,
        rtpmaps=section.rtpmaps,
        attributes=tuple(section.attributes),
    )


def _parse_origin(value: str) -> Origin | None:
    """None for a line with parts missing: servers are seen that leave user name and version out."""
    parts = value.split()
    if len(parts) != 6:
        return None
    return Origin(username=parts[0], session_id=parts[1], session_version=parts[2], address=parts[5])


def _parse_connection(value: str) -> Connection | None:
    match = _CONNECTION.fullmatch(value)
    if match is None:
        return None
    # Behind an IPv6 address stands a number of groups, not a ttl (RFC 8866 section 5.7).
    ttl = int(match[2]) if match[2] and ":" not in match[1] else None
    return Connection(address=match[1], ttl=ttl)


def _parse_rtpmap(value: str) -> RtpMap | None:
    match = _RTPMAP.fullmatch(value)
    if match is None or int(match[1]) > 127 or int(match[3]) == 0:
        return None
    return RtpMap(
        payload_type=int(match[1]),
        encoding_name=match[2],
        clock_rate_hz=int(match[3]),
        channels=int(match[4]) if match[4] else None,
    )


def _rtpmap_lines(rtpmap: RtpMap) -> list[str]:
    channels = "" if rtpmap.channels is None else f"/{rtpmap.channels}"
    lines = [f"a=rtpmap:{rtpmap.payload_type} {rtpmap.encoding_name}/{rtpmap.clock_rate_hz}{channels}"]
    if rtpmap.fmtp:
        parameters = ";".join(f"{name}={value}" if value else name for name, value in rtpmap.fmtp.items())
        lines.append(f"a=fmtp:{rtpmap.payload_type} {parameters}")
    return lines


def _attribute_line(attribute: Attribute) -> str:
    name, value = attribute
    return f"a={name}" if value is None else f"a={name}:{value}"


def _joined(lines: Iterable[str]) -> str:
    text = []
    for line in lines:
        if "\r" in line or "\n" in line or "\0" in line:
            raise ValueError(f"line break or NUL in {line!r}")
        text.append(line + "\r\n")
    return "".join(text)


def _address_type(address: str) -> str:
    return "IP6" if ":" in address else "IP4"


def _decimal(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
