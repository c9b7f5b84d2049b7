"""Bytes of any kind in the payload formats of sound and the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import VECTORS, rtp_packet

from manycast.wire.rtp.formats import track_from_rtpmap
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import MalformedPayload, RtpMap

RTPMAPS = {
    "mpa": RtpMap(payload_type=14, encoding_name="MPA", clock_rate_hz=90_000),
    "mp2t": RtpMap(payload_type=33, encoding_name="MP2T", clock_rate_hz=90_000),
    "ac3": RtpMap(payload_type=96, encoding_name="ac3", clock_rate_hz=48_000),
    "g722": RtpMap(payload_type=9, encoding_name="G722", clock_rate_hz=8000),
    "aal2-g726-40": RtpMap(payload_type=96, encoding_name="AAL2-G726-40", clock_rate_hz=8000),
    "l16": RtpMap(payload_type=96, encoding_name="L16", clock_rate_hz=48_000, channels=3),
    "amr": RtpMap(payload_type=96, encoding_name="AMR", clock_rate_hz=8000),
    "amr-wb": RtpMap(payload_type=96, encoding_name="AMR-WB", clock_rate_hz=16_000, fmtp={"octet-align": "1"}),
    "metadata": RtpMap(payload_type=96, encoding_name="vnd.onvif.metadata", clock_rate_hz=90_000),
}
MP3 = (VECTORS / "sound.mp3").read_bytes()
AC3 = (VECTORS / "sound.ac3").read_bytes()

payloads = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda offset, size: bytes(2) + offset.to_bytes(2) + MP3[:size], st.integers(0, 900), st.integers(0, 900)
    ),
    st.builds(lambda kind, size: bytes((kind, 1)) + AC3[:size], st.integers(0, 3), st.integers(0, 800)),
    st.builds(lambda entries, size: b"\xf0" + entries + bytes(size), st.binary(max_size=5), st.integers(0, 100)),
)


@pytest.mark.parametrize("name", RTPMAPS)
@given(
    packets=st.lists(
        st.none() | st.builds(rtp_packet, payloads, timestamp=st.integers(0, 2000), marker=st.booleans()), max_size=12
    )
)
def test_hostile_payloads_raise_the_one_error_only_and_make_nothing_of_nothing(
    name: str, packets: list[RtpPacket | None]
) -> None:
    track, payload_format = track_from_rtpmap(RTPMAPS[name])
    depacketiser = payload_format.depacketiser(track, 0)
    packetiser = payload_format.packetiser(track, 200)
    received = made = 0
    for packet in packets:
        if packet is None:
            depacketiser.reset()
            continue
        received += len(packet.payload)
        try:
            frames = depacketiser.push(packet)
        except MalformedPayload:
            continue
        for frame in frames:
            assert frame.units
            assert all(frame.units)
            assert frame.keyframe
            made += frame.size_bytes
            assert all(len(payload.data) <= 200 for payload in packetiser.packetise(frame))
    assert made <= received + len(packets)
