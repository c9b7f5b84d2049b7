"""Keyframes that viewers ask for by RTCP, and that we ask publishers for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from support.clips import make_clip
from support.inprocess import HOST, InProcess, blocking, serving
from support.keyframes import Request, begins_idr, full_intra, picture_loss, small_demo, wait_for_soon_keyframe
from support.ports import udp_pair
from support.publishing import CONTROL, Publisher, sdp_of, sender_of
from support.rtsp import RawRtsp
from support.waiting import until

from manycast.hub.output import AudioOutput, Output, VideoOutput
from manycast.hub.source import Source
from manycast.media.track import Codec
from manycast.sources.capture.pool import DevicePool
from manycast.sources.capture.readers import PictureReader
from manycast.sources.capture.source import CaptureSource, Device
from manycast.sources.proxy import ProxySource
from manycast.sources.rtsp.source import RtspSource
from manycast.sources.transcoding.live import TranscodedSource
from manycast.wire.address import SourceAddress
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import FullIntraRequest, PictureLossIndication, RtcpPacket, parse_compound
from manycast.wire.sdp import SessionDescription

RTCP_CHANNEL = 1


def capture() -> CaptureSource:
    camera = Device(
        key="camera", make_reader=lambda: PictureReader("camera", "testsrc2=size=320x240:rate=25,realtime", "lavfi", 25)
    )
    return CaptureSource("camera", DevicePool(), camera, None, VideoOutput(), AudioOutput(), frame_rate=25)


def transcoded() -> TranscodedSource:
    return TranscodedSource(small_demo(), Output(video=VideoOutput(codec=Codec.H264, width=160)), "transcoded")


def passed() -> TranscodedSource:
    """Only the sound is encoded anew."""
    return TranscodedSource(small_demo(), Output(audio=AudioOutput(codec=Codec.G711U)), "passed")


def interleaved(client: RawRtsp) -> Iterator[RtpPacket]:
    while True:
        yield from client.rtp(1, 0)


@pytest.mark.parametrize("request_of", [picture_loss, full_intra])
@pytest.mark.parametrize("make_source", [small_demo, capture, transcoded, passed])
async def test_who_asks_gets_a_keyframe_before_its_time(make_source: Callable[[], Source], request_of: Request) -> None:
    async with serving() as server:
        server.hub.offer("live", make_source, "test")
        client = await server.connect()
        await blocking(client.play, "live")
        send = partial(client.send_interleaved, RTCP_CHANNEL)
        await blocking(wait_for_soon_keyframe, interleaved(client), send, request_of)


@pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/AVPF"])
async def test_who_asks_over_udp_gets_one_too(profile: str) -> None:
    rtp_socket, rtcp_socket = udp_pair(HOST)
    port = rtp_socket.getsockname()[1]
    async with serving() as server:
        server.hub.offer("live", small_demo, "test")
        client = await server.connect()

        def play() -> None:
            transport = {"Transport": f"{profile};unicast;client_port={port}-{port + 1}"}
            reply = client.ask("SETUP", "live/trackID=0", transport)
            assert reply["Transport"].startswith(f"{profile};unicast")
            client.session = reply.session
            rtcp_socket.connect((HOST, reply.pair("server_port")[1]))
            assert client.ask("PLAY", "live").status == 200

        def received() -> Iterator[RtpPacket]:
            while True:
                yield RtpPacket.parse(rtp_socket.recv(2048))

        await blocking(play)
        await blocking(wait_for_soon_keyframe, received(), rtcp_socket.send, picture_loss)


def feedback_lines(client: RawRtsp) -> list[list[str | None]]:
    """Of each medium of `live`."""
    reply = client.ask("DESCRIBE", "live")
    assert reply.status == 200, reply
    media = SessionDescription.parse(reply.body).media
    return [[value for name, value in section.attributes if name == "rtcp-fb"] for section in media]


async def test_the_description_says_that_requests_are_heard_where_they_are_obeyed() -> None:
    async with serving() as server:
        server.hub.offer("live", small_demo, "test")
        client = await server.connect()
        assert await blocking(feedback_lines, client) == [["96 nack pli", "96 ccm fir"], []]
    async with serving() as server:
        publisher = await server.publish()
        await blocking(publisher.send_frame)
        client = await server.connect()
        assert await blocking(feedback_lines, client) == [[]]


async def test_requests_of_other_sources_and_broken_ones_change_nothing() -> None:
    asked = []
    async with serving() as server:
        publisher = await server.publish()
        publisher.start()
        client = await server.connect()
        await blocking(client.play, "live")
        stream = server.hub.live("live")
        assert stream is not None
        stream.keyframes.on_request = lambda: asked.append("keyframe")
        ssrc = (await blocking(client.rtp, 1))[0].ssrc
        loss = picture_loss(ssrc)
        for data in (picture_loss(ssrc ^ 1), full_intra(ssrc ^ 1), loss[:-1], loss[8:-2], loss[8:16]):
            await blocking(client.send_interleaved, RTCP_CHANNEL, data)
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        assert not asked
        for _ in range(20):
            await blocking(client.send_interleaved, RTCP_CHANNEL, loss)
        await until(lambda: asked, "the right one is heard")
        await blocking(publisher.stop)


def proxy_of(port: int) -> ProxySource:
    log = logging.getLogger("test")
    return ProxySource(RtspSource(SourceAddress.parse(f"rtsp://{HOST}:{port}/live"), log=log), hold_s=1.0, log=log)


async def test_what_a_proxys_viewer_asks_for_goes_on_to_the_camera() -> None:
    async with serving() as camera, serving() as server:
        camera.hub.offer("live", small_demo, "test")
        server.hub.offer("live", lambda: proxy_of(camera.port), "test")
        client = await server.connect()
        assert await blocking(feedback_lines, client) == [["96 nack pli", "96 ccm fir"], []]
        await blocking(client.play, "live")
        send = partial(client.send_interleaved, RTCP_CHANNEL)
        await blocking(wait_for_soon_keyframe, interleaved(client), send, picture_loss)


async def test_a_proxy_of_a_camera_that_does_not_listen_says_so() -> None:
    async with serving() as camera, serving() as server:
        publisher = await camera.publish()
        publisher.start()
        server.hub.offer("live", lambda: proxy_of(camera.port), "test")
        client = await server.connect()
        assert await blocking(feedback_lines, client) == [[]]
        await blocking(publisher.stop)


# What publishers are asked


def announced(line: str) -> bytes:
    """The clip, with a line that says what its sender listens to."""
    wanted = f"a=rtcp-fb:{line}\r\na=control:".encode()
    return sdp_of(make_clip(gop=50)).replace(b"a=control:", wanted)


async def publish(server: InProcess, sdp: bytes) -> Publisher:
    rtsp = await server.connect()
    reply = await blocking(lambda: rtsp.publish("live", sdp, controls=[CONTROL]))
    assert reply.status == 200, reply
    clip = make_clip(gop=50)
    return Publisher(rtsp, clip, "live", sender_of(clip))


def next_request(rtsp: RawRtsp) -> PictureLossIndication | FullIntraRequest:
    while True:
        for packet in parse_compound(rtsp.packet().payload):
            if isinstance(packet, PictureLossIndication | FullIntraRequest):
                return packet


@pytest.mark.parametrize(("line", "kind"), [("96 nack pli", PictureLossIndication), ("* ccm fir", FullIntraRequest)])
async def test_a_publisher_who_listens_is_asked_for_what_a_new_viewer_lacks(line: str, kind: type[RtcpPacket]) -> None:
    """The stream begins in the middle of a group: there is no picture before the next keyframe."""
    async with serving() as server:
        publisher = await publish(server, announced(line))
        publisher.sent_frames = 1
        await blocking(publisher.send_frame)
        client = await server.connect()
        await blocking(client.play, "live")
        publisher.start()
        request = await blocking(next_request, publisher.rtsp)
        assert isinstance(request, kind)
        match request:
            case PictureLossIndication():
                assert request.media_ssrc == publisher.sender.ssrc
            case FullIntraRequest():
                assert [ssrc for ssrc, _ in request.requests] == [publisher.sender.ssrc]
        await blocking(publisher.stop)
        publisher.sent_frames = 50  # the next keyframe, at once
        await blocking(publisher.send_frame)
        packets = await blocking(client.rtp, 1)
        while not any(map(begins_idr, packets)):
            packets = await blocking(client.rtp, 1)


async def test_what_a_viewer_asks_for_goes_on_to_the_publisher() -> None:
    async with serving() as server:
        publisher = await publish(server, announced("96 nack pli"))
        await blocking(publisher.send_frame)
        client = await server.connect()
        assert await blocking(feedback_lines, client) == [["96 nack pli", "96 ccm fir"]]
        await blocking(client.play, "live")
        ssrc = (await blocking(client.rtp, 1))[0].ssrc
        assert ssrc != publisher.sender.ssrc
        await blocking(client.send_interleaved, RTCP_CHANNEL, full_intra(ssrc))
        request = await blocking(next_request, publisher.rtsp)
        assert isinstance(request, PictureLossIndication)
        assert request.media_ssrc == publisher.sender.ssrc


async def test_a_publisher_over_udp_is_asked_at_its_port_for_reports() -> None:
    rtp_socket, rtcp_socket = udp_pair(HOST)
    port = rtp_socket.getsockname()[1]
    clip = make_clip(gop=50)
    async with serving() as server:
        rtsp = await server.connect()

        def record() -> None:
            assert (
                rtsp.ask("ANNOUNCE", "live", {"Content-Type": "application/sdp"}, announced("96 nack pli")).status
                == 200
            )
            transport = f"RTP/AVPF/UDP;unicast;client_port={port}-{port + 1};mode=record"
            reply = rtsp.ask("SETUP", f"live/{CONTROL}", {"Transport": transport})
            assert reply.status == 200, reply
            rtsp.session = reply.session
            rtp_socket.connect((HOST, reply.pair("server_port")[0]))
            assert rtsp.ask("RECORD", "live").status == 200

        def asked() -> PictureLossIndication:
            while True:
                for packet in parse_compound(rtcp_socket.recv(2048)):
                    if isinstance(packet, PictureLossIndication):
                        return packet

        await blocking(record)
        publisher = Publisher(rtsp, clip, "live", sender_of(clip), rtp_socket)
        publisher.sent_frames = 1
        publisher.start()
        client = await server.connect()
        await blocking(client.play, "live")
        assert (await blocking(asked)).media_ssrc == publisher.sender.ssrc
        await blocking(publisher.stop)


async def test_a_publisher_who_does_not_listen_is_not_asked() -> None:
    async with serving() as server:
        publisher = await publish(server, sdp_of(make_clip(gop=50)))
        publisher.sent_frames = 1
        await blocking(publisher.send_frame)
        client = await server.connect()
        await blocking(client.play, "live")
        publisher.start()
        await blocking(publisher.wait_for_frames, 60)  # through the first keyframe
        await blocking(publisher.stop)
        await blocking(publisher.rtsp.send, "OPTIONS", "*")
        reply = await blocking(publisher.rtsp.reply)
        assert reply.status == 200
        reports = [packet for item in publisher.rtsp.packets for packet in parse_compound(item.payload)]
        assert not [packet for packet in reports if isinstance(packet, PictureLossIndication | FullIntraRequest)]
