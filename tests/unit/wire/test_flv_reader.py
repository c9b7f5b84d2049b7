"""FLV that comes in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.flv.file import file_header, tag
from manycast.wire.flv.message import FlvMessage, MalformedFlv, MessageType
from manycast.wire.flv.reader import FlvReader

messages = st.builds(
    FlvMessage, st.sampled_from(list(MessageType)), st.integers(0, 0xFFFF_FFFF), st.binary(max_size=50)
)


@given(st.lists(messages, max_size=5), st.lists(st.integers(0, 400)))
def test_what_was_written_is_read(sent: list[FlvMessage], cuts: list[int]) -> None:
    data = file_header(has_audio=True, has_video=True) + b"".join(map(tag, sent))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader = FlvReader()
    assert [message for a, b in pairwise(edges) for message in reader.receive(data[a:b])] == sent


@pytest.mark.parametrize(
    "data",
    [
        b"<ht",
        b"RIFF",
        b"FLV\x01\x05\xff\xff\xff\xff",
        file_header(has_audio=True, has_video=True) + b"\x09\xff\xff\xff" + bytes(8),
    ],
)
def test_what_is_no_flv(data: bytes) -> None:
    with pytest.raises(MalformedFlv):
        FlvReader().receive(data)


@given(st.lists(st.binary(max_size=100)))
def test_hostile_bytes(pieces: list[bytes]) -> None:
    whole, cut = FlvReader(), FlvReader()
    header = file_header(has_audio=True, has_video=False)
    try:
        messages = whole.receive(header + b"".join(pieces))
    except MalformedFlv:
        with pytest.raises(MalformedFlv):
            for piece in (header, *pieces):
                cut.receive(piece)
    else:
        assert [message for piece in (header, *pieces) for message in cut.receive(piece)] == messages
