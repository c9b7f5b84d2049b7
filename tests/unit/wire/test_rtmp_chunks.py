"""RTMP handshakes and chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtmp.chunk import (
    MAX_CHUNK_STREAMS,
    MAX_MESSAGE_BYTES,
    ChunkReader,
    MalformedChunk,
    RtmpMessage,
    RtmpType,
    serialize_message,
)
from manycast.wire.rtmp.handshake import (
    BLOCK_BYTES,
    NOISE_BYTES,
    ClientHandshake,
    HandshakeFailed,
    ServerHandshake,
    answer_to,
)

NOISE = bytes(range(256)) * (NOISE_BYTES // 256)

messages = st.builds(
    RtmpMessage,
    st.sampled_from([RtmpType.AUDIO, RtmpType.VIDEO, RtmpType.COMMAND, 99]),
    st.integers(0, 0xFFFF_FFFF),
    st.one_of(st.integers(0, 0xFFFF_FFFF), st.sampled_from([0xFF_FFFE, 0xFF_FFFF, 0x100_0000])),
    st.binary(max_size=600),
)


def chunk_size_message(size: int) -> bytes:
    message = RtmpMessage(RtmpType.SET_CHUNK_SIZE, 0, 0, size.to_bytes(4))
    return serialize_message(message, chunk_stream_id=2, chunk_bytes=128)


def test_both_sides_shake_hands_whatever_the_pieces() -> None:
    for step in (1, 100, 5000):
        client, server = ClientHandshake(NOISE), ServerHandshake(NOISE)
        to_server, to_client = client.start() + b"", b""
        rest_at_server: bytes | None = None
        while to_server:
            piece, to_server = to_server[:step], to_server[step:]
            reply, rest_at_server = server.receive(piece)
            to_client += reply
        assert rest_at_server is None
        c2, rest = client.receive(to_client + b"after")
        assert rest == b"after"
        _, rest_at_server = server.receive(c2 + b"connect")
        assert rest_at_server == b"connect"


def test_another_version_is_refused() -> None:
    for begin, told in ((b"GET / HTTP/1.1", "such as HTTP"), (b"\x16\x03\x01", "TLS"), (b"\x06", "version 6")):
        with pytest.raises(HandshakeFailed, match=told):
            ServerHandshake(NOISE).receive(begin)
    with pytest.raises(HandshakeFailed, match="version 6"):
        ClientHandshake(NOISE).receive(b"\x06")


def test_a_simple_client_gets_its_block_back() -> None:
    c1 = bytes(8) + bytes(range(256)) * 6
    c1 = c1[:BLOCK_BYTES]
    assert answer_to(c1, NOISE)[-BLOCK_BYTES:] == c1


@given(st.binary(min_size=1, max_size=4000))
def test_any_beginning_is_waited_on_or_refused(data: bytes) -> None:
    try:
        ServerHandshake(NOISE).receive(data)
    except HandshakeFailed:
        pass


@given(st.lists(messages, max_size=5), st.integers(1, 700), st.integers(1, 300))
def test_what_is_cut_is_put_together(sent: list[RtmpMessage], chunk_bytes: int, step: int) -> None:
    data = chunk_size_message(chunk_bytes)
    for number, message in enumerate(sent):
        data += serialize_message(message, chunk_stream_id=3 + number, chunk_bytes=chunk_bytes)
    reader = ChunkReader()
    received = []
    for start in range(0, len(data), step):
        received += reader.receive(data[start : start + step])
    assert received == sent
    assert reader.received_bytes == len(data)


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    reader = ChunkReader()
    try:
        messages = reader.receive(data)
    except MalformedChunk:
        return
    assert sum(len(message.body) for message in messages) <= len(data)


def test_headers_that_leave_out_what_is_as_before() -> None:
    reader = ChunkReader()
    full = bytes((4,)) + (1000).to_bytes(3) + (2).to_bytes(3) + bytes((9,)) + (1).to_bytes(4, "little") + b"ab"
    no_stream = bytes((0x44,)) + (40).to_bytes(3) + (3).to_bytes(3) + bytes((8,)) + b"cde"
    no_length = bytes((0x84,)) + (20).to_bytes(3) + b"fgh"
    nothing = bytes((0xC4,)) + b"ijk"
    received = reader.receive(full + no_stream + no_length + nothing)
    assert received == [
        RtmpMessage(9, 1, 1000, b"ab"),
        RtmpMessage(8, 1, 1040, b"cde"),
        RtmpMessage(8, 1, 1060, b"fgh"),
        RtmpMessage(8, 1, 1080, b"ijk"),
    ]


def test_messages_may_be_interleaved() -> None:
    one = serialize_message(RtmpMessage(9, 1, 0, b"v" * 200), chunk_stream_id=6, chunk_bytes=128)
    two = serialize_message(RtmpMessage(8, 1, 0, b"a" * 150), chunk_stream_id=4, chunk_bytes=128)
    cut_one, cut_two = 12 + 128, 12 + 128
    woven = one[:cut_one] + two[:cut_two] + one[cut_one:] + two[cut_two:]
    assert [message.body for message in ChunkReader().receive(woven)] == [b"v" * 200, b"a" * 150]


def test_wide_chunk_stream_ids() -> None:
    message = serialize_message(RtmpMessage(9, 1, 5, b"x" * 10), chunk_stream_id=2, chunk_bytes=128)[1:]
    reader = ChunkReader()
    for first in (bytes((0, 200)), bytes((1, 200, 3))):
        assert reader.receive(first + message) == [RtmpMessage(9, 1, 5, b"x" * 10)]


@pytest.mark.parametrize("repeated", [True, False])
def test_extended_timestamps_are_repeated_or_not(repeated: bool) -> None:
    message = RtmpMessage(9, 1, 0x1234_5678, b"x" * 300)
    data = serialize_message(message, chunk_stream_id=6, chunk_bytes=128)
    if not repeated:
        data = data.replace(b"\xc6\x12\x34\x56\x78", b"\xc6")
    assert ChunkReader().receive(data) == [message]


def test_an_aborted_message_is_forgotten() -> None:
    begun = serialize_message(RtmpMessage(9, 1, 0, b"v" * 200), chunk_stream_id=6, chunk_bytes=128)[: 12 + 128]
    abort = serialize_message(RtmpMessage(RtmpType.ABORT, 0, 0, (6).to_bytes(4)), chunk_stream_id=2, chunk_bytes=128)
    again = serialize_message(RtmpMessage(9, 1, 0, b"w"), chunk_stream_id=6, chunk_bytes=128)
    assert ChunkReader().receive(begun + abort + again) == [RtmpMessage(9, 1, 0, b"w")]


def test_limits() -> None:
    too_long = bytes((4,)) + bytes(3) + (MAX_MESSAGE_BYTES + 1).to_bytes(3) + bytes((9,)) + bytes(4)
    with pytest.raises(MalformedChunk, match="at most"):
        ChunkReader().receive(too_long)
    with pytest.raises(MalformedChunk, match="chunk size 0"):
        ChunkReader().receive(chunk_size_message(0))
    with pytest.raises(MalformedChunk, match="begins with"):
        ChunkReader().receive(b"\xc5")
    streams = b"".join(
        bytes((0, number)) + bytes(3) + (1).to_bytes(3) + bytes((9,)) + bytes(4) + b"x"
        for number in range(MAX_CHUNK_STREAMS + 1)
    )
    with pytest.raises(MalformedChunk, match="more than"):
        ChunkReader().receive(streams)
    begun = b"".join(
        bytes((number,)) + bytes(3) + MAX_MESSAGE_BYTES.to_bytes(3) + bytes((9,)) + bytes(4) + bytes(7 << 20)
        for number in (3, 4, 5)
    )
    with pytest.raises(MalformedChunk, match="begun"):
        ChunkReader().receive(chunk_size_message(7 << 20) + begun)
