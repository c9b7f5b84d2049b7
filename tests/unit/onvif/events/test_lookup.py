"""Looking up the names of consumers, beside slow name servers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.waiting import until

from manycast.onvif.events import lookup
from manycast.onvif.events.lookup import MAX_ADDRESSES, MAX_LOOKUPS, MAX_LOOKUPS_OF_OWNER, Lookup


class NameServer:
    """Answers names that begin with `slow` when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()

    def getaddrinfo(self, name: str, port: None, **options: Any) -> list[Any]:
        self.asked.append(name)
        if name.startswith("slow"):
            self.go_on.wait(60)
        if name.startswith("no"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))] * 2


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.go_on.set()


async def test_an_answer_is_kept_for_some_time(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Lookup()
    assert await found.find("host", "a") == await found.find("host", "b") == ["192.0.2.1"]
    assert names.asked == ["host"]
    monkeypatch.setattr(lookup, "KEPT_S", -1.0)
    for _ in range(2):
        await found.find("other", "a")
    assert names.asked == ["host", "other", "other"]


async def test_what_is_not_found_is_an_error_and_not_kept(names: NameServer) -> None:
    found = Lookup()
    for _ in range(2):
        with pytest.raises(OSError, match="no such name"):
            await found.find("nowhere", "a")
    assert len(names.asked) == 2


async def test_what_is_no_name_is_an_error() -> None:
    with pytest.raises(OSError):
        await Lookup().find("a" * 70, "a")


async def test_only_so_many_names_are_remembered(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "MAX_KEPT", 2)
    found = Lookup()
    for name in ("one", "two", "three", "two", "one"):
        await found.find(name, "a")
    assert names.asked == ["one", "two", "three", "one"]


async def test_slow_names_of_one_subscriber_hold_up_nobody_else(names: NameServer) -> None:
    found = Lookup()
    waiting = [asyncio.create_task(found.find(f"slow{number}", "a")) for number in range(10)]
    await until(lambda: len(names.asked) == MAX_LOOKUPS_OF_OWNER, "the first of them are asked for")
    assert await found.find("host", "b") == ["192.0.2.1"]
    assert await asyncio.to_thread(lambda: "done") == "done"  # the pool of all others is free
    assert len(names.asked) == MAX_LOOKUPS_OF_OWNER + 1
    names.go_on.set()
    assert await asyncio.gather(*waiting) == [["192.0.2.1"]] * 10


async def test_there_are_never_more_threads_than_places_whoever_gives_up(names: NameServer) -> None:
    found = Lookup()
    before = threading.active_count()
    for turn in range(3):
        waiting = [asyncio.create_task(found.find(f"slow{turn}", owner)) for owner in "abcdefgh"]
        await until(lambda: len(names.asked) == MAX_LOOKUPS, "all places are taken")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert threading.active_count() <= before + MAX_LOOKUPS
    names.go_on.set()
    assert await found.find("host", "z") == ["192.0.2.1"]


async def test_a_name_of_many_addresses_has_a_few_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 0)) for number in range(100)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: many)
    assert len(await Lookup().find("many", "a")) == MAX_ADDRESSES
