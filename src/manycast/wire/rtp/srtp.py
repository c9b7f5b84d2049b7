"""Secure RTP and RTCP (RFC 3711), by libsrtp: packets in, protected packets out, and back.

libsrtp keeps the roll-over counter of each SSRC itself: it begins with 0 at the first packet it sees, and follows as
long as packets come in order, or not more than 32768 apart. It refuses to protect a sequence number twice, which
would give the key stream away.

pylibsrtp offers no MKI. The MKI stands between packet and tag, and the tag does not cover it (RFC 3711 section 3.1),
so it is put in and taken out here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from manycast.errors import ProtocolError
from manycast.wire.mikey import MikeyMessage, SrtpPolicy
from manycast.wire.rtp.packet import header

MAX_PACKET_BYTES = 65535  # of an interleaved frame

_MAX_STEP = 0x7FFF  # forward between two packets, for the counter to be certain
_RTP_HEADER_BYTES = 12
_RTCP_HEADER_BYTES = 8
_INDEX_BYTES = 4  # behind each SRTCP packet


class SrtpError(ProtocolError):
    """A packet that is not what the key says, or comes a second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtpKey:
    """A master key with its salt, and what is done with it."""

    master: bytes = field(repr=False)  # 16 or 32 bytes of key, 14 bytes of salt
    mki: bytes = b""  # what packets say about their key; empty: nothing
    policy: SrtpPolicy

    @classmethod
    def of(cls, message: MikeyMessage) -> SrtpKey:
        return cls(master=message.key, mki=message.mki, policy=message.policy)


class SrtpSender:
    """Protects packets under one key; any number of SSRCs."""

    def __init__(self, key: SrtpKey) -> None:
        """The packets are without MKI: `with_mki` puts it in."""
        # Loaded by the first who needs it: libsrtp takes 5 MB.
        from manycast.wire.rtp.libsrtp import sending_session

        session = sending_session(key)
        self.protect: Callable[[bytes], bytes] = session.protect
        self.protect_rtcp: Callable[[bytes], bytes] = session.protect_rtcp


def with_mki(packet: bytes, mki: bytes, tag_bytes: int) -> bytes:
    """A protected packet that says its key."""
    end = len(packet) - tag_bytes
    return packet[:end] + mki + packet[end:]


class SrtpReceiver:
    """Checks and decrypts what one peer sends under one key; any number of SSRCs."""

    def __init__(self, key: SrtpKey) -> None:
        from manycast.wire.rtp.libsrtp import Error, receiving_session

        self._key = key
        self._library_error = Error
        session = receiving_session(key)
        self._unprotect: Callable[[bytes], bytes] = session.unprotect
        self._unprotect_rtcp: Callable[[bytes], bytes] = session.unprotect_rtcp
        self._mki = key.mki
        self._tag_bytes = key.policy.tag_bytes
        self.refused = 0
        self.last_fault = ""

    def begin(self, ssrc: int, index: int) -> None:
        """Follow an SSRC from the packet with this index on: its roll-over counter before its sequence number.

        libsrtp can be told a counter only by packets that lead up to it. Those are made here.
        """
        sender = SrtpSender(replace(self._key, mki=b""))
        for step in (*range(_MAX_STEP, index - 1, _MAX_STEP), index - 1):
            if step >= 0:
                self._unprotect(sender.protect(header(0, step & 0xFFFF, 0, ssrc, False)))

    def receive_rtp(self, data: bytes) -> bytes:
        """The RTP packet in a protected one. Raises SrtpError, and counts it."""
        return self._open(data, self._unprotect, _RTP_HEADER_BYTES)

    def receive_rtcp(self, data: bytes) -> bytes:
        """The same for RTCP."""
        return self._open(data, self._unprotect_rtcp, _RTCP_HEADER_BYTES + _INDEX_BYTES)

    def _open(self, data: bytes, unprotect: Callable[[bytes], bytes], least_bytes: int) -> bytes:
        try:
            if not least_bytes + self._tag_bytes + len(self._mki) <= len(data) <= MAX_PACKET_BYTES:
                raise SrtpError(f"{len(data)} bytes are no protected packet")
            return unprotect(self._without_mki(data))
        except self._library_error as error:
            self._count(str(error))
            raise SrtpError(str(error)) from error
        except SrtpError as error:
            self._count(str(error))
            raise

    def _without_mki(self, data: bytes) -> bytes:
        if not self._mki:
            return data
        tag = len(data) - self._tag_bytes
        end = tag - len(self._mki)
        if data[end:tag] != self._mki:
            raise SrtpError(f"key {data[end:tag].hex()}, wanted {self._mki.hex()}")
        return data[:end] + data[tag:]

    def _count(self, fault: str) -> None:
        self.refused += 1
        self.last_fault = fault
