"""What the payload formats share that cut a picture over packets of one timestamp, the marker on the last."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from manycast.media.frame import Frame
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import MAX_FRAME_BYTES, MalformedPayload, RtpPayload

MAX_PACKETS = 16_384  # of one picture: MAX_FRAME_BYTES in packets of 512 bytes


class Picture(NamedTuple):
    """What a frame gets of a picture."""

    units: list[bytes]
    keyframe: bool
    offset_ticks: int = 0  # from the packets' timestamp


class PictureReader(Protocol):
    """A format's part: the payloads of one picture in, its bytes out. MalformedPayload leaves it to `clear()`."""

    def begins(self, payload: bytes) -> bool:
        """Whether this surely is the first payload of a picture."""

    def add(self, payload: bytes) -> None:
        """Take the next payload. Raises MalformedPayload."""

    def take(self) -> list[Picture]:
        """The picture, which is all there, or those that share its packets; begin anew. Raises MalformedPayload."""

    def clear(self) -> None:
        """Forget the picture under way."""


class PictureDepacketiser:
    """Gives a reader the payloads of each picture, and drops a picture with a hole.

    A picture ends at the marker, or at a new timestamp where the sender sets no marker. Several pictures may have one
    timestamp, such as the two fields of a frame.
    """

    __slots__ = ("_count", "_discarding", "_reader", "_size", "_timestamp", "_track_index", "_unsure")

    def __init__(self, reader: PictureReader, track_index: int) -> None:
        self._reader = reader
        self._track_index = track_index
        self._timestamp: int | None = None  # of the picture under way, or of the last one
        self._size = 0
        self._count = 0  # of its payloads
        self._discarding = False  # what has this timestamp
        self._unsure = True  # the next timestamp's picture may lack its head: packets were lost, or we come late

    def push(self, packet: RtpPacket) -> list[Frame]:
        if packet.timestamp != self._timestamp:
            return self._turn(packet)
        return [] if self._discarding else self._take(packet)

    def reset(self) -> None:
        self._drop()
        self._unsure = True

    def _turn(self, packet: RtpPacket) -> list[Frame]:
        """Begin a picture at a new timestamp, ending the one under way."""
        frames: list[Frame] = []
        try:
            if self._count and not self._discarding:
                frames = self._finish()
        except MalformedPayload:
            pass  # it had no marker, and no end
        self._timestamp = packet.timestamp
        self._discarding = self._unsure and not self._reader.begins(packet.payload)
        self._unsure = False
        if self._discarding:
            return frames
        try:
            return frames + self._take(packet)
        except MalformedPayload:
            if not frames:
                raise
            return frames  # a finished picture is worth more than the report of a fault

    def _take(self, packet: RtpPacket) -> list[Frame]:
        self._size += len(packet.payload)
        self._count += 1
        try:
            if self._size > MAX_FRAME_BYTES or self._count > MAX_PACKETS:
                raise MalformedPayload(f"picture of over {self._size} bytes in {self._count} packets")
            self._reader.add(packet.payload)
            return self._finish() if packet.marker else []
        except MalformedPayload:
            self._drop()
            raise

    def _finish(self) -> list[Frame]:
        assert self._timestamp is not None
        pictures = self._reader.take()
        self._size = self._count = 0
        return [
            Frame(
                track_index=self._track_index,
                dts_ticks=self._timestamp + offset,
                pts_ticks=self._timestamp + offset,
                keyframe=keyframe,
                units=units,
            )
            for units, keyframe, offset in pictures
            if units
        ]

    def _drop(self) -> None:
        self._reader.clear()
        self._size = self._count = 0
        self._discarding = True


def marked_payloads(datas: list[bytes]) -> list[RtpPayload]:
    """One picture's payloads, the marker on the last."""
    last = len(datas) - 1
    return [RtpPayload(data, 0, index == last) for index, data in enumerate(datas)]
