"""Heads of HTTP messages."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from manycast.wire.http import (
    MAX_HEAD_BYTES,
    MAX_HEADER_LINES,
    HttpError,
    RequestHead,
    find_head_end,
    parse_range,
    refusal,
    response_head,
)

BROWSER = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nAccept: text/html, */*\r\nX-A: 1\r\nACCEPT:b ,,c\r\n\r\n"

tokens = st.text(st.sampled_from("abcXYZ019!#-_~"), min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=30).map(
    lambda text: text.strip(" \t")
)


def test_a_request_is_read() -> None:
    head = RequestHead.parse(BROWSER)
    assert (head.method, head.target, head.version, head.path) == ("GET", "/a?b=c", (1, 1), "/a")
    assert head.get("ACCEPT") == "text/html, */*"
    assert head.tokens("accept") == ["text/html", "*/*", "b", "c"]
    assert head.get("missing") is None


def test_lines_may_end_in_lf_alone() -> None:
    data = b"POST / HTTP/1.0\nContent-Length: 7\n\nrest"
    end = find_head_end(data)
    assert end is not None
    assert data[end:] == b"rest"
    head = RequestHead.parse(data[:end])
    assert (head.version, head.content_length) == ((1, 0), 7)


@pytest.mark.parametrize("length", ["-1", "x", "", "1" * 30, "١"])
def test_a_content_length_that_is_no_number_counts_as_unsaid(length: str) -> None:
    assert RequestHead.parse(f"POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode()).content_length is None


def test_only_http_1_1_waits_for_a_word_before_the_body() -> None:
    assert RequestHead.parse(b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\n").expects_continue
    assert not RequestHead.parse(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\n").expects_continue
    assert not RequestHead.parse(b"POST / HTTP/1.1\r\n").expects_continue


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET", 400),
        (b"GET /", 400),
        (b"GET  HTTP/1.1", 400),
        (b"GE(T / HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\x01 HTTP/1.1", 400),
        (b"GET / RTSP/1.0", 400),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.1\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\n: x", 400),
        (b"GET / HTTP/1.1\r\nA : x", 400),
        (b"GET / HTTP/1.1\r\nA: x\r\n folded", 400),
        (b"GET / HTTP/1.1\r\nA: x\0", 400),
        (b"GET / HTTP/1.1" + b"\r\nA: x" * (MAX_HEADER_LINES + 1), 431),
    ],
)
def test_what_is_no_request_is_refused_with_a_status(head: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        RequestHead.parse(head + b"\r\n\r\n")
    assert caught.value.status == status
    assert refusal(caught.value).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_head_ends_within_the_limit_or_not_at_all() -> None:
    assert find_head_end(BROWSER) == len(BROWSER)
    for size in range(len(BROWSER)):
        assert find_head_end(BROWSER[:size]) is None
    assert find_head_end(b"a" * (MAX_HEAD_BYTES - 1)) is None
    with pytest.raises(HttpError) as caught:
        find_head_end(b"a" * MAX_HEAD_BYTES + b"\r\n\r\n")
    assert caught.value.status == 431


@given(tokens, tokens, st.lists(st.tuples(tokens, values)))
def test_what_was_written_is_read(method: str, target: str, fields: list[tuple[str, str]]) -> None:
    lines = [f"{method} /{target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    data = "\r\n".join([*lines, "", ""]).encode() + b"body"
    end = find_head_end(data)
    assert end == len(data) - 4
    head = RequestHead.parse(data[:end])
    assert (head.method, head.target) == (method, f"/{target}")
    assert head.fields == tuple((name.lower(), value) for name, value in fields)


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda data: BROWSER[:40] + data))
@example(b"\n\r\n")
def test_any_bytes_become_a_head_or_an_http_error(data: bytes) -> None:
    try:
        end = find_head_end(data)
        head = RequestHead.parse(data[:end])
    except HttpError as error:
        status, answer = error.status, refusal(error)
    else:
        assert head.method
        return
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_response_that_would_break_a_line_is_our_own_mistake() -> None:
    assert response_head(200, [("A", "b")]) == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    with pytest.raises(ValueError, match="line break"):
        response_head(200, [("A", "b\r\nC: d")])


@given(st.text("bytes=0123456789-, ", max_size=20) | st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}", fullmatch=True))
def test_a_range_is_within_what_there_is(value: str) -> None:
    try:
        span = parse_range(value, 1000)
    except HttpError:
        return
    if span is not None:
        assert 0 <= span[0] < span[1] <= 1000


def test_a_range_behind_the_end_is_refused() -> None:
    with pytest.raises(HttpError) as refused:
        parse_range("bytes=1000-", 1000)
    assert refused.value.status == 416
    assert refused.value.headers == (("Content-Range", "bytes */1000"),)
