"""Logins: by Digest and Basic, right, wrong, old and guessed."""

from __future__ import annotations

import asyncio
import select
import time
from base64 import b64encode
from dataclasses import replace

import pytest
from support.inprocess import blocking, serving
from support.rtsp import RawRtsp, Reply
from support.waiting import until

from manycast.servers.throttle import FREE_ATTEMPTS, MAX_WAITING
from manycast.wire.challenges import parse_challenges, respond
from manycast.wire.digest import Algorithm, DigestChallenge

USERS = {"admin": "geheim", "zoë": "pä:ss"}


def challenge_of(reply: Reply, algorithm: Algorithm) -> DigestChallenge:
    found = [c for c in parse_challenges(reply.challenges) if isinstance(c, DigestChallenge)]
    return next(challenge for challenge in found if challenge.algorithm is algorithm)


def authorized(challenge: DigestChallenge, uri: str, user: str, password: str, method: str = "DESCRIBE") -> str:
    return respond(challenge, username=user, password=password, method=method, uri=uri, cnonce="0123456789abcdef")


def answer(
    client: RawRtsp,
    challenge: DigestChallenge,
    method: str,
    name: str,
    *,
    user: str = "admin",
    password: str | None = None,
    signed_method: str | None = None,
    signed_name: str | None = None,
) -> Reply:
    authorization = authorized(
        challenge,
        client.url(signed_name or name),
        user,
        USERS[user] if password is None else password,
        signed_method or method,
    )
    return client.ask(method, name, {"Authorization": authorization, "Transport": "RTP/AVP/TCP;interleaved=0-1"})


async def test_both_algorithms_are_offered_and_taken_the_stronger_first() -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        refused = await blocking(client.ask, "DESCRIBE", "nothing")
        offered = [c.algorithm for c in parse_challenges(refused.challenges) if isinstance(c, DigestChallenge)]
        assert refused.status == 401
        assert offered == [Algorithm.SHA256, Algorithm.MD5]
        for algorithm in Algorithm:
            for user in USERS:
                reply = await blocking(
                    answer, client, challenge_of(refused, algorithm), "DESCRIBE", "nothing", user=user
                )
                assert reply.status == 404  # let in, and there is nothing of that name


@pytest.mark.parametrize("qop", [False, True])
@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_what_is_signed_must_be_what_is_asked(algorithm: Algorithm, qop: bool) -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        challenge = challenge_of(await blocking(client.ask, "DESCRIBE", "one"), algorithm)
        challenge = replace(challenge, qop_auth=qop)
        right = await blocking(answer, client, challenge, "DESCRIBE", "one")
        assert right.status == 404
        other_method = await blocking(answer, client, challenge, "DESCRIBE", "one", signed_method="OPTIONS")
        other_stream = await blocking(answer, client, challenge, "DESCRIBE", "one", signed_name="two")
        client = await server.connect()
        made_up = await blocking(answer, client, replace(challenge, nonce="c91ab0-00"), "DESCRIBE", "one")
        assert [reply.status for reply in (other_method, other_stream, made_up)] == [401] * 3


@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP", "ANNOUNCE", "PLAY", "RECORD"])
async def test_every_method_that_reaches_a_stream_asks(method: str) -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        assert (await blocking(client.ask, method, "live")).status == 401
        assert (await blocking(client.ask, "OPTIONS", "live")).status == 200


@pytest.mark.parametrize("method", ["TEARDOWN", "PAUSE", "GET_PARAMETER", "SET_PARAMETER"])
async def test_a_strangers_connection_cannot_touch_a_session(method: str) -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        stranger = await server.connect()
        refused = await blocking(stranger.ask, method, "live", {"Session": "c894f3a45b23edfe"})
        assert refused.status == 401
        assert (await blocking(client.ask, "GET_PARAMETER", "live")).status == 200  # a keep-alive of nothing


async def test_an_old_nonce_is_named_so_and_the_new_one_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(users=USERS, first_request_timeout_s=1e6, idle_timeout_s=1e6) as server:
        first = await server.connect()
        challenge = challenge_of(await blocking(first.ask, "DESCRIBE", "one"), Algorithm.MD5)
        await asyncio.sleep(0.01)  # nonces know whole milliseconds
        later = await server.connect()
        now_s = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now_s + 400)
        stale = await blocking(answer, later, challenge, "DESCRIBE", "one")
        assert stale.status == 401
        fresh = challenge_of(stale, Algorithm.MD5)
        assert fresh.stale
        assert (await blocking(answer, later, fresh, "DESCRIBE", "one")).status == 404


async def test_a_login_from_before_a_restart_is_no_guess(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(users=USERS) as before:
        client = await before.connect()
        old = challenge_of(await blocking(client.ask, "DESCRIBE", "one"), Algorithm.SHA256)
    async with serving(users=USERS) as server:
        client = await server.connect()
        for _ in range(FREE_ATTEMPTS + 2):
            stale = await blocking(answer, client, old, "DESCRIBE", "one")
            assert stale.status == 401
        fresh = challenge_of(stale, Algorithm.SHA256)
        assert fresh.stale
        assert (await blocking(answer, client, fresh, "DESCRIBE", "one")).status == 404
        assert "login refused" not in caplog.text
        wrong = challenge_of(await blocking(answer, client, old, "DESCRIBE", "one", password="guess"), Algorithm.SHA256)
        assert not wrong.stale
        assert "login refused: wrong user or password, 1 of that name" in caplog.text


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


async def test_a_password_in_the_clear_is_refused_unless_allowed(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        for _ in range(10):  # none of which is a guess
            refused = await blocking(client.ask, "DESCRIBE", "one", basic("admin", "geheim"))
            assert refused.status == 401
        assert not any(challenge.startswith("Basic") for challenge in refused.challenges)
        assert "Basic is not taken without TLS" in caplog.text
        assert "wrong user or password" not in caplog.text
    async with serving(users=USERS, basic_in_clear=True) as server:
        client = await server.connect()
        refused = await blocking(client.ask, "DESCRIBE", "one", basic("admin", "wrong"))
        assert refused.status == 401
        assert refused.challenges[0].startswith('Basic realm="manycast"')
        for user, password in USERS.items():
            assert (await blocking(client.ask, "DESCRIBE", "one", basic(user, password))).status == 404
        for wrong in ("Basic", "Basic !!!", "Basic " + b64encode(b"nocolon").decode(), "Basic /w=="):
            assert (await blocking(client.ask, "DESCRIBE", "one", {"Authorization": wrong})).status == 401


async def test_guessing_gets_slow_and_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        challenge = challenge_of(await blocking(client.ask, "DESCRIBE", "one"), Algorithm.MD5)
        taken_s = []
        for number in range(5):
            started_s = time.monotonic()
            reply = await blocking(answer, client, challenge, "DESCRIBE", "one", password=f"guess {number}")
            taken_s.append(time.monotonic() - started_s)
            assert reply.status == 401
        assert taken_s[3] > 0.4
        assert taken_s[4] > 0.9
        assert (await blocking(answer, client, challenge, "DESCRIBE", "one")).status == 404  # the right one, at last
        assert "login refused: wrong user or password" in caplog.text
        assert "guess" not in caplog.text


async def test_guesses_are_slow_whatever_right_logins_of_another_name_come_between() -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        challenge = challenge_of(await blocking(client.ask, "DESCRIBE", "one"), Algorithm.MD5)
        started_s = time.monotonic()
        for number in range(6):
            wrong = await blocking(answer, client, challenge, "DESCRIBE", "one", password=f"guess {number}")
            own = await blocking(answer, client, challenge, "DESCRIBE", "one", user="zoë")
            assert (wrong.status, own.status) == (401, 404)
        assert time.monotonic() - started_s > 3.4  # pauses of 0.5, 1 and 2 s


async def test_who_shares_an_address_with_many_guessers_is_let_in_at_once() -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        challenge = challenge_of(await blocking(client.ask, "DESCRIBE", "one"), Algorithm.MD5)
        wrong = {"Authorization": authorized(challenge, client.url("one"), "admin", "guess")}
        guessers = {
            each.sock: each for each in [await server.connect() for _ in range(FREE_ATTEMPTS + MAX_WAITING + 4)]
        }
        for guesser in guessers.values():
            guesser.send("DESCRIBE", "one", wrong)
        answered: list[int] = []

        def no_more_are_taken() -> bool:
            for sock in select.select(list(guessers), [], [], 0)[0]:
                answered.append(guessers.pop(sock).reply().status)
            return 503 in answered

        await until(no_more_are_taken, "no more guesses are taken")
        assert (await blocking(answer, client, challenge, "DESCRIBE", "one", user="zoë")).status == 404
        assert guessers, "some wait still"
