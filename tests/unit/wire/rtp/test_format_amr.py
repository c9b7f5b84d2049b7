"""AMR and AMR-WB in RTP."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import BitWriter
from support.rtp_vectors import VECTORS, audio_frame, packets_of, push_all, read_packets, read_rtpmap, rtp_packet

from manycast.media.amr import SPEECH_BITS, split_storage
from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.rtp.formats import format_for_codec, track_from_rtpmap
from manycast.wire.rtp.payload import MalformedPayload, PayloadFormat, RtpMap, UnsupportedFormat

NAMES = {Codec.AMR: "AMR", Codec.AMR_WB: "AMR-WB"}
TRACKS = {
    codec: Track(codec=codec, clock_rate_hz=rate_hz, parameters=AudioParameters(sample_rate_hz=rate_hz, channels=1))
    for codec, rate_hz in ((Codec.AMR, 8000), (Codec.AMR_WB, 16_000))
}
BOTH = sorted(TRACKS, key=lambda codec: codec.value)


def announced(codec: Codec, **fmtp: str) -> tuple[Track, PayloadFormat]:
    rtpmap = RtpMap(
        payload_type=96,
        encoding_name=NAMES[codec],
        clock_rate_hz=TRACKS[codec].clock_rate_hz,
        fmtp={name.replace("_", "-"): value for name, value in fmtp.items()},
    )
    return track_from_rtpmap(rtpmap)


def stored(codec: Codec, frame_type: int, fill: int = 0, quality: int = 1) -> bytes:
    """A frame in storage format; what fills up its last byte is zero."""
    bits = SPEECH_BITS[codec][frame_type]
    assert bits is not None
    writer = BitWriter()
    writer.u(8, frame_type << 3 | quality << 2)
    for index in range(bits):
        writer.u(1, fill >> index % 7 & 1)
    return writer.done()


def bandwidth_efficient(codec: Codec, frames: list[bytes]) -> bytes:
    """RFC 4867 section 4.3, written bit by bit."""
    writer = BitWriter()
    writer.u(4, 15)
    for index, frame in enumerate(frames):
        writer.u(1, index + 1 < len(frames))
        writer.u(5, frame[0] >> 2)
    for frame in frames:
        bits = SPEECH_BITS[codec][frame[0] >> 3]
        writer.bits += "".join(f"{byte:08b}" for byte in frame[1:])[:bits]
    return writer.done()


def octet_aligned(frames: list[bytes]) -> bytes:
    """RFC 4867 section 4.4."""
    entries = [frame[0] | 0x80 for frame in frames[:-1]] + [frames[-1][0]]
    return b"\xf0" + bytes(entries) + b"".join(frame[1:] for frame in frames)


def frames_of(codec: Codec) -> st.SearchStrategy[list[bytes]]:
    kinds = [kind for kind, bits in enumerate(SPEECH_BITS[codec]) if bits is not None and kind != 15]
    frame = st.builds(stored, st.just(codec), st.sampled_from(kinds), st.integers(0, 127), st.integers(0, 1))
    return st.lists(frame, min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("name", "codec", "file", "magic"),
    [
        ("amr_ffmpeg", Codec.AMR, "speech.amr", 6),
        ("amr_gstreamer", Codec.AMR, "speech.amr", 6),
        ("amr_wb_ffmpeg", Codec.AMR_WB, "speech_wb.amr", 9),
        ("amr_wb_gstreamer", Codec.AMR_WB, "speech_wb.amr", 9),
    ],
)
def test_frames_of_real_senders(name: str, codec: Codec, file: str, magic: int) -> None:
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    assert track == TRACKS[codec]
    frames = push_all(payload_format.depacketiser(track, 4), read_packets(name))
    original = (VECTORS / file).read_bytes()[magic:]
    sent = b"".join(frame.units[0] for frame in frames)
    assert original.startswith(sent)
    assert len(frames) >= 70  # ffmpeg keeps a few back at the end
    ticks = track.clock_rate_hz // 50
    assert {after.pts_ticks - before.pts_ticks for before, after in pairwise(frames)} == {ticks}
    assert all(frame.keyframe and frame.track_index == 4 for frame in frames)


@pytest.mark.parametrize("codec", BOTH)
@given(data=st.data())
def test_both_ways_of_packing_make_the_same_frames(codec: Codec, data: st.DataObject) -> None:
    expected = data.draw(frames_of(codec))
    ticks = TRACKS[codec].clock_rate_hz // 50
    for octet_align, payload in (("1", octet_aligned(expected)), ("0", bandwidth_efficient(codec, expected))):
        track, payload_format = announced(codec, octet_align=octet_align)
        frames = payload_format.depacketiser(track, 0).push(rtp_packet(payload, timestamp=1000))
        assert [frame.units for frame in frames] == [[frame] for frame in expected]
        assert [frame.pts_ticks for frame in frames] == [1000 + ticks * index for index in range(len(expected))]


def test_bandwidth_efficient_is_what_goes_without_saying() -> None:
    frame = stored(Codec.AMR, 4, 0x55)
    track, payload_format = announced(Codec.AMR)
    packet = rtp_packet(bandwidth_efficient(Codec.AMR, [frame]))
    assert payload_format.depacketiser(track, 0).push(packet)[0].units == [frame]


def test_a_single_frame_as_section_4_3_5_1_draws_it() -> None:
    """No mode is requested; one frame of 7.4 kbit/s with 148 bits, unharmed; two bits of filling."""
    text = "1111" + "0" + "0100" + "1" + "10" * 74 + "00"
    payload = int(text, 2).to_bytes(len(text) // 8, "big")
    track, payload_format = announced(Codec.AMR)
    (frame,) = payload_format.depacketiser(track, 0).push(rtp_packet(payload))
    assert frame.units == [b"\x24" + b"\xaa" * 18 + b"\xa0"]


@pytest.mark.parametrize("codec", BOTH)
@pytest.mark.parametrize("limit", [70, 200, 1388])
@given(data=st.data())
def test_frames_come_back_in_the_packets_we_send(codec: Codec, limit: int, data: st.DataObject) -> None:
    track = TRACKS[codec]
    expected = data.draw(frames_of(codec))
    payload_format = format_for_codec(codec)
    packets = packets_of(payload_format.packetiser(track, limit), [audio_frame(b"".join(expected), pts_ticks=320)])
    assert all(len(packet.payload) <= limit and packet.payload[0] == 0xF0 for packet in packets)
    frames = push_all(payload_format.depacketiser(track, 0), packets)
    assert [frame.units[0] for frame in frames] == expected
    ticks = track.clock_rate_hz // 50
    assert [frame.pts_ticks for frame in frames] == [320 + ticks * index for index in range(len(expected))]


def test_what_is_no_row_of_frames_is_not_sent() -> None:
    packetiser = format_for_codec(Codec.AMR).packetiser(TRACKS[Codec.AMR], 1388)
    assert packetiser.packetise(audio_frame(b"\x3c\x00")) == []
    assert packetiser.packetise(audio_frame(b"")) == []


def test_silence_takes_only_time() -> None:
    speech = stored(Codec.AMR, 7, 1)
    track, payload_format = announced(Codec.AMR, octet_align="1")
    frames = payload_format.depacketiser(track, 0).push(rtp_packet(octet_aligned([b"\x7c", speech, b"\x7c", speech])))
    assert [(frame.pts_ticks, frame.units) for frame in frames] == [(160, [speech]), (480, [speech])]


@pytest.mark.parametrize(
    ("octet_align", "payload"),
    [
        ("1", b""),
        ("1", b"\xf0"),
        ("1", b"\xf0\x80"),
        ("1", b"\xf0\x3c" + bytes(30)),
        ("1", b"\xf0\x4c" + bytes(60)),  # type 9
        ("1", b"\xf0" + b"\xfc" * 60 + b"\x7c"),
        ("1", bytes(5000)),
        ("0", b""),
        ("0", b"\xf0"),
        ("0", b"\xf3\xc0" + bytes(29)),  # type 7 of 31 bytes
        ("0", b"\xf4\xc0" + bytes(60)),  # type 9
        ("0", b"\xff" * 2000),
        ("0", bytes(5000)),
    ],
)
def test_bad_payloads_are_refused(octet_align: str, payload: bytes) -> None:
    track, payload_format = announced(Codec.AMR, octet_align=octet_align)
    depacketiser = payload_format.depacketiser(track, 0)
    depacketiser.reset()
    with pytest.raises(MalformedPayload, match="AMR"):
        depacketiser.push(rtp_packet(payload))


@pytest.mark.parametrize("codec", BOTH)
def test_it_is_described_octet_aligned(codec: Codec) -> None:
    described = format_for_codec(codec).describe(TRACKS[codec], 97)
    assert described == RtpMap(
        payload_type=97,
        encoding_name=NAMES[codec],
        clock_rate_hz=TRACKS[codec].clock_rate_hz,
        channels=1,
        fmtp={"octet-align": "1"},
    )
    assert track_from_rtpmap(described)[0] == TRACKS[codec]


@pytest.mark.parametrize("codec", BOTH)
@pytest.mark.parametrize("parameter", ["interleaving", "crc", "robust_sorting"])
def test_what_is_not_understood_is_refused_by_name(codec: Codec, parameter: str) -> None:
    assert announced(codec, octet_align="1", **{parameter: "0"})[0] == TRACKS[codec]
    with pytest.raises(UnsupportedFormat, match=f"{NAMES[codec]} with {parameter.replace('_', '-')}=5"):
        announced(codec, octet_align="1", **{parameter: "5"})


def test_other_rates_and_channels_are_refused() -> None:
    for rate_hz, channels in ((16_000, 1), (8000, 2)):
        with pytest.raises(UnsupportedFormat, match="AMR"):
            track_from_rtpmap(RtpMap(payload_type=96, encoding_name="AMR", clock_rate_hz=rate_hz, channels=channels))


def test_recorded_speech_survives_in_whole_seconds() -> None:
    row = (VECTORS / "speech.amr").read_bytes()[6:]
    payload_format = format_for_codec(Codec.AMR)
    packets = packets_of(payload_format.packetiser(TRACKS[Codec.AMR], 1388), [audio_frame(row)])
    assert len(packets) == 2  # 75 frames, at most 43 of 32 bytes in each
    assert [f.units[0] for f in push_all(payload_format.depacketiser(TRACKS[Codec.AMR], 0), packets)] == split_storage(
        row, Codec.AMR
    )
