"""What an address says of an SRT call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.address import MalformedAddress, SourceAddress
from manycast.wire.srt.call import SrtCall
from manycast.wire.srt.refusal import Failure, is_for_the_caller, words_for
from manycast.wire.srt.streamid import MAX_BYTES, Rejection


def call(query: str, user: str | None = None, password: str | None = None) -> SrtCall:
    return SrtCall.of(SourceAddress.parse(f"srt://host:9000?{query}").with_login(user, password))


def test_all_that_can_be_said() -> None:
    found = call("mode=caller&streamid=live/cam&passphrase=geheim%20geheim&pbkeylen=24&latency=300&transtype=live")
    assert found == SrtCall(stream_id="live/cam", passphrase="geheim geheim", key_bytes=24, latency_ms=300)
    assert "geheim" not in repr(found)


def test_nothing_has_to_be_said() -> None:
    assert call("") == SrtCall()


@pytest.mark.parametrize(
    ("query", "stream_id", "name"),
    [
        ("streamid=live/cam", "live/cam", "live/cam"),
        ("streamid=#!::r=live/cam,m=request", "#!::r=live/cam,m=request", "live/cam"),
        ("streamid=%23!::r=live/cam", "#!::r=live/cam", "live/cam"),
        ("streamid=read:cam", "read:cam", "read:cam"),
        ("streamid=a+b%2Cc", "a+b,c", None),
        ("latency=20&streamid=#!::u=x", "#!::u=x", None),
        ("streamid=", "", None),
    ],
)
def test_stream_ids(query: str, stream_id: str, name: str | None) -> None:
    assert (call(query).stream_id, call(query).name) == (stream_id, name)


@pytest.mark.parametrize(
    ("query", "password", "stream_id"),
    [
        ("streamid=live/cam", "secret", "#!::r=live/cam,u=joe,s=secret"),
        ("streamid=live/cam", None, "#!::r=live/cam,u=joe"),
        ("streamid=%23!::r=live/cam,m=request", "a=b", "#!::r=live/cam,m=request,u=joe,s=a=b"),
        ("", "secret", "#!::u=joe,s=secret"),
    ],
)
def test_a_login_goes_into_the_stream_id(query: str, password: str | None, stream_id: str) -> None:
    assert call(query, "joe", password).stream_id == stream_id
    assert "secret" not in repr(call(query, "joe", password))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("mode=listener", "m=publish"),
        ("mode=rendezvous", "mode=rendezvous"),
        ("passphrase=short", "a passphrase of 5 bytes"),
        (f"passphrase={'x' * 80}", "a passphrase of 80 bytes"),
        ("latency=200000", "wanted 0 to 60000 ms"),
        ("latency=-1", "wanted 0 to 60000 ms"),
        ("latency=٣", "wanted 0 to 60000 ms"),
        ("pbkeylen=256", "wanted 16, 24 or 32"),
        (f"streamid={'x' * 513}", "a stream id of 513 bytes"),
    ],
)
def test_what_cannot_be_is_said(query: str, words: str) -> None:
    with pytest.raises(MalformedAddress, match=words):
        call(query)


def test_an_address_needs_a_port() -> None:
    with pytest.raises(MalformedAddress, match="without a port"):
        SrtCall.of(SourceAddress.parse("srt://host?streamid=x"))


@pytest.mark.parametrize(("user", "password"), [("a,b", None), ("a", "b,c")])
def test_logins_with_commas(user: str, password: str | None) -> None:
    with pytest.raises(MalformedAddress, match="comma"):
        call("streamid=x", user, password)


def test_what_changes_nothing_is_named() -> None:
    assert call("pkt_size=1316&Latency=20&transtype=file&oheadbw=20").unread == ("pkt_size", "transtype", "oheadbw")


@given(st.text(max_size=200), st.none() | st.text(max_size=20), st.none() | st.text(max_size=20))
def test_any_address_is_read_or_refused(query: str, user: str | None, password: str | None) -> None:
    try:
        found = call(query, user, password)
    except MalformedAddress:
        return
    assert len(found.stream_id.encode()) <= MAX_BYTES
    assert found.name is None or found.name.isprintable()


def test_refusals_are_in_words() -> None:
    for code in (*Rejection, *(failure for failure in Failure if failure is not Failure.PEER)):
        assert "SRT reason" not in words_for(code, with_passphrase=True)
    assert is_for_the_caller(Failure.BAD_SECRET)
    assert is_for_the_caller(1401)
    assert not is_for_the_caller(1404)  # somebody may yet publish it
    assert words_for(Failure.PEER, with_passphrase=True) == "the server refuses (SRT reason 2)"
    assert words_for(Failure.UNSECURE, with_passphrase=True) != words_for(Failure.UNSECURE, with_passphrase=False)
