"""The beginning of an RTMP connection (RTMP 1.0 section 5.2), both sides.

|  C0: 3  |  C1: time 32 | version 32 | 1528 bytes  |  and back: S0, S1, S2, an echo of C1  |  C2, an echo of S1  |

Since Flash Player 9 a client may put a digest into C1 and expect one in S1 and S2. Adobe never published how; every
server that works does it as below.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from manycast.errors import ProtocolError

VERSION = 3
_TLS_HANDSHAKE = 22  # RFC 8446 section 5.1
BLOCK_BYTES = 1536
DIGEST_BYTES = 32
NOISE_BYTES = 2 * BLOCK_BYTES

_TAIL = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_SERVER_NAME = b"Genuine Adobe Flash Media Server 001"
_PLAYER_NAME = b"Genuine Adobe Flash Player 001"
# Where the offset of the digest stands: behind time and version, or behind the key that some put first.
_SCHEMES = (8, 772)


class HandshakeFailed(ProtocolError):
    """The peer does not begin as RTMP does."""


class ServerHandshake:
    """Reads C0, C1 and C2."""

    def __init__(self, noise: bytes) -> None:
        """`noise` is random, NOISE_BYTES of it."""
        self._noise = noise
        self._received = bytearray()
        self._answered = False

    def receive(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take what the client sent.

        Returns: what to send, and what followed the handshake; None while it is not done. Raises HandshakeFailed.
        """
        received = self._received
        received += data
        if received[0] != VERSION:
            raise HandshakeFailed(_name_other(received[0]))
        reply = b""
        if not self._answered:
            if len(received) < 1 + BLOCK_BYTES:
                return b"", None
            reply = answer_to(bytes(received[1 : 1 + BLOCK_BYTES]), self._noise)
            self._answered = True
        if len(received) < 1 + 2 * BLOCK_BYTES:
            return reply, None
        return reply, bytes(received[1 + 2 * BLOCK_BYTES :])  # what C2 says is not checked: some clients send zeros


def _name_other(first: int) -> str:
    """What somebody speaks who does not begin with RTMP's version."""
    if first == _TLS_HANDSHAKE:
        return "TLS on the port of plain RTMP; rtmps:// has a port of its own, once it is switched on"
    if chr(first).isascii() and chr(first).isalpha():
        return "that is no RTMP: text, such as HTTP or RTSP, which have other ports"
    return f"RTMP version {first}, wanted {VERSION}"


class ClientHandshake:
    """Begins as the simple form does, which every server takes."""

    def __init__(self, noise: bytes) -> None:
        """`noise` is random, NOISE_BYTES of it."""
        self._noise = noise
        self._received = bytearray()

    def start(self) -> bytes:
        """C0 and C1."""
        return bytes((VERSION,)) + bytes(8) + self._noise[: BLOCK_BYTES - 8]

    def receive(self, data: bytes) -> tuple[bytes, bytes | None]:
        """As the server's; the reply is C2. Raises HandshakeFailed."""
        received = self._received
        received += data
        if received[0] != VERSION:
            raise HandshakeFailed(f"RTMP version {received[0]}, wanted {VERSION}")
        if len(received) < 1 + 2 * BLOCK_BYTES:
            return b"", None
        return bytes(received[1 : 1 + BLOCK_BYTES]), bytes(received[1 + 2 * BLOCK_BYTES :])


def answer_to(c1: bytes, noise: bytes) -> bytes:
    """S0, S1 and S2, with random bytes where that is what they consist of."""
    first, second = noise[:BLOCK_BYTES], noise[BLOCK_BYTES:]
    for scheme in _SCHEMES if any(c1[4:8]) else ():
        digest = _find_digest(c1, scheme, _PLAYER_NAME)
        if digest is not None:
            return bytes((VERSION,)) + _signed_block(scheme, first[8:]) + _signed_echo(digest, second)
    return bytes((VERSION,)) + bytes(8) + first[8:] + c1


def _digest_place(block: bytes, scheme: int) -> int:
    return sum(block[scheme : scheme + 4]) % 728 + scheme + 4


def _digest_of(block: bytes, place: int, key: bytes) -> bytes:
    return hmac.digest(key, block[:place] + block[place + DIGEST_BYTES :], sha256)


def _find_digest(block: bytes, scheme: int, key: bytes) -> bytes | None:
    """The digest in a block, if there is one and it is right."""
    place = _digest_place(block, scheme)
    found = block[place : place + DIGEST_BYTES]
    return found if hmac.compare_digest(found, _digest_of(block, place, key)) else None


def _signed_block(scheme: int, noise: bytes) -> bytes:
    """S1: with a digest in the place the client's scheme has for it."""
    block = bytes(4) + bytes((3, 5, 1, 1)) + noise
    place = _digest_place(block, scheme)
    return block[:place] + _digest_of(block, place, _SERVER_NAME) + block[place + DIGEST_BYTES :]


def _signed_echo(client_digest: bytes, noise: bytes) -> bytes:
    """S2: a signature under a key made of the client's digest."""
    block = noise[: BLOCK_BYTES - DIGEST_BYTES]
    key = hmac.digest(_SERVER_NAME + _TAIL, client_digest, sha256)
    return block + hmac.digest(key, block, sha256)
