"""Those who have begun something and not finished it: limited, so that nobody can fill the server with them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT", bound=Hashable)


class WaitingRoom(Generic[ItemT]):
    """Where it is full, who has waited longest goes: an honest client needs moments, one who only blocks stays."""

    def __init__(self, limit: int, limit_per_address: int) -> None:
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._addresses: dict[ItemT, str] = {}  # in the order they came
        self._by_address: dict[str, dict[ItemT, None]] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def __contains__(self, item: object) -> bool:
        return item in self._addresses

    def add(self, item: ItemT, address: str) -> ItemT | None:
        """Let in a client from a network address. Returns who has to go for that."""
        neighbours = self._by_address.get(address, {})
        gone = None
        if len(neighbours) >= self._limit_per_address:
            gone = next(iter(neighbours))
        elif len(self._addresses) >= self._limit:
            gone = next(iter(self._addresses))
        if gone is not None:
            self.remove(gone)
        self._addresses[item] = address
        self._by_address.setdefault(address, {})[item] = None
        return gone

    def remove(self, item: ItemT) -> None:
        """Nothing happens for one who is not in."""
        address = self._addresses.pop(item, None)
        if address is None:
            return
        neighbours = self._by_address[address]
        del neighbours[item]
        if not neighbours:
            del self._by_address[address]
