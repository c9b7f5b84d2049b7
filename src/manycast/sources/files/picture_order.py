"""Presentation times for containers that number frames and know nothing of B-frames. Imports PyAV."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Stream

MAX_DEPTH = 16  # frames that a frame can be shown after, though decoded before (annex A of H.264 and H.265)


@dataclass(slots=True, order=True)
class _Waiting:
    order: int  # when it is shown, by the slice headers; only to be compared with its group's others
    packet: Packet[Stream] = field(compare=False)
    timed: bool = field(default=False, compare=False)


class PictureOrder:
    """Gives packets that have a dts the pts that follow from the order of pictures in their slice headers.

    The frames from one keyframe to the next are shown in the times in which they are decoded: the one that is shown
    first gets the first dts as its pts, and so on. That needs nothing from before the keyframe.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next packet is a keyframe somewhere else."""
        self._filter = BitStreamFilterContext("dts2pts", self._stream)
        self._waiting: deque[_Waiting] = deque()  # in decoding order
        self._unordered: list[_Waiting] = []  # a heap of those whose turn to be shown is not known
        self._times: deque[int] = deque()  # in which they will be shown

    def push(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Return the packets whose pts are now known. Raises FFmpegError for broken ones."""
        packet.pts = None
        return [done for ready in self._filter.filter(packet) for done in self._add(ready)]

    def flush(self) -> list[Packet[Stream]]:
        """Return what was held back: the stream has ended."""
        done = []
        for packet in self._filter.filter(None):
            # The filter takes the last pts from the group of pictures before, in the right order.
            late = packet.pts is not None and packet.dts is not None and packet.pts < packet.dts
            done += self._add(packet, 1 << 62 if late else 0)
        return done + self._end_group()

    def _add(self, packet: Packet[Stream], offset: int = 0) -> list[Packet[Stream]]:
        if packet.dts is None:
            return []
        done = self._end_group() if packet.is_keyframe else []
        waiting = _Waiting((packet.dts if packet.pts is None else packet.pts) + offset, packet)
        self._waiting.append(waiting)
        heapq.heappush(self._unordered, waiting)
        self._times.append(packet.dts)
        if len(self._unordered) > MAX_DEPTH:
            self._time_one()
        return done + self._take_timed()

    def _end_group(self) -> list[Packet[Stream]]:
        while self._unordered:
            self._time_one()
        return self._take_timed()

    def _time_one(self) -> None:
        waiting = heapq.heappop(self._unordered)
        waiting.packet.pts = self._times.popleft()
        waiting.timed = True

    def _take_timed(self) -> list[Packet[Stream]]:
        done = []
        while self._waiting and self._waiting[0].timed:
            done.append(self._waiting.popleft().packet)
        return done
