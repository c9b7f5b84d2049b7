"""SRT on the wire: publishing, playing, refusals, encryption, loss, bad input."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import socket
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from support.clips import slices
from support.inprocess import HOST, blocking
from support.srt import BAD_SECRET, UNSECURE, LossyRelay, SrtCaller
from support.srt_serving import CLIP, publishing, serving
from support.waiting import until

from manycast.hub.fanout import BacklogLimit
from manycast.libsrt.library import Option
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.mpegts.mux import TsMuxer

OPUS = Track(codec=Codec.OPUS, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=2))
PATIENT_MS = 3000  # a receiver whose machine stands still for less than this gives nothing up
SECRET, OTHER_SECRET = "geheimgeheim", "ganz-anderes"


class Collector:
    """Keeps what comes, in place of a packager."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self.frames = list(cached)

    def push(self, frame: Frame) -> None:
        self.frames.append(frame)

    def set_clock(self, unix_at_zero_s: float) -> None: ...

    def handle_timer(self, *, now_s: float, unix_s: float) -> None: ...

    def end(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize(
    "stream_id",
    ["live/cam,m=publish", "live/cam, m=publish", "#!::r=live/cam,m=publish", "#!::m=publish,t=stream,r=/live/cam,h=h"],
)
async def test_what_is_published_is_played(stream_id: str) -> None:
    async with serving() as server, publishing(server, stream_id):
        with await server.call("live/cam") as viewer:
            demuxer, frames = await blocking(viewer.frames, 15)
        assert demuxer.lost_packets == demuxer.skipped_bytes == 0
        numbers = [frame.pts_ticks * CLIP.frame_rate // 90_000 for frame in frames]
        assert frames[0].keyframe
        assert [number - numbers[0] for number in numbers] == list(range(15))
        pictures = [slices(picture) for picture in CLIP.pictures]
        first = pictures.index(slices(frames[0].units))
        for offset, frame in enumerate(frames):
            assert slices(frame.units) == pictures[(first + offset) % len(pictures)]


async def test_the_picture_stands_at_once() -> None:
    async with serving(latency_ms=50) as server, publishing(server):
        asked_s = time.monotonic()
        with await server.call("live/cam", latency_ms=50) as viewer:
            _, frames = await blocking(viewer.frames, 1)
        assert frames[0].keyframe
        assert time.monotonic() - asked_s < 5.0


@pytest.mark.parametrize(
    ("stream_id", "reason"),
    [
        (b"live/nothing", 1404),
        (b"x" * 512, 1404),
        (b"#!::r=live/nothing,m=request", 1404),
        (b"live/../../etc/passwd", 1400),
        (b",m=publish", 1400),
        (b"live/cam,publish", 1400),
        (b"live/\xff\xfe", 1400),
        (b"live/a\nb,m=publish", 1400),
        (b"#!{r=live/cam}", 1400),
        (b"live/new,m=bidirectional", 1405),
        (b"#!::r=live/cam,t=file", 1415),
        (b"videodevice,m=publish", 1403),
        (b"live/cam,m=publish", 1409),
    ],
)
async def test_refusals_have_their_reasons(stream_id: bytes, reason: int, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server, publishing(server):
        assert await server.refusal(stream_id) == reason
        await until(lambda: f"refused with {reason}" in caplog.text, "it is told in the log")


async def test_without_a_stream_id_nothing_is_played() -> None:
    async with serving() as server:
        assert await server.refusal(b"") == 1400


async def test_a_publisher_who_has_not_begun_keeps_the_path() -> None:
    async with serving() as server, asyncio.timeout(20):
        first = await server.call("live/cam,m=publish")
        await until(lambda: server.srt.connections, "it is there")
        assert await server.refusal("live/cam,m=publish") == 1409
        await blocking(first.close)
        await until(lambda: not server.srt.connections, "it is gone")
        (await server.call("live/cam,m=publish")).close()


async def test_logins() -> None:
    async with serving(users={"admin": "geheim"}) as server:
        for wrong in ("live/cam,m=publish", "live/cam,m=publish,u=admin,s=falsch", "#!::r=live/cam,m=publish,u=x,s=y"):
            assert await server.refusal(wrong) == 1401
        async with publishing(server, "#!::r=live/cam,m=publish,u=admin,s=geheim"):
            with await server.call("live/cam,u=admin,s=geheim") as viewer:
                assert (await blocking(viewer.frames, 2))[1]
            assert await server.refusal("live/nothing") == 1401  # who is not logged in learns nothing


async def test_guessing_passwords_is_slowed_down(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(users={"admin": "geheim"}) as server:
        for number in range(5):
            assert await server.refusal(f"live/cam,m=publish,u=admin,s={number}") == 1401
        assert await server.refusal("live/cam,m=publish,u=admin,s=geheim") == 1401
        await until(lambda: "too many wrong logins" in caplog.text, "it is told in the log")


@pytest.mark.parametrize("key_bits", [128, 192, 256])
async def test_encryption(key_bits: int) -> None:
    caller: dict[str, object] = {"passphrase": SECRET, "key_bits": key_bits}
    async with serving(passphrase=SECRET) as server, publishing(server, caller=caller) as publisher:
        assert publisher.encrypted
        assert publisher.option(Option.PBKEYLEN) == key_bits // 8
        with await server.call("live/cam", **caller) as viewer:
            demuxer, frames = await blocking(viewer.frames, 10)
            assert len(frames) == 10
            assert demuxer.skipped_bytes == 0


async def test_the_key_length_is_asked_for() -> None:
    async with (
        serving(passphrase=SECRET, key_bits=256) as server,
        publishing(server, caller={"passphrase": SECRET}) as publisher,
    ):
        assert publisher.option(Option.PBKEYLEN) == 32


async def test_a_wrong_passphrase_is_refused_and_named(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(passphrase=SECRET) as server:
        assert await server.refusal("live/cam,m=publish", passphrase=OTHER_SECRET) == BAD_SECRET
        assert await server.refusal("live/cam,m=publish") == UNSECURE
        await until(lambda: "passphrase is wrong or missing" in caplog.text, "it is named")
        assert not server.srt.connections


async def test_who_encrypts_where_nothing_does_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        assert await server.refusal("live/cam,m=publish", passphrase=SECRET) == UNSECURE
        await until(lambda: "it encrypts, nothing here does" in caplog.text, "it is named")


async def test_a_path_may_have_a_passphrase_of_its_own() -> None:
    async with (
        serving(passphrases={"live/cam": OTHER_SECRET}) as server,
        publishing(server, caller={"passphrase": OTHER_SECRET}),
    ):
        assert await server.refusal("live/cam") == UNSECURE
        async with publishing(server, "live/open,m=publish", "live/open"):
            with await server.call("live/open") as viewer:
                assert (await blocking(viewer.frames, 2))[1]


async def test_a_passphrase_may_be_optional() -> None:
    clear = "live/cam,m=publish,clear=1"
    async with serving(passphrase=SECRET, passphrase_required=False) as server, publishing(server, clear):
        with await server.call("live/cam", passphrase=SECRET) as viewer:
            assert viewer.encrypted
            assert len((await blocking(viewer.frames, 2))[1]) == 2
        with await server.call("live/cam,clear=1") as viewer:
            assert len((await blocking(viewer.frames, 2))[1]) == 2
        assert await server.refusal("live/cam") == UNSECURE
        assert await server.refusal("live/cam", passphrase=OTHER_SECRET) == BAD_SECRET


async def test_clear_is_of_no_use_where_a_passphrase_is_required() -> None:
    async with serving(passphrase=SECRET) as server, publishing(server, caller={"passphrase": SECRET}):
        assert await server.refusal("live/cam,clear=1") == UNSECURE


async def test_no_more_sessions_than_are_allowed() -> None:
    async with serving(max_sessions=2) as server, publishing(server):
        with await server.call("live/cam"):
            await until(lambda: len(server.srt.connections) == 2, "both are there")
            assert await server.refusal("live/cam") == 1402
        await until(lambda: len(server.srt.connections) == 1, "the viewer has gone")
        (await server.call("live/cam")).close()


async def test_the_larger_latency_holds() -> None:
    async with serving(latency_ms=200) as server, publishing(server):
        with await server.call("live/cam") as viewer:
            assert viewer.option(Option.RCVLATENCY) == 200
        with await server.call("live/cam", latency_ms=700) as viewer:
            assert viewer.option(Option.RCVLATENCY) == 700


async def test_smaller_payloads() -> None:
    async with serving(payload_packets=3) as server, publishing(server):
        with await server.call("live/cam") as viewer:
            sizes = {len(await blocking(viewer.receive)) for _ in range(50)}
        assert max(sizes) == 3 * 188
        assert all(size % 188 == 0 for size in sizes)


async def test_viewers_are_told_that_the_stream_has_ended() -> None:
    async with serving() as server:
        async with publishing(server):
            viewer = await server.call("live/cam")
            await blocking(viewer.frames, 3)
        while await blocking(viewer.receive):
            pass
        await until(lambda: not server.srt.connections, "all are closed")
        viewer.close()


async def test_the_picture_stays_whole_through_a_bad_network_to_a_viewer() -> None:
    async with serving(latency_ms=PATIENT_MS) as server, publishing(server):
        with LossyRelay(server.port, loss=0.05, late=0.05, seed=1) as relay:
            viewer = await asyncio.to_thread(SrtCaller.connect, relay.port, "live/cam")
            with viewer:
                demuxer, frames = await blocking(viewer.frames, 75)
        assert relay.lost > 5
        assert relay.reordered > 5
    assert demuxer.lost_packets == 0
    assert [frame.pts_ticks - frames[0].pts_ticks for frame in frames] == [number * 3600 for number in range(75)]


async def test_the_picture_stays_whole_through_a_bad_network_from_a_publisher() -> None:
    async with serving() as server:
        with LossyRelay(server.port, loss=0.05, late=0.05, seed=1) as relay:
            async with publishing(server, port=relay.port, caller={"latency_ms": PATIENT_MS}):
                stream = server.hub.live("live/cam")
                assert stream is not None
                collector = stream.watch(object(), Collector, lambda _: None)
                await until(lambda: len(collector.frames) > 75, "frames came")
                (connection,) = server.srt.connections
                await until(lambda: connection.statistics.lost_packets, "loss is counted")
        assert relay.lost > 5
    start = collector.frames[0].dts_ticks
    assert [frame.dts_ticks - start for frame in collector.frames] == [n * 3600 for n in range(len(collector.frames))]


async def test_what_is_lost_for_good_is_left_out_up_to_the_next_keyframe(caplog: pytest.LogCaptureFixture) -> None:
    """Sixteen packets of one PID, and so a full round of its continuity counter, are missing."""
    async with serving() as server:
        publisher = await server.call("live/cam,m=publish")
        muxer = TsMuxer([CLIP.track])
        await blocking(publisher.send_clip, CLIP, 8, muxer=muxer)
        await until(lambda: server.hub.live("live/cam") is not None, "the stream is there")
        stream = server.hub.live("live/cam")
        assert stream is not None
        collector = stream.watch(object(), Collector, lambda _: None)
        muxer.frame(CLIP.frame(8))  # never sent
        await blocking(publisher.send_clip, CLIP, 10, muxer=muxer, first=9)
        await until(lambda: len(collector.frames) >= 14, "frames came")
        await blocking(publisher.close)
    numbers = [frame.dts_ticks // 3600 for frame in collector.frames]
    assert [number - numbers[0] for number in numbers][:8] == list(range(8))
    after = [frame for frame in collector.frames if frame.dts_ticks // 3600 - numbers[0] > 7]
    assert after[0].keyframe
    assert after[0].dts_ticks // 3600 - numbers[0] == 10
    assert "packets lost" in caplog.text


async def test_a_viewer_that_is_cut_off_delays_nobody() -> None:
    async with serving() as server, publishing(server):
        with LossyRelay(server.port, loss=0.0, late=0.0, seed=0) as relay:
            cut_off = await asyncio.to_thread(SrtCaller.connect, relay.port, "live/cam")
            await blocking(cut_off.frames, 3)
            relay.dead = True
            with await server.call("live/cam") as viewer:
                started_s = time.monotonic()
                demuxer, frames = await blocking(viewer.frames, 75)
                assert time.monotonic() - started_s < 75 / CLIP.frame_rate + 5.0
            assert len(frames) == 75
            assert demuxer.lost_packets == 0
            await until(lambda: len(server.srt.connections) == 1, "who answers no more is closed")
            cut_off.close()


async def test_a_viewer_that_does_not_read_delays_nobody() -> None:
    async with serving() as server, publishing(server):
        lazy = await server.call("live/cam", receive_bytes=64 * 1456)
        await until(lambda: len(server.srt.connections) == 2, "it is there")
        (connection,) = [c for c in server.srt.connections if c.publication is None]
        with await server.call("live/cam") as viewer:
            started_s = time.monotonic()
            demuxer, frames = await blocking(viewer.frames, 100)
            assert time.monotonic() - started_s < 100 / CLIP.frame_rate + 5.0
        assert len(frames) == 100
        assert demuxer.lost_packets == 0
        await until(lambda: connection.statistics.dropped_packets, "what it does not take is dropped, and counted")
        await blocking(lazy.close)


async def test_who_sends_a_transport_stream_but_asked_to_play_is_told_and_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as server, publishing(server):
        with await server.call("live/cam") as forgetful:
            await blocking(forgetful.send, TsMuxer([CLIP.track]).frame(CLIP.frame(0)))
            await until(
                lambda: "it sends, but asked to play: add m=publish to the stream id" in caplog.text, "it is told"
            )
            await until(lambda: len(server.srt.connections) == 1, "it is closed")
        assert caplog.text.count("asked to play") == 1
        assert server.hub.live("live/cam") is not None


async def test_what_a_viewer_sends_beside_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server, publishing(server):
        with await server.call("live/cam") as viewer:
            await blocking(viewer.send, b"hello")
            await blocking(viewer.frames, 5)
            await blocking(viewer.send, b"hello again")
            _, frames = await blocking(viewer.frames, 30)
            assert len(frames) == 30
    assert "asked to play" not in caplog.text


async def test_what_is_known_of_a_connection_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as server, publishing(server):
        with (
            LossyRelay(server.port, loss=0.05, late=0.0, seed=2) as relay,
            await asyncio.to_thread(SrtCaller.connect, relay.port, "live/cam") as viewer,
        ):
            await blocking(viewer.frames, 60)
            (connection,) = [c for c in server.srt.connections if c.publication is None]
            await until(lambda: connection.statistics.retransmitted_packets, "packets were sent again")
            assert connection.statistics.lost_packets
            assert connection.statistics.sent_packets > 100
            assert connection.statistics.rtt_ms > 0
        await until(lambda: "viewer of live/cam closed" in caplog.text, "it has gone")
    told = next(record.getMessage() for record in caplog.records if "viewer of live/cam" in record.getMessage())
    assert re.search(r"frames, [\d.]+ MB; RTT [\d.]+ ms, [1-9]\d* lost, [1-9]\d* sent again, \d+ dropped", told)
    assert "publisher of live/cam closed" in caplog.text


async def test_a_track_that_comes_later_begins_the_stream_anew() -> None:
    async with serving() as server:
        publisher = await server.call("live/cam,m=publish")
        await blocking(publisher.send_clip, CLIP, 10)
        await until(lambda: server.hub.live("live/cam") is not None, "the stream is there")
        ends: list[str] = []
        stream = server.hub.live("live/cam")
        assert stream is not None
        stream.watch(object(), Collector, ends.append)
        muxer = TsMuxer([CLIP.track, OPUS])
        for number in range(10, 30):
            ticks = number * 48_000 // 25
            opus = Frame(track_index=1, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[b"\xfc\xff\xfe"])
            await blocking(publisher.send, muxer.frame(CLIP.frame(number)) + muxer.frame(opus))
            await asyncio.sleep(0.02)
        await until(lambda: ends, "the stream has ended")
        await until(lambda: server.hub.live("live/cam") is not None, "it has begun anew")
        stream = server.hub.live("live/cam")
        assert stream is not None
        assert [track.codec for track in stream.tracks] == [Codec.H264, Codec.OPUS]
        assert ends == ["the publisher changed its tracks"]
        await blocking(publisher.close)


async def test_time_goes_on_when_the_publisher_sets_its_clock() -> None:
    async with serving() as server:
        publisher = await server.call("live/cam,m=publish")
        await blocking(publisher.send_clip, CLIP, 10)
        await until(lambda: server.hub.live("live/cam") is not None, "the stream is there")
        stream = server.hub.live("live/cam")
        assert stream is not None
        collector = stream.watch(object(), Collector, lambda _: None)
        await blocking(publisher.send_clip, CLIP, 10, first=100_000)
        await blocking(publisher.send_clip, CLIP, 10, first=0)
        await until(lambda: len(collector.frames) >= 28, "frames came")
        await blocking(publisher.close)
    times = [frame.dts_ticks for frame in collector.frames]
    assert {after - before for before, after in pairwise(times)} == {3600}


async def test_bytes_that_are_no_transport_stream_are_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(beginning_s=0.5) as server:
        publisher = await server.call("live/cam,m=publish")
        noise = random.Random(3).randbytes(1316)
        for _ in range(30):
            await blocking(publisher.send, noise)
        await until(lambda: not server.srt.connections, "it is closed")
        await until(lambda: "no transport stream" in caplog.text, "it is told in the log")
        assert server.hub.live("live/cam") is None
        await blocking(publisher.close)


async def test_a_publisher_who_sends_nothing_is_closed() -> None:
    async with serving(publisher_silence_s=0.5) as server:
        publisher = await server.call("live/cam,m=publish")
        assert await blocking(publisher.receive) == b""
        await until(lambda: not server.srt.connections, "it is closed")
        await blocking(publisher.close)


async def test_payloads_of_one_byte() -> None:
    async with serving() as server:
        publisher = await server.call("live/cam,m=publish")
        muxer = TsMuxer([CLIP.track])
        data = b"".join(muxer.frame(CLIP.frame(number)) for number in range(3))
        await blocking(lambda: publisher.send(data[:1500], payload_bytes=1))
        await blocking(lambda: publisher.send(data[1500:], payload_bytes=1001))
        await blocking(publisher.send_clip, CLIP, 5, muxer=muxer, first=3)
        await until(lambda: server.hub.live("live/cam") is not None, "the stream is there")
        stream = server.hub.live("live/cam")
        assert stream is not None
        await until(lambda: stream.counters.received_frames >= 7, "frames came")
        await blocking(publisher.close)


async def test_who_stops_in_the_middle_of_a_packet_leaves_nothing() -> None:
    async with serving() as server:
        for _ in range(5):
            publisher = await server.call("live/cam,m=publish")
            await blocking(publisher.send, TsMuxer([CLIP.track]).frame(CLIP.frame(0))[:1000])
            await blocking(publisher.close)
            await until(lambda: not server.srt.connections, "it is closed")
        assert server.hub.live("live/cam") is None
        async with publishing(server):
            pass


async def test_garbage_and_half_handshakes_disturb_nobody() -> None:
    async with serving() as server, publishing(server):
        noise = random.Random(7)
        induction = bytes.fromhex("8000000000000000 00000000 00000000 00000004 00000002 12345678 000005dc 00002000")
        induction += bytes.fromhex("00000001") + os.urandom(4) + bytes(4) + bytes(16)
        conclusion = induction[:16] + bytes.fromhex("00000005 00000005") + induction[24:36] + b"\xff\xff\xff\xff"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            viewer = await server.call("live/cam")
            for number in range(3000):
                packets = (noise.randbytes(noise.randrange(1500)), induction, conclusion + noise.randbytes(200))
                sock.sendto(packets[number % 3], (HOST, server.port))
                if number % 100 == 0:
                    await asyncio.sleep(0.005)
        demuxer, frames = await blocking(viewer.frames, 50)
        assert len(frames) == 50
        assert demuxer.lost_packets == 0
        assert len(server.srt.connections) == 2
        viewer.close()


async def test_many_come_at_once_and_are_closed_in_time() -> None:
    async with serving() as server, publishing(server):
        viewers = await asyncio.gather(*(server.call("live/cam") for _ in range(30)))
        await until(lambda: len(server.srt.connections) == 31, "all are there")
        for viewer in viewers:
            assert await blocking(viewer.receive)
        asked_s = time.monotonic()
        for connection in server.srt.connections:
            connection.close("the test closes it")
        assert time.monotonic() - asked_s < 5.0
        for viewer in viewers:
            await blocking(viewer.close)


async def test_stopping_with_fifty_connections() -> None:
    """`serving` sees to it that the server is closed in time."""
    async with serving() as server, publishing(server):
        viewers = await asyncio.gather(*(server.call("live/cam") for _ in range(50)))
        await until(lambda: len(server.srt.connections) == 51, "all are there")
    for viewer in viewers:
        while await blocking(viewer.receive):
            pass
        await blocking(viewer.close)


async def test_two_addresses() -> None:
    async with serving() as server:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind(("::1", 0))
        server.srt.listen([sock])
        async with publishing(server):
            with await server.call("live/cam") as viewer:
                assert (await blocking(viewer.frames, 2))[1]
