from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from manycast.sources.files import flv_search
from manycast.sources.files.cursor import Cursor
from manycast.sources.files.flv_search import find_tag_before

from .media_making import make_file
from .test_files_reading import contents, read_all

KINDS = st.sampled_from([8, 9, 18])  # audio, video, script


def tag(kind: int, time_ms: int, body: bytes) -> bytes:
    size = len(body).to_bytes(3, "big")
    time = (time_ms & 0xFFFFFF).to_bytes(3, "big") + bytes((time_ms >> 24,))
    return bytes((kind,)) + size + time + bytes(3) + body + (11 + len(body)).to_bytes(4, "big")


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size: data[offset : offset + size]


@given(
    st.lists(
        st.tuples(st.sampled_from([8, 9, 18]), st.integers(0, 5000), st.integers(1, 30_000)), min_size=1, max_size=60
    ),
    st.integers(0, 200_000),
    st.sampled_from([0, 1 << 24]),
)
def test_a_tag_at_or_before_the_time_is_found(steps: list[tuple[int, int, int]], time_ms: int, start_ms: int) -> None:
    flv_search.CLOSE_BYTES, before = 4096, flv_search.CLOSE_BYTES
    noise = random.Random(len(steps))
    data, now_ms, offsets = bytearray(b"FLV\x01\x05\0\0\0\x09\0\0\0\0"), start_ms, {}
    for kind, step_ms, size in steps:
        now_ms += step_ms
        offsets[len(data)] = now_ms
        data += tag(kind, now_ms, noise.randbytes(size))
    found = find_tag_before(reader(bytes(data)), len(data), 13, start_ms + time_ms)
    flv_search.CLOSE_BYTES = before
    if next(iter(offsets.values())) > start_ms + time_ms:
        assert found is None
        return
    assert found is not None
    assert offsets[found.offset] == found.time_ms <= start_ms + time_ms
    right = max(offset for offset, time in offsets.items() if time <= start_ms + time_ms)
    assert right - found.offset <= 4096 + 2 * 30_100


@given(st.binary(max_size=2000), st.integers(0, 1 << 32))
def test_random_bytes_end_the_search(data: bytes, time_ms: int) -> None:
    found = find_tag_before(reader(data), len(data), 13, time_ms)
    assert found is None or 13 <= found.offset < len(data)


def test_a_long_file_without_index_is_searched_with_little_reading(tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.flv", seconds=40, size="320x240", noise=True, video_options={"qp": "38"})
    size_bytes = path.stat().st_size
    assert size_bytes > 20 * flv_search.CLOSE_BYTES
    plan, groups = read_all(path)
    cursor = Cursor(plan)
    before_bytes = cursor._demuxer.bytes_read
    found = cursor.find(36_500_000, groups[0].end_us)
    assert [contents(group) for group in found] == [contents(groups[36])]
    assert cursor._demuxer.bytes_read - before_bytes < size_bytes // 3
    cursor.close()
