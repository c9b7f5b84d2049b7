"""RtspReceiver: bytes in, events out, however they are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtsp.errors import (
    BadRequest,
    HttpOnRtspPort,
    RequestEntityTooLarge,
    RequestUriTooLarge,
    RtspError,
    TlsOnPlainPort,
    VersionNotSupported,
)
from manycast.wire.rtsp.message import MAX_BODY_BYTES, MAX_HEADER_LINES, MAX_URI_CHARS, Headers, Request, Response
from manycast.wire.rtsp.receiver import (
    MAX_HEAD_BYTES,
    InterleavedReceived,
    PeerFailed,
    RequestReceived,
    ResponseReceived,
    RtspEvent,
    RtspReceiver,
)


def request(method: str, uri: str, fields: list[tuple[str, str]], body: bytes = b"") -> RequestReceived:
    return RequestReceived(Request(method, uri, "RTSP/1.0", Headers(fields), body))


CASES: list[tuple[bytes, RtspEvent]] = [  # bytes on the wire, the event they must become
    (b"$\x01\x00\x03abc", InterleavedReceived(1, b"abc")),
    (b"$\xff\x00\x00", InterleavedReceived(255, b"")),
    (b"$\x00\x01\x04" + b"$\r\n\r" * 65, InterleavedReceived(0, b"$\r\n\r" * 65)),
    (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", request("OPTIONS", "*", [("CSeq", "1")])),
    (b"\r\n\r\nPLAY rtsp://h/p RTSP/1.0\r\n\r\n", request("PLAY", "rtsp://h/p", [])),
    (b"PAUSE rtsp://h/p RTSP/1.0\nCseq:7\n\n", request("PAUSE", "rtsp://h/p", [("Cseq", "7")])),
    (b"PLAY rtsp://h/p RTSP/1.0\r\nCSeq: 8\r\n\n", request("PLAY", "rtsp://h/p", [("CSeq", "8")])),
    (b"options * rtsp/1.0\r\nCSeq : 2\r\n\r\n", request("options", "*", [("CSeq", "2")])),
    (b"DESCRIBE rtsp://h/a b RTSP/1.0\r\n\r\n", request("DESCRIBE", "rtsp://h/a b", [])),
    (
        b"SETUP rtsp://h/p RTSP/1.0\r\nTransport: RTP/AVP;unicast;\r\n client_port=1-2\r\nCSeq: 3\r\n\r\n",
        request("SETUP", "rtsp://h/p", [("Transport", "RTP/AVP;unicast; client_port=1-2"), ("CSeq", "3")]),
    ),
    (
        b"ANNOUNCE rtsp://h/p RTSP/1.0\r\nContent-type: application/sdp\r\nContent-Length: 4\r\n\r\n\r\n$a",
        request(
            "ANNOUNCE",
            "rtsp://h/p",
            [("Content-type", "application/sdp"), ("Content-Length", "4")],
            b"\r\n$a",
        ),
    ),
    (b"GET_PARAMETER rtsp://h/\xc3\xa4 RTSP/1.0\r\n\r\n", request("GET_PARAMETER", "rtsp://h/ä", [])),
    (b"PLAY rtsp://h/\xff RTSP/1.0\r\nX: \xfe\r\n\r\n", request("PLAY", "rtsp://h/\udcff", [("X", "\udcfe")])),
    (
        b"RTSP/1.0 200 OK\r\nCSeq: 9\r\nContent-Length: 2\r\n\r\nhi",
        ResponseReceived(Response(200, "OK", Headers([("CSeq", "9"), ("Content-Length", "2")]), b"hi")),
    ),
    (b"RTSP/1.0 454 Session Not Found\r\n\r\n", ResponseReceived(Response(454, "Session Not Found"))),
    (b"RTSP/1.0 200\r\n\r\n", ResponseReceived(Response(200))),
]


def receive_in_pieces(stream: bytes, cuts: list[int]) -> list[RtspEvent]:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    receiver = RtspReceiver()
    return [event for a, b in pairwise(edges) for event in receiver.receive(stream[a:b])]


@given(st.lists(st.sampled_from(CASES), max_size=12), st.lists(st.integers(0, 1200)))
def test_events_do_not_depend_on_how_the_bytes_are_cut(cases: list[tuple[bytes, RtspEvent]], cuts: list[int]) -> None:
    stream = b"".join(wire for wire, _ in cases)
    # Known by the generator, not by a second parse.
    assert receive_in_pieces(stream, cuts) == [event for _, event in cases]


def test_all_cases_byte_by_byte() -> None:
    stream = b"".join(wire for wire, _ in CASES)
    assert receive_in_pieces(stream, list(range(len(stream)))) == [event for _, event in CASES]


@pytest.mark.parametrize(("wire", "event"), CASES)
def test_every_prefix_of_a_message_is_no_event_and_no_fault(wire: bytes, event: RtspEvent) -> None:
    for size in range(len(wire)):
        receiver = RtspReceiver()
        assert receiver.receive(wire[:size]) == []
        assert receiver.receive(wire[size:]) == [event]


def test_pending_tells_whether_a_message_has_begun() -> None:
    receiver = RtspReceiver()
    assert not receiver.pending
    receiver.receive(b"\r\n")
    assert not receiver.pending
    receiver.receive(b"$\x00")
    assert receiver.pending
    receiver.receive(b"\x00\x01x")
    assert not receiver.pending


HEAD = b"OPTIONS * RTSP/1.0\r\nCSeq: 5\r\n"

FAULTS: list[tuple[str, bytes, type[RtspError], int, int | None]] = [
    ("http", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpOnRtspPort, 400, None),
    ("http answer", b"HTTP/1.1 200 OK\r\n\r\n", HttpOnRtspPort, 400, None),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00", TlsOnPlainPort, 400, None),
    ("almost tls", b"\x16\x04", BadRequest, 400, None),
    ("binary", b"\x80\x60", BadRequest, 400, None),
    ("leading space", b" OPTIONS * RTSP/1.0\r\n\r\n", BadRequest, 400, None),
    ("version", b"OPTIONS * RTSP/9.9\r\nCSeq: 5\r\n\r\n", VersionNotSupported, 505, 5),
    ("no version", b"OPTIONS *\r\nCSeq: 5\r\n\r\n", BadRequest, 400, 5),
    ("no uri", b"OPTIONS RTSP/1.0\r\nCSeq: 5\r\n\r\n", BadRequest, 400, 5),
    ("one word", b"OPTIONS\r\n\r\n", BadRequest, 400, None),
    ("bad method", b"OPT(IONS * RTSP/1.0\r\nCSeq: 5\r\n\r\n", BadRequest, 400, 5),
    ("NUL in URI", b"OPTIONS a\0b RTSP/1.0\r\nCSeq: 5\r\n\r\n", BadRequest, 400, 5),
    ("NUL in header", HEAD + b"X: a\0b\r\n\r\n", BadRequest, 400, None),
    ("CR in header", HEAD + b"X: a\rb\r\n\r\n", BadRequest, 400, None),
    ("no colon", HEAD + b"nonsense\r\n\r\n", BadRequest, 400, None),
    ("no name", HEAD + b": nonsense\r\n\r\n", BadRequest, 400, None),
    ("space in name", HEAD + b"a b: nonsense\r\n\r\n", BadRequest, 400, None),
    ("continuation of nothing", b"OPTIONS * RTSP/1.0\r\n X: 1\r\n\r\n", BadRequest, 400, None),
    ("negative length", HEAD + b"Content-Length: -1\r\n\r\n", BadRequest, 400, 5),
    ("signed length", HEAD + b"Content-Length: +1\r\n\r\n", BadRequest, 400, 5),
    ("length in words", HEAD + b"Content-Length: ten\r\n\r\n", BadRequest, 400, 5),
    ("length in other digits", HEAD + "Content-Length: ²\r\n\r\n".encode(), BadRequest, 400, 5),
    ("no length", HEAD + b"Content-Length:\r\n\r\n", BadRequest, 400, 5),
    ("two lengths", HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", BadRequest, 400, 5),
    ("body too long", HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), RequestEntityTooLarge, 413, 5),
    ("length beyond int", HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", RequestEntityTooLarge, 413, 5),
    ("URI too long", b"PLAY /" + b"a" * MAX_URI_CHARS + b" RTSP/1.0\r\nCSeq: 5\r\n\r\n", RequestUriTooLarge, 414, 5),
    ("endless line", b"PLAY /" + b"a" * MAX_HEAD_BYTES, RequestUriTooLarge, 414, None),
    ("endless head", HEAD + b"X: 1\r\n" * MAX_HEAD_BYTES, BadRequest, 400, None),
    ("many headers", HEAD + b"X: 1\r\n" * MAX_HEADER_LINES + b"\r\n", BadRequest, 400, None),
    ("many folds", HEAD + b" 1\r\n" * MAX_HEADER_LINES + b"\r\n", BadRequest, 400, None),
    ("status in words", b"RTSP/1.0 OK\r\nCSeq: 5\r\n\r\n", BadRequest, 400, 5),
    ("NUL in reason", b"RTSP/1.0 200 O\0K\r\nCSeq: 5\r\n\r\n", BadRequest, 400, 5),
    ("status too long", b"RTSP/1.0 2000 OK\r\n\r\n", BadRequest, 400, None),
    ("status too small", b"RTSP/1.0 099 OK\r\n\r\n", BadRequest, 400, None),
    ("version of answer", b"RTSP/2.0 200 OK\r\nCSeq: 5\r\n\r\n", VersionNotSupported, 505, 5),
]


@pytest.mark.parametrize(
    ("wire", "error", "status", "cseq"), [pytest.param(*fault[1:], id=fault[0]) for fault in FAULTS]
)
def test_a_fault_is_the_last_event_with_the_status_to_answer(
    wire: bytes, error: type[RtspError], status: int, cseq: int | None
) -> None:
    before, expected = CASES[3]
    receiver = RtspReceiver()
    events = receiver.receive(before + wire + b"\r\n\r\n" + before)
    assert events[:-1] == [expected]  # what stood before the fault is kept
    failed = events[-1]
    assert isinstance(failed, PeerFailed)
    assert type(failed.error) is error
    assert failed.error.status == status
    assert failed.cseq == cseq
    assert receiver.receive(before) == []  # nothing is understood any more


@pytest.mark.parametrize("wire", [pytest.param(fault[1], id=fault[0]) for fault in FAULTS if len(fault[1]) < 2000])
def test_a_fault_does_not_depend_on_how_the_bytes_are_cut(wire: bytes) -> None:
    whole = receive_in_pieces(wire, [])
    single = receive_in_pieces(wire, list(range(len(wire))))
    assert [str(event) for event in whole] == [str(event) for event in single]


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES - 1, MAX_HEAD_BYTES, MAX_HEAD_BYTES + 1])
def test_the_longest_head_is_the_same_whole_and_cut(size: int) -> None:
    head = HEAD + b"X: "
    wire = head + b"a" * (size - len(head) - 4) + b"\r\n\r\n"
    assert len(wire) == size
    for cuts in ([], [size - 1], [size - 2], [size - 3], [MAX_HEAD_BYTES - 1], [100]):
        (event,) = receive_in_pieces(wire, cuts)
        assert isinstance(event, RequestReceived if size <= MAX_HEAD_BYTES else PeerFailed)


def test_a_head_without_an_end_fails_as_soon_as_none_can_come() -> None:
    receiver = RtspReceiver()
    assert receiver.receive(b"a" * (MAX_HEAD_BYTES - 1)) == []
    (event,) = receiver.receive(b"a")
    assert isinstance(event, PeerFailed)
    assert not receiver.pending  # nothing is held any more


def test_two_equal_content_lengths_are_one() -> None:
    (event,) = RtspReceiver().receive(HEAD + b"Content-Length: 1\r\nContent-Length: 01\r\n\r\nx")
    assert isinstance(event, RequestReceived)
    assert event.request.body == b"x"


def test_the_largest_body_and_packet_come_through() -> None:
    body = bytes(range(256)) * (MAX_BODY_BYTES // 256)
    packet = b"$\x02\xff\xff" + b"p" * 65535
    stream = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body + packet
    first, second = receive_in_pieces(stream, list(range(0, len(stream), 1460)))
    assert isinstance(first, RequestReceived)
    assert first.request.body == body
    assert second == InterleavedReceived(2, b"p" * 65535)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_hostile_bytes_give_events_and_never_an_exception(data: bytes, cuts: list[int]) -> None:
    assert list(map(str, receive_in_pieces(data, cuts))) == list(map(str, receive_in_pieces(data, [])))


@given(
    st.lists(st.sampled_from([*(wire for wire, _ in CASES), b"$", b"\r\n", b"\n\n", b":", b" ", b"\0", b"RTSP/1.0"]))
)
def test_hostile_mixtures_of_good_parts_never_raise(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    whole = receive_in_pieces(stream, [])
    assert list(map(str, whole)) == list(map(str, receive_in_pieces(stream, list(range(len(stream))))))
    assert not any(isinstance(event, PeerFailed) for event in whole[:-1])
