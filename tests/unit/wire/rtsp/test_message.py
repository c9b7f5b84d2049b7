"""Requests, responses and their headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtsp.errors import (
    BadRequest,
    MethodNotAllowed,
    MethodNotValidInThisState,
    OptionNotSupported,
    ParameterNotUnderstood,
    RtspError,
    SessionNotFound,
    Unauthorized,
)
from manycast.wire.rtsp.message import REASONS, Headers, Request, Response, cseq_of
from manycast.wire.rtsp.receiver import RequestReceived, ResponseReceived, RtspReceiver

TOKENS = st.text("abcXYZ019-_.!", min_size=1, max_size=12)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40).map(
    lambda text: text.strip(" \t")
)
URIS = st.text("abc/:%20?&=[]", min_size=1, max_size=40).map(lambda text: "rtsp://h/" + text)
FIELDS = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() != "content-length"), VALUES), max_size=8)


def test_names_are_compared_without_regard_to_case_and_kept_as_written() -> None:
    headers = Headers([("Cseq", "1"), ("Require", "a"), ("REQUIRE", "b")])
    assert headers.get("CSeq") == "1"
    assert headers.get_all("require") == ["a", "b"]
    assert headers.get("Session") is None
    assert "cSEQ" in headers
    assert "Session" not in headers
    assert list(headers) == [("Cseq", "1"), ("Require", "a"), ("REQUIRE", "b")]
    assert len(headers) == 3


def test_set_replaces_all_of_a_name_in_the_first_ones_place() -> None:
    headers = Headers([("a", "1"), ("b", "2"), ("A", "3"), ("a", "3"), ("x", "6"), ("a", "3")])
    headers.set("A", "4")
    headers.set("c", "5")
    assert list(headers) == [("A", "4"), ("b", "2"), ("x", "6"), ("c", "5")]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b"])
def test_what_would_break_a_line_is_our_own_mistake(value: str) -> None:
    headers = Headers()
    headers.add("X", value)
    with pytest.raises(ValueError):
        Response(200, headers=headers).serialize()
    with pytest.raises(ValueError):
        Request("PLAY", value).serialize()
    with pytest.raises(ValueError):
        Headers([(value, "x")]).serialize()


def test_content_length_is_added_when_there_is_a_body() -> None:
    assert Response(200, body=b"abc").serialize() == b"RTSP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    assert Response(454).serialize() == b"RTSP/1.0 454 Session Not Found\r\n\r\n"


def test_a_wrong_content_length_is_our_own_mistake() -> None:
    with pytest.raises(ValueError):
        Response(200, headers=Headers([("Content-Length", "2")]), body=b"abc").serialize()


@pytest.mark.parametrize(
    ("value", "cseq"),
    [
        ("1", 1),
        ("0", 0),
        ("4294967296", 2**32),
        ("", None),
        ("-1", None),
        ("1a", None),
        ("²", None),
        ("9" * 5000, None),
    ],
)
def test_cseq_is_a_number_or_none(value: str, cseq: int | None) -> None:
    assert cseq_of(Headers([("Cseq", value)])) == cseq
    assert Request("PLAY", "*", headers=Headers([("CSEQ", value)])).cseq == cseq


def test_cseq_may_be_missing() -> None:
    assert Request("PLAY", "*").cseq is None
    assert Response(200).cseq is None


@given(TOKENS, URIS, FIELDS, st.binary(max_size=100))
def test_a_request_survives_the_wire(method: str, uri: str, fields: list[tuple[str, str]], body: bytes) -> None:
    headers = Headers([*fields, ("Content-Length", str(len(body)))])
    request = Request(method, uri, headers=headers, body=body)
    assert RtspReceiver().receive(request.serialize()) == [RequestReceived(request)]


@given(st.sampled_from(sorted(REASONS)), FIELDS, st.binary(max_size=100))
def test_a_response_survives_the_wire(status: int, fields: list[tuple[str, str]], body: bytes) -> None:
    headers = Headers([*fields, ("Content-Length", str(len(body)))])
    response = Response(status, headers=headers, body=body)
    (event,) = RtspReceiver().receive(response.serialize())
    assert event == ResponseReceived(Response(status, REASONS[status], headers, body))


@given(st.binary(max_size=20).filter(lambda data: not set(data) & set(b"\r\n\0") and data.strip(b" \t") == data))
def test_bytes_that_are_no_utf8_go_out_as_they_came(data: bytes) -> None:
    wire = b"OPTIONS * RTSP/1.0\r\nX: " + data + b"\r\n\r\n"
    (event,) = RtspReceiver().receive(wire)
    assert isinstance(event, RequestReceived)
    assert event.request.serialize() == wire


def test_passwords_are_not_shown() -> None:
    headers = Headers([("Authorization", "Basic c2VjcmV0"), ("proxy-authorization", "Basic c2VjcmV0"), ("CSeq", "1")])
    request = Request("PLAY", "rtsp://user:secret@h/p", headers=headers)
    assert "c2VjcmV0" not in repr(headers)
    assert "secret" not in str(request)
    assert "c2VjcmV0" not in str(request)
    assert str(request) == "PLAY 'rtsp://***@h/p' CSeq 1, 0 bytes of body"
    assert str(Response(200, "OK", headers, b"abc")) == "200 'OK' CSeq 1, 3 bytes of body"


@pytest.mark.parametrize(
    ("error", "wire"),
    [
        (BadRequest("x"), b"RTSP/1.0 400 Bad Request\r\n\r\n"),
        (
            MethodNotAllowed("RECORD", ["PLAY"]),
            b"RTSP/1.0 405 Method Not Allowed\r\nAllow: PLAY\r\n\r\n",
        ),
        (
            ParameterNotUnderstood(["volume", "tone"]),
            b"RTSP/1.0 451 Parameter Not Understood\r\nContent-Type: text/parameters\r\nContent-Length: 14\r\n\r\n"
            b"volume\r\ntone\r\n",
        ),
        (SessionNotFound("7"), b"RTSP/1.0 454 Session Not Found\r\n\r\n"),
        (
            OptionNotSupported(["www.onvif.org/ver20/backchannel", "b"]),
            b"RTSP/1.0 551 Option not supported\r\nUnsupported: www.onvif.org/ver20/backchannel, b\r\n\r\n",
        ),
        (
            MethodNotValidInThisState("PLAY", "Init", ["OPTIONS", "SETUP"]),
            b"RTSP/1.0 455 Method Not Valid in This State\r\nAllow: OPTIONS, SETUP\r\n\r\n",
        ),
        (
            Unauthorized(["Digest a", "Digest b"]),
            b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest a\r\nWWW-Authenticate: Digest b\r\n\r\n",
        ),
    ],
)
def test_an_error_becomes_its_answer(error: RtspError, wire: bytes) -> None:
    assert Response.of_error(error).serialize() == wire


def test_every_error_has_a_status_with_a_reason() -> None:
    classes = [RtspError]
    for error in classes:
        assert error.status in REASONS
        classes += error.__subclasses__()
    assert len(classes) > 20
