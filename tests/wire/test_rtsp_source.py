"""Streams pulled from an RTSP server: our own, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count, pairwise
from pathlib import Path

import pytest
from support.clips import make_clip
from support.inprocess import HOST, blocking, serving
from support.inprocess_http import make_files, serving_http
from support.keyframes import MAX_KEYFRAMES, SOON_S, small_demo
from support.publishing import sdp_of, sender_of
from support.taking import Taken
from support.waiting import until

from manycast.hub.source import SourceError
from manycast.media.track import Codec
from manycast.servers.certificate import Certificate
from manycast.sources.dialling import DialOptions
from manycast.sources.rtsp.session import END_SILENCE_S
from manycast.sources.rtsp.source import RtspSource, Transfer
from manycast.wire.address import SourceAddress
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.srtp import SrtpReceiver


@asynccontextmanager
async def taking(source: RtspSource) -> AsyncIterator[Taken]:
    taken = Taken()
    task = asyncio.create_task(source.run(taken.publish))
    try:
        yield taken
    finally:
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def address(port: int, name: str = "live", *, scheme: str = "rtsp", login: str = "") -> SourceAddress:
    return SourceAddress.parse(f"{scheme}://{login}{HOST}:{port}/{name}")


@pytest.mark.parametrize("transfer", list(Transfer))
@pytest.mark.parametrize("udp_publisher", [False, True])
async def test_a_stream_is_pulled_frame_by_frame(
    transfer: Transfer, udp_publisher: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(multicast=True) as server:
        publisher = await server.publish(udp=udp_publisher)
        publisher.start()
        await until(lambda: server.hub.live("live"), "the stream is there")
        async with taking(RtspSource(address(server.port), transfer)) as taken:
            await until(lambda: len(taken.frames) > 30, "frames come")
            assert [track.codec for track in taken.tracks] == [Codec.H264]
            assert all(a.dts_ticks < b.dts_ticks for a, b in zip(taken.frames, taken.frames[1:], strict=False))
            said = [record.getMessage() for record in caplog.records if "trying" in record.getMessage()]
            assert not said
        await until(lambda: len(server.sessions) == 1, "the pulling session is torn down")
        await blocking(publisher.teardown)
        publisher.rtsp.close()


async def test_the_end_of_the_stream_ends_the_source() -> None:
    async with serving() as server:
        publisher = await server.publish()
        publisher.start()
        await until(lambda: server.hub.live("live"), "the stream is there")
        taken = Taken()
        task = asyncio.create_task(RtspSource(address(server.port)).run(taken.publish))
        await until(lambda: taken.frames, "frames come")
        await blocking(publisher.teardown)
        with pytest.raises(SourceError):
            await asyncio.wait_for(task, 10)
        publisher.rtsp.close()


async def test_a_name_nobody_knows_and_a_port_nobody_listens_at() -> None:
    async with serving() as server:
        with pytest.raises(SourceError, match="404"):
            await RtspSource(address(server.port, "nothing")).run(Taken().publish)
        port = server.port
    with pytest.raises(SourceError, match="cannot connect to"):
        await RtspSource(address(port)).run(Taken().publish)


@pytest.mark.parametrize("login", ["", "joe:wrong@", "joe:se%40cret@"])
async def test_logins(login: str) -> None:
    async with serving(users={"joe": "se@cret"}) as server:
        source = RtspSource(address(server.port, "nothing", login=login))
        expected = "asks for a login" if not login else "refuses user and pass" if "wrong" in login else "404"
        with pytest.raises(SourceError, match=expected):
            await source.run(Taken().publish)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    files: tuple[Path, Path] = make_files(tmp_path_factory.mktemp("certificate"))
    return Certificate(*files)


@pytest.mark.parametrize("scheme", ["rtsps", "rtsp+http", "rtsp+https"])
async def test_through_tls_and_tunnels(certificate: Certificate, scheme: str) -> None:
    async with serving_http(certificate=certificate) as server, server.publishing():
        port = {"rtsps": server.rtsps_port, "rtsp+http": server.port, "rtsp+https": server.secure_port}[scheme]
        source = RtspSource(address(port, scheme=scheme), options=DialOptions(verify_tls=False))
        async with taking(source) as taken:
            await until(lambda: len(taken.frames) > 30, "frames come")


def spying(receive: Callable[[SrtpReceiver, bytes], bytes], opened: list[bytes]) -> Callable[..., bytes]:
    def received(receiver: SrtpReceiver, data: bytes) -> bytes:
        opened.append(receive(receiver, data))
        return opened[-1]

    return received


@pytest.mark.parametrize("transfer", [Transfer.TCP, Transfer.UDP])
async def test_srtp(
    certificate: Certificate,
    transfer: Transfer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    opened: list[bytes] = []
    monkeypatch.setattr(SrtpReceiver, "receive_rtp", spying(SrtpReceiver.receive_rtp, opened))
    async with serving_http(certificate=certificate, srtp=True) as server, server.publishing():
        at = address(server.rtsps_port, scheme="rtsps")
        async with taking(RtspSource(at, transfer, options=DialOptions(verify_tls=False))) as taken:
            await until(lambda: len(taken.frames) > 30, "frames come")
            assert [track.codec for track in taken.tracks] == [Codec.H264]
            assert len(opened) >= 30
    said = [record.getMessage() for record in caplog.records]
    assert not any("trying" in text or "thrown away" in text for text in said)


async def wait_for_soon_keyframe(source: RtspSource, taken: Taken) -> None:
    """Ask behind each keyframe for another one, until one comes before its time."""

    def keyframes() -> list[float]:
        pictures = [frame for frame in taken.frames if frame.track_index == 0]
        return [frame.pts_ticks / 90_000 for frame in pictures if any(unit[0] & 0x1F == 5 for unit in frame.units)]

    known = 0

    def one_more() -> bool:
        return len(keyframes()) > known

    while known < MAX_KEYFRAMES:
        await until(one_more, "a keyframe")
        found = keyframes()
        known = len(found)
        if any(after - before < SOON_S for before, after in pairwise(found)):
            return
        source.request_keyframe()
    raise AssertionError("all keyframes come at their usual times")


@pytest.mark.parametrize("transfer", [Transfer.TCP, Transfer.UDP])
async def test_a_server_that_listens_is_asked_for_keyframes(transfer: Transfer) -> None:
    async with serving() as server:
        server.hub.offer("live", small_demo, "test")
        source = RtspSource(address(server.port), transfer)
        assert not source.makes_keyframes
        source.request_keyframe()  # which does no harm before it runs
        async with taking(source) as taken:
            await until(lambda: taken.frames, "frames come")
            assert source.makes_keyframes
            await wait_for_soon_keyframe(source, taken)
        source.request_keyframe()  # nor behind it


@pytest.mark.parametrize("transfer", [Transfer.TCP, Transfer.UDP])
async def test_a_server_is_asked_for_keyframes_by_srtp(certificate: Certificate, transfer: Transfer) -> None:
    async with serving_http(certificate=certificate, srtp=True) as server:
        server.rtsp.hub.offer("live", small_demo, "test")
        at = address(server.rtsps_port, scheme="rtsps")
        source = RtspSource(at, transfer, options=DialOptions(verify_tls=False))
        async with taking(source) as taken:
            await wait_for_soon_keyframe(source, taken)


async def test_a_server_that_does_not_listen_is_left_alone() -> None:
    async with serving() as server:
        publisher = await server.publish()
        publisher.start()
        await until(lambda: server.hub.live("live"), "the stream is there")
        source = RtspSource(address(server.port))
        async with taking(source) as taken:
            await until(lambda: taken.frames, "frames come")
            assert not source.makes_keyframes
            source.request_keyframe()
            await until(lambda: len(taken.frames) > 20, "more frames come")
        await blocking(publisher.teardown)


async def test_a_certificate_nobody_vouches_for_is_refused(certificate: Certificate) -> None:
    async with serving_http(certificate=certificate) as server:
        with pytest.raises(SourceError, match="tls_verify"):
            await RtspSource(address(server.rtsps_port, scheme="rtsps")).run(Taken().publish)


async def test_tcp_is_tried_when_nothing_arrives_by_udp(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("manycast.sources.rtsp.session.UDP_SILENCE_S", 0.3)
    monkeypatch.setattr("manycast.sources.rtsp.udp.MediaSockets.start", lambda *_: None)
    caplog.set_level(logging.INFO)
    async with serving() as server:
        publisher = await server.publish()
        publisher.start()
        await until(lambda: server.hub.live("live"), "the stream is there")
        async with taking(RtspSource(address(server.port), Transfer.UDP)) as taken:
            await until(lambda: len(taken.frames) > 10, "frames come")
        assert "nothing arrives by UDP; trying TCP" in caplog.text
        await blocking(publisher.teardown)
        publisher.rtsp.close()


@asynccontextmanager
async def scripted(answer: Callable[[str], str]) -> AsyncIterator[int]:
    """A server that answers each request, of which it is given the head, in its own way."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                cseq = next(line for line in head.split("\r\n") if line.startswith("CSeq"))
                status, _, rest = answer(head).partition("\r\n")
                writer.write(f"RTSP/1.0 {status}\r\n{cseq}\r\n{rest}\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("302 Found\r\nLocation: /again\r\n", "redirected more than 5 times"),
        ("302 Found\r\nLocation: http://127.0.0.1/x\r\n", "no RTSP"),
        ("200 OK\r\nContent-Length: 5\r\n\r\nhello", "no SDP"),
        ("200 OK\r\nContent-Length: 99999999\r\n\r\n", "99999999"),
        ("200 OK\r\n", "no SDP"),
        ("503 Busy\r\n", "503 Busy"),
    ],
)
async def test_what_cannot_be_played(answer: str, says: str) -> None:
    async with scripted(lambda head: answer if head.startswith("DESCRIBE") else "200 OK\r\n") as port:
        with pytest.raises(SourceError, match=says):
            await asyncio.wait_for(RtspSource(address(port)).run(Taken().publish), 10)


async def test_the_same_redirect_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answer = "302 Found\r\nLocation: /again\r\n"
    async with scripted(lambda head: answer if head.startswith("DESCRIBE") else "200 OK\r\n") as port:
        source = RtspSource(address(port))
        for _ in range(3):
            with pytest.raises(SourceError, match="redirected more than 5 times"):
                await asyncio.wait_for(source.run(Taken().publish), 10)
    assert caplog.text.count("redirected to") == 1


async def test_what_is_announced_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.rtsp.session.SILENCE_S", 0.5)
    sdp = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"

    def answer(head: str) -> str:
        if head.startswith("DESCRIBE"):
            return f"200 OK\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}"
        if head.startswith("SETUP"):
            return "200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n"
        return "200 OK\r\n"

    async with scripted(answer) as port:
        with pytest.raises(SourceError, match="no packet for"):
            await asyncio.wait_for(RtspSource(address(port)).run(Taken().publish), 10)


SDP = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


@asynccontextmanager
async def answering(data: bytes, *, over_and_over: bool = False) -> AsyncIterator[int]:
    """A server that says the same whatever it is asked."""

    finished = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            while True:
                writer.write(data)
                await writer.drain()
                if not over_and_over:
                    await reader.read()
                    break
                await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        await hang_up(writer)
        finished.set()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(finished.wait(), 10)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("data", "over_and_over", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", False, "a web server answers there"),
        (b"<html><body>hello</body></html>\r\n\r\n", False, "does not speak RTSP"),
        (b"RTSP/1.0 200 OK\r\nX: " + b"x" * 1000, True, "."),
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 999999\r\n\r\n" + b"a=x\r\n" * 1000, True, "."),
        (b"", False, "no answer for"),
    ],
    ids=["html", "html alone", "an endless head", "an endless description", "silence"],
)
async def test_hosts_that_answer_otherwise(
    data: bytes, over_and_over: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manycast.wire.rtsp.client.RESPONSE_TIMEOUT_S", 1.0)
    async with answering(data, over_and_over=over_and_over) as port:
        with pytest.raises(SourceError, match=says):
            await asyncio.wait_for(RtspSource(address(port)).run(Taken().publish), 15)


@asynccontextmanager
async def sending(sdp: str, packets: Callable[[int], list[bytes]], play: str = "") -> AsyncIterator[int]:
    """A server that sends what `packets` has for each hundredth of a second, as interleaved frames; `play` are headers
    of its answer to PLAY."""
    finished = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                cseq = next(line for line in head.split("\r\n") if line.startswith("CSeq"))
                more = "Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n" if head.startswith("SETUP") else play
                body = sdp if head.startswith("DESCRIBE") else ""
                answer = f"RTSP/1.0 200 OK\r\n{cseq}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
                writer.write(answer.encode())
                for number in count() if head.startswith("PLAY") else ():
                    writer.writelines(packets(number))
                    await writer.drain()
                    await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, ConnectionError):
            await hang_up(writer)
            finished.set()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(finished.wait(), 10)


def interleaved(channel: int, data: bytes) -> bytes:
    return bytes((0x24, channel)) + len(data).to_bytes(2) + data


async def test_packets_of_another_codec_than_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.rtsp.session.SILENCE_S", 1.0)

    def packets(number: int) -> list[bytes]:
        packet = RtpPacket(
            payload_type=96,
            sequence=number & 0xFFFF,
            timestamp=3600 * number,
            ssrc=7,
            marker=True,
            payload=b"\xff" * 50,
        )
        return [interleaved(0, packet.serialize())]

    async with sending(SDP, packets) as port:
        with pytest.raises(SourceError, match="packets come, but they make no frames"):
            await asyncio.wait_for(RtspSource(address(port)).run(Taken().publish), 15)


CLIP = make_clip()


def a_clip_then_reports(frames: int) -> Callable[[int], list[bytes]]:
    sender = sender_of(CLIP)

    def packets(number: int) -> list[bytes]:
        if number < frames:
            return [interleaved(0, packet) for packet in sender.packets(CLIP.frame(number))]
        return [interleaved(1, sender.sender_report(unix_s=1e9 + number, ticks=3600 * number))]

    return packets


@pytest.mark.parametrize(
    "play", ["", "Range: npt=0-\r\n", "Range: npt=now-\r\n", "Range: npt=0-600\r\n", "Range: x\r\n"]
)
async def test_a_source_of_which_only_reports_come_any_more_is_gone(monkeypatch: pytest.MonkeyPatch, play: str) -> None:
    monkeypatch.setattr("manycast.sources.rtsp.session.MEDIA_SILENCE_S", 1.0)
    taken = Taken()
    async with sending(sdp_of(CLIP).decode(), a_clip_then_reports(20), play) as port:
        with pytest.raises(SourceError, match="no pictures or sound for 1 s"):
            await asyncio.wait_for(RtspSource(address(port)).run(taken.publish), 20)
    assert taken.frames


async def test_a_source_that_has_sent_all_that_it_said_has_ended() -> None:
    taken = Taken()
    play = "Range: npt=10.5-10.7\r\n"
    async with sending(sdp_of(CLIP).decode(), a_clip_then_reports(20), play) as port:
        with pytest.raises(SourceError, match="the server has sent all that it has"):
            await asyncio.wait_for(RtspSource(address(port)).run(taken.publish), 20)
    assert taken.frames


async def test_a_source_that_goes_on_behind_its_end_goes_on() -> None:
    play = "Range: npt=0-0.1\r\n"
    endless = sending(sdp_of(CLIP).decode(), a_clip_then_reports(1_000_000), play)
    async with endless as port, taking(RtspSource(address(port))) as taken:
        await asyncio.sleep(END_SILENCE_S + 1.0)
        seen = len(taken.frames)
        await until(lambda: len(taken.frames) > seen, "more frames come")


METADATA_SDP = "v=0\r\nm=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n"


async def test_a_source_of_metadata_alone_may_have_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.rtsp.session.MEDIA_SILENCE_S", 0.2)
    document = b"<tt:MetadataStream xmlns:tt='http://www.onvif.org/ver10/schema'/>"
    sender = sender_of(CLIP)

    def packets(number: int) -> list[bytes]:
        packet = RtpPacket(payload_type=107, sequence=1, timestamp=0, ssrc=7, marker=True, payload=document)
        report = interleaved(1, sender.sender_report(unix_s=1e9 + number, ticks=3600 * number))
        return [interleaved(0, packet.serialize())] if number == 0 else [report]

    async with sending(METADATA_SDP, packets) as port:
        source = RtspSource(address(port))
        task = asyncio.create_task(source.run(Taken().publish))
        await asyncio.sleep(2.0)  # some ticks
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
