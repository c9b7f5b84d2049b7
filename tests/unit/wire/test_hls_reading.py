"""Playlists of other servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.hls.playlist import MediaPlaylist, SegmentEntry, Variant, multivariant_playlist
from manycast.wire.hls.reading import (
    MAX_PLAYLIST_BYTES,
    ByteRange,
    InitSection,
    Key,
    ListedSegment,
    MalformedPlaylist,
    SegmentList,
    VariantList,
    parse_playlist,
)

LIVE = b"""#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-MAP:URI="init.mp4",BYTERANGE="700@0"
#EXT-X-KEY:METHOD=AES-128,URI="https://x/key?a=1,b",IV=0xFf
#EXTINF:4.000,a title
#EXT-X-BYTERANGE:1000@700
all.mp4
#EXTINF:3.5,
#EXT-X-BYTERANGE:500
all.mp4
# a comment
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=NONE
#EXTINF:4
three.mp4

#EXT-X-PART:DURATION=1,URI="p.mp4"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="q.mp4"
"""
MASTER = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="other",URI="other.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",DEFAULT=YES,URI="sound.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="inside",NAME="English"
#EXT-X-STREAM-INF:BANDWIDTH=100,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="a"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900,AUDIO="inside"
high.m3u8
"""


def test_segments() -> None:
    init = InitSection("init.mp4", ByteRange(0, 700))
    key = Key("AES-128", "https://x/key?a=1,b", bytes(15) + b"\xff")
    assert parse_playlist(LIVE) == SegmentList(
        target_duration_s=4,
        ended=False,
        segments=(
            ListedSegment(number=41, uri="all.mp4", duration_s=4, range=ByteRange(700, 1000), key=key, init=init),
            ListedSegment(number=42, uri="all.mp4", duration_s=3.5, range=ByteRange(1700, 500), key=key, init=init),
            ListedSegment(number=43, uri="three.mp4", duration_s=4, discontinuity=True, init=init),
        ),
    )


def test_variants() -> None:
    found = parse_playlist(b"\xef\xbb\xbf" + MASTER.replace(b"\n", b"\r\n"))
    assert isinstance(found, VariantList)
    low, high = found.variants
    assert (low.uri, low.bandwidth_bps, low.codecs) == ("low.m3u8", 100, ("avc1.4d401e", "mp4a.40.2"))
    assert (low.audio_uri, high.audio_uri) == ("sound.m3u8", None)


@given(
    first=st.integers(0, 10**9),
    durations=st.lists(st.integers(1, 60_000), max_size=20),
    breaks=st.sets(st.integers(0, 19)),
    ended=st.booleans(),
)
def test_our_own_playlists(first: int, durations: list[int], breaks: set[int], ended: bool) -> None:
    segments = [
        SegmentEntry(uri=f"{number}.ts", duration_s=duration / 1000, discontinuity=number in breaks)
        for number, duration in enumerate(durations)
    ]
    written = MediaPlaylist(
        target_duration_s=60, first_sequence=first, discontinuity_sequence=0, segments=segments, ended=ended
    )
    found = parse_playlist(written.serialize())
    assert isinstance(found, SegmentList)
    assert [(one.number, one.uri, one.duration_s, one.discontinuity) for one in found.segments] == [
        (first + number, one.uri, one.duration_s, one.discontinuity) for number, one in enumerate(segments)
    ]
    assert found.ended is ended


def test_our_own_variant() -> None:
    variant = Variant(uri="x.m3u8", peak_bps=2000, average_bps=1000, codecs=("avc1.64001f", "opus"), size=(64, 48))
    found = parse_playlist(multivariant_playlist(variant))
    assert isinstance(found, VariantList)
    assert (found.variants[0].uri, found.variants[0].codecs) == ("x.m3u8", ("avc1.64001f", "opus"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"#EXTM3U\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:0\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\nno-duration.ts\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:nan,\nx.ts\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:1e9,\nx.ts\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:-4\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128\n",
        b'#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI="k",IV=12\n',
        b'#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI="unclosed\n',
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-BYTERANGE:x@y\n",
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n",
        b"#EXTM3U\n" + bytes(MAX_PLAYLIST_BYTES),
        b"#EXTM3U\n" + b"#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n" * 1001,
    ],
)
def test_what_is_no_playlist(text: bytes) -> None:
    with pytest.raises(MalformedPlaylist):
        parse_playlist(text)


@given(st.one_of(st.binary(), st.text().map(str.encode)).map(lambda tail: b"#EXTM3U\n" + tail))
def test_hostile_bytes(data: bytes) -> None:
    try:
        parse_playlist(data)
    except MalformedPlaylist:
        pass


@given(st.sampled_from([LIVE, MASTER]), st.integers(0, 700), st.binary(max_size=3))
def test_damaged_ones(text: bytes, position: int, put: bytes) -> None:
    try:
        parse_playlist(text[:position] + put + text[position + len(put) :])
    except MalformedPlaylist:
        pass
