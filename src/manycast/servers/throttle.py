"""Slows down those who guess passwords."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from manycast.errors import ManycastError

FREE_ATTEMPTS = 3  # wrong ones, before anything is slowed down: people mistype
FIRST_DELAY_S = 0.5  # doubled with each further one
MAX_DELAY_S = 5.0
FORGIVEN_AFTER_S = 300.0  # without another wrong one
MAX_WAITING = 8  # logins of one address that wait at a time
MAX_ADDRESSES = 10_000


class TooManyAttempts(ManycastError):
    """Too many logins of one address wait already."""


class _Record:
    __slots__ = ("failures", "latest_s", "lock", "waiting")

    def __init__(self) -> None:
        self.failures = 0
        self.latest_s = 0.0
        self.lock = asyncio.Lock()
        self.waiting = 0

    @property
    def delay_s(self) -> float:
        if self.failures < FREE_ATTEMPTS:
            return 0.0
        return min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self.failures - FREE_ATTEMPTS, 10))


class LoginThrottle:
    """Counts wrong logins by address. From some on, the logins of that address are checked one after another, each
    after a pause, however many connections it opens."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[None]:
        """Wait until a login may be checked. Raises TooManyAttempts."""
        record = self._records.get(address)
        if record is not None and time.monotonic() - record.latest_s > FORGIVEN_AFTER_S and not record.waiting:
            del self._records[address]
            record = None
        if record is None or not record.delay_s:
            yield
            return
        if record.waiting >= MAX_WAITING:
            raise TooManyAttempts(f"{MAX_WAITING} logins of {address} wait already")
        record.waiting += 1
        try:
            async with record.lock:
                await asyncio.sleep(record.delay_s)
                yield
        finally:
            record.waiting -= 1

    def paused(self, address: str) -> bool:
        """Whether a login is to be refused unheard, where it cannot wait."""
        record = self._records.get(address)
        return record is not None and time.monotonic() - record.latest_s < record.delay_s

    def failed(self, address: str) -> int:
        """Note a wrong login; return how many there were."""
        record = self._records.get(address)
        if record is None:
            record = self._records[address] = _Record()
            if len(self._records) > MAX_ADDRESSES:
                self._records.popitem(last=False)
        self._records.move_to_end(address)
        record.failures += 1
        record.latest_s = time.monotonic()
        return record.failures

    def succeeded(self, address: str) -> None:
        self._records.pop(address, None)
