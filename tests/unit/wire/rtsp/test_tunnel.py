"""RTSP over HTTP: what is on the two connections."""

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.http import HttpError, RequestHead
from manycast.wire.rtsp.tunnel import (
    MAX_COOKIE_CHARS,
    Base64Decoder,
    PostBody,
    WrongTunnelData,
    get_reply,
    is_tunnel_request,
    tunnel_cookie,
)

POST = "POST /live HTTP/1.0\r\nx-sessioncookie: abc\r\nContent-Length: {}\r\n\r\n"


def head(length: object = 32767, cookie: str = "abc") -> RequestHead:
    return RequestHead.parse(POST.format(length).replace("abc", cookie).encode())


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(edge for edge in cuts if edge < len(data))})
    return [data[a:b] for a, b in pairwise(edges)]


def test_a_tunnel_is_known_by_any_of_its_headers() -> None:
    for line in (
        "X-SessionCookie: a",
        "Accept: application/x-rtsp-tunnelled",
        "Content-Type: application/X-RTSP-tunnelled",
    ):
        assert is_tunnel_request(RequestHead.parse(f"GET / HTTP/1.0\r\n{line}".encode())), line
    assert not is_tunnel_request(RequestHead.parse(b"GET / HTTP/1.1\r\nAccept: */*"))


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.0\r\nAccept: application/x-rtsp-tunnelled", 400),
        (b"GET / HTTP/1.0\r\nx-sessioncookie:", 400),
        (b"GET / HTTP/1.0\r\nx-sessioncookie: " + b"a" * (MAX_COOKIE_CHARS + 1), 400),
        (b"PUT / HTTP/1.0\r\nx-sessioncookie: a", 405),
    ],
)
def test_a_request_that_opens_no_tunnel_is_refused(request_head: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        tunnel_cookie(RequestHead.parse(request_head))
    assert caught.value.status == status


def test_the_answer_to_the_get_has_no_length_and_is_kept_by_nobody() -> None:
    reply = get_reply("manycast", "now").decode()
    assert reply.startswith("HTTP/1.0 200 OK\r\n")
    assert "Content-Type: application/x-rtsp-tunnelled\r\n" in reply
    assert "no-cache" in reply
    assert "no-store" in reply
    assert "Content-Length" not in reply


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.sampled_from([b"", b"\r\n", b"\n", b"  \t"]))),
    st.lists(st.integers(0, 400)),
)
def test_base64_is_decoded_however_it_is_cut_and_joined(pieces: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(base64.b64encode(piece) + end for piece, end in pieces)
    decoder = Base64Decoder()
    assert b"".join(map(decoder.decode, cut(stream, cuts))) == b"".join(piece for piece, _ in pieces)
    assert not decoder.pending


def test_line_ends_may_stand_within_four_characters() -> None:
    assert Base64Decoder().decode(b"T1\r\nB\nU SU9O\tUw==") == b"OPTIONS"


@pytest.mark.parametrize(
    "text", [b"OPTIONS * RTSP/1.0\r\n\r\n", b"T1B*", b"====", b"A===", b"AA=A", b"AAAA\0AAA", b"=AAA"]
)
def test_wrong_base64_is_named(text: bytes) -> None:
    with pytest.raises(WrongTunnelData, match="base64"):
        Base64Decoder().decode(text)


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_are_decoded_or_refused_and_nothing_piles_up(pieces: list[bytes]) -> None:
    decoder = Base64Decoder()
    body = PostBody(head())
    for piece in pieces:
        try:
            decoder.decode(piece)
            body.receive(piece)
        except WrongTunnelData:
            return
        assert len(decoder._held) < 4


@pytest.mark.parametrize("length", [0, 3, 8, 100, 32767, "none"])
def test_a_body_may_run_past_the_length_it_declared(length: object) -> None:
    sent = bytes(range(256)) * 200
    body = PostBody(head(length))
    got = b"".join(map(body.receive, cut(base64.b64encode(sent), list(range(0, 70_000, 777)))))
    assert got == sent


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.lists(st.integers(0, 900)))
def test_a_post_may_follow_another_on_the_same_connection(bodies: list[bytes], cuts: list[int]) -> None:
    encoded = [base64.b64encode(body) for body in bodies]
    stream = encoded[0] + b"".join(POST.format(len(body)).encode() + body for body in encoded[1:])
    receiver = PostBody(head(len(encoded[0])))
    assert b"".join(map(receiver.receive, cut(stream, cuts))) == b"".join(bodies)


@pytest.mark.parametrize(
    "behind",
    [
        b"POST / HTTP/1.0\r\nx-sessioncookie: other\r\n\r\n",
        b"POST / HTTP/1.0\r\n\r\n",
        b"POST / RTSP/1.0\r\n\r\n",
        b"POST " + b"a" * 20_000,
    ],
)
def test_what_follows_a_post_belongs_to_the_same_tunnel(behind: bytes) -> None:
    receiver = PostBody(head(8))
    assert receiver.receive(base64.b64encode(b"PLAY /")) == b"PLAY /"
    with pytest.raises(WrongTunnelData):
        receiver.receive(behind)


def test_base64_that_looks_like_a_post_is_base64() -> None:
    receiver = PostBody(head(4))
    assert receiver.receive(b"QUJDPOS") == b"ABC"
    assert receiver.receive(b"U") == base64.b64decode("POSU")
