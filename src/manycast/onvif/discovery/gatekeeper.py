"""Which datagrams are looked at at all: those that come again, or too often, are not.

A datagram's sender can be made up, and an answer is larger than a probe: without limits the device would be a
tool against others.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from manycast.onvif.discovery.messages import MalformedDiscovery, Request, parse

SOURCE_RATE = 10.0  # datagrams a second from one address; clients send four in half a second
SOURCE_BURST = 40.0
TOTAL_RATE = 200.0  # from all addresses
TOTAL_BURST = 400.0
ANSWER_RATE = 500.0  # a second to all; each device answers for itself
ANSWER_BURST = 2000.0
REMEMBERED_S = 30.0  # how long a message's identifier is known
MAX_SOURCES = 2000
MAX_MESSAGES = 5000


@dataclass(slots=True)
class _Bucket:
    """So many at once, and so many a second."""

    left: float
    filled_s: float

    def take(self, now_s: float, rate: float, burst: float) -> bool:
        self.left = min(burst, self.left + rate * (now_s - self.filled_s))
        self.filled_s = now_s
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Gatekeeper:
    """Datagrams in, requests out."""

    def __init__(self, *, now_s: float) -> None:
        self.refused = 0  # over a limit
        self.malformed = 0
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()
        self._all = _Bucket(TOTAL_BURST, now_s)
        self._answers = _Bucket(ANSWER_BURST, now_s)
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def admit(self, data: bytes, source: str, *, now_s: float) -> Request | None:
        """The request in a datagram; None: there is none that has to be answered."""
        if not (self._admits(source, now_s) and self._all.take(now_s, TOTAL_RATE, TOTAL_BURST)):
            self.refused += 1
            return None
        try:
            request = parse(data)
        except MalformedDiscovery:
            self.malformed += 1
            return None
        if request is None or self._known(source, request.message_id, now_s):
            return None
        return request

    def may_answer(self, *, now_s: float) -> bool:
        """Whether one more answer may go out."""
        if self._answers.take(now_s, ANSWER_RATE, ANSWER_BURST):
            return True
        self.refused += 1
        return False

    def _admits(self, source: str, now_s: float) -> bool:
        bucket = self._sources.setdefault(source, _Bucket(SOURCE_BURST, now_s))
        self._sources.move_to_end(source)
        if len(self._sources) > MAX_SOURCES:
            self._sources.popitem(last=False)
        return bucket.take(now_s, SOURCE_RATE, SOURCE_BURST)

    def _known(self, source: str, message_id: str, now_s: float) -> bool:
        """Messages are sent several times, and come by several interfaces."""
        while self._seen and (len(self._seen) >= MAX_MESSAGES or self._oldest_s() < now_s - REMEMBERED_S):
            self._seen.popitem(last=False)
        key = (source, message_id)
        known = key in self._seen
        self._seen.setdefault(key, now_s)
        return known

    def _oldest_s(self) -> float:
        return next(iter(self._seen.values()))
