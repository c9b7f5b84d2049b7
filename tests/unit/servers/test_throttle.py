"""Those who guess passwords get slower and slower."""

import asyncio

import pytest
from support import virtual_time

from manycast.servers import throttle
from manycast.servers.throttle import (
    FREE_ATTEMPTS,
    MAX_ADDRESSES,
    MAX_DELAY_S,
    MAX_WAITING,
    LoginThrottle,
    TooManyAttempts,
)

ADDRESS = "192.0.2.7"


async def waited_s(logins: LoginThrottle, address: str = ADDRESS) -> float:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    async with logins.attempt(address):
        return loop.time() - started_s


def test_the_first_wrong_ones_cost_nothing_and_the_later_ones_ever_more() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        delays = []
        for count in range(1, 12):
            delays.append(await waited_s(logins))
            assert logins.failed(ADDRESS) == count
        assert delays[:FREE_ATTEMPTS] == [0] * FREE_ATTEMPTS
        assert 0 < delays[FREE_ATTEMPTS] < delays[FREE_ATTEMPTS + 1] < delays[-1] == pytest.approx(MAX_DELAY_S)
        assert await waited_s(logins, "192.0.2.8") == 0

    virtual_time.run(main())


def test_the_right_one_clears_the_slate() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for _ in range(10):
            logins.failed(ADDRESS)
        logins.succeeded(ADDRESS)
        assert await waited_s(logins) == 0

    virtual_time.run(main())


def test_time_forgives(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for _ in range(10):
            logins.failed(ADDRESS)
        monkeypatch.setattr(throttle, "FORGIVEN_AFTER_S", -1.0)
        assert await waited_s(logins) == 0

    virtual_time.run(main())


def test_many_connections_are_no_way_around() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for _ in range(20):
            logins.failed(ADDRESS)
        waiting = [asyncio.create_task(waited_s(logins)) for _ in range(MAX_WAITING + 3)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(one, TooManyAttempts) for one in done) == 3
        slow = sorted(one for one in done if isinstance(one, float))
        assert slow == [pytest.approx(MAX_DELAY_S * (index + 1)) for index in range(MAX_WAITING)]
        assert await waited_s(logins) == pytest.approx(MAX_DELAY_S)  # none is left waiting

    virtual_time.run(main())


def test_no_more_addresses_are_remembered_than_a_limit() -> None:
    logins = LoginThrottle()
    for number in range(MAX_ADDRESSES + 10):
        logins.failed(f"host {number}")
    assert logins.failed("host 0") == 1  # the oldest was forgotten
    assert logins.failed(f"host {MAX_ADDRESSES}") == 2


def test_who_cannot_wait_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("manycast.servers.throttle.time.monotonic", lambda: now_s)
    logins = LoginThrottle()
    assert not logins.paused(ADDRESS)
    for _ in range(FREE_ATTEMPTS - 1):
        logins.failed(ADDRESS)
    assert not logins.paused(ADDRESS)
    for _ in range(20):
        logins.failed(ADDRESS)
    assert logins.paused(ADDRESS)
    assert not logins.paused("192.0.2.8")
    now_s += MAX_DELAY_S
    assert not logins.paused(ADDRESS)
