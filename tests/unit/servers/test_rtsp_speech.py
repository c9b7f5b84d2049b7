"""What a client says, packet by packet."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manycast.hub.backchannel import Backchannels, Ear, audio_track, offered_tracks
from manycast.hub.hub import Hub
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.servers.rtsp.backchannel import SpeechPart
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import parse_compound
from manycast.wire.rtsp.errors import NotEnoughBandwidth

OFFERED = offered_tracks(audio_track(Codec.G711U))
TYPES = (0, 8, 9, 97, 98, 99, 100, 101)
log = logging.getLogger(__name__)


class Memory:
    """A listener, and its only ear."""

    def __init__(self) -> None:
        self.heard: list[tuple[Codec, bytes]] = []

    def ear(self, path: str, talker: str) -> Ear:
        return self

    async def close(self) -> None: ...

    def hear(self, track: Track, frame: Frame) -> None:
        self.heard.append((track.codec, frame.units[0]))

    def end(self) -> None: ...


def packet(sequence: int, data: bytes, payload_type: int = 0, ssrc: int = 7) -> bytes:
    return RtpPacket(
        payload_type=payload_type, sequence=sequence, timestamp=160 * sequence, ssrc=ssrc, marker=False, payload=data
    ).serialize()


def speaking(memory: Memory, *, ordered: bool = True) -> SpeechPart:
    part = SpeechPart(Backchannels(Hub(), OFFERED, [memory]), "door", "Ann", log)
    part.set_up(ordered=ordered)
    part.playing = True
    return part


async def test_the_payload_type_says_which_codec_it_is() -> None:
    memory = Memory()
    part = speaking(memory)
    for sequence, payload_type in enumerate(TYPES):
        part.rtp_received(packet(sequence, bytes(20), payload_type), 1.0)
    assert [codec for codec, _ in memory.heard] == [track.codec for track in OFFERED]
    part.close("over")


async def test_only_what_comes_while_it_plays_is_heard() -> None:
    memory = Memory()
    part = speaking(memory)
    for sequence, playing in enumerate((False, True, False, True)):
        part.playing = playing
        part.rtp_received(packet(sequence, bytes([sequence])), 1.0)
    part.close("over")
    part.rtp_received(packet(4, bytes([4])), 1.0)
    assert memory.heard == [(Codec.G711U, b"\x01"), (Codec.G711U, b"\x03")]


async def test_a_lost_packet_is_not_waited_for_without_end() -> None:
    memory = Memory()
    part = speaking(memory, ordered=False)
    loop_s = asyncio.get_running_loop().time()
    for sequence in (0, 2, 3):
        part.rtp_received(packet(sequence, bytes([sequence])), loop_s)
    assert len(memory.heard) == 1
    await asyncio.sleep(0.3)
    assert [data for _, data in memory.heard] == [b"\x00", b"\x02", b"\x03"]
    part.close("over")


async def test_an_unlisted_type_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    part = speaking(Memory())
    for sequence in range(10):
        part.rtp_received(packet(sequence, b"x", 50 + sequence % 2), 1.0)
    told = [record.getMessage() for record in caplog.records if "is ignored" in record.getMessage()]
    assert [message.partition(" is ignored")[0] for message in told] == [
        "back channel of door: payload type 50",
        "back channel of door: payload type 51",
    ]
    part.close("over")


async def test_reports_are_due_every_five_seconds() -> None:
    part = speaking(Memory())
    assert part.take_report(1.0) is None  # nothing has come
    part.rtp_received(packet(0, b"x"), 1.0)
    first = part.take_report(1.0)
    assert first is not None
    assert len(parse_compound(first)) == 2
    assert part.take_report(5.9) is None
    assert part.take_report(6.0) is not None
    part.close("over")


async def test_the_floor_is_free_after_the_end() -> None:
    floor = Backchannels(Hub(), OFFERED)
    part = SpeechPart(floor, "door", "Ann", log)
    with pytest.raises(NotEnoughBandwidth, match="Ann speaks to door"):
        SpeechPart(floor, "door", "Bob", log)
    part.close("over")
    SpeechPart(floor, "door", "Bob", log).close("over")


_packets = st.builds(
    packet,
    st.integers(0, 65_535),
    st.binary(max_size=60),
    st.sampled_from((*TYPES, 5, 127)),
    st.sampled_from((7, 8)),
)
_damaged = st.builds(
    lambda data, position, byte: data[:position] + bytes([byte]) + data[position + 1 :],
    _packets,
    st.integers(0, 15),
    st.integers(0, 255),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), _packets, _damaged), max_size=20), st.booleans())
def test_no_packet_does_any_harm(packets: list[bytes], ordered: bool) -> None:
    async def talk() -> None:
        memory = Memory()
        part = speaking(memory, ordered=ordered)
        for number, data in enumerate(packets):
            part.rtp_received(data, number / 50)
            part.rtcp_received(data, number / 50)
            part.take_report(number / 50)
        assert len(memory.heard) <= len(packets)
        part.rtp_received(packet(1, b"a", ssrc=0xABCDEF01), 2.0)  # another source takes over with its second packet
        part.rtp_received(packet(2, b"b", ssrc=0xABCDEF01), 2.0)
        assert memory.heard[-1] == (Codec.G711U, b"b")
        part.close("over")

    asyncio.run(talk())
