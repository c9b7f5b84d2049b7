"""WebSocket, the server's side; the peer is wsproto's client."""

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from manycast.wire.http import HttpError, RequestHead
from manycast.wire.websocket import (
    CloseReceived,
    DataReceived,
    PeerFailed,
    PingReceived,
    accept_upgrade,
    asks_for_websocket,
    binary_frame,
    close_frame,
    pong_frame,
)
from manycast.wire.websocket_receiver import WebSocketReceiver

RTSP = "rtsp.onvif.org"
UPGRADE = {
    "Host": "192.168.3.27",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "KSO+hOFs1q5SkEnx8bvp6w==",
    "Origin": "http://192.168.3.27",
    "Sec-WebSocket-Protocol": RTSP,
    "Sec-WebSocket-Version": "13",
}


def head(line: str = "GET /websocket HTTP/1.1", **changes: str | None) -> RequestHead:
    headers: dict[str, str | None] = {**UPGRADE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return RequestHead.parse("\r\n".join([line, *lines]).encode())


def client() -> Connection:
    return Connection(ConnectionType.CLIENT)


def test_the_documents_example_is_accepted() -> None:
    assert asks_for_websocket(head())
    reply = accept_upgrade(head(), RTSP).decode()
    assert reply.startswith("HTTP/1.1 101 Switching Protocols\r\n")
    for line in (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: G/cEt4HtsYEnP0MnSVkKRk459gM=",
        "Sec-WebSocket-Protocol: rtsp.onvif.org",
        "Sec-WebSocket-Version: 13",
    ):
        assert f"\r\n{line}\r\n" in reply


def test_the_example_of_the_rfc_is_accepted() -> None:
    reply = accept_upgrade(head(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=="), RTSP)
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in reply  # RFC 6455 section 1.3


def test_headers_may_be_lists_in_any_case() -> None:
    request = head(Connection="keep-alive, upgrade", Upgrade="WebSocket", Sec_WebSocket_Protocol=f"chat, {RTSP}")
    assert b" 101 " in accept_upgrade(request, RTSP)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head("POST / HTTP/1.1"), 400),
        (head("GET / HTTP/1.0"), 400),
        (head(Connection="close"), 400),
        (head(Sec_WebSocket_Version="8"), 426),
        (head(Sec_WebSocket_Version=None), 426),
        (head(Sec_WebSocket_Key=None), 400),
        (head(Sec_WebSocket_Key="short"), 400),
        (head(Sec_WebSocket_Key="ä"), 400),
        (head(Sec_WebSocket_Protocol=None), 400),
        (head(Sec_WebSocket_Protocol="chat"), 400),
    ],
)
def test_a_handshake_against_the_rules_is_refused(request_head: RequestHead, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        accept_upgrade(request_head, RTSP)
    assert caught.value.status == status
    assert (("Sec-WebSocket-Version", "13") in caught.value.headers) == (status == 426)


def test_a_page_is_no_websocket() -> None:
    assert not asks_for_websocket(head(Upgrade=None))
    assert not asks_for_websocket(head(Upgrade="h2c"))


# What a client sends, and the data in it.
messages = st.lists(
    st.one_of(
        st.binary(max_size=300).map(lambda data: (BytesMessage(data), data)),
        st.binary(max_size=40).map(lambda data: (Ping(data), b"")),
        st.binary(max_size=40).map(lambda data: (Pong(data), b"")),
        st.text(st.characters(codec="utf-8"), max_size=40).map(lambda text: (TextMessage(text), text.encode())),
    ),
    max_size=8,
)


@given(messages, st.lists(st.integers(0, 2000)))
def test_data_does_not_depend_on_how_the_bytes_are_cut(sent: list[tuple[Event, bytes]], cuts: list[int]) -> None:
    peer = client()
    stream = b"".join(peer.send(event) for event, _ in sent)
    edges = sorted({0, len(stream), *(edge for edge in cuts if edge < len(stream))})
    receiver = WebSocketReceiver()
    events = [event for a, b in pairwise(edges) for event in receiver.receive(stream[a:b])]
    assert b"".join(event.data for event in events if isinstance(event, DataReceived)) == b"".join(
        data for _, data in sent
    )
    pings = [event.payload for event, _ in sent if isinstance(event, Ping)]
    assert [event.payload for event in events if isinstance(event, PingReceived)] == pings


def test_a_message_in_fragments_with_a_ping_between_is_taken() -> None:
    peer = client()
    sent: list[Event] = [
        BytesMessage(b"OPTIONS * ", message_finished=False),
        Ping(b"?"),
        BytesMessage(b"RTSP/1.0", message_finished=True),
    ]
    events = WebSocketReceiver().receive(b"".join(map(peer.send, sent)))
    assert events == [DataReceived(b"OPTIONS * "), PingReceived(b"?"), DataReceived(b"RTSP/1.0")]


def test_a_message_of_any_size_streams_through() -> None:
    receiver = WebSocketReceiver()
    receiver.receive(b"\x82\xff" + (2**40).to_bytes(8) + bytes(4))
    for _ in range(100):
        assert receiver.receive(b"x" * 10_000) == [DataReceived(b"x" * 10_000)]


def test_a_peer_that_closes_is_told_from_one_that_failed() -> None:
    assert WebSocketReceiver().receive(client().send(CloseConnection(1001, "bye"))) == [CloseReceived(1001, "bye")]
    assert WebSocketReceiver().receive(b"\x88\x80" + bytes(4)) == [CloseReceived(1005, "")]
    receiver = WebSocketReceiver()
    [event] = receiver.receive(b"\x82\x01x")
    assert isinstance(event, PeerFailed)
    assert event.code == 1002
    assert receiver.receive(client().send(BytesMessage(b"more"))) == []


@pytest.mark.parametrize(
    "frame",
    [
        b"\x82\x01x",  # no mask
        b"\xc2\x80" + bytes(4),  # a reserved bit
        b"\x83\x80" + bytes(4),  # an opcode nobody has
        b"\x09\x80" + bytes(4),  # a ping in fragments
        b"\x89\xfe\x00\x7e" + bytes(4),  # a ping over 125 bytes
        b"\x80\x80" + bytes(4),  # a continuation of nothing
        b"\x82\xff" + b"\xff" * 8 + bytes(4),  # a length of 64 bits
        b"\x88\x81" + bytes(5),  # half a status code
        b"\x81\x81" + bytes(4) + b"\xff",  # no UTF-8
    ],
)
def test_a_frame_against_the_rules_fails_the_peer(frame: bytes) -> None:
    events = WebSocketReceiver().receive(frame)
    assert isinstance(events[-1], PeerFailed), events
    assert events[-1].code in (1002, 1007)


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_become_events(pieces: list[bytes]) -> None:
    receiver = WebSocketReceiver()
    events = [event for piece in pieces for event in receiver.receive(piece)]
    for event in events:
        if isinstance(event, CloseReceived | PeerFailed):
            assert event is events[-1]
            assert close_frame(event.code, event.reason)[0] == 0x88  # FIN, and the opcode of a close (RFC 6455 5.2)


@given(st.binary(max_size=70_000) | st.sampled_from([bytes(125), bytes(126), bytes(65_535), bytes(65_536)]))
def test_frames_are_understood(data: bytes) -> None:
    peer = client()
    peer.receive_data(binary_frame(data) + pong_frame(b"p") + close_frame(1000, "ä" * 200))
    events = list(peer.events())
    assert b"".join(bytes(event.data) for event in events if isinstance(event, BytesMessage)) == data
    assert events[-2] == Pong(b"p")
    assert isinstance(events[-1], CloseConnection)
    assert events[-1].code == 1000


def test_a_close_without_a_code_is_answered_without_one() -> None:
    assert close_frame(1005) == b"\x88\x00"


def test_the_key_of_the_example_is_16_bytes() -> None:
    assert len(base64.b64decode(UPGRADE["Sec-WebSocket-Key"])) == 16
