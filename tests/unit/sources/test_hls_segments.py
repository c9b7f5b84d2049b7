"""Segments of AAC on its own, and what is of no known kind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import make

from manycast.errors import ManycastError
from manycast.hub.source import SourceError
from manycast.media.aac import AudioSpecificConfig, adts_header
from manycast.media.track import Codec
from manycast.sources.http.mp4_segment import read_mp4
from manycast.sources.http.segments import AUDIO, AacSegments, Mp4Segments, TsSegments, reader_for

CONFIG = AudioSpecificConfig.simple(48_000, 2)
UNITS = [bytes([number]) * 50 for number in range(4)]
SOUND = b"".join(adts_header(CONFIG, len(unit)) + unit for unit in UNITS)


def tag(ticks: int) -> bytes:
    private = b"com.apple.streaming.transportStreamTimestamp\0" + ticks.to_bytes(8)
    frame = b"PRIV" + len(private).to_bytes(4) + b"\0\0" + private
    return b"ID3\x04\0\0" + bytes((0, 0, len(frame) >> 7, len(frame) & 0x7F)) + frame


async def test_the_tag_holds_the_time() -> None:
    reader = AacSegments()
    frames = await reader.read(tag(2 * 90_000) + SOUND, b"")
    assert [frame.units for frame in frames] == [[unit] for unit in UNITS]
    assert [frame.dts_ticks for frame in frames] == [96_000 + 1024 * number for number in range(4)]
    frames = await reader.read(SOUND + SOUND[:20], b"")  # without a tag it goes on where it was
    assert frames[0].dts_ticks == 96_000 + 4096
    frames = await reader.read(tag(0) + SOUND, b"")
    assert frames[0].dts_ticks == 0
    track = reader.tracks[AUDIO]
    assert track is not None
    assert track.clock_rate_hz == 48_000


def test_the_first_bytes_tell_the_kind() -> None:
    assert isinstance(reader_for(b"\x47" + bytes(187) + b"\x47"), TsSegments)
    assert isinstance(reader_for(b"\0\0\0\x18ftypmp42"), Mp4Segments)
    assert isinstance(reader_for(SOUND), AacSegments)
    assert isinstance(reader_for(tag(0) + SOUND), AacSegments)
    for data in (b"", b"<html>", b"WEBVTT\n", bytes(400)):
        with pytest.raises(SourceError, match="unknown kind"):
            reader_for(data)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=50).map(lambda data: tag(1) + SOUND + data)))
async def test_hostile_bytes(data: bytes) -> None:
    for reader in (AacSegments(), TsSegments()):
        try:
            frames = await reader.read(data, b"")
        except ManycastError:
            continue
        assert {frame.track_index for frame in frames} <= reader.tracks.keys()


@pytest.fixture(scope="module")
def fragment(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25", "-f", "lavfi", "-i", "sine", "-t", "1"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    form = ["-movflags", "frag_keyframe+empty_moov"]
    return make(tmp_path_factory.mktemp("mp4") / "film.mp4", *source, *coding, *form).read_bytes()


def test_a_fragment(fragment: bytes) -> None:
    found = read_mp4(fragment)
    assert [track.codec for track in found.tracks.values()] == [Codec.H264, Codec.AAC]
    assert sum(frame.track_index == 0 for frame in found.frames) == 25


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=20),
    kept=st.floats(0.1, 1),
)
def test_damaged_fragments(fragment: bytes, changes: list[tuple[float, int]], kept: float) -> None:
    data = bytearray(fragment[: int(len(fragment) * kept)])
    for place, value in changes:
        data[int(place**3 * len(data))] = value  # most of them near the front, where the boxes are
    try:
        found = read_mp4(bytes(data))
    except ManycastError:
        return
    assert {frame.track_index for frame in found.frames} <= found.tracks.keys()
