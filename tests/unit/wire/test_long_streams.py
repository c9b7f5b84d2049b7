"""Clocks that wrap, and hours of playing, from format to format."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.clips import make_clip

from manycast.media.aac import AudioSpecificConfig, parameters_from_config
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import Codec, Track
from manycast.wire.flv.demux import FlvDemuxer
from manycast.wire.flv.mux import FlvMuxer
from manycast.wire.mpegts.demux import TsDemuxer
from manycast.wire.mpegts.mux import PCR_LEAD_TICKS, TsMuxer
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.receiver import RtpSessionReceiver
from manycast.wire.rtp.sender import MAX_PAYLOAD_BYTES, RtpTrackSender

CLIP = make_clip()
RATE_HZ = 44_100
AAC = Track(
    codec=Codec.AAC,
    clock_rate_hz=RATE_HZ,
    parameters=parameters_from_config(AudioSpecificConfig.simple(RATE_HZ, 2).serialize()),
)


def picture(number: int, start_ticks: int) -> Frame:
    """One of 25 pictures a second, with a keyframe each second."""
    frame = CLIP.frame(number % CLIP.frame_rate)
    normalise(frame, CLIP.track)
    frame.dts_ticks = frame.pts_ticks = start_ticks + number * 3600
    return frame


def sound(number: int, start_ticks: int = 0) -> Frame:
    ticks = start_ticks + number * 1024
    return Frame(track_index=1, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[b"\x21\x10\x05"])


def distances(ticks: list[int]) -> set[int]:
    return {after - before for before, after in pairwise(ticks)}


def test_flv_past_its_32_bits_of_milliseconds() -> None:
    muxer, demuxer = FlvMuxer([CLIP.track]), FlvDemuxer()
    start = ((1 << 32) - 2000) * 90
    received = []
    for number in range(100):
        for message in muxer.messages(picture(number, start)):
            wrapped = message._replace(timestamp_ms=message.timestamp_ms & 0xFFFF_FFFF)  # as on the wire
            received += demuxer.push(wrapped)
    assert distances([frame.dts_ticks for frame in received]) == {3600}


def test_a_transport_stream_past_its_33_bits() -> None:
    muxer, demuxer = TsMuxer([CLIP.track]), TsDemuxer()
    start = (1 << 33) - 2 * 90_000
    received = []
    for number in range(100):
        received += demuxer.receive(muxer.frame(picture(number, start)))
    received += demuxer.flush()
    assert len(received) == 100
    assert distances([frame.pts_ticks for frame in received]) == {3600}
    assert not demuxer.broken


def test_rtp_past_its_32_bits() -> None:
    sender = RtpTrackSender(
        format_for_codec(Codec.H264).packetiser(CLIP.track, MAX_PAYLOAD_BYTES),
        clock_rate_hz=90_000,
        payload_type=96,
        ssrc=1,
        first_sequence=65_000,
        timestamp_offset=(1 << 32) - 90_000,
        cname="x",
    )
    receiver = RtpSessionReceiver([CLIP.track], ssrc=2, cname="y")
    receiver.add_track(0, 96, format_for_codec(Codec.H264), ordered=True)
    received = []
    for number in range(100):
        for packet in sender.packets(picture(number, 0)):
            received += receiver.receive_rtp(0, packet, now_s=number / 25)
    assert len(received) == 100
    assert distances([frame.pts_ticks for frame in received]) == {3600}


@pytest.mark.parametrize("hours", [1])
def test_sound_does_not_drift_from_picture(hours: int) -> None:
    """Through FLV, whose milliseconds are rounded, and then through a transport stream."""
    muxer, demuxer = FlvMuxer([CLIP.track, AAC]), FlvDemuxer()
    for message in muxer.start(0):
        demuxer.push(message)
    ts_muxer, ts_demuxer = TsMuxer([CLIP.track, AAC]), TsDemuxer()
    latest: dict[int, Frame] = {}
    count = hours * 3600 * RATE_HZ // 1024
    for number in range(count):
        for message in muxer.messages(sound(number)):
            for frame in demuxer.push(message):
                assert frame.pts_ticks == number * 1024  # to the sample
                if number % 500 == 0 or number > count - 100:
                    for again in ts_demuxer.receive(ts_muxer.frame(frame)):
                        latest[again.track_index] = again
    ahead_s = latest[1].pts_ticks / RATE_HZ - PCR_LEAD_TICKS / 90_000 - (count - 1) * 1024 / RATE_HZ
    assert abs(ahead_s) < 0.04
