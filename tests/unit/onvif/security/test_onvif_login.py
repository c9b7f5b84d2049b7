"""Logins by UsernameToken and by HTTP Digest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree
from support.soap import PASSWORD_DIGEST, AskedDevice, asked_device, delivered, envelope, username_token

from manycast.onvif.onvif_device import Answer
from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.names import expanded
from manycast.servers import throttle
from manycast.wire.digest import DigestChallenge, parse_challenges, respond

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


async def test_guessing_becomes_slow_and_a_right_login_makes_it_fast_again(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        delays.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(throttle, "asyncio", SimpleNamespace(sleep=sleep, Lock=asyncio.Lock))
    device = await asked_device(login=True)
    for number in range(6):
        assert (await call(device, token("guess", nonce=b"%d" % number))).status == 400
    assert delays == [0.5, 1.0, 2.0]
    assert (await call(device, token())).status == 200
    delays.clear()
    assert (await call(device, token(nonce=b"again"))).status == 200
    assert delays == []


async def test_a_clock_that_is_wrong_is_no_guess() -> None:
    device = await asked_device(login=True)
    for number in range(10):
        late = device.device.clock.now() - timedelta(hours=1)
        assert (await call(device, token(nonce=b"%d" % number, created=late))).status == 400
    assert not device.device.login._throttle.paused(delivered().address, "admin")
