"""Payload formats nobody here knows: from publisher to viewers, untouched."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from support.clips import make_clip
from support.ports import udp_pair
from support.publishing import sdp_of
from support.rtsp import RawRtsp
from support.server import ServerProcess

from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.sdp import MediaDescription, SessionDescription

HEAD = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
THING = "a=rtpmap:{0} X-Thing/12345\r\na=fmtp:{0} Mode=3;flag;config=AbC=\r\n"


def announcement(*media: str) -> bytes:
    """A control of its own for each medium."""
    return (HEAD + "".join(f"{text}a=control:trackID={index}\r\n" for index, text in enumerate(media))).encode()


@contextmanager
def published(server: ServerProcess, name: str, *media: str) -> Iterator[RawRtsp]:
    with RawRtsp.connect(server.host, server.port) as publisher:
        controls = [f"trackID={index}" for index in range(len(media))]
        assert publisher.publish(name, announcement(*media), controls=controls).status == 200
        yield publisher


def described(server: ServerProcess, name: str) -> Sequence[MediaDescription]:
    with RawRtsp.connect(server.host, server.port) as client:
        reply = client.ask("DESCRIBE", name)
        assert reply.status == 200
        return SessionDescription.parse(reply.body).media


def make_packets(payloads: Sequence[bytes], markers: str, *, payload_type: int = 111) -> list[RtpPacket]:
    """A marker where there is an M, and behind it a new timestamp."""
    packets = []
    timestamp = 0xFFFF_FFF0
    for index, (payload, marker) in enumerate(zip(payloads, markers, strict=True)):
        packets.append(
            RtpPacket(
                payload_type=payload_type,
                sequence=65_534 + index & 0xFFFF,
                timestamp=timestamp & 0xFFFF_FFFF,
                ssrc=77,
                marker=marker == "M",
                payload=payload,
            )
        )
        timestamp += 500 if marker == "M" else 0
    return packets


def send(publisher: RawRtsp, packets: Sequence[RtpPacket], *, channel: int = 0) -> None:
    for packet in packets:
        publisher.send_interleaved(channel, packet.serialize())


def told(packets: Sequence[RtpPacket]) -> list[tuple[int, bool, bytes]]:
    """Timestamp behind the first one's, marker, payload."""
    return [((p.timestamp - packets[0].timestamp) & 0xFFFF_FFFF, p.marker, p.payload) for p in packets]


def test_what_is_described_is_what_was_announced(server: ServerProcess) -> None:
    with published(server, "thing", "m=video 0 RTP/AVP 111\r\n" + THING.format(111)):
        (medium,) = described(server, "thing")
    assert (medium.kind, medium.payload_types) == ("video", (111,))
    rtpmap = medium.rtpmaps[111]
    assert (rtpmap.encoding_name, rtpmap.clock_rate_hz, rtpmap.channels) == ("X-Thing", 12_345, None)
    assert rtpmap.fmtp == {"mode": "3", "flag": "", "config": "AbC="}
    assert "thing: a medium is passed on as it is: encoding 'X-Thing' is not known" in server.log


@pytest.mark.parametrize("kind", ["video", "audio", "application"])
def test_payloads_markers_and_times_stay_over_tcp(server: ServerProcess, kind: str) -> None:
    packets = make_packets([bytes((index,)) * 10 * index for index in range(1, 8)], "  M MMM")
    packets.append(make_packets([bytes(60_000)], "M")[0])
    packets[-1].timestamp, packets[-1].sequence = (packets[-2].timestamp + 777) & 0xFFFF_FFFF, 5
    name = f"tcp-{kind}"
    with (
        published(server, name, f"m={kind} 0 RTP/AVP 111\r\n" + THING.format(111)) as publisher,
        RawRtsp.connect(server.host, server.port) as viewer,
    ):
        viewer.play(name)
        send(publisher, packets)
        got = viewer.rtp(len(packets))
    assert told(got) == told(packets)
    assert {packet.payload_type for packet in got} == {111}
    assert [packet.sequence - got[0].sequence & 0xFFFF for packet in got] == list(range(len(packets)))


def test_long_payloads_are_not_cut_over_udp(server: ServerProcess) -> None:
    sizes = [1388, 1389, 3000, 1388, 1388, 5, 9000]
    packets = make_packets([bytes((size & 0xFF,)) * size for size in sizes], "      M")
    with (
        published(server, "udp", "m=video 0 RTP/AVP 111\r\n" + THING.format(111)) as publisher,
        RawRtsp.connect(server.host, server.port) as viewer,
    ):
        rtp, rtcp = udp_pair(server.host)
        with rtp, rtcp:
            rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            rtp.settimeout(10)
            port = rtp.getsockname()[1]
            transport = f"RTP/AVP;unicast;client_port={port}-{port + 1}"
            reply = viewer.ask("SETUP", "udp/trackID=0", {"Transport": transport})
            assert reply.status == 200
            viewer.session = reply.session
            assert viewer.ask("PLAY", "udp").status == 200
            send(publisher, packets)
            got = [RtpPacket.parse(rtp.recv(65_536)) for _ in packets]
    assert told(got) == told(packets)


def test_payload_types_that_clash_are_given_anew(server: ServerProcess) -> None:
    h264 = sdp_of(make_clip()).decode().partition("m=video")[2].replace("a=control:streamid=0\r\n", "")
    media = [
        "m=application 0 RTP/AVP 97\r\na=rtpmap:97 A/1000\r\n",
        f"m=video{h264}",
        "m=audio 0 RTP/AVP 120\r\na=rtpmap:120 B/8000/3\r\n",
        "m=application 0 RTP/AVP 120\r\na=rtpmap:120 C/8000\r\n",
        "m=audio 0 RTP/AVP 18\r\n",
    ]
    with published(server, "clashes", *media):
        found = described(server, "clashes")
    numbers = [medium.payload_types[0] for medium in found]
    assert numbers == [96, 97, 120, 99, 18]
    names = [medium.rtpmaps[number].encoding_name for medium, number in zip(found, numbers, strict=True)]
    assert names == ["A", "H264", "B", "C", "G729"]


def test_packets_have_the_payload_type_that_was_described(server: ServerProcess) -> None:
    media = ["m=audio 0 RTP/AVP 97\r\na=rtpmap:97 A/1000\r\n", "m=application 0 RTP/AVP 98\r\na=rtpmap:98 B/1000\r\n"]
    with published(server, "given-anew", *media) as publisher:
        assert [medium.payload_types for medium in described(server, "given-anew")] == [(96,), (98,)]
        with RawRtsp.connect(server.host, server.port) as viewer:
            viewer.play("given-anew", tracks=(0, 1))
            for channel, published_type, type_seen in ((0, 97, 96), (2, 98, 98)):
                packets = make_packets([b"one", b"two"], "MM", payload_type=published_type)
                send(publisher, packets, channel=channel)
                got = viewer.rtp(2, channel=channel)
                assert told(got) == told(packets)
                assert {packet.payload_type for packet in got} == {type_seen}


@pytest.mark.parametrize(
    ("medium", "encoding"),
    [
        ("m=audio 0 RTP/AVP 96\r\na=rtpmap:96 AMR/8000\r\na=fmtp:96 octet-align=1;interleaving=4\r\n", "AMR"),
        ("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=2\r\n", "H264"),
        ("m=audio 0 RTP/AVP 96\r\na=rtpmap:96 MPEG4-GENERIC/48000/2\r\na=fmtp:96 mode=AAC-hbr\r\n", "MPEG4-GENERIC"),
        ("m=audio 0 RTP/AVP 3\r\n", "GSM"),
        ("m=audio 0 RTP/AVP 18\r\na=fmtp:18 annexb=no\r\n", "G729"),
    ],
)
def test_known_formats_that_cannot_be_taken_apart_are_passed_on_too(
    server: ServerProcess, medium: str, encoding: str
) -> None:
    with published(server, f"odd/{encoding}", medium):
        (found,) = described(server, f"odd/{encoding}")
    (rtpmap,) = found.rtpmaps.values()
    assert rtpmap.encoding_name == encoding
    parameters = ";".join(f"{name}={value}" for name, value in rtpmap.fmtp.items())
    assert parameters == medium.partition("a=fmtp")[2].partition(" ")[2].strip()


@pytest.mark.parametrize(
    "medium",
    ["m=text 0 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n", "m=video 0 RTP/AVP 98\r\n", "m=audio 0 RTP/AVP 1\r\n"],
)
def test_what_has_no_name_or_no_kind_is_refused(client: RawRtsp, medium: str) -> None:
    reply = client.ask("ANNOUNCE", "none", {"Content-Type": "application/sdp"}, announcement(medium))
    assert reply.status == 415


def test_one_format_that_is_known_is_enough(server: ServerProcess) -> None:
    medium = "m=audio 0 RTP/AVP 111 0\r\n" + THING.format(111)
    with published(server, "either", medium):
        (found,) = described(server, "either")
    assert found.payload_types == (0,)
