"""Logins by UsernameToken and by HTTP Digest."""

from __future__ import annotations

import asyncio
import time
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree
from support.soap import PASSWORD_DIGEST, AskedDevice, asked_device, delivered, envelope, username_token

from manycast.onvif.onvif_device import Answer
from manycast.onvif.security import used_tokens
from manycast.onvif.security.login import MAX_PROVEN_NAMES
from manycast.onvif.security.used_tokens import UsedTokens
from manycast.onvif.security.username_token import TokenRefused, UsernameToken
from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.names import expanded
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.users import User, UserLevel
from manycast.onvif.surroundings import Surroundings
from manycast.servers import throttle
from manycast.wire.challenges import parse_challenges, respond
from manycast.wire.digest import DigestChallenge

TEXT = PASSWORD_DIGEST.replace("Digest", "Text")


async def call(device: AskedDevice, *headers: etree._Element, **delivery: Any) -> Answer:
    request = contract("tds").rendered(expanded("tds:GetUsers"), {})
    return await device.device.answer(envelope(request, *headers), replace(device.delivery, **delivery))


def token(password: str = "admin's", nonce: bytes = b"once", **changes: Any) -> etree._Element:
    return username_token("admin", password, nonce=nonce, **changes)


def answered(challenge: str, password: str = "admin's", *, user: str = "admin", qop: bool = True, nc: int = 1) -> str:
    parsed = parse_challenges([challenge])[0]
    assert isinstance(parsed, DigestChallenge)
    parsed = replace(parsed, qop_auth=qop)
    uri = "/onvif/device_service"
    return respond(parsed, username=user, password=password, method="POST", uri=uri, cnonce="c", nc=nc)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What logins would have to wait; they do not."""
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(throttle, "asyncio", SimpleNamespace(sleep=sleep, Lock=asyncio.Lock))
    return pauses


async def test_a_token_is_taken_once() -> None:
    device = await asked_device(login=True)
    assert (await call(device, token())).status == 200
    again = await call(device, token())
    assert (again.status, b"ter:NotAuthorized" in again.body) == (400, True)


async def test_a_token_of_the_devices_own_time_is_taken() -> None:
    device = await asked_device(login=True)
    device.state.clock.offset_s = timedelta(days=-300).total_seconds()
    assert (await call(device, token())).status == 400
    assert (await call(device, token(created=device.device.clock.now()))).status == 200


async def test_a_password_in_plain_text_is_taken_through_tls_only() -> None:
    device = await asked_device(login=True)
    assert (await call(device, token(kind=TEXT))).status == 400
    assert (await call(device, token(kind=TEXT), secure=True)).status == 200


async def test_without_a_login_there_is_a_challenge_for_each_hash() -> None:
    device = await asked_device(login=True)
    answer = await call(device)
    assert answer.status == 401
    challenges = parse_challenges(answer.challenges)
    assert [each.algorithm.value for each in challenges if isinstance(each, DigestChallenge)] == ["SHA-256", "MD5"]
    assert b"ter:NotAuthorized" in answer.body
    for challenge in answer.challenges:
        assert (await call(device, authorization=answered(challenge))).status == 200
        refused = await call(device, authorization=answered(challenge, "guess"))
        assert (refused.status, len(refused.challenges)) == (401, 2)


async def test_a_hash_that_is_not_offered_is_not_taken() -> None:
    device = await asked_device(login=True)
    sha256 = (await call(device)).challenges[0]
    device.state.hashing_algorithms = device.state.hashing_algorithms[1:]
    assert (await call(device, authorization=answered(sha256))).status == 401


async def test_where_both_are_given_both_have_to_be_right() -> None:
    device = await asked_device(login=True)
    challenge = (await call(device)).challenges[0]
    assert (await call(device, token(), authorization=answered(challenge))).status == 200
    assert (await call(device, token(nonce=b"2"), authorization=answered(challenge, "guess", nc=2))).status == 401
    assert (await call(device, token("guess", nonce=b"3"), authorization=answered(challenge, nc=3))).status == 400


async def test_a_guess_beside_a_right_login_is_charged_to_both_names() -> None:
    device = await asked_device(login=True)
    challenge = (await call(device)).challenges[0]
    for number in range(throttle.FREE_ATTEMPTS):
        own = answered(challenge, "operator's", user="operator", nc=number + 1)
        assert (await call(device, token("guess", nonce=b"%d" % number), authorization=own)).status == 400
    logins, address = device.device.login._throttle, delivered().address
    assert logins.paused(address, "operator")
    assert logins.paused(address, "admin")
    assert not logins.paused(address, "user")


async def test_digest_without_the_qop_that_was_offered_is_refused() -> None:
    device = await asked_device(login=True)
    for challenge in (await call(device)).challenges:
        assert (await call(device, authorization=answered(challenge, qop=False))).status == 401
        assert (await call(device, authorization=answered(challenge))).status == 200


async def test_digest_is_for_the_address_that_was_asked() -> None:
    device = await asked_device(login=True)
    challenge = (await call(device)).challenges[0]
    for target in ("/onvif/media_service", "/onvif/device_service/below", "/onvif/device_service?x=1"):
        assert (await call(device, authorization=answered(challenge), target=target)).status == 401


async def test_who_was_overheard_is_not_taken_for_somebody_else() -> None:
    device = await asked_device(login=True)
    authorization = answered((await call(device)).challenges[0])
    assert (await call(device, authorization=authorization, connection="first")).status == 200
    assert (await call(device, authorization=authorization, connection="second")).status == 401


@pytest.mark.parametrize("authorization", ["", "Digest", "Basic YWRtaW46YWRtaW4=", "Bearer x", "\x00" * 100])
async def test_credentials_that_cannot_be_read_are_refused(authorization: str) -> None:
    device = await asked_device(login=True)
    assert (await call(device, authorization=authorization)).status == 401


async def test_guessing_becomes_slow_and_a_right_login_makes_it_fast_again(pauses: list[float]) -> None:
    device = await asked_device(login=True)
    for number in range(6):
        assert (await call(device, token("guess", nonce=b"%d" % number))).status == 400
    assert pauses == [0.5, 1.0, 2.0]
    assert (await call(device, token())).status == 200
    pauses.clear()
    assert (await call(device, token(nonce=b"again"))).status == 200
    assert pauses == []


async def test_a_clock_that_is_wrong_is_no_guess() -> None:
    device = await asked_device(login=True)
    for number in range(10):
        late = device.device.clock.now() - timedelta(hours=1)
        assert (await call(device, token(nonce=b"%d" % number, created=late))).status == 400
    assert not device.device.login._throttle.paused(delivered().address, "admin")


async def test_guesses_from_the_same_address_do_not_hold_up_a_connection_that_has_logged_in(
    pauses: list[float],
) -> None:
    device = await asked_device(login=True)
    own: set[str] = set()
    assert (await call(device, token(), proven=own)).status == 200
    for number in range(6):
        assert (await call(device, token("guess", nonce=b"guess %d" % number), proven=set())).status == 400
    assert len(pauses) == 3
    for number in range(10):
        assert (await call(device, token(nonce=b"%d" % number), proven=own)).status == 200
    assert len(pauses) == 3
    await call(device, token("guess", nonce=b"last guess"), proven=set())
    assert len(pauses) == 4  # the right logins have not made guessing faster


async def test_a_guess_on_a_connection_that_has_logged_in_is_its_last_without_a_pause(pauses: list[float]) -> None:
    device = await asked_device(login=True)
    own: set[str] = set()
    assert (await call(device, token(), proven=own)).status == 200
    for number in range(6):
        await call(device, token("guess", nonce=b"guess %d" % number), proven=set())
    pauses.clear()
    assert (await call(device, token("guess", nonce=b"a"), proven=own)).status == 400
    assert pauses == []
    assert (await call(device, token("guess", nonce=b"b"), proven=own)).status == 400
    assert len(pauses) == 1
    assert own == set()


async def test_an_own_login_is_no_way_to_guess_at_other_names(pauses: list[float]) -> None:
    device = await asked_device(login=True)
    own: set[str] = set()
    mine = [username_token("user", "user's", nonce=b"mine %d" % number) for number in range(2)]
    assert (await call(device, mine[0], proven=own)).status == 400  # of too low a level, but who they say they are
    assert own == {"user"}
    for number in range(6):
        await call(device, token("guess", nonce=b"%d" % number), proven=own)
    assert len(pauses) == 3
    challenge = (await call(device)).challenges[0]
    both = answered(challenge, "user's", user="user")
    await call(device, token("guess", nonce=b"beside"), authorization=both, proven=own)
    assert len(pauses) == 4  # a right login beside it does not help either


async def test_a_connection_has_few_names(pauses: list[float]) -> None:
    users = [User(username=f"user {number}", password="p", level=UserLevel.ADMINISTRATOR) for number in range(20)]
    device = await asked_device(DeviceState(users=users), login=True)
    own: set[str] = set()
    for user in users:
        answer = await call(device, username_token(user.username, "p", nonce=b"n"), proven=own)
        assert answer.status == 200
    assert 0 < len(own) <= MAX_PROVEN_NAMES


async def siblings(count: int = 2) -> list[AskedDevice]:
    used = UsedTokens()
    return [await asked_device(surroundings=Surroundings(used_tokens=used), login=True) for _ in range(count)]


async def test_a_token_that_was_taken_by_one_device_is_not_taken_by_another() -> None:
    first, second = await siblings()
    overheard = token()
    assert (await call(first, deepcopy(overheard))).status == 200
    again = await call(second, deepcopy(overheard))
    assert (again.status, b"ter:NotAuthorized" in again.body) == (400, True)
    assert (await call(second, token(nonce=b"another"))).status == 200
    assert not second.device.login._throttle.paused(delivered().address, "admin")  # it was no guess


async def test_a_nonce_may_come_again_at_another_device_at_another_time() -> None:
    first, second = await siblings()
    now = first.device.clock.now()
    assert (await call(first, token(created=now))).status == 200
    assert (await call(second, token(created=now - timedelta(seconds=1)))).status == 200


async def test_a_token_is_remembered_for_devices_whose_clocks_are_late(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await siblings()
    second.state.clock.offset_s = -3600.0
    overheard = token()
    assert (await call(first, deepcopy(overheard))).status == 200
    later_s = time.monotonic() + 3590
    monkeypatch.setattr(used_tokens, "time", SimpleNamespace(monotonic=lambda: later_s))
    assert (await call(first, token(nonce=b"another", created=first.device.clock.now()))).status == 200
    second.state.clock.offset_s = 0.0  # as it is an hour later
    assert (await call(second, deepcopy(overheard))).status == 400


def test_used_tokens_are_forgotten_when_no_device_would_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(used_tokens, "time", SimpleNamespace(monotonic=lambda: now_s))
    used = UsedTokens()
    used.join(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    used.join(lambda: datetime(2026, 1, 1, 0, 1, tzinfo=UTC))
    for number in range(2000):
        now_s = float(number)
        used.check(made_token(number))
    assert len(used._users["admin"]) == 661
    with pytest.raises(TokenRefused):
        used.check(made_token(1999))


def test_only_so_many_used_tokens_are_remembered_of_each_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(used_tokens, "MAX_TOKENS", 10)
    used = UsedTokens()
    used.check(made_token(0, "other"))
    for number in range(100):
        used.check(made_token(number))
    assert len(used._users["admin"]) == 10
    with pytest.raises(TokenRefused):
        used.check(made_token(0, "other"))


def made_token(number: int, username: str = "admin") -> UsernameToken:
    return UsernameToken(username=username, password="p", plain=False, nonce=b"%d" % number, created_text="now")
