"""Those who guess passwords get slower and slower."""

import asyncio

import pytest
from support import virtual_time

from manycast.servers import throttle
from manycast.servers.throttle import (
    FIRST_DELAY_S,
    FREE_ATTEMPTS,
    FREE_ATTEMPTS_OF_ADDRESS,
    MAX_ADDRESSES,
    MAX_DELAY_OF_ADDRESS_S,
    MAX_DELAY_S,
    MAX_NAMES,
    MAX_WAITING,
    MAX_WAITING_OF_ADDRESS,
    ONE_FORGIVEN_AFTER_S,
    LoginThrottle,
    TooManyAttempts,
)

ADDRESS = "192.0.2.7"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the throttle takes for the time is the loop's."""
    monkeypatch.setattr("manycast.servers.throttle.time.monotonic", lambda: asyncio.get_running_loop().time())


async def waited_s(logins: LoginThrottle, address: str = ADDRESS, *users: str) -> float:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    async with logins.attempt(address, *(users or ("admin",))):
        return loop.time() - started_s


def test_the_first_wrong_ones_cost_nothing_and_the_later_ones_ever_more() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        delays = []
        for count in range(1, 12):
            delays.append(await waited_s(logins))
            assert logins.failed(ADDRESS, "admin") == count
        assert delays[:FREE_ATTEMPTS] == [0] * FREE_ATTEMPTS
        assert 0 < delays[FREE_ATTEMPTS] < delays[FREE_ATTEMPTS + 1] < delays[-1] == pytest.approx(MAX_DELAY_S)
        assert await waited_s(logins, "192.0.2.8") == 0

    virtual_time.run(main())


def test_the_right_one_clears_the_slate() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for _ in range(10):
            logins.failed(ADDRESS, "admin")
        logins.succeeded(ADDRESS, "admin")
        assert await waited_s(logins) == 0

    virtual_time.run(main())


def test_time_forgives(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for _ in range(10):
            logins.failed(ADDRESS, "admin")
        monkeypatch.setattr(throttle, "FORGIVEN_AFTER_S", -1.0)
        assert await waited_s(logins) == 0

    virtual_time.run(main())


def test_many_connections_are_no_way_around() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for _ in range(20):
            logins.failed(ADDRESS, "admin")
        waiting = [asyncio.create_task(waited_s(logins)) for _ in range(MAX_WAITING + 3)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(one, TooManyAttempts) for one in done) == 3
        slow = sorted(one for one in done if isinstance(one, float))
        assert slow == [pytest.approx(MAX_DELAY_S * (index + 1)) for index in range(MAX_WAITING)]
        assert await waited_s(logins) == pytest.approx(MAX_DELAY_S)  # none is left waiting

    virtual_time.run(main())


def test_a_right_login_clears_nothing_of_other_names() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        delays = []
        for _ in range(8):
            delays.append(await waited_s(logins))
            logins.failed(ADDRESS, "admin")
            assert await waited_s(logins, ADDRESS, "eve") == 0
            logins.succeeded(ADDRESS, "eve")
        assert delays == [0, 0, 0, 0.5, 1, 2, 4, 5]

    virtual_time.run(main())


def test_one_own_right_login_does_not_clear_the_other_name_of_a_request() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for _ in range(FREE_ATTEMPTS):
            assert logins.failed(ADDRESS, "eve", "admin")
        logins.succeeded(ADDRESS, "eve")
        assert await waited_s(logins, ADDRESS, "eve") == 0
        assert await waited_s(logins, ADDRESS, "eve", "admin") == pytest.approx(FIRST_DELAY_S)
        assert await waited_s(logins, ADDRESS, "admin") == pytest.approx(FIRST_DELAY_S)

    virtual_time.run(main())


async def guess_for(logins: LoginThrottle, seconds: float, users: list[str]) -> int:
    """Guess as fast as is let, by a connection for each of the users; return how many were heard."""
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + seconds
    heard = 0

    async def connection(user: str) -> None:
        nonlocal heard
        while loop.time() < ends_s:
            try:
                async with logins.attempt(ADDRESS, user):
                    logins.failed(ADDRESS, user)
                    heard += 1
            except TooManyAttempts:
                pass
            await asyncio.sleep(0.1)

    await asyncio.gather(*map(connection, users))
    return heard


@pytest.mark.usefixtures("clock")
def test_who_shares_an_address_with_a_guesser_does_not_wait() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        guessing = asyncio.create_task(guess_for(logins, 900, ["root"] * 12))
        for _ in range(30):
            await asyncio.sleep(29)
            assert await waited_s(logins) == 0
            assert not logins.paused(ADDRESS, "admin")
            logins.succeeded(ADDRESS, "admin")
        assert await guessing < 900 / MAX_DELAY_S + 20

    virtual_time.run(main())


@pytest.mark.usefixtures("clock")
def test_guesses_at_ever_other_names_are_slowed_down_as_well() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for number in range(FREE_ATTEMPTS_OF_ADDRESS + 20):
            assert logins.failed(ADDRESS, f"user {number}") == 1
        waiting = [waited_s(logins, ADDRESS, f"nobody {number}") for number in range(MAX_WAITING_OF_ADDRESS + 3)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(one, TooManyAttempts) for one in done) == 3
        heard = [one for one in done if isinstance(one, float)]
        assert max(heard) > (MAX_WAITING_OF_ADDRESS - 20) * MAX_DELAY_OF_ADDRESS_S
        assert await waited_s(logins, "192.0.2.8") == 0
        logins.failed(ADDRESS, "somebody")
        await asyncio.sleep(ONE_FORGIVEN_AFTER_S * 30)
        assert await waited_s(logins) == 0

    virtual_time.run(main())


def test_logins_by_two_names_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        logins = LoginThrottle()
        for _ in range(FREE_ATTEMPTS):
            logins.failed(ADDRESS, "a", "b")
        pairs = [("a", "b"), ("b", "a")] * 3
        async with asyncio.timeout(60):
            waits = await asyncio.gather(*(waited_s(logins, ADDRESS, *pair) for pair in pairs))
        assert min(waits) == pytest.approx(2 * FIRST_DELAY_S)

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("192.0.2.7", "192.0.2.8", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    logins = LoginThrottle()
    logins.failed(one, "admin")
    assert logins.failed(other, "admin") == (2 if same else 1)


def test_no_more_is_remembered_than_a_limit() -> None:
    logins = LoginThrottle()
    for number in range(max(MAX_ADDRESSES, MAX_NAMES) + 10):
        logins.failed(f"host {number}", "admin")
    assert (len(logins._names), len(logins._addresses)) == (MAX_NAMES, MAX_ADDRESSES)
    assert logins.failed("host 0", "admin") == 1  # the oldest was forgotten
    assert logins.failed(f"host {MAX_ADDRESSES}", "admin") == 2


def test_who_cannot_wait_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("manycast.servers.throttle.time.monotonic", lambda: now_s)
    logins = LoginThrottle()
    assert not logins.paused(ADDRESS, "admin")
    for _ in range(FREE_ATTEMPTS - 1):
        logins.failed(ADDRESS, "admin")
    assert not logins.paused(ADDRESS, "admin")
    for _ in range(20):
        logins.failed(ADDRESS, "admin")
    assert logins.paused(ADDRESS, "admin")
    assert not logins.paused("192.0.2.8", "admin")
    now_s += MAX_DELAY_S
    assert not logins.paused(ADDRESS, "admin")
