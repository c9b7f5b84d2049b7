"""MPEG transport streams: what the muxer writes the demuxer reads, and what others write too."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clips import make_clip

from manycast.media.aac import AudioSpecificConfig, parameters_from_config
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import AudioParameters, Codec, H265Parameters, PlainParameters, Track
from manycast.wire.mpegts.demux import TsDemuxer
from manycast.wire.mpegts.mux import PCR_LEAD_TICKS, PMT_PID, TsMuxer
from manycast.wire.mpegts.packet import PACKET_BYTES, PCR_EXTENSION, TsPacket, serialize_packets
from manycast.wire.mpegts.tables import (
    ElementaryStream,
    ProgramAssociation,
    ProgramMap,
    StreamType,
    section_payload,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "mpegts"
CLIP = make_clip()
AAC = Track(
    codec=Codec.AAC,
    clock_rate_hz=48_000,
    parameters=parameters_from_config(AudioSpecificConfig.simple(48_000, 2).serialize()),
)
OPUS = Track(codec=Codec.OPUS, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=2))
MP3 = Track(codec=Codec.MP3, clock_rate_hz=90_000, parameters=AudioParameters(sample_rate_hz=44_100, channels=2))
AC3 = Track(codec=Codec.AC3, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=2))
H265 = Track(codec=Codec.H265, clock_rate_hz=90_000, parameters=H265Parameters())
METADATA = Track(codec=Codec.METADATA, clock_rate_hz=90_000, parameters=PlainParameters())
G711 = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))

WRAP = 1 << 33


def pictures(count: int, *, start: int = 0) -> list[Frame]:
    frames = []
    for number in range(count):
        frame = CLIP.frame(number)
        normalise(frame, CLIP.track)
        frame.dts_ticks += start
        frame.pts_ticks = frame.dts_ticks + 3600 * (number % 3)
        frames.append(frame)
    return frames


def sound(ticks: int, unit: bytes, index: int = 0) -> Frame:
    return Frame(track_index=index, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[unit])


def packets_of(data: bytes) -> list[bytes]:
    assert len(data) % PACKET_BYTES == 0
    return [data[start : start + PACKET_BYTES] for start in range(0, len(data), PACKET_BYTES)]


def muxed(frames: list[Frame], tracks: list[Track]) -> list[bytes]:
    """The packets of each frame."""
    muxer = TsMuxer(tracks)
    return [muxer.frame(frame) for frame in frames]


def units(frames: list[Frame]) -> list[list[bytes]]:
    """What the frames hold, without delimiters, which are packaging."""
    return [[unit for unit in frame.units if unit not in (b"\x09\xf0", b"\x46\x01\x50")] for frame in frames]


def demuxed(data: bytes) -> list[Frame]:
    demuxer = TsDemuxer()
    frames = demuxer.receive(data) + demuxer.flush()
    assert (demuxer.broken, demuxer.lost_packets, demuxer.skipped_bytes) == (0, 0, 0), demuxer.last_fault
    return frames


def test_pictures_come_out_as_they_went_in() -> None:
    frames = pictures(30)
    demuxer = TsDemuxer()
    received = demuxer.receive(b"".join(muxed(frames, [CLIP.track]))) + demuxer.flush()
    track = demuxer.tracks[0]
    assert track is not None
    for frame in received:
        track = normalise(frame, track)
    assert track == CLIP.track
    assert units(received) == units(frames)
    assert [frame.keyframe for frame in received] == [frame.keyframe for frame in frames]
    assert [frame.dts_ticks - PCR_LEAD_TICKS for frame in received] == [frame.dts_ticks for frame in frames]
    assert [frame.pts_ticks - PCR_LEAD_TICKS for frame in received] == [frame.pts_ticks for frame in frames]


@pytest.mark.parametrize(
    ("track", "unit", "samples"),
    [
        (AAC, b"\x21\x10\x04", 1024),
        (OPUS, b"\xfc" + bytes(700), 960),
        (AC3, bytes.fromhex("0b770000144040430000") + bytes(758), 1536),
        (MP3, bytes.fromhex("fffb9064") + bytes(413), 1152),
    ],
)
def test_sound_comes_out_with_exact_times(track: Track, unit: bytes, samples: int) -> None:
    assert isinstance(track.parameters, AudioParameters) or track is AAC
    rate_hz = track.parameters.sample_rate_hz  # type: ignore[union-attr]
    frames = [sound(n * samples * track.clock_rate_hz // rate_hz, unit) for n in range(400)]
    demuxer = TsDemuxer()
    received = demuxer.receive(b"".join(muxed(frames, [track]))) + demuxer.flush()
    found = demuxer.tracks[1]
    assert found is not None
    assert (found.codec, found.clock_rate_hz) == (track.codec, track.clock_rate_hz)
    assert [frame.units for frame in received] == [[unit]] * 400
    lead = PCR_LEAD_TICKS * track.clock_rate_hz // 90_000
    assert [frame.pts_ticks - lead for frame in received] == [frame.pts_ticks for frame in frames]


def test_one_picture_and_one_sound_go_the_rest_is_named() -> None:
    muxer = TsMuxer([METADATA, CLIP.track, G711, AAC, OPUS])
    assert [track.codec for track in muxer.left_out] == [Codec.METADATA, Codec.G711A, Codec.OPUS]
    assert muxer.has_video
    assert muxer.frame(sound(0, b"<x/>")) == b""
    assert not TsMuxer([METADATA, G711]).usable


def test_each_keyframe_can_be_the_first_thing_a_receiver_sees() -> None:
    chunks = muxed(pictures(25), [CLIP.track])
    for number in (10, 20):
        data = b"".join(chunks[number:])
        demuxer = TsDemuxer()
        assert len(demuxer.receive(data) + demuxer.flush()) == 25 - number
        first = [TsPacket.parse(packet) for packet in packets_of(data)[:3]]
        assert [packet.pid for packet in first[:2]] == [0, PMT_PID]
        assert first[2].random_access
        assert first[2].starts_unit


def test_counters_count_on_and_the_clock_is_told_in_time() -> None:
    tracks = [CLIP.track, AAC]
    frames = pictures(50)
    frames += [sound(n * 1024, b"\x21\x10\x04", 1) for n in range(90)]
    frames.sort(key=lambda frame: frame.dts_ticks / tracks[frame.track_index].clock_rate_hz)
    last: dict[int, int] = {}
    clocks = []
    for packet in packets_of(b"".join(muxed(frames, tracks))):
        parsed = TsPacket.parse(packet)
        assert parsed.counter is not None
        if parsed.pid in last:
            assert parsed.counter == (last[parsed.pid] + 1) & 15
        last[parsed.pid] = parsed.counter
        if parsed.pcr is not None:
            clocks.append(parsed.pcr)
    assert set(last) == {0, PMT_PID, 0x100, 0x101}
    assert len(clocks) == 50
    steps = [(after - before) / 27_000_000 for before, after in pairwise(clocks)]
    assert max(steps) <= 0.1  # ISO/IEC 13818-1 section 2.7.2


@pytest.mark.parametrize("size", [0, 1, 175, 176, 177, 181, 182, 183, 184, 185, 366, 367, 368, 369, 1000])
@pytest.mark.parametrize("pcr", [None, 0, WRAP * PCR_EXTENSION - 1])
@pytest.mark.parametrize("random_access", [False, True])
def test_payloads_of_every_size_fill_whole_packets(size: int, pcr: int | None, random_access: bool) -> None:
    payload = bytes(number & 0xFF for number in range(size))
    data, counter = serialize_packets(0x123, payload, 14, pcr=pcr, random_access=random_access)
    packets = [TsPacket.parse(packet) for packet in packets_of(data)]
    assert b"".join(packet.payload for packet in packets) == payload
    assert [packet.counter for packet in packets] == [(14 + n) & 15 for n in range(len(packets))]
    assert counter == (14 + len(packets)) & 15
    assert {packet.pid for packet in packets} == {0x123}
    first, *rest = packets
    assert (first.pcr, first.random_access, first.starts_unit) == (pcr, random_access, True)
    assert not any(packet.starts_unit or packet.random_access or packet.pcr is not None for packet in rest)


def test_times_go_on_behind_the_wrap_of_33_bits() -> None:
    tracks = [CLIP.track, AAC]
    start_s = (WRAP - PCR_LEAD_TICKS) / 90_000 - 1
    frames = pictures(50, start=int(start_s * 90_000))
    # The sound comes late, and begins behind the wrap, at which the pictures went on counting.
    frames += [sound(int((start_s + 1.2) * 48_000) + n * 1024, b"\x21\x10\x04", 1) for n in range(30)]
    frames.sort(key=lambda frame: frame.dts_ticks / tracks[frame.track_index].clock_rate_hz)
    received = demuxed(b"".join(muxed(frames, tracks)))
    for index, rate_hz in ((0, 90_000), (1, 48_000)):
        before = [frame.pts_ticks for frame in frames if frame.track_index == index]
        after = [
            frame.pts_ticks - PCR_LEAD_TICKS * rate_hz // 90_000 for frame in received if frame.track_index == index
        ]
        assert len(after) == len(before)
        assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= 1


def test_pictures_go_on_with_the_next_keyframe_behind_lost_packets() -> None:
    frames = pictures(30)
    chunks = muxed(frames, [CLIP.track])
    lost = chunks[5][PACKET_BYTES:]  # the first packet of a picture
    demuxer = TsDemuxer()
    received = demuxer.receive(b"".join([*chunks[:5], lost, *chunks[6:]])) + demuxer.flush()
    assert demuxer.lost_packets == 1
    wanted = frames[:5] + frames[10:]
    assert units(received) == units(wanted)


@given(st.data())
def test_whatever_is_lost_nothing_broken_comes_out(data: st.DataObject) -> None:
    frames = pictures(30)
    packets = packets_of(b"".join(muxed(frames, [CLIP.track])))
    gone = data.draw(st.sets(st.integers(0, len(packets) - 1), max_size=6))
    demuxer = TsDemuxer()
    received = demuxer.receive(b"".join(packet for n, packet in enumerate(packets) if n not in gone)) + demuxer.flush()
    whole = {(frame.dts_ticks + PCR_LEAD_TICKS): frame.units for frame in frames}
    last = max((number for number, frame in enumerate(received)), default=0)
    for number, frame in enumerate(received):
        assert number == last or units([frame]) == [whole[frame.dts_ticks]]


def test_a_packet_sent_twice_counts_once() -> None:
    frames = pictures(12)
    packets = packets_of(b"".join(muxed(frames, [CLIP.track])))
    received = demuxed(b"".join(packet * 2 for packet in packets))
    assert units(received) == units(frames)


@given(st.lists(st.integers(0, 20_000), max_size=8))
def test_frames_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int]) -> None:
    frames = pictures(12)
    data = b"".join(muxed(frames, [CLIP.track]))
    demuxer = TsDemuxer()
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    received = [frame for start, end in pairwise(edges) for frame in demuxer.receive(data[start:end])]
    received += demuxer.flush()
    assert units(received) == units(frames)


def test_packets_are_found_again_behind_bytes_that_are_none() -> None:
    frames = pictures(30)
    chunks = muxed(frames, [CLIP.track])
    demuxer = TsDemuxer()
    noise = b"\x47\x00" * 40
    received = demuxer.receive(noise + b"".join(chunks[:10]) + noise + b"".join(chunks[10:])) + demuxer.flush()
    assert units(received) == units(frames)
    assert demuxer.skipped_bytes == 2 * len(noise)


# Tables


def table_packets(pid: int, sections: list[bytes], counter: int = 0) -> bytes:
    return serialize_packets(pid, section_payload(sections), counter)[0]


def test_a_new_map_brings_new_tracks_and_leaves_the_others_undisturbed() -> None:
    frames = pictures(30)
    chunks = muxed(frames, [CLIP.track])
    video = ElementaryStream(StreamType.H264, 0x100)
    both = ProgramMap(1, 0x100, 1, (video, ElementaryStream(StreamType.AAC_ADTS, 0x101)))
    demuxer = TsDemuxer()
    received = demuxer.receive(b"".join(chunks[:15]))
    assert list(demuxer.tracks) == [0]
    received += demuxer.receive(table_packets(PMT_PID, [both.serialize()]))
    assert demuxer.tracks == {0: demuxer.tracks[0], 1: None}
    muxer = TsMuxer([CLIP.track, AAC])
    sounds = demuxer.receive(muxer.frame(sound(0, b"\x21\x10\x04", 1)) * 2)
    assert [frame.track_index for frame in sounds if frame.track_index] == [1]
    received += [frame for frame in sounds if not frame.track_index]
    received += demuxer.receive(b"".join(chunks[15:])) + demuxer.flush()
    assert units(received) == units(frames)


def test_another_codec_on_the_same_pid_is_another_track() -> None:
    demuxer = TsDemuxer()
    demuxer.receive(b"".join(muxed(pictures(12), [CLIP.track])))
    assert demuxer.tracks[0] is not None
    other = ProgramMap(1, 0x100, 1, (ElementaryStream(StreamType.H265, 0x100),))
    demuxer.receive(table_packets(PMT_PID, [other.serialize()]))
    assert demuxer.tracks == {0: None}


def test_only_current_maps_of_the_first_program_count_even_where_sections_share_packets() -> None:
    pat = ProgramAssociation(1, 0, ((0, 0x10), (7, 0x200), (8, 0x200))).serialize()
    streams = tuple(ElementaryStream(StreamType.AAC_ADTS, 0x300 + n, ((0x0A, b"eng\0" * 10),)) for n in range(8))
    ours = ProgramMap(7, 0x300, 0, streams).serialize()
    other = ProgramMap(8, 0x300, 0, (ElementaryStream(StreamType.H264, 0x333),)).serialize()
    future = bytearray(ProgramMap(7, 0x300, 1, ()).serialize())
    future[5] &= 0xFE
    data = table_packets(0, [pat])
    # The second section begins in the packet in which the first one ends: behind a pointer.
    sections = b"\xc0\x80\x01\x00" + other + bytes(future) + ours  # a table of somebody else's at the front
    head, tail = sections[:183], sections[183:]
    assert len(tail) > 183
    middle, tail = tail[:184], tail[184:]
    pointer = len(tail)
    last = bytes((pointer,)) + tail + other
    parts = [b"\x00" + head, middle, last + b"\xff" * (184 - len(last))]
    for counter, part in enumerate(parts):
        starts = 0x40 if counter != 1 else 0
        data += bytes((0x47, starts | 0x02, 0x00, 0x10 | counter)) + part
    demuxer = TsDemuxer()
    demuxer.receive(data)
    assert demuxer.mapped
    assert demuxer.tracks == {1: None}
    assert len(demuxer.left_out) == 7
    assert demuxer.broken == 0, demuxer.last_fault


def test_maps_come_out_as_they_went_in_and_every_changed_byte_is_noticed() -> None:
    program = ProgramMap(3, 0x100, 21, (ElementaryStream(0x06, 0x101, ((0x05, b"Opus"), (0x7F, b"\x80\x02"))),))
    section = program.serialize()
    assert ProgramMap.parse(section) == program
    association = ProgramAssociation(9, 4, ((1, 0x1000), (2, 0x1FFE)))
    assert ProgramAssociation.parse(association.serialize()) == association
    demuxer = TsDemuxer()
    pat = table_packets(0, [ProgramAssociation(1, 0, ((3, 0x200),)).serialize()])
    for place in range(len(section)):
        broken = bytearray(section)
        broken[place] ^= 0x10
        demuxer.receive(pat + table_packets(0x200, [bytes(broken)]))
        assert not demuxer.mapped, place


# Others' streams


@pytest.mark.parametrize(
    ("name", "video", "audio", "pictures", "sounds"),
    [
        ("h264_b_frames_aac", Codec.H264, Codec.AAC, 20, 39),
        ("h265_ac3", Codec.H265, Codec.AC3, 15, 19),
        ("h264_mp3", Codec.H264, Codec.MP3, 15, 26),
        ("h264_opus", Codec.H264, Codec.OPUS, 15, 31),
        ("h264_aac_wraps", Codec.H264, Codec.AAC, 20, 39),
    ],
)
def test_streams_of_ffmpeg_are_read(name: str, video: Codec, audio: Codec, pictures: int, sounds: int) -> None:
    demuxer = TsDemuxer()
    frames = demuxer.receive((VECTORS / f"{name}.ts").read_bytes()) + demuxer.flush()
    assert (demuxer.broken, demuxer.lost_packets, demuxer.left_out) == (0, 0, [])
    tracks = demuxer.tracks
    assert tracks[0] is not None
    assert tracks[1] is not None
    assert (tracks[0].codec, tracks[1].codec) == (video, audio)
    seen = [frame for frame in frames if frame.track_index == 0]
    heard = [frame for frame in frames if frame.track_index == 1]
    assert (len(seen), len(heard)) == (pictures, sounds)
    for frame in seen:
        tracks[0] = normalise(frame, tracks[0])
    assert tracks[0].parameters.complete
    assert [n for n, frame in enumerate(seen) if frame.keyframe] == [0, 9 if video is Codec.H265 else 10]
    assert [b.dts_ticks - a.dts_ticks for a, b in pairwise(seen)] == [3600] * (pictures - 1)
    assert sorted(frame.pts_ticks for frame in seen) == [seen[0].pts_ticks + 3600 * n for n in range(pictures)]
    # Sound and picture begin together, as far as the coders' delays let them.
    start_s = heard[0].pts_ticks / tracks[1].clock_rate_hz
    assert abs(start_s - seen[0].pts_ticks / 90_000) < 0.1
    span_s = (heard[-1].pts_ticks - heard[0].pts_ticks) / tracks[1].clock_rate_hz
    assert abs(span_s - pictures / 25) < 0.06


@pytest.mark.parametrize("name", ["h264_b_frames_aac", "h265_ac3", "h264_mp3", "h264_opus"])
def test_streams_of_ffmpeg_stay_the_same_through_our_muxer(name: str) -> None:
    demuxer = TsDemuxer()
    frames = demuxer.receive((VECTORS / f"{name}.ts").read_bytes()) + demuxer.flush()
    tracks = [track for _, track in sorted(demuxer.tracks.items()) if track is not None]
    again = demuxed(b"".join(muxed(frames, tracks)))
    assert len(again) == len(frames)
    for index, track in enumerate(tracks):
        before = [frame for frame in frames if frame.track_index == index]
        after = [frame for frame in again if frame.track_index == index]
        assert units(after) == units(before)
        lead = PCR_LEAD_TICKS * track.clock_rate_hz // 90_000
        assert [frame.pts_ticks - lead for frame in after] == [frame.pts_ticks for frame in before]


# Hostile bytes

ALL_VECTORS = b"".join(path.read_bytes() for path in sorted(VECTORS.glob("*.ts")))


def check_frames(data: bytes) -> None:
    """Whatever is in the packets, frames have content, and are of picture or sound."""
    demuxer = TsDemuxer()
    for frame in demuxer.receive(data) + demuxer.flush():
        assert frame.units
        assert frame.track_index in (0, 1)


@given(
    st.integers(0, len(ALL_VECTORS) // PACKET_BYTES - 60),
    st.lists(st.tuples(st.integers(0, 60 * PACKET_BYTES - 1), st.integers(0, 255)), max_size=40),
)
def test_changed_bytes_never_raise(start: int, changes: list[tuple[int, int]]) -> None:
    data = bytearray(ALL_VECTORS[start * PACKET_BYTES :][: 60 * PACKET_BYTES])
    for place, value in changes:
        data[place] = value
    check_frames(bytes(data))


@given(st.lists(st.binary(min_size=184, max_size=184), max_size=8), st.sampled_from(list(StreamType)))
def test_packets_of_anything_never_raise(payloads: list[bytes], stream_type: StreamType) -> None:
    program = ProgramMap(1, 0x100, 0, (ElementaryStream(stream_type, 0x100, ((0x05, b"Opus"),)),))
    data = table_packets(0, [ProgramAssociation(1, 0, ((1, 0x200),)).serialize()])
    data += table_packets(0x200, [program.serialize()])
    for counter, payload in enumerate(payloads):
        pes = b"\0\0\1\xe0\0\0\x80\x80\x05\x21\0\1\0\1" + payload[14:]
        data += bytes((0x47, 0x41, 0x00, 0x10 | counter)) + (pes if counter % 2 else payload)
        data += bytes((0x47, 0x40 if counter % 3 else 0, 0x00, 0x30 | counter)) + payload
    check_frames(data)


@given(st.binary(max_size=2000))
def test_bytes_of_any_kind_never_raise(data: bytes) -> None:
    check_frames(data)


def test_a_picture_without_end_is_given_up() -> None:
    muxer = TsMuxer([CLIP.track])
    demuxer = TsDemuxer()
    huge, after = pictures(11)[::10]
    huge.units = [*huge.units, b"\x65" + bytes(9 * 1024 * 1024)]
    demuxer.receive(muxer.frame(huge))
    assert demuxer.broken == 1
    assert "more than" in demuxer.last_fault
    assert units(demuxer.receive(muxer.frame(after)) + demuxer.flush()) == units([after])
