"""Presentation times for containers that count frames and do not know about B-frames. Imports PyAV."""

from __future__ import annotations

from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Stream


class PictureOrder:
    """Gives packets that have a dts the pts that follows from the pictures' order in their slice headers.

    Each frame's pts is the dts of another one, of that which is decoded when this one is shown.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next packet is a keyframe somewhere else."""
        self._filter = BitStreamFilterContext("dts2pts", self._stream)
        self._delay: int | None = None  # pts - dts of keyframes
        self._due: set[int] = set()  # the pts there must be since the last keyframe
        self._given: set[int] = set()

    def push(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Return the packets whose pts are now known. Raises FFmpegError for broken ones."""
        packet.pts = None
        return [self._seen(ready) for ready in self._filter.filter(packet)]

    def flush(self) -> list[Packet[Stream]]:
        """Return what was held back: the stream has ended."""
        packets = self._filter.filter(None)
        # The filter takes the last pts from the wrong group of pictures, in the right order.
        wrong = []
        for packet in packets:
            if packet.pts is None or packet.dts is None or self._delay is None:
                continue
            if packet.pts < packet.dts:
                self._due.add(packet.dts + self._delay)
                wrong.append(packet)
            else:
                self._seen(packet)
        wrong.sort(key=lambda packet: packet.pts or 0)
        for packet, pts in zip(wrong, sorted(self._due - self._given), strict=False):
            packet.pts = pts
        return packets

    def _seen(self, packet: Packet[Stream]) -> Packet[Stream]:
        if packet.pts is None or packet.dts is None:
            return packet
        if packet.is_keyframe:
            self._delay = packet.pts - packet.dts
            self._due.clear()
            self._given.clear()
        if self._delay is not None:
            self._due.add(packet.dts + self._delay)
        self._given.add(packet.pts)
        return packet
