"""Payloads of nothing but samples (RFC 3551 section 4.2): cut anywhere between two of them, and put together so."""

from __future__ import annotations

from collections.abc import Callable

from manycast.media.frame import Frame
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import RtpPayload


class SamplePacketiser:
    """Cuts samples into packets, each with its own timestamp.

    A block is the least that stands on whole bytes and holds all channels.
    """

    __slots__ = ("_block_bytes", "_block_ticks", "_step")

    def __init__(self, limit: int, *, block_bytes: int, block_ticks: int = 1) -> None:
        self._block_bytes = block_bytes
        self._block_ticks = block_ticks
        self._step = limit - limit % block_bytes
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        block_bytes, block_ticks, step = self._block_bytes, self._block_ticks, self._step
        return [
            RtpPayload(data[position : position + step], position // block_bytes * block_ticks, False)
            for data in frame.units
            for position in range(0, len(data), step)
        ]


class SampleDepacketiser:
    """Each packet is a frame. The marker only says that a talk spurt begins."""

    __slots__ = ("_block_bytes", "_convert", "_track_index")

    def __init__(self, track_index: int, *, block_bytes: int, convert: Callable[[bytes], bytes] | None = None) -> None:
        """`convert` turns whole blocks into the form that frames hold."""
        self._block_bytes = block_bytes
        self._convert = convert
        self._track_index = track_index

    def push(self, packet: RtpPacket) -> list[Frame]:
        data = packet.payload
        if surplus := len(data) % self._block_bytes:
            data = data[:-surplus]  # half a sample would swap the channels of all that follow
        if not data:
            return []
        return [
            Frame(
                track_index=self._track_index,
                dts_ticks=packet.timestamp,
                pts_ticks=packet.timestamp,
                keyframe=True,
                units=[data if self._convert is None else self._convert(data)],
            )
        ]

    def reset(self) -> None:
        pass
