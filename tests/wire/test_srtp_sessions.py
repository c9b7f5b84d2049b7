"""SRTP: what is described, agreed on and sent; only inside TLS."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import pytest
from support.clips import make_clip
from support.inprocess import HOST, InProcess, blocking, serving
from support.inprocess_http import make_files, serving_http
from support.ports import udp_pair
from support.publishing import CONTROL, sdp_of, sender_of
from support.rtsp import RawRtsp, Reply
from support.talking import TAG
from support.tunnels import plain_connection
from support.waiting import until, wait_until

from manycast.hub.backchannel import Backchannels, audio_track, offered_tracks
from manycast.media.track import Codec
from manycast.servers.certificate import Certificate
from manycast.servers.rtsp.play import PlaySession
from manycast.wire.mikey import (
    CryptoSession,
    MikeyMessage,
    SrtpPolicy,
    parse_key_mgmt_attribute,
    parse_key_mgmt_header,
    serialize_key_mgmt_attribute,
    serialize_key_mgmt_header,
)
from manycast.wire.rtp.packet import RtpPacket, header
from manycast.wire.rtp.rtcp import ReceiverReport, ReportBlock, SenderReport, parse_compound
from manycast.wire.rtp.srtp import SrtpKey, SrtpReceiver, SrtpSender, with_mki
from manycast.wire.sdp import MediaDescription, SessionDescription

TCP = "RTP/SAVP/TCP;unicast;interleaved=0-1"
SDP = {"Content-Type": "application/sdp"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(*make_files(tmp_path_factory.mktemp("certificate")))


@dataclass
class SecureInProcess:
    plain: InProcess
    port: int

    async def connect(self) -> RawRtsp:
        sock = await blocking(lambda: plain_connection(HOST, self.port, secure=True))
        return RawRtsp(sock, f"rtsp://{HOST}:{self.port}")


@asynccontextmanager
async def serving_secure(certificate: Certificate, **options: object) -> AsyncIterator[SecureInProcess]:
    async with serving(**options) as server:
        listener = socket.create_server((HOST, 0))
        server.rtsp.listen([listener], make_context=certificate.context)
        yield SecureInProcess(server, listener.getsockname()[1])


@asynccontextmanager
async def publishing(server: SecureInProcess) -> AsyncIterator[None]:
    """A clip at the path `live`, published in the clear."""
    publisher = await server.plain.publish()
    publisher.start()
    try:
        await blocking(publisher.wait_for_frames, 1)
        yield
    finally:
        await blocking(publisher.stop)


def describe(client: RawRtsp, name: str = "live") -> MediaDescription:
    reply = client.ask("DESCRIBE", name)
    assert reply.status == 200, reply
    return SessionDescription.parse(reply.body).media[0]


def keys_in(section: MediaDescription) -> list[MikeyMessage]:
    values = [value for name, value in section.attributes if name == "key-mgmt"]
    messages = [parse_key_mgmt_attribute(value or "") for value in values]
    return [message for message in messages if message is not None]


def own_key(**fields: object) -> MikeyMessage:
    defaults: dict[str, object] = {"bundle_id": 1, "sessions": (CryptoSession(5),), "key": os.urandom(30)}
    return MikeyMessage(**(defaults | fields))  # type: ignore[arg-type]


def header_of(message: MikeyMessage) -> dict[str, str]:
    return {"KeyMgmt": serialize_key_mgmt_header(message, "rtsp://h/live")}


def set_up(client: RawRtsp, transport: str = TCP, headers: dict[str, str] | None = None) -> Reply:
    reply = client.ask("SETUP", "live/trackID=0", {"Transport": transport, **(headers or {})})
    client.session = reply.session if reply.status == 200 else None
    return reply


def rtp(client: RawRtsp, key: MikeyMessage, count: int = 30) -> Iterator[RtpPacket]:
    """Packets as a viewer sees them: checked, decrypted, without gaps."""
    receiver, expected = SrtpReceiver(SrtpKey.of(key)), None
    for _ in range(count):
        item = client.packet()
        if item.channel == 0:
            packet = RtpPacket.parse(receiver.receive_rtp(item.payload))
            assert expected in (None, packet.sequence)
            expected = (packet.sequence + 1) & 0xFFFF
            yield packet
        else:
            assert parse_compound(receiver.receive_rtcp(item.payload))


def rtp_packets(client: RawRtsp, key: MikeyMessage) -> list[RtpPacket]:
    return list(rtp(client, key))


async def test_the_description_tells_a_key_with_and_without_mki(certificate: Certificate) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        client, plain = await server.connect(), await server.plain.connect()
        section = await blocking(describe, client)
        without, saying = keys_in(section)
        assert section.protocol == "RTP/SAVP"
        assert (without.mki, len(saying.mki)) == (b"", 4)
        assert without.key == saying.key
        section = await blocking(describe, plain)
        assert section.protocol == "RTP/AVP"
        assert not keys_in(section)


@pytest.mark.parametrize("says_key", [False, True])
@pytest.mark.parametrize("encrypt", [True, False])
async def test_a_viewer_gets_protected_packets(certificate: Certificate, encrypt: bool, says_key: bool) -> None:
    async with serving_secure(certificate, srtp_encrypt=encrypt) as server, publishing(server):
        client = await server.connect()
        key = keys_in(await blocking(describe, client))[says_key]
        assert key.policy == SrtpPolicy(encrypt_rtp=encrypt, encrypt_rtcp=encrypt)
        reply = await blocking(set_up, client, TCP, header_of(key) if says_key else None)
        assert reply["Transport"].startswith("RTP/SAVP/TCP;unicast;interleaved=0-1")
        assert (await blocking(client.ask, "PLAY", "live")).status == 200
        assert len(await blocking(rtp_packets, client, key)) > 25


def protected_packets(client: RawRtsp) -> set[bytes]:
    packets = [client.packet() for _ in range(60)]
    return {packet.payload for packet in packets if packet.is_rtp}


async def test_viewers_share_what_is_protected(certificate: Certificate) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        clients = [await server.connect() for _ in range(2)]
        sections = [await blocking(describe, client) for client in clients]
        first, second = (keys_in(section)[0] for section in sections)
        assert first.key == second.key
        received = []
        for client in clients:
            await blocking(set_up, client)
            await blocking(client.ask, "PLAY", "live")
        for client in clients:
            received.append(await blocking(protected_packets, client))
        assert len(received[0] & received[1]) > 20


async def test_a_viewer_over_udp_and_his_reports(certificate: Certificate) -> None:
    """The key of a viewer's own reports comes with SETUP, as GStreamer has it."""
    async with serving_secure(certificate) as server, publishing(server):
        client = await server.connect()
        key = keys_in(await blocking(describe, client))[0]
        reports_key = own_key()
        rtp_socket, rtcp_socket = udp_pair(HOST)
        port = rtp_socket.getsockname()[1]
        transport = f"RTP/SAVP;unicast;client_port={port}-{port + 1}"
        reply = await blocking(set_up, client, transport, header_of(reports_key))
        assert reply["Transport"].startswith("RTP/SAVP;unicast")
        await blocking(client.ask, "PLAY", "live")
        receiver = SrtpReceiver(SrtpKey.of(key))
        packets = [
            RtpPacket.parse(receiver.receive_rtp(data))
            for data in await blocking(lambda: [rtp_socket.recv(2048) for _ in range(30)])
        ]
        assert [(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(packets)] == [1] * 29
        report, *_ = parse_compound(receiver.receive_rtcp(await blocking(rtcp_socket.recv, 2048)))
        assert isinstance(report, SenderReport)
        block = ReportBlock(
            ssrc=packets[0].ssrc,
            fraction_lost=0,
            cumulative_lost=7,
            highest_sequence=0,
            jitter_ticks=0,
            last_sender_report=0,
            delay_since_last_sender_report=0,
        )
        answer = SrtpSender(SrtpKey.of(reports_key)).protect_rtcp(ReceiverReport(ssrc=5, reports=(block,)).serialize())
        rtcp_socket.sendto(answer, (HOST, reply.pair("server_port")[1]))

        def lost() -> bool:
            return b"packets_lost: 7" in client.ask("GET_PARAMETER", "live", None, b"packets_lost\r\n").body

        await blocking(wait_until, lost, "the report is taken")


async def test_reports_that_are_not_protected_are_no_sign_of_life(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        client = await server.connect()
        await blocking(describe, client)
        rtp_socket, rtcp_socket = udp_pair(HOST)
        port = rtp_socket.getsockname()[1]
        reply = await blocking(set_up, client, f"RTP/SAVP;unicast;client_port={port}-{port + 1}")
        session = server.plain.sessions[reply.session]
        assert isinstance(session, PlaySession)
        session.signs.last_s = before_s = 1.0
        for data in (b"\xce\xfa\xed\xfe", ReceiverReport(ssrc=5).serialize() * 5, os.urandom(60)):
            rtcp_socket.sendto(data, (HOST, reply.pair("server_port")[1]))
        await until(lambda: "does not fit" in caplog.text, "it is told")
        assert session.signs.last_s == before_s
        assert caplog.text.count("does not fit") == 1


@pytest.mark.parametrize("way", ["https", "websocket"])
async def test_it_goes_through_tunnels_in_tls_and_only_there(certificate: Certificate, way: str) -> None:
    async with serving_http(certificate=certificate) as server, server.publishing() as publisher:
        await blocking(publisher.wait_for_frames, 1)
        for secure in (True, False):
            connect = server.tunnel if way == "https" else server.websocket
            client, _ = await connect(secure=secure)
            section = await blocking(describe, client)
            assert section.protocol == ("RTP/SAVP" if secure else "RTP/AVP")
            reply = await blocking(set_up, client)
            assert reply.status == (200 if secure else 461)
            if secure:
                assert (await blocking(client.ask, "PLAY", "live")).status == 200
                assert len(await blocking(rtp_packets, client, keys_in(section)[0])) > 25
            client.close()


async def test_who_knows_no_srtp_gets_it_inside_tls(certificate: Certificate) -> None:
    """As ffmpeg asks for it."""
    async with serving_secure(certificate) as server, publishing(server):
        client = await server.connect()
        await blocking(describe, client)
        await blocking(client.play, "live")
        assert len(await blocking(client.rtp, 30)) == 30


@pytest.mark.parametrize(
    ("transport", "reason"),
    [
        ("RTP/AVP;unicast;client_port=5000-5001", "does not go out in the clear"),
        ("RTP/SAVP;multicast", "only RTP/AVP over UDP unicast|multicast"),
    ],
)
async def test_what_cannot_be_given_by_tls_is_refused(certificate: Certificate, transport: str, reason: str) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        client = await server.connect()
        await blocking(describe, client)
        reply = await blocking(set_up, client, transport)
        assert reply.status == 461
        reply = await blocking(set_up, client, f"{transport},{TCP}")
        assert reply["Transport"].startswith("RTP/SAVP/TCP")


@pytest.mark.parametrize("transport", [TCP, "RTP/SAVP;unicast;client_port=5000-5001", "RTP/SAVPF/TCP;interleaved=0-1"])
async def test_without_tls_it_is_refused(
    certificate: Certificate, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        client = await server.plain.connect()
        await blocking(describe, client)
        assert (await blocking(set_up, client, transport, header_of(own_key()))).status == 461
        assert "SRTP without TLS: anybody could read its keys" in caplog.text


async def test_feedback_may_be_left_out(certificate: Certificate) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        client = await server.connect()
        await blocking(describe, client)
        reply = await blocking(set_up, client, "RTP/SAVPF/TCP;unicast;interleaved=0-1")
        assert reply["Transport"].startswith("RTP/SAVPF/TCP;")


async def test_switched_off(certificate: Certificate) -> None:
    async with serving_secure(certificate, srtp=False) as server, publishing(server):
        client = await server.connect()
        assert (await blocking(describe, client)).protocol == "RTP/AVP"
        assert (await blocking(set_up, client, TCP)).status == 461
        assert (await blocking(set_up, client, "RTP/AVP;unicast;client_port=5000-5001")).status == 200


async def test_without_a_description_there_is_no_key(certificate: Certificate) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        client = await server.connect()
        reply = await blocking(set_up, client)
        assert (reply.status, reply.reason) == (463, "Key management Failure")
        await blocking(describe, client)
        assert (await blocking(set_up, client)).status == 200


BAD_HEADERS = [
    "prot=mikey",
    'prot=mikey;uri="x";data="!!!!"',
    'prot=mikey;uri="x";data="AQAFAAWpY5I="',
    "nonsense",
    header_of(own_key(sessions=(CryptoSession(1, roc=1),)))["KeyMgmt"],
    header_of(own_key(policy=SrtpPolicy(key_bytes=32)))["KeyMgmt"],
]


@pytest.mark.parametrize("header", BAD_HEADERS)
async def test_a_key_that_cannot_be_used_is_refused(certificate: Certificate, header: str) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        client = await server.connect()
        await blocking(describe, client)
        assert (await blocking(set_up, client, TCP, {"KeyMgmt": header})).status == 463
        assert (await blocking(set_up, client, TCP)).status == 200


async def test_a_key_whose_counter_has_moved_on_is_refused_at_play(certificate: Certificate) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        first, late = await server.connect(), await server.connect()
        for client in (first, late):
            await blocking(describe, client)
            await blocking(set_up, client)
        assert (await blocking(first.ask, "PLAY", "live")).status == 200
        session = server.plain.sessions[first.session or ""]
        assert isinstance(session, PlaySession)
        (part,) = session._setup.parts
        (sender,) = part.target.senders
        start = sender.sequence
        for ahead in (30_000, 60_000, 75_000):  # by no more at once than can be followed
            sender.sequence = (start + ahead) & 0xFFFF
            await blocking(protected_packets, first)
        assert (await blocking(late.ask, "PLAY", "live")).status == 463
        await blocking(describe, late)
        late.session = None
        await blocking(set_up, late)
        assert (await blocking(late.ask, "PLAY", "live")).status == 200


async def test_what_a_viewer_says_is_protected_too(certificate: Certificate) -> None:
    async with serving_secure(certificate) as server, publishing(server):
        hub = server.plain.hub
        server.plain.rtsp.context.catalogue.backchannels = Backchannels(
            hub, offered_tracks(audio_track(Codec.G711U)), ()
        )
        client = await server.connect()
        reply = await blocking(client.ask, "DESCRIBE", "live", TAG)
        picture, speech = SessionDescription.parse(reply.body).media
        assert (picture.protocol, speech.protocol) == ("RTP/SAVP", "RTP/SAVP")
        key = own_key()
        reply = await blocking(client.ask, "SETUP", "live/audioback", {"Transport": TCP, **TAG, **header_of(key)})
        assert reply.status == 200, reply
        client.session = reply.session
        assert (await blocking(client.ask, "PLAY", "live", TAG)).status == 200
        protection = SrtpSender(SrtpKey.of(key))
        for sequence in range(20):
            packet = header(0, sequence, 160 * sequence, 5, False) + bytes(160)
            await blocking(client.send_interleaved, 0, protection.protect(packet))
            await blocking(client.send_interleaved, 0, packet)  # in clear: not taken
        spoken = hub.live("live/backchannel")
        assert spoken is not None
        await until(lambda: spoken.counters.received_frames == 20, "it is heard")
        item = await blocking(client.packet)
        report, *_ = parse_compound(SrtpReceiver(SrtpKey.of(keys_in(speech)[0])).receive_rtcp(item.payload))
        assert isinstance(report, ReceiverReport)
        assert report.reports[0].ssrc == 5


# Publishers


def publish(client: RawRtsp, key: MikeyMessage | None, *, in_sdp: bool, transport: str = TCP) -> Reply:
    """ANNOUNCE and SETUP; the key is in the description or in a header."""
    sdp = sdp_of(make_clip()).replace(b"RTP/AVP", b"RTP/SAVP")
    headers = {"Transport": f"{transport};mode=record"}
    if key is not None and in_sdp:
        sdp += f"a=key-mgmt:{serialize_key_mgmt_attribute(key)}\r\n".encode()
    elif key is not None:
        headers |= header_of(key)
    reply = client.ask("ANNOUNCE", "live", SDP, sdp)
    if reply.status != 200:
        return reply
    reply = client.ask("SETUP", f"live/{CONTROL}", headers)
    if reply.status == 200:
        client.session = reply.session
        assert client.ask("RECORD", "live").status == 200
    return reply


def send(client: RawRtsp, key: MikeyMessage, frames: int = 30) -> None:
    sender, protection = sender_of(make_clip()), SrtpSender(SrtpKey.of(key))
    for number in range(frames):
        for packet in sender.packets(make_clip().frame(number)):
            data = with_mki(protection.protect(packet), key.mki, key.policy.tag_bytes)
            client.send_interleaved(0, data)
    report = sender.sender_report(unix_s=1e9, ticks=0)
    client.send_interleaved(1, with_mki(protection.protect_rtcp(report), key.mki, key.policy.tag_bytes))


@pytest.mark.parametrize(
    ("mki", "policy"),
    [
        (b"", SrtpPolicy()),
        (b"key1", SrtpPolicy()),
        (b"", SrtpPolicy(tag_bytes=4)),
        (b"", SrtpPolicy(key_bytes=32)),
        (b"", SrtpPolicy(encrypt_rtp=False, encrypt_rtcp=False)),
    ],
)
@pytest.mark.parametrize("in_sdp", [False, True])
async def test_a_publisher_is_understood(
    certificate: Certificate, in_sdp: bool, mki: bytes, policy: SrtpPolicy
) -> None:
    key = own_key(key=os.urandom(policy.key_bytes + 14), mki=mki, policy=policy)
    async with serving_secure(certificate) as server:
        client, viewer = await server.connect(), await server.plain.connect()
        assert (await blocking(lambda: publish(client, key, in_sdp=in_sdp))).status == 200
        await blocking(send, client, key)
        stream = server.plain.hub.live("live")
        assert stream is not None
        await until(lambda: stream.counters.received_frames == 30, "all frames are there")
        await blocking(viewer.play, "live")
        assert len(await blocking(viewer.rtp, 10)) == 10


async def test_a_publisher_can_read_our_reports(certificate: Certificate) -> None:
    key = own_key()
    async with serving_secure(certificate) as server:
        client = await server.connect()
        reply = await blocking(lambda: publish(client, key, in_sdp=False))
        ours = parse_key_mgmt_header(reply["KeyMgmt"])
        assert ours is not None
        assert ours.key != key.key
        await blocking(send, client, key)
        item = await blocking(client.packet)
        report, *_ = parse_compound(SrtpReceiver(SrtpKey.of(ours)).receive_rtcp(item.payload))
        assert isinstance(report, ReceiverReport)
        assert report.ssrc == ours.sessions[0].ssrc


async def test_a_publisher_with_a_wrong_key_is_told_once_and_ended(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with serving_secure(certificate, publisher_silence_s=1.0) as server:
        client = await server.connect()
        await blocking(lambda: publish(client, own_key(), in_sdp=True))
        await blocking(send, client, own_key())
        await until(lambda: not server.plain.sessions, "the session ends")
        assert caplog.text.count("packets that the key agreed on does not fit are thrown away: authentication") == 1
        assert "packets not protected with the key agreed on" in caplog.text
        assert "no packet for 1 s" in caplog.text


@pytest.mark.parametrize(
    ("key", "in_sdp", "status"),
    [
        (None, True, 463),
        (own_key(sessions=(CryptoSession(1, roc=3),)), True, 463),
        (own_key(sessions=(CryptoSession(1, roc=3),)), False, 463),
        (own_key(policy=SrtpPolicy(key_bytes=32)), True, 463),
    ],
)
async def test_a_publisher_without_a_usable_key_is_refused(
    certificate: Certificate, key: MikeyMessage | None, in_sdp: bool, status: int
) -> None:
    async with serving_secure(certificate) as server:
        client = await server.connect()
        assert (await blocking(lambda: publish(client, key, in_sdp=in_sdp))).status == status


async def test_a_publisher_without_tls_is_refused(certificate: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    async with serving_secure(certificate) as server:
        client = await server.plain.connect()
        assert (await blocking(lambda: publish(client, own_key(), in_sdp=True))).status == 461
        assert "SRTP without TLS: anybody could read its keys" in caplog.text
