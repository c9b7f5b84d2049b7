"""What a caller wants, as its stream id says it.

Either APP/STREAM, with parameters behind commas (`live/cam, m=publish`), or the form of SRT's access control
guidelines: `#!::r=live/cam,m=publish,u=USER,s=PASSWORD`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self
from urllib.parse import unquote

from manycast.errors import ProtocolError

MAX_BYTES = 512  # SRT's own limit (SRTO_STREAMID)
STANDARD_PREFIX = "#!::"
_NESTED_PREFIX = "#!{"


class Rejection(IntEnum):
    """Why a caller is refused, in SRT's own numbers (its access_control.h)."""

    BAD_REQUEST = 1400
    UNAUTHORIZED = 1401
    OVERLOAD = 1402
    FORBIDDEN = 1403
    NOT_FOUND = 1404
    BAD_MODE = 1405
    CONFLICT = 1409
    UNSUPPORTED_MEDIA = 1415
    SERVER_ERROR = 1500


class BadStreamId(ProtocolError):
    """A stream id that names nothing, or asks for what is not done here."""

    def __init__(self, message: str, rejection: Rejection = Rejection.BAD_REQUEST) -> None:
        super().__init__(message)
        self.rejection = rejection


@dataclass(frozen=True, slots=True)
class StreamId:
    """One caller's request."""

    name: str  # as the catalogue knows it
    publish: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    clear: bool = False  # the caller says that it comes without encryption

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a stream id. Raises BadStreamId."""
        if len(data) > MAX_BYTES:
            raise BadStreamId(f"stream id of {len(data)} bytes, at most {MAX_BYTES}")
        try:
            text = data.decode().strip()
        except UnicodeDecodeError as error:
            raise BadStreamId("stream id that is no UTF-8") from error
        if text.startswith("%23!"):  # FFmpeg 5 and others pass on what an address has, where # has to be encoded
            text = unquote(text)
        if not text:
            raise BadStreamId("no stream id: add streamid=NAME to the address")
        if not text.isprintable():
            raise BadStreamId("stream id with control characters")
        if text.startswith(_NESTED_PREFIX):
            raise BadStreamId("stream id in the nested form, which is not understood here")
        if text.startswith(STANDARD_PREFIX):
            parameters = _parameters(text.removeprefix(STANDARD_PREFIX).split(","))
            name = parameters.get("r", "")
        else:
            name, *rest = text.split(",")
            parameters = _parameters(rest)
        return cls(
            _checked_name(name),
            _publishes(parameters),
            parameters.get("u"),
            parameters.get("s"),
            parameters.get("clear") == "1",
        )


def _parameters(parts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.strip().partition("=")
        if not key and not equals:
            continue  # a comma too many
        if not key or not equals:
            raise BadStreamId("parameter without a name or a value in the stream id, wanted KEY=VALUE")
        found[key] = value
    return found


def _publishes(parameters: dict[str, str]) -> bool:
    kind = parameters.get("t", "stream")
    if kind != "stream":
        raise BadStreamId(f"stream id of type {kind!r}, only streams are known", Rejection.UNSUPPORTED_MEDIA)
    mode = parameters.get("m", parameters.get("mode", "request"))
    if mode not in ("request", "publish"):
        raise BadStreamId("mode in the stream id that is neither request nor publish", Rejection.BAD_MODE)
    return mode == "publish"


def _checked_name(name: str) -> str:
    """Without slashes at its ends, and what is written %20 decoded, as in every address. Raises BadStreamId for what no
    stream can be called."""
    try:
        name = unquote(name, errors="strict")
    except UnicodeDecodeError as error:
        raise BadStreamId("stream id with an encoded name that is no UTF-8") from error
    if not name.isprintable():
        raise BadStreamId("stream id with control characters")
    segments = [segment for segment in name.strip().split("/") if segment]
    if not segments:
        raise BadStreamId("stream id without a name")
    if "\\" in name or any(segment in (".", "..") for segment in segments):
        raise BadStreamId("stream id with a path that leads elsewhere")
    return "/".join(segments)
