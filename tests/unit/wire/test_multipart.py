"""Endless multipart bodies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.multipart import MAX_HEAD_BYTES, MAX_PART_BYTES, MalformedMultipart, MultipartReader, boundary_of

PARTS = [b"\xff\xd8one\xff\xd9", b"\xff\xd8two--\r\n\xff\xd9", b""]


def written(delimiter: bytes, *, length: bool, line_end: bytes = b"\r\n") -> bytes:
    body = b""
    for part in PARTS:
        head = delimiter + line_end + b"Content-Type: image/jpeg" + line_end
        head += (b"content-length: %d" % len(part) + line_end) if length else b""
        body += head + line_end + part + line_end
    return body + delimiter + line_end + b"Content-Type: image/jpeg" + line_end + line_end


@pytest.mark.parametrize("boundary", ["frame", "--frame", None])
@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
@given(cuts=st.lists(st.integers(0, 300)))
def test_parts_do_not_depend_on_how_the_bytes_are_cut(
    boundary: str | None, length: bool, line_end: bytes, cuts: list[int]
) -> None:
    data = b"\r\n" + written(b"--frame", length=length, line_end=line_end)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader = MultipartReader(boundary)
    parts = [part for a, b in zip(edges, edges[1:], strict=False) for part in reader.receive(data[a:b])]  # noqa: RUF007
    assert parts == PARTS


def test_boundaries_in_headers() -> None:
    assert boundary_of("multipart/x-mixed-replace;boundary=abc") == "abc"
    assert boundary_of('multipart/x-mixed-replace; Boundary = "a b"; x=y') == "a b"
    assert boundary_of("multipart/x-mixed-replace") is None
    assert boundary_of("multipart/x-mixed-replace; boundary=") is None


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8 a JPEG without anything around it\n",
        b"<html>\n",
        b"--\n",
        b"--x\r\nContent-Length: %d\r\n\r\n" % (MAX_PART_BYTES + 1),
        b"--x\r\n" + b"a: b\r\n" * MAX_HEAD_BYTES,
        b"--x\r\n\r\n" + bytes(MAX_PART_BYTES + 10),
    ],
)
def test_what_cannot_be_cut(data: bytes) -> None:
    with pytest.raises(MalformedMultipart):
        MultipartReader(None).receive(data)


def test_a_boundary_that_never_comes() -> None:
    with pytest.raises(MalformedMultipart, match="no boundary"):
        MultipartReader("x").receive(bytes(MAX_HEAD_BYTES + 100))


@given(st.sampled_from([None, "x", "--"]), st.lists(st.binary(max_size=100)))
def test_hostile_bytes(boundary: str | None, pieces: list[bytes]) -> None:
    whole, cut = MultipartReader(boundary), MultipartReader(boundary)
    try:
        parts = whole.receive(b"".join(pieces))
    except MalformedMultipart:
        with pytest.raises(MalformedMultipart):
            for piece in pieces:
                cut.receive(piece)
    else:
        assert [part for piece in pieces for part in cut.receive(piece)] == parts
