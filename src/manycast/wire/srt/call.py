"""What an address says of an SRT call: `srt://host:port?streamid=live/cam&passphrase=...&latency=200`.

The names of the parameters are those of srt-live-transmit, and of FFmpeg where it has the same. A name and a password
go into the stream id, as SRT's access control guidelines have it for the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote

from manycast.wire.address import MalformedAddress, SourceAddress
from manycast.wire.srt.streamid import MAX_BYTES, STANDARD_PREFIX, BadStreamId, StreamId

MIN_PASSPHRASE_BYTES, MAX_PASSPHRASE_BYTES = 10, 79  # SRT's own (SRTO_PASSPHRASE)
MAX_LATENCY_MS = 60_000
KEY_BYTES = (16, 24, 32)
_READ = frozenset({"mode", "streamid", "passphrase", "pbkeylen", "latency", "rcvlatency"})
_LIVE_DEFAULTS = frozenset({("transtype", "live"), ("messageapi", "1"), ("tlpktdrop", "1"), ("tsbpd", "1")})


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtCall:
    """How to call, and what to ask for."""

    stream_id: str = field(default="", repr=False)  # with the login
    passphrase: str | None = field(default=None, repr=False)
    latency_ms: int | None = None  # None: libsrt's own
    key_bytes: int | None = None  # of AES; None: as the other end likes
    unread: tuple[str, ...] = ()  # parameters of the address that change nothing

    @classmethod
    def of(cls, address: SourceAddress) -> Self:
        """Raises MalformedAddress."""
        if not address.port:
            raise MalformedAddress("an SRT address without a port")
        found = _parameters(address.query)
        mode = found.get("mode", "caller")
        if mode != "caller":
            raise MalformedAddress(
                f"mode={mode[:20]}: what is fetched is called; a sender that calls publishes with m=publish to the SRT "
                "port of this server"
            )
        latency = found.get("latency", found.get("rcvlatency"))
        key_length = found.get("pbkeylen", "0")
        return cls(
            stream_id=_with_login(found.get("streamid", ""), address.user, address.password),
            passphrase=_checked_passphrase(found.get("passphrase")),
            latency_ms=None
            if latency is None
            else _number("latency", latency, range(MAX_LATENCY_MS + 1), "0 to 60000 ms"),
            key_bytes=_number("pbkeylen", key_length, (0, *KEY_BYTES), "16, 24 or 32") or None,
            unread=tuple(
                name for name, value in found.items() if name not in _READ and (name, value) not in _LIVE_DEFAULTS
            ),
        )

    @property
    def name(self) -> str | None:
        """What the stream id calls the stream, where a server of ours would know it by that."""
        try:
            return StreamId.parse(self.stream_id.encode()).name
        except BadStreamId:
            return None


def _parameters(query: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {name.lower(): unquote(value) for name, _, value in pairs}


def _with_login(stream_id: str, user: str | None, password: str | None) -> str:
    """Raises MalformedAddress."""
    if user is not None:
        if any("," in text for text in (user, password or "")):
            raise MalformedAddress("a name or a password with a comma, which a stream id cannot have")
        if not stream_id.startswith(STANDARD_PREFIX):
            stream_id = f"{STANDARD_PREFIX}r={stream_id}" if stream_id else STANDARD_PREFIX
        login = f"u={user}" if password is None else f"u={user},s={password}"
        stream_id += login if stream_id.endswith(("::", ",")) else f",{login}"
    size = len(stream_id.encode())
    if size > MAX_BYTES:
        raise MalformedAddress(f"a stream id of {size} bytes, at most {MAX_BYTES}")
    return stream_id


def _checked_passphrase(passphrase: str | None) -> str | None:
    if not passphrase:
        return None
    size = len(passphrase.encode())
    if not MIN_PASSPHRASE_BYTES <= size <= MAX_PASSPHRASE_BYTES:
        raise MalformedAddress(
            f"a passphrase of {size} bytes, SRT's have {MIN_PASSPHRASE_BYTES} to {MAX_PASSPHRASE_BYTES}"
        )
    return passphrase


def _number(name: str, text: str, allowed: range | tuple[int, ...], wanted: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) in allowed):
        raise MalformedAddress(f"{name}={text[:20]}, wanted {wanted}")
    return int(text)
