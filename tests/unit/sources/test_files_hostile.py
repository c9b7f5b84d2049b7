"""Files that want to be more than a file, and files that are less than one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manycast.hub.source import SourceError
from manycast.media.frame import Frame
from manycast.sources.files import demuxer as demuxer_module
from manycast.sources.files.demuxer import Demuxer
from manycast.sources.files.groups import FileGroup
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.reading import open_and_begin, read_groups

from .media_making import make_file, stamp_of

MAGICS = [
    b"",
    b"\x1a\x45\xdf\xa3",
    b"\0\0\0\x18ftypisom",
    b"FLV\x01\x05\0\0\0\x09\0\0\0\0",
    b"RIFF\xff\xff\0\0AVI LIST",
    b"RIFF\xff\xff\0\0WAVEfmt ",
    b"OggS\0\x02",
    b"\x47\x40\0\x10",
    b"\0\0\0\x01\x67\x42\xc0\x1f",
    b"\xff\xf1\x50\x80",
    b"\0\0\x01\xba",
    b"\0\0\x01\xb3\x0a\x00\x78\x23",
    b"\0\0\x01\xb0\xf1\0\0\x01\xb5\xa9\x13\0\0\x01\0\0\0\x01\x20",
    b"\xff\xd8\xff\xe0\0\x10JFIF",
    b"\xff\xfb\x50\xc4",
    b"\x0b\x77\xcb\x05\x4c\x40",
    b"#!AMR\n<",
    b"#!AMR-WB\n\x04",
    b"OggS\0\x02" + bytes(20) + b"\1\x1e\1vorbis",
    b"DKIF\0\0\x20\0VP80",
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
]


DAMAGED = [
    "h264_aac.mp4", "h264_aac.mkv", "h264_aac.flv", "h264_aac.ts", "h264_mulaw.avi", "opus.ogg", "mpeg1.mpg",
    "mpeg2.vob", "mpeg2.ts", "mpeg4_mp3.avi", "mpeg4.m4e", "mpeg2.m2v", "mjpeg_s16.avi", "mjpeg.mjpeg", "vp8.webm",
    "vp9_opus.webm", "av1_opus.mp4", "av1.webm", "theora_vorbis.ogv", "vorbis.ogg", "mp3.mp3", "ac3.ac3", "s24.wav",
    "g726.wav", "speech.amr", "windows.wmv", "prores_alac.mov", "msmpeg4_eac3.mkv", "wavpack.wv",
]  # fmt: skip


def play(path: Path) -> list[FileGroup]:
    """All groups from the start on, one call after the other, as a viewer gets them."""
    opened = open_and_begin(path, stamp_of(path))
    groups, cursor = [opened.first], opened.cursor
    while not groups[-1].last and len(groups) < 10_000:
        cursor, read = read_groups(opened.plan, cursor, groups[-1].end_us, opened.first.end_us, exact=True)
        if not read:
            break
        groups += read
    cursor.close()
    return groups


def check_order(groups: list[FileGroup]) -> None:
    last: dict[int, Frame] = {}
    for frame in (frame for group in groups for frame in group.frames):
        assert frame.pts_ticks >= frame.dts_ticks
        assert frame.track_index not in last or last[frame.track_index].dts_ticks < frame.dts_ticks
        last[frame.track_index] = frame
    assert all(group.frames and group.end_us > group.position_us for group in groups)
    assert all(a.end_us == b.position_us for a, b in pairwise(groups))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    magic=st.sampled_from(MAGICS), data=st.binary(max_size=3000), suffix=st.sampled_from(["mp4", "ts", "264", "m3u8"])
)
def test_random_bytes_are_refused_or_played(tmp_path: Path, magic: bytes, data: bytes, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(magic + data)
    try:
        check_order(play(path))
    except SourceError:
        pass


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(DAMAGED),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=30),
    hole=st.tuples(st.floats(0, 1), st.integers(0, 3000)),
)
def test_damaged_files_are_refused_or_played(
    media_file: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    changes: list[tuple[float, int]],
    hole: tuple[float, int],
) -> None:
    data = bytearray(media_file(name).read_bytes())
    for place, value in changes:
        data[int(place * len(data))] = value
    start = int(hole[0] * len(data))
    del data[start : start + hole[1]]
    path = tmp_path / name
    path.write_bytes(data)
    try:
        check_order(play(path))
    except SourceError:
        pass


@pytest.mark.parametrize(
    "name",
    [
        "h264_aac.mkv",
        "h264_aac.flv",
        "h264_aac.ts",
        "fast.mp4",
        "mpeg1.mpg",
        "mpeg4_mp3.avi",
        "mpeg4.m4e",
        "mpeg2.m2v",
        "mjpeg.mjpeg",
        "vp8.webm",
        "theora_vorbis.ogv",
    ],
)
def test_a_file_cut_in_writing_ends_with_its_last_whole_frame(
    name: str, media_file: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = (
        media_file(name)
        if name != "fast.mp4"
        else make_file(tmp_path / "whole.mp4", muxer_options={"movflags": "faststart"})
    )
    data = whole.read_bytes()
    expected = [frame.units for group in play(whole) for frame in group.frames if frame.track_index == 0]
    path = tmp_path / name
    for percent in (30, 50, 71, 93):
        path.write_bytes(data[: len(data) * percent // 100])
        groups = play(path)
        check_order(groups)
        got = [frame.units for group in groups for frame in group.frames if frame.track_index == 0]
        if name.endswith((".ts", ".mpg", ".m4e", ".m2v", ".mjpeg")):  # where a frame ends only the next one tells
            got.pop()
        assert got == expected[: len(got)]
        assert len(got) == pytest.approx(len(expected) * percent / 100, abs=40)


def test_a_file_cut_before_its_index_is_refused(media_file: Callable[[str], Path], tmp_path: Path) -> None:
    data = media_file("h264_aac.mp4").read_bytes()
    path = tmp_path / "x.mp4"
    for size in (0, 1, 7, 8, 30, 1000, len(data) // 2, len(data) - 1000):
        path.write_bytes(data[:size])
        with pytest.raises(SourceError):
            play(path)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:6,\n{other}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{other}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    "<Representation><BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\n",
    "smil": "rtsp://127.0.0.1:1/x",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "ffconcat", "mpd", "sdp"])
def test_playlists_are_no_media_files(
    kind: str, suffix: str, media_file: Callable[[str], Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.ts"
    other.write_bytes(media_file("h264_aac.ts").read_bytes())
    path = tmp_path / f"list.{suffix}"
    path.write_text(PLAYLISTS[kind].format(other="other.ts"))
    with pytest.raises(SourceError):
        play(path)


def test_the_playlists_of_these_tests_do_open_other_files_where_that_is_not_forbidden(
    media_file: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "other.ts").write_bytes(media_file("h264_aac.ts").read_bytes())
    for kind in ("hls", "concat"):
        path = tmp_path / f"list.{kind}"
        path.write_text(PLAYLISTS[kind].format(other="other.ts"))
        with av.open(str(path), format=kind, container_options={"allowed_extensions": "ALL"}) as container:
            assert container.streams


def test_a_movie_that_keeps_its_media_in_another_file_reads_nothing_from_it(
    media_file: Callable[[str], Path], tmp_path: Path
) -> None:
    movie = tmp_path / "movie.mov"
    movie.write_bytes(_with_external_reference(media_file("h264_alaw.mov").read_bytes(), "secret.mov"))
    (tmp_path / "secret.mov").write_bytes(bytes(1000) + b"SECRET" * 100_000)
    asked: list[str] = []

    def opener(url: str, flags: int, options: dict[str, str]) -> Any:
        asked.append(url)
        raise FileNotFoundError(url)

    # The file is as hostile as it should be: FFmpeg follows the reference when it may.
    with movie.open("rb") as file:
        try:
            av.open(file, "r", container_options={"enable_drefs": "1"}, io_open=opener).close()
        except FileNotFoundError:
            pass
    assert {Path(url).name for url in asked} == {"secret.mov"}
    try:
        units = [unit for group in play(movie) for frame in group.frames for unit in frame.units]
    except SourceError:
        units = []
    assert not any(b"SECRET" in unit for unit in units)


def _with_external_reference(data: bytes, name: str) -> bytes:
    """A movie whose data references are Mac OS aliases of a file beside it."""
    path = f":{name}".encode()
    alias = bytes(10) + bytes(1 + 27) + bytes(12) + bytes(1 + 63) + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    alias += struct.pack(">HH", 2, len(path)) + path + bytes(len(path) % 2) + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I4sI", len(alias) + 12, b"alis", 0) + alias
    reference = struct.pack(">I4sII", len(entry) + 16, b"dref", 0, 1) + entry
    return _with_boxes_replaced(data, b"dref", reference)


def _with_boxes_replaced(data: bytes, kind: bytes, new: bytes) -> bytes:
    """The boxes with those of a kind replaced, at any depth; data behind them must not be referred to."""
    result = b""
    position = 0
    while position < len(data):
        size, box = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + size]
        if box == kind:
            result += new
        elif box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            body = _with_boxes_replaced(body, kind, new)
            result += struct.pack(">I4s", len(body) + 8, box) + body
        else:
            result += data[position : position + size]
        position += size
    return result


def test_a_file_replaced_between_finding_and_opening_is_refused(
    media_file: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(media_file("h264_aac.mp4").read_bytes())
    stamp = stamp_of(path)
    other = tmp_path / "y.mp4"
    other.write_bytes(path.read_bytes())
    other.rename(path)
    with pytest.raises(SourceError, match="replaced"):
        Demuxer(path, stamp)
    path.unlink()
    path.symlink_to(media_file("h264_aac.mp4"))
    with pytest.raises(SourceError):
        Demuxer(path, stamp_of(path))
    path.unlink()
    with pytest.raises(SourceError):
        Demuxer(path, stamp)


def test_reading_is_bounded(media_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demuxer_module, "MAX_READ_BYTES", 20_000)
    monkeypatch.setattr(demuxer_module, "BUFFER_BYTES", 4096)
    path = media_file("h264_aac.mkv")
    with pytest.raises(SourceError, match="too much to read"):
        play(path)


def test_codecs_that_are_not_known_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    only = make_file(tmp_path / "x.avi", video="mpeg4", audio=None, seconds=1)
    both = make_file(tmp_path / "y.avi", video="mpeg4", audio="pcm_s16le", seconds=1)
    for path in (only, both):
        path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(SourceError, match=r"x\.avi: nothing that can be played, only video unknown"):
        play(only)
    with caplog.at_level("INFO", logger="manycast"):
        groups = play(both)
    assert {frame.track_index for group in groups for frame in group.frames} == {0}
    assert "y.avi: left out: video unknown" in caplog.text


def test_what_cannot_be_decoded_either_is_refused(tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.mov", video="prores_ks", audio=None, seconds=0.4, pixels="yuv422p10le")
    path.write_bytes(path.read_bytes().replace(b"icpf", b"\0" * 4))  # what each of its pictures begins with
    with pytest.raises(SourceError, match="video prores \\(cannot be decoded\\)"):
        play(path)


def test_a_stamp_tells_a_grown_file_from_another_one() -> None:
    stamp = FileStamp(device=1, inode=2, size_bytes=100, modified_ns=5)
    assert stamp.same_file(FileStamp(1, 2, 120, 9))
    assert not stamp.same_file(FileStamp(1, 2, 80, 9))
    assert not stamp.same_file(FileStamp(1, 3, 100, 5))
