"""Slows down those who guess passwords."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv6Address, ip_address
from typing import TypeVar

from manycast.errors import ManycastError

FIRST_DELAY_S = 0.5  # doubled with each further wrong one

# For one name from one address.
FREE_ATTEMPTS = 3  # wrong ones, before anything is slowed down: people mistype
MAX_DELAY_S = 5.0
FORGIVEN_AFTER_S = 300.0  # without another wrong one
MAX_WAITING = 8  # logins that wait at a time
MAX_NAMES = 10_000

# For all names from one address, behind which there may be many people.
FREE_ATTEMPTS_OF_ADDRESS = 100
MAX_DELAY_OF_ADDRESS_S = 1.0
ONE_FORGIVEN_AFTER_S = MAX_DELAY_S  # so that guesses at one name, which are as slow, do not slow down the others
MAX_WAITING_OF_ADDRESS = 32
MAX_ADDRESSES = 10_000


class TooManyAttempts(ManycastError):
    """Too many logins of one address wait already."""


class _Record:
    """The wrong logins of one name from one address."""

    max_waiting = MAX_WAITING

    def __init__(self) -> None:
        self.failures = 0.0
        self.latest_s = 0.0
        self.lock = asyncio.Lock()
        self.waiting = 0

    def failed(self, now_s: float) -> None:
        self.failures = self.remembered(now_s) + 1
        self.latest_s = now_s

    def remembered(self, now_s: float) -> float:
        """The failures that are not forgiven."""
        return 0 if now_s - self.latest_s > FORGIVEN_AFTER_S else self.failures

    def delay_s(self, now_s: float) -> float:
        return _delay_s(self.remembered(now_s) - FREE_ATTEMPTS, MAX_DELAY_S)


class _AddressRecord(_Record):
    """The wrong logins of all names from one address. No right login clears them: an attacker may have one."""

    max_waiting = MAX_WAITING_OF_ADDRESS

    def remembered(self, now_s: float) -> float:
        return max(0.0, self.failures - (now_s - self.latest_s) / ONE_FORGIVEN_AFTER_S)

    def delay_s(self, now_s: float) -> float:
        return _delay_s(self.remembered(now_s) - FREE_ATTEMPTS_OF_ADDRESS, MAX_DELAY_OF_ADDRESS_S)


RecordT = TypeVar("RecordT", bound=_Record)


class LoginThrottle:
    """Counts wrong logins by address and name, whether or not there is a user of that name. From some on, the logins of
    that name from that address are checked one after another, each after a pause, however many connections there are.

    Other names from there, whose users may share the address with an attacker, are slowed down only when the address
    has gone through a much larger allowance. IPv6 addresses are counted by /64, which is what one client may have.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)  # nobody can choose names that are counted as one
        self._names: OrderedDict[bytes, _Record] = OrderedDict()
        self._addresses: OrderedDict[bytes, _AddressRecord] = OrderedDict()

    @asynccontextmanager
    async def attempt(self, address: str, *users: str) -> AsyncIterator[None]:
        """Wait until a login by these names may be checked. Raises TooManyAttempts."""
        network = _network(address)
        async with AsyncExitStack() as turns:
            # The names come first, so that of the guesses at one name only one waits with other people's logins; they
            # come in an order, so that no two logins wait for each other.
            for key in sorted(self._keys(network, users)):
                await turns.enter_async_context(_turn(self._names.get(key), address))
            await turns.enter_async_context(_turn(self._addresses.get(network), address))
            yield

    def paused(self, address: str, user: str) -> bool:
        """Whether a login is to be refused unheard, where it cannot wait."""
        now_s = time.monotonic()
        network = _network(address)
        records = [self._addresses.get(network), *map(self._names.get, self._keys(network, (user,)))]
        return any(record is not None and now_s - record.latest_s < record.delay_s(now_s) for record in records)

    def failed(self, address: str, *users: str) -> int:
        """Note a wrong login by these names; return how many there were, of the name that had the most."""
        now_s = time.monotonic()
        network = _network(address)
        _latest(self._addresses, network, _AddressRecord, MAX_ADDRESSES).failed(now_s)
        most = 0
        for key in self._keys(network, users):
            record = _latest(self._names, key, _Record, MAX_NAMES)
            record.failed(now_s)
            most = max(most, int(record.failures))
        return most

    def succeeded(self, address: str, *users: str) -> None:
        """Note a right login: it clears what was held against these names, from there, and nothing else."""
        for key in self._keys(_network(address), users):
            self._names.pop(key, None)

    def _keys(self, network: bytes, users: tuple[str, ...]) -> set[bytes]:
        """Of a fixed length, however long names are."""
        return {
            hashlib.blake2b(
                len(network).to_bytes(4) + network + user.encode("utf-8", "surrogateescape"),
                key=self._secret,
                digest_size=12,
            ).digest()
            for user in users
        }


@asynccontextmanager
async def _turn(record: _Record | None, address: str) -> AsyncIterator[None]:
    """Wait for the pause of a record, after those who wait for it already. Raises TooManyAttempts."""
    if record is None or not record.delay_s(time.monotonic()):
        yield
        return
    if record.waiting >= record.max_waiting:
        raise TooManyAttempts(f"{record.max_waiting} logins of {address} wait already")
    record.waiting += 1
    try:
        async with record.lock:
            await asyncio.sleep(record.delay_s(time.monotonic()))
            yield
    finally:
        record.waiting -= 1


def _latest(records: OrderedDict[bytes, RecordT], key: bytes, make: type[RecordT], limit: int) -> RecordT:
    """The record of a key, new where there is none; beyond the limit the one not used for longest is forgotten."""
    record = records.setdefault(key, make())
    records.move_to_end(key)
    if len(records) > limit:
        records.popitem(last=False)
    return record


def _delay_s(beyond: float, most_s: float) -> float:
    """The pause after so many failures beyond those that are free."""
    return min(most_s, FIRST_DELAY_S * 2.0 ** min(beyond, 10.0)) if beyond >= 0 else 0.0


def _network(address: str) -> bytes:
    """What counts as one address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address.encode("utf-8", "surrogateescape")
    if not isinstance(parsed, IPv6Address):
        return parsed.packed
    return parsed.packed[:8] if parsed.ipv4_mapped is None else parsed.ipv4_mapped.packed
