"""The text of playlists."""

from __future__ import annotations

from manycast.wire.hls.playlist import (
    MediaPlaylist,
    OpenSegment,
    PartEntry,
    SegmentEntry,
    Variant,
    multivariant_playlist,
    rounded_duration_s,
)


def segment(
    number: int, *, duration_s: float = 4.0, discontinuity: bool = False, map_uri: str | None = None, parts: int = 0
) -> SegmentEntry:
    return SegmentEntry(
        uri=f"{number}.ts",
        duration_s=duration_s,
        unix_s=1_700_000_000.25 + 4 * number,
        discontinuity=discontinuity,
        map_uri=map_uri,
        parts=tuple(PartEntry(f"{number}.{n}.ts", duration_s / parts, n == 0) for n in range(parts)),
    )


def opened(number: int, parts: int, **changes: object) -> OpenSegment:
    entries = [PartEntry(f"{number}.{n}.ts", 0.5, n == 0) for n in range(parts)]
    values: dict[str, object] = {
        "unix_s": 1_700_000_000.25 + 4 * number,
        "discontinuity": False,
        "map_uri": None,
        "parts": entries,
        "hint": f"{number}.{parts}.ts",
    }
    return OpenSegment(**(values | changes))  # type: ignore[arg-type]


def test_an_ordinary_playlist() -> None:
    playlist = MediaPlaylist(
        target_duration_s=5,
        first_sequence=7,
        discontinuity_sequence=2,
        segments=[segment(7), segment(8, duration_s=4.96), segment(9, discontinuity=True)],
    )
    assert playlist.serialize().decode() == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:3\n"
        "#EXT-X-TARGETDURATION:5\n"
        "#EXT-X-MEDIA-SEQUENCE:7\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:2\n"
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:48.250Z\n"
        "#EXTINF:4.00000,\n"
        "7.ts\n"
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:52.250Z\n"
        "#EXTINF:4.96000,\n"
        "8.ts\n"
        "#EXT-X-DISCONTINUITY\n"
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:56.250Z\n"
        "#EXTINF:4.00000,\n"
        "9.ts\n"
    )


def test_a_playlist_for_low_latency() -> None:
    playlist = MediaPlaylist(
        target_duration_s=4,
        first_sequence=1,
        discontinuity_sequence=0,
        segments=[segment(n, parts=2) for n in (1, 2, 3)],
        part_target_s=2.0,
        open_segment=opened(4, 2),
    )
    lines = playlist.serialize().decode().splitlines()
    assert lines[:6] == [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        "#EXT-X-TARGETDURATION:4",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=6.000,CAN-SKIP-UNTIL=24",
        "#EXT-X-PART-INF:PART-TARGET=2.000",
        "#EXT-X-MEDIA-SEQUENCE:1",
    ]
    # Parts of the latest segments only.
    assert [line for line in lines if line.startswith("#EXT-X-PART:")] == [
        '#EXT-X-PART:DURATION=2.00000,URI="2.0.ts",INDEPENDENT=YES',
        '#EXT-X-PART:DURATION=2.00000,URI="2.1.ts"',
        '#EXT-X-PART:DURATION=2.00000,URI="3.0.ts",INDEPENDENT=YES',
        '#EXT-X-PART:DURATION=2.00000,URI="3.1.ts"',
        '#EXT-X-PART:DURATION=0.50000,URI="4.0.ts",INDEPENDENT=YES',
        '#EXT-X-PART:DURATION=0.50000,URI="4.1.ts"',
    ]
    assert lines[-5:-3] == ["3.ts", "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:36.250Z"]
    assert lines[-1] == '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="4.2.ts"'


def test_maps_and_discontinuities_stand_where_they_begin_to_hold() -> None:
    playlist = MediaPlaylist(
        target_duration_s=4,
        first_sequence=0,
        discontinuity_sequence=0,
        segments=[
            segment(0, map_uri="init0.mp4"),
            segment(1, map_uri="init0.mp4"),
            segment(2, map_uri="init1.mp4", discontinuity=True),
        ],
        part_target_s=1.0,
        open_segment=opened(3, 1, map_uri="init2.mp4", discontinuity=True),
    )
    marks = [
        line
        for line in playlist.serialize().decode().splitlines()
        if line.startswith(("#EXT-X-MAP", "#EXT-X-DISC")) or not line.startswith("#") or "PRELOAD" in line
    ]
    assert marks == [
        '#EXT-X-MAP:URI="init0.mp4"',
        "0.ts",
        "1.ts",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="init1.mp4"',
        "2.ts",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="init2.mp4"',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="3.1.ts"',
    ]


def test_a_delta_update_leaves_out_what_is_older_than_the_boundary() -> None:
    playlist = MediaPlaylist(
        target_duration_s=4,
        first_sequence=10,
        discontinuity_sequence=0,
        segments=[segment(10 + n, map_uri="init0.mp4") for n in range(20)],
        part_target_s=1.0,
        open_segment=opened(30, 2, map_uri="init0.mp4"),
    )
    whole, delta = playlist.serialize().decode(), playlist.serialize(skip=True).decode()
    # 20 segments of 4 s and a second more: 24 s before the end is in the middle of the segment with index 14.
    assert "#EXT-X-SKIP:SKIPPED-SEGMENTS=14\n" in delta
    listed = [[line for line in text.splitlines() if not line.startswith("#")] for text in (whole, delta)]
    assert listed[1] == listed[0][14:]
    assert delta.partition("SKIPPED-SEGMENTS=14\n")[2] == whole.partition("23.ts\n")[2]
    assert "#EXT-X-MEDIA-SEQUENCE:10\n" in delta
    assert "EXT-X-MAP" not in delta


def test_nothing_old_enough_to_skip_is_the_whole_list() -> None:
    few = MediaPlaylist(
        target_duration_s=4,
        first_sequence=0,
        discontinuity_sequence=0,
        segments=[segment(n) for n in range(5)],
        part_target_s=1.0,
    )
    assert few.serialize(skip=True) == few.serialize()


def test_without_low_latency_there_is_no_delta_update() -> None:
    plain = MediaPlaylist(
        target_duration_s=4, first_sequence=0, discontinuity_sequence=0, segments=[segment(n) for n in range(30)]
    )
    assert plain.serialize(skip=True) == plain.serialize()


def test_an_ended_playlist_says_so_and_promises_nothing() -> None:
    playlist = MediaPlaylist(
        target_duration_s=4,
        first_sequence=0,
        discontinuity_sequence=0,
        segments=[segment(0, parts=2)],
        part_target_s=2.0,
        open_segment=opened(1, 0),
        ended=True,
    )
    text = playlist.serialize().decode()
    assert text.endswith("0.ts\n#EXT-X-ENDLIST\n")
    assert "PRELOAD-HINT" not in text


def test_the_multivariant_playlist_says_what_is_known() -> None:
    full = Variant(
        uri="live.hls/x/index.m3u8",
        peak_bps=2_500_400,
        average_bps=2_100_000,
        codecs=("avc1.42c01f", "mp4a.40.2"),
        size=(1280, 720),
        frame_rate=29.97,
    )
    assert multivariant_playlist(full).decode() == (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=2500400,AVERAGE-BANDWIDTH=2100000,CODECS="avc1.42c01f,mp4a.40.2",'
        "RESOLUTION=1280x720,FRAME-RATE=29.970\nlive.hls/x/index.m3u8\n"
    )
    bare = Variant(uri="x", peak_bps=2, average_bps=1, codecs=())
    assert "#EXT-X-STREAM-INF:BANDWIDTH=2,AVERAGE-BANDWIDTH=1\nx\n" in multivariant_playlist(bare).decode()


def test_durations_are_rounded_as_players_round_them() -> None:
    assert [rounded_duration_s(value) for value in (4.49, 4.5, 5.5, 0.2)] == [4, 5, 6, 0]
