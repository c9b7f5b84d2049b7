"""The header values of RTSP that have a structure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from manycast.wire.rtsp.errors import BadRequest, InvalidRange, RangeUnitNotImplemented, UnsupportedTransport

MAX_TRANSPORTS = 16  # alternatives in one header; clients send one to three
MAX_SESSION_ID_CHARS = 256  # our own have 32

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_MAX_PORT = 65535
_MAX_CHANNEL = 255

# The length of each number is bounded: int() and float() of a hostile one are slow, or infinite.
_PAIR = re.compile(r"([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?")
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")
# A start below zero. ffmpeg asks for it after a stream that began with audio's priming, and writes -0.021 as 0.-21.
# Only so little: what is far before the start is a mistake.
_BELOW_ZERO = re.compile(r"(?:-[01](?:\.-?[0-9]{0,9})?|[01]\.-[0-9]{1,9})-")
_HOURS = re.compile(r"([0-9]{1,6}):([0-5]?[0-9]):([0-5]?[0-9](?:\.[0-9]{0,9})?)")
_CLOCK = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})(\.[0-9]{0,9})?Z", re.IGNORECASE)
_FACTOR = re.compile(r"[+-]?[0-9]{1,6}(?:\.[0-9]{0,9})?|[+-]?\.[0-9]{1,9}")
_RTP_INFO_SPLIT = re.compile(r",\s*(?=url\s*=)", re.IGNORECASE)  # addresses may hold commas
_RTP_INFO_NUMBER = re.compile(r";\s*(seq|rtptime)\s*=\s*([0-9]{1,10})\s*", re.IGNORECASE)

PortPair = tuple[int, int]  # RTP, RTCP


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSpec:
    """One alternative of the `Transport` header (RFC 2326 section 12.39).

    Without `unicast` or `multicast` the RFC means multicast; every client that leaves it out means unicast.
    A port pair written as one number n is (n, n + 1), as a port 0 some clients write for "none" is None.
    """

    protocol: str  # in upper case: RTP/AVP, RTP/AVP/TCP, RTP/AVP/UDP, RTP/SAVP, ...
    multicast: bool = False
    destination: str | None = None
    source: str | None = None
    interleaved: PortPair | None = None  # channels 0..255
    client_port: PortPair | None = None
    server_port: PortPair | None = None
    port: PortPair | None = None  # of a multicast group
    ttl: int | None = None  # 0..255
    ssrc: int | None = None
    mode: str | None = None  # in upper case; PLAY is meant when unsaid
    append: bool = False
    others: tuple[str, ...] = ()  # parameters not known here, as written

    @property
    def is_tcp(self) -> bool:
        """Interleaved in the RTSP connection."""
        return self.protocol.endswith("/TCP")

    @property
    def is_secure(self) -> bool:
        """SRTP (RFC 3711)."""
        return self.protocol.startswith(("RTP/SAVP", "RTP/SAVPF"))

    @property
    def is_record(self) -> bool:
        """The sender will publish. Old publishers say `receive`, the word of a draft of RFC 2326."""
        return self.mode is not None and ("RECORD" in self.mode or "RECEIVE" in self.mode)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one alternative. Raises UnsupportedTransport for what is no transport at all."""
        protocol, *parameters = (part.strip() for part in _split_unquoted(text, ";"))
        protocol = protocol.upper()
        if protocol.count("/") not in (1, 2):
            raise UnsupportedTransport(f"transport {text[:200]!r}, wanted RTP/AVP or a relative")
        fields: dict[str, object] = {}
        others = []
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if not _read_parameter(fields, name.strip().lower(), value.strip()) and parameter:
                others.append(parameter)
        return cls(protocol=protocol, others=tuple(others), **fields)  # type: ignore[arg-type]

    def serialize(self) -> str:
        parts = [self.protocol, "multicast" if self.multicast else "unicast"]
        for name in ("destination", "source"):
            if (address := getattr(self, name)) is not None:
                parts.append(f"{name}={address}")
        for name in ("interleaved", "client_port", "server_port", "port"):
            if (pair := getattr(self, name)) is not None:
                parts.append(f"{name}={pair[0]}-{pair[1]}")
        if self.ttl is not None:
            parts.append(f"ttl={self.ttl}")
        if self.ssrc is not None:
            parts.append(f"ssrc={self.ssrc:08X}")
        if self.mode is not None:
            # In lower case and, for one word, without the RFC's quotes: ffmpeg compares just that.
            mode = self.mode.lower()
            parts.append(f'mode="{mode}"' if "," in mode else f"mode={mode}")
        if self.append:
            parts.append("append")
        return ";".join([*parts, *self.others])


def _read_parameter(fields: dict[str, object], name: str, value: str) -> bool:
    """Put a parameter into the fields of a TransportSpec; False when it is unknown."""
    match name:
        case "unicast":
            fields["multicast"] = False
        case "multicast":
            fields["multicast"] = True
        case "append":
            fields["append"] = True
        case "destination" | "source":
            fields[name] = _unquoted(value) or None
        case "client_port" | "server_port" | "port":
            fields[name] = _parse_pair(name, value, _MAX_PORT)
        case "interleaved":
            fields[name] = _parse_pair(name, value, _MAX_CHANNEL)
        case "ttl":
            fields[name] = int(value) if _is_number(value, 255) else None
        case "ssrc":
            fields[name] = _parse_ssrc(value)
        case "mode":
            fields[name] = _unquoted(value).strip().upper() or None
        case _:
            return False
    return True


def _parse_pair(name: str, value: str, highest: int) -> PortPair | None:
    match = _PAIR.fullmatch(value)
    if match is None:
        raise UnsupportedTransport(f"{name}={value[:80]!r}, wanted n or n-m")
    first = int(match[1])
    second = int(match[2]) if match[2] else first + 1
    if first == 0 and highest == _MAX_PORT:
        return None
    if first > highest or second > highest:
        raise UnsupportedTransport(f"{name}={value!r} is above {highest}")
    return first, second


def _parse_ssrc(value: str) -> int | None:
    """Eight hexadecimal digits; informative only, so what is none of them counts as unsaid."""
    return int(value, 16) if re.fullmatch(r"[0-9A-Fa-f]{1,8}", value) else None


def parse_transports(value: str) -> list[TransportSpec]:
    """The alternatives of a `Transport` header, the one the client likes best first.

    An alternative that cannot be read is passed over when another can. Raises UnsupportedTransport when none
    can.
    """
    specs: list[TransportSpec] = []
    first_error: UnsupportedTransport | None = None
    for text in _split_unquoted(value, ",")[:MAX_TRANSPORTS]:
        try:
            specs.append(TransportSpec.parse(text))
        except UnsupportedTransport as error:
            first_error = first_error or error
    if not specs:
        raise first_error or UnsupportedTransport(f"transport {value[:200]!r}")
    return specs


@dataclass(frozen=True, slots=True, kw_only=True)
class NptRange:
    """Normal play time (RFC 2326 section 3.6)."""

    start_s: float | None = None  # None: from where the stream stands
    end_s: float | None = None  # None: to the end
    now: bool = False  # the start is `now`: the live edge; `start_s` is None

    def serialize(self) -> str:
        start = "now" if self.now else _npt(self.start_s)
        # "npt=-" is no range by the grammar; a stream without an end is sent as from 0.
        return f"npt={start or ('' if self.end_s is not None else '0.000')}-{_npt(self.end_s)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRange:
    """Absolute time (RFC 2326 section 3.7), in seconds since 1970, UTC."""

    start_unix_s: float
    end_unix_s: float | None = None

    def serialize(self) -> str:
        end = "" if self.end_unix_s is None else _clock(self.end_unix_s)
        return f"clock={_clock(self.start_unix_s)}-{end}"


Range = NptRange | ClockRange


def parse_range(value: str) -> Range:
    """Read a `Range` header, or `a=range` of SDP (RFC 2326 sections 12.29 and C.1.5).

    `;time=` is passed over; a start less than two seconds below zero is taken for 0. Start may be after end: with a
    negative scale that is the way.
    Raises InvalidRange, and RangeUnitNotImplemented for SMPTE time and what else nothing here is counted in.
    """
    text = value.split(";", 1)[0].strip()
    unit, equals, times = text.partition("=")
    if below_zero := _BELOW_ZERO.match(times):
        times = f"0-{times[below_zero.end() :]}"
    start, dash, end = times.partition("-")
    start, end = start.strip(), end.strip()
    match unit.strip().lower():
        case "npt" if equals and dash:
            if start.lower() == "now":
                return NptRange(now=True, end_s=_parse_npt(end, value))
            return NptRange(start_s=_parse_npt(start, value), end_s=_parse_npt(end, value))
        case "clock" if equals and dash:
            return ClockRange(
                start_unix_s=_parse_clock(start, value),
                end_unix_s=_parse_clock(end, value) if end else None,
            )
    if unit.strip().lower() not in ("npt", "clock") and equals:
        raise RangeUnitNotImplemented(f"range {value[:80]!r}, wanted npt=... or clock=...")
    raise InvalidRange(f"range {value[:80]!r}, wanted npt=... or clock=...")


def _parse_npt(text: str, value: str) -> float | None:
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    if match := _HOURS.fullmatch(text):
        return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
    raise InvalidRange(f"time {text[:40]!r} in range {value[:80]!r}")


def _npt(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def _parse_clock(text: str, value: str) -> float:
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise InvalidRange(f"time {text[:40]!r} in range {value[:80]!r}")
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    try:
        whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise InvalidRange(f"time {text!r}: {error}") from None
    fraction = match[7]
    return whole.timestamp() + (float(fraction + "0") if fraction else 0.0)


def _clock(unix_s: float) -> str:
    """With milliseconds, which float keeps exact enough for any year of four digits."""
    milliseconds = round(unix_s * 1000)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return (
        f"{moment.year:04d}{moment.month:02d}{moment.day:02d}"
        f"T{moment.hour:02d}{moment.minute:02d}{moment.second:02d}.{milliseconds % 1000:03d}Z"
    )


@dataclass(frozen=True, slots=True)
class SessionHeader:
    """`Session: id;timeout=60` (RFC 2326 section 12.37)."""

    id: str
    timeout_s: int | None = None  # only responses carry it; 60 is meant when unsaid

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read either form; any visible characters make an id. Raises BadRequest."""
        session_id, *parameters = (part.strip() for part in value.split(";"))
        if not session_id.isascii() or not session_id.isprintable() or " " in session_id or not session_id:
            raise BadRequest(f"session id {session_id[:80]!r}")
        if len(session_id) > MAX_SESSION_ID_CHARS:
            raise BadRequest(f"session id of {len(session_id)} characters, at most {MAX_SESSION_ID_CHARS}")
        timeout_s = None
        for parameter in parameters:
            name, _, number = (part.strip() for part in parameter.partition("="))
            if name.lower() == "timeout" and _is_number(number, 10**9):
                timeout_s = int(number)
        return cls(session_id, timeout_s)

    def serialize(self) -> str:
        return self.id if self.timeout_s is None else f"{self.id};timeout={self.timeout_s}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpInfo:
    """One track of the `RTP-Info` header (RFC 2326 section 12.33)."""

    url: str
    seq: int | None = None  # 16 bits on the wire; may be unwrapped here
    rtptime: int | None = None  # 32 bits on the wire; may be unwrapped here

    def serialize(self) -> str:
        seq = "" if self.seq is None else f";seq={self.seq & 0xFFFF}"
        rtptime = "" if self.rtptime is None else f";rtptime={self.rtptime & 0xFFFFFFFF}"
        return f"url={self.url}{seq}{rtptime}"


def parse_rtp_info(value: str) -> list[RtpInfo]:
    """Read an `RTP-Info` header; entries without an address are passed over."""
    entries = []
    for text in _RTP_INFO_SPLIT.split(value):
        name, equals, rest = text.strip().partition("=")
        if name.strip().lower() != "url" or not equals:
            continue
        numbers = {match[1].lower(): int(match[2]) for match in _RTP_INFO_NUMBER.finditer(rest)}
        url = re.split(r";\s*(?:seq|rtptime)\s*=", rest, maxsplit=1, flags=re.IGNORECASE)[0].strip()
        seq, rtptime = numbers.get("seq"), numbers.get("rtptime")
        entries.append(RtpInfo(url=_unquoted(url), seq=seq, rtptime=rtptime))
    return entries


def serialize_rtp_info(entries: Sequence[RtpInfo]) -> str:
    return ",".join(entry.serialize() for entry in entries)


def parse_scale(value: str) -> float:
    """Read `Scale` (RFC 2326 section 12.34): negative is backwards. Raises BadRequest, also for 0."""
    scale = _parse_factor("Scale", value)
    if scale == 0:
        raise BadRequest("Scale 0: PAUSE stops a stream")
    return scale


def parse_speed(value: str) -> float:
    """Read `Speed` (RFC 2326 section 12.35). Raises BadRequest, also for 0 and below."""
    speed = _parse_factor("Speed", value)
    if speed <= 0:
        raise BadRequest(f"Speed {value[:40]!r}, wanted more than 0")
    return speed


def _parse_factor(name: str, value: str) -> float:
    if not _FACTOR.fullmatch(value.strip()):
        raise BadRequest(f"{name} {value[:40]!r} is no number")
    return float(value)


def serialize_factor(factor: float) -> str:
    """The value of `Scale` or `Speed`."""
    if not math.isfinite(factor):
        raise ValueError(f"factor {factor}")
    digits = f"{factor:.6f}".rstrip("0")
    return digits + "0" if digits.endswith(".") else digits


def parse_require(value: str) -> tuple[str, ...]:
    """The option tags of a `Require`, `Proxy-Require` or `Unsupported` header, or of `Public` and `Allow`."""
    return tuple(tag for part in value.split(",") if (tag := part.strip()))


def http_date(unix_s: float) -> str:
    """The value of `Date` (RFC 2326 section 12.18): `Tue, 15 Sep 2020 00:45:17 GMT`, whatever the locale."""
    moment = datetime.fromtimestamp(int(unix_s), UTC)
    return (
        f"{_WEEKDAYS[moment.weekday()]}, {moment.day:02d} {_MONTHS[moment.month - 1]} {moment.year:04d}"
        f" {moment.hour:02d}:{moment.minute:02d}:{moment.second:02d} GMT"
    )


def _split_unquoted(text: str, separator: str) -> list[str]:
    """Split where the separator is not inside double quotes: `mode="PLAY,RECORD"` is one value."""
    parts = [""]
    for index, section in enumerate(text.split('"')):
        if index % 2:
            parts[-1] += f'"{section}"'
            continue
        first, *rest = section.split(separator)
        parts[-1] += first
        parts += rest
    return parts


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def _is_number(text: str, highest: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= highest
