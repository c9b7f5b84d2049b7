"""WS-Security's UsernameToken."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from support.soap import PASSWORD_DIGEST, username_token

from manycast.onvif.security import username_token as module
from manycast.onvif.security.username_token import MAX_AGE, NonceMemory, TokenRefused, UsernameToken, digest

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEXT = PASSWORD_DIGEST.replace("Digest", "Text")


def parsed(**changes: object) -> UsernameToken:
    usual: dict[str, object] = {"nonce": b"once", "created": NOW}
    token = UsernameToken.parse(username_token("admin", "secret", **{**usual, **changes}))  # type: ignore[arg-type]
    assert token is not None
    return token


def test_the_digest_is_that_of_the_profile() -> None:
    """The example of ONVIF's Application Programmer's Guide, section 6.1.1.3."""
    nonce = b64decode("LKqI6G/AikKCQrN0zqZFlg==")
    assert digest(nonce, "2010-09-16T07:50:45Z", "userpassword") == "tuOSpGlFlIXsozq4HFNeeGeFLEI="


def test_a_right_password_fits_and_no_other() -> None:
    assert parsed().fits("secret")
    assert not parsed().fits("Secret")
    assert parsed(kind=TEXT).plain
    assert parsed(kind=TEXT).fits("secret")
    assert parsed(kind=None).plain  # text is what is meant where nothing is said


@pytest.mark.parametrize("missing", ["Username", "Password", "Nonce", "Created"])
def test_a_token_is_whole(missing: str) -> None:
    security = username_token("admin", "secret", nonce=b"once")
    element = next(each for each in security.iter() if etree.QName(each).localname == missing)
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)
    with pytest.raises(TokenRefused):
        UsernameToken.parse(security)


def test_a_header_without_a_token_names_nobody() -> None:
    assert UsernameToken.parse(etree.Element("Security")) is None


def test_a_password_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(TokenRefused):
        parsed(kind="urn:other")


@pytest.mark.parametrize("age", [MAX_AGE, -MAX_AGE, timedelta()])
def test_a_token_of_about_now_is_taken_once(age: timedelta) -> None:
    memory = NonceMemory()
    token = parsed(created=NOW - age)
    memory.check(token, NOW)
    with pytest.raises(TokenRefused, match="used"):
        memory.check(token, NOW)


@pytest.mark.parametrize("age", [MAX_AGE + timedelta(seconds=1), -MAX_AGE - timedelta(seconds=1)])
def test_a_token_of_another_time_is_refused(age: timedelta) -> None:
    with pytest.raises(TokenRefused, match="from now"):
        NonceMemory().check(parsed(created=NOW - age), NOW)


@pytest.mark.parametrize("created", ["", "yesterday", "2026-11-21", "99999-01-01T00:00:00Z"])
def test_a_time_that_is_none_or_has_no_hour_is_refused(created: str) -> None:
    security = username_token("admin", "secret", nonce=b"once")
    security[0][3].text = created
    token = UsernameToken.parse(security)
    assert token is not None
    with pytest.raises(TokenRefused):
        NonceMemory().check(token, NOW)


def test_a_nonce_is_known_for_as_long_as_its_token_would_be_taken() -> None:
    memory = NonceMemory()
    early = parsed(created=NOW + MAX_AGE)
    memory.check(early, NOW)
    with pytest.raises(TokenRefused, match="used"):
        memory.check(early, NOW + 2 * MAX_AGE)


def test_who_logs_in_too_often_to_be_remembered_can_go_on_and_nothing_is_taken_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_NONCES", 2)
    memory = NonceMemory()
    tokens = [parsed(nonce=bytes([second]), created=NOW + timedelta(seconds=second)) for second in range(5)]
    for token in tokens:
        memory.check(token, NOW)
    for token in tokens:
        with pytest.raises(TokenRefused, match=r"used|older"):
            memory.check(token, NOW)
    other = UsernameToken.parse(username_token("operator", "secret", nonce=b"once", created=NOW))
    assert other is not None
    memory.check(other, NOW)


def test_what_is_too_old_is_not_remembered() -> None:
    memory = NonceMemory()
    memory.check(parsed(), NOW)
    later = NOW + MAX_AGE + timedelta(seconds=1)
    memory.check(parsed(nonce=b"later", created=later), later)
    assert len(memory._users["admin"].nonces) == 1
    with pytest.raises(TokenRefused, match="older"):
        memory.check(parsed(nonce=b"early", created=NOW), NOW)  # the clock was put back


def test_two_users_may_have_the_same_nonce() -> None:
    memory = NonceMemory()
    memory.check(parsed(), NOW)
    other = UsernameToken.parse(username_token("operator", "secret", nonce=b"once", created=NOW))
    assert other is not None
    memory.check(other, NOW)


@given(
    st.lists(st.sampled_from(["Username", "Password", "Nonce"]), max_size=4),
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20),
)
def test_what_is_in_a_token_raises_nothing_else(names: list[str], text: str) -> None:
    security = username_token("admin", "secret", nonce=b"once")
    for element in security.iter():
        if etree.QName(element).localname in names:
            element.text = text
    try:
        token = UsernameToken.parse(security)
    except TokenRefused:
        return
    assert token is not None
    token.fits("secret")
