"""WebSocket, the server's side (RFC 6455): the handshake, and the frames that are sent.

A server's frames carry no mask, so one frame does for all who are to get the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from manycast.wire.http import HttpError, RequestHead, response_head

VERSION = "13"
MAX_CONTROL_BYTES = 125  # RFC 6455 section 5.5

_FINAL_TEXT, _FINAL_BINARY, _FINAL_CLOSE, _FINAL_PONG = 0x81, 0x82, 0x88, 0x8A
_MAX_SHORT, _MAX_MEDIUM = 125, 0xFFFF
_KEY_BYTES = 16
_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 4.2.2
_NO_CODE = 1005  # RFC 6455 section 7.4.1


def asks_for_websocket(head: RequestHead) -> bool:
    return "websocket" in map(str.lower, head.tokens("Upgrade"))


def accept_upgrade(head: RequestHead, subprotocol: str | None) -> bytes:
    """The answer that opens the WebSocket (RFC 6455 section 4.2), with a subprotocol or without.

    Raises HttpError when it is not to be opened.
    """
    if head.method != "GET" or head.version < (1, 1):
        raise HttpError(400, "a WebSocket is asked for with GET and HTTP/1.1")
    if "upgrade" not in map(str.lower, head.tokens("Connection")):
        raise HttpError(400, "a WebSocket needs the header Connection: Upgrade")
    if head.get("Sec-WebSocket-Version") != VERSION:
        raise HttpError(
            426,
            f"WebSocket version {head.get('Sec-WebSocket-Version')!r}, wanted {VERSION}",
            [("Upgrade", "websocket"), ("Sec-WebSocket-Version", VERSION)],  # RFC 6455 section 4.4
        )
    key = head.get("Sec-WebSocket-Key") or ""
    if not _is_key(key):
        raise HttpError(400, f"Sec-WebSocket-Key {key[:80]!r} is no base64 of {_KEY_BYTES} bytes")
    if subprotocol is not None and subprotocol not in head.tokens("Sec-WebSocket-Protocol"):
        raise HttpError(400, f"this WebSocket speaks {subprotocol}: ask for it in Sec-WebSocket-Protocol")
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", _accept_token(key)),
        *([("Sec-WebSocket-Protocol", subprotocol)] if subprotocol is not None else []),
        ("Sec-WebSocket-Version", VERSION),
    ]
    return response_head(101, headers)


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes of a message; where messages and frames begin and end is not told."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PingReceived:
    payload: bytes  # to be sent back in a pong


@dataclass(frozen=True, slots=True)
class CloseReceived:
    """The last event: the peer closes."""

    code: int  # RFC 6455 section 7.4, to be sent back
    reason: str


@dataclass(frozen=True, slots=True)
class PeerFailed:
    """The last event: the peer sent what is no WebSocket frame; `code` is what it is to be told."""

    code: int
    reason: str


WebSocketEvent = DataReceived | PingReceived | CloseReceived | PeerFailed


def text_frame(text: str) -> bytes:
    data = text.encode()
    return _head(_FINAL_TEXT, len(data)) + data


def binary_frame(data: bytes) -> bytes:
    """One message in one frame, without a mask (RFC 6455 section 5.2)."""
    return _head(_FINAL_BINARY, len(data)) + data


def pong_frame(payload: bytes) -> bytes:
    return _head(_FINAL_PONG, len(payload)) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """What announces the end, or answers the peer's announcement; without a code for code 1005, "none was said"."""
    if code == _NO_CODE:
        return _head(_FINAL_CLOSE, 0)
    text = reason.encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return _head(_FINAL_CLOSE, 2 + len(text)) + code.to_bytes(2) + text


def _head(first: int, size: int) -> bytes:
    if size <= _MAX_SHORT:
        return bytes((first, size))
    if size <= _MAX_MEDIUM:
        return bytes((first, 126)) + size.to_bytes(2)
    return bytes((first, 127)) + size.to_bytes(8)


def _accept_token(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_GUID).digest()).decode()


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False
