"""HLS over HTTP: playlists, segments, parts, and what may be asked of them."""

from __future__ import annotations

import asyncio
import http.client
import re
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from support.film import Film
from support.hls import QUICK, Player, serving_hls
from support.inprocess_http import make_files
from support.publishing import publishing
from support.server import ServerFactory
from support.waiting import until, wait_until

from manycast.hub.hls_packager import HlsOptions
from manycast.hub.stored import StoredMedia
from manycast.media.track import AudioParameters, Codec, Track
from manycast.servers.certificate import Certificate
from manycast.servers.http.hls import connection as connection_module
from manycast.wire.mpegts.demux import TsDemuxer

G711 = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))


class OneFile:
    def holds(self, names: Sequence[str]) -> bool:
        return "film.mp4" in names

    async def find(self, names: Sequence[str]) -> StoredMedia | None:
        return Film() if self.holds(names) else None


def folder_of(address: str) -> str:
    return address.rpartition("/")[0]


async def test_the_first_request_waits_for_the_first_segment_and_the_rest_plays() -> None:
    async with serving_hls() as hls, hls.publishing("app/live"):
        started_s = time.monotonic()
        player = await hls.player()
        answer = await player.ask("/app/live.m3u8")
        assert time.monotonic() - started_s > 0.15
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["date"].endswith("GMT")
        described = answer.tag("EXT-X-STREAM-INF")
        assert 'CODECS="avc1.42c0' in described
        assert "RESOLUTION=320x240,FRAME-RATE=25.000" in described
        address = f"/app/{answer.names[0]}"
        playlist = await player.ask(address)
        assert playlist.status == 200
        frames = 0
        demuxer = TsDemuxer()
        for name in playlist.names:
            segment = await player.ask(f"{folder_of(address)}/{name}")
            assert (segment.status, segment.headers["content-type"]) == (200, "video/mp2t")
            assert "immutable" in segment.headers["cache-control"]
            frames += len(demuxer.receive(segment.body))
        assert frames + len(demuxer.flush()) >= 25
        assert (demuxer.broken, demuxer.lost_packets) == (0, 0)
        assert hls.server.connections == 1


async def test_head_answers_without_a_body_and_options_lets_other_pages_in() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        player = await hls.player()
        whole = await player.ask(address)
        head = await player.ask(address, method="HEAD")
        assert head.status == 200
        assert abs(int(head.headers["content-length"]) - len(whole.body)) < 1000
        preflight = await player.ask(address, method="OPTIONS", Origin="http://elsewhere")
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert "Range" in preflight.headers["access-control-allow-headers"]
        assert (await player.ask(address, method="DELETE")).status == 405
        assert (await player.ask(address)).status == 200


async def test_ranges_of_segments() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        player = await hls.player()
        segment = f"{folder_of(address)}/{(await player.ask(address)).names[0]}"
        whole = (await player.ask(segment)).body
        for wanted, start, end in (("0-187", 0, 188), ("188-", 188, None), ("-188", -188, None)):
            part = await player.ask(segment, Range=f"bytes={wanted}")
            assert part.status == 206
            assert part.body == whole[start:end]
            first, last = start % len(whole), (len(whole) if end is None else end) - 1
            assert part.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
        outside = await player.ask(segment, Range=f"bytes={len(whole)}-")
        assert (outside.status, outside.headers["content-range"]) == (416, f"bytes */{len(whole)}")
        for odd in ("bytes=0-1,4-5", "bytes=5-2", "lines=1-2", "bytes=-"):
            assert (await player.ask(segment, Range=odd)).body == whole


# Low latency


async def test_a_playlist_request_waits_for_what_it_asks_for() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        player = await hls.player()
        playlist = await player.ask(address)
        newest = int(playlist.names[-1].removesuffix(".ts"))
        for sequence in (newest + 1, newest + 2):
            answer = await player.ask(f"{address}?_HLS_msn={sequence}")
            assert answer.names[-1] == f"{sequence}.ts"
            assert int(answer.headers["cache-control"].removeprefix("max-age=")) >= 6
        for part in range(3):
            answer = await player.ask(f"{address}?_HLS_msn={newest + 3}&_HLS_part={part}")
            assert f'URI="{newest + 3}.{part}.ts"' in answer.text
            assert f'TYPE=PART,URI="{newest + 3}.{part + 1}.ts"' in answer.text or part == 2


async def test_a_hinted_part_is_answered_when_it_is_there() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        player = await hls.player()
        for _ in range(6):
            hint = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="(.*)"', (await player.ask(address)).text)[0]
            part = await player.ask(f"{folder_of(address)}/{hint}")
            assert part.status == 200, hint
            assert len(part.body) % 188 == 0


async def test_delta_updates_leave_out_what_is_old() -> None:
    options = HlsOptions(segments=type(QUICK)(fragment_s=1, playlist=12, part_s=0.2))
    async with serving_hls(options) as hls, hls.publishing(speed=8):
        address = await hls.playlist_address()
        player = await hls.player()
        await player.ask(f"{address}?_HLS_msn=1")
        await until(lambda: hls.runs.named(address.split("/")[-2]).segmenter.has(13, None), "a long list")  # type: ignore[union-attr]
        delta = await player.ask(f"{address}?_HLS_skip=YES")
        skipped = int(delta.tag("EXT-X-SKIP").removeprefix("SKIPPED-SEGMENTS="))
        assert skipped > 0
        assert len(delta.names) == 12 - skipped
        assert len((await player.ask(address)).names) == 12


@pytest.mark.parametrize(
    "query",
    ["_HLS_msn=x", "_HLS_msn=-1", "_HLS_part=0", "_HLS_msn=900", "_HLS_msn=1&_HLS_part=", "_HLS_msn=" + "9" * 50],
)
async def test_what_nobody_can_wait_for_is_refused(query: str) -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        answer = await hls.ask(f"{address}?{query}")
        assert answer.status == 400
        assert "_HLS" in answer.text or "_hls" in answer.text


async def test_who_waits_for_what_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "BLOCK_TARGET_DURATIONS", 0.5)
    async with serving_hls() as hls:
        async with hls.publishing():
            address = await hls.playlist_address()
            newest = int((await hls.ask(address)).names[-1].removesuffix(".ts"))
        answer = await hls.ask(f"{address}?_HLS_msn={newest + 2}")  # the publisher has gone, and may come back
        assert answer.status == 503
        assert "retry-after" in answer.headers


# Beginnings and ends


async def test_streams_that_are_not_there_and_files_are_not_found() -> None:
    async with serving_hls(files=OneFile()) as hls:
        assert (await hls.ask("/nothing.m3u8")).status == 404
        file = await hls.ask("/film.mp4.m3u8")
        assert file.status == 404
        assert "is a file" in file.text
        unknown = f"/live.hls/{'0' * 24}/index.m3u8"
        assert (await hls.ask(unknown)).status == 404
        assert (await hls.ask("/live.hls/no/index.m3u8")).status == 404
        assert (await hls.ask("/.m3u8")).status == 404
        for hostile in ("/a/../b.m3u8", "/a%00b.m3u8", "/%2e%2e/x.m3u8", "//x.m3u8", "/" + "a" * 5000 + ".m3u8"):
            assert (await hls.ask(hostile)).status in (400, 404, 414)


async def test_a_stream_that_hls_cannot_carry_is_refused_with_the_reason() -> None:
    async with serving_hls() as hls:
        hls.hub.publish("talk", [G711], "a test")
        answer = await hls.ask("/talk.m3u8")
        assert answer.status == 406
        assert "G711A" in answer.text


async def test_a_track_that_hls_cannot_carry_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serving_hls() as hls:
        stream = hls.hub.publish("live", [hls.clip.track, G711], "a test")
        for number in range(60):
            stream.push(hls.clip.frame(number))
        for _ in range(2):
            asking = asyncio.create_task(hls.ask("/live.m3u8"))
            await until(lambda: hls.runs.at("live") is not None, "it begins")
            for number in range(60, 120):
                stream.push(hls.clip.frame(number))
            assert (await asking).status == 200
        named = [record.message for record in caplog.records if "G711A" in record.message]
        assert len(named) == 1
        assert "HLS cannot carry" in named[0]
        assert "left out" in named[0]


async def test_a_publisher_who_comes_back_is_a_discontinuity() -> None:
    async with serving_hls() as hls:
        async with hls.publishing():
            address = await hls.playlist_address()
        async with hls.publishing():
            run = hls.runs.at("live")
            assert run is not None
            await until(lambda: b"#EXT-X-DISCONTINUITY\n" in run.playlist(skip=False), "it goes on")
            answer = await hls.ask(address)
            assert "#EXT-X-DISCONTINUITY\n" in answer.text
            assert "ENDLIST" not in answer.text
            assert await hls.playlist_address() == address


async def test_a_stream_that_has_ended_ends_the_list_and_another_one_is_another_run() -> None:
    async with serving_hls(HlsOptions(segments=QUICK, return_s=0.1)) as hls:
        async with hls.publishing():
            address = await hls.playlist_address()
            player = await hls.player()
            newest = int((await player.ask(address)).names[-1].removesuffix(".ts"))
        await player.send(f"{address}?_HLS_msn={newest + 2}")
        answer = await player.receive()
        assert answer.text.endswith("#EXT-X-ENDLIST\n")
        segment = await player.ask(f"{folder_of(address)}/{answer.names[-1]}")
        assert segment.status == 200  # who is behind still gets what is there
        assert (await hls.ask("/live.m3u8")).status == 404
        async with hls.publishing():
            assert await hls.playlist_address() != address
            assert (await player.ask(address)).text.endswith("#EXT-X-ENDLIST\n")


async def test_nobody_asking_ends_it_and_the_next_request_begins_anew() -> None:
    async with serving_hls(HlsOptions(segments=QUICK, idle_s=0.3)) as hls, hls.publishing() as stream:
        address = await hls.playlist_address()
        assert stream.watchers == 1
        await until(lambda: not len(hls.runs), "it stops")
        assert stream.watchers == 0
        assert (await hls.ask(address)).status == 404
        assert await hls.playlist_address() != address


async def test_always_means_before_anybody_asks() -> None:
    options = HlsOptions(segments=QUICK, always=True, idle_s=0.0, return_s=0.1)
    async with serving_hls(options) as hls:
        for _ in range(2):
            async with hls.publishing():
                await until(lambda: hls.server.at("live") is not None, "it begins by itself")
                run = hls.runs.at("live")
                assert run is not None
                await until(partial(run.segmenter.has, 0, None), "there is a segment")
                await hls.playlist_address()
            await until(lambda: hls.runs.at("live") is None, "it ends with the stream")


# Connections


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        player = await hls.player()
        for target in (address, "/nothing.m3u8", address):
            await player.send(target)
        assert [(await player.receive()).status for _ in range(3)] == [200, 404, 200]


async def test_other_requests_may_follow_and_come_before() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        player = await hls.player()
        for _ in range(2):
            assert (await player.ask(address)).status == 200
            assert (await player.ask("/")).text.endswith("how to play")
            assert (await player.ask("/nothing")).status == 404
            assert (await player.ask(address, method="HEAD")).status == 200
        assert hls.server.connections == 2  # this one, and that of the first request


async def test_a_connection_ends_when_it_is_asked_to() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        for player, headers, version in (
            (await hls.player(), {"Connection": "close"}, "1.1"),
            (await hls.player(), {}, "1.0"),
            (await hls.player(), {"Content_Length": "5"}, "1.1"),
        ):
            answer = await player.ask(address, version=version, **headers)
            assert answer.status == (400 if "Content_Length" in headers else 200)
            assert answer.headers["connection"] == "close"
            assert await player.at_end()


@pytest.mark.parametrize("garbage", [b"hello\r\n\r\n", b"\0" * 20_000, b"GET /x HTTP/1.1\r\nno colon\r\n\r\n"])
async def test_garbage_behind_a_request_ends_the_connection(garbage: bytes) -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        player = await hls.player()
        await player.ask(address)
        await player.send_bytes(garbage)
        answer = await player.receive()
        assert answer.status in (400, 431)
        assert await player.at_end()


async def test_requests_without_end_behind_one_that_waits_end_the_connection() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        newest = int((await hls.ask(address)).names[-1].removesuffix(".ts"))
        player = await hls.player()
        await player.send(f"{address}?_HLS_msn={newest + 2}")
        try:
            await player.send_bytes(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 40_000)
            await player.at_end()
        except ConnectionError:
            pass
        await until(lambda: hls.server.connections == 2, "it is closed")


async def test_who_hangs_up_while_waiting_is_forgotten() -> None:
    async with serving_hls() as hls, hls.publishing():
        address = await hls.playlist_address()
        run = hls.runs.at("live")
        assert run is not None
        newest = int((await hls.ask(address)).names[-1].removesuffix(".ts"))
        players = [await hls.player() for _ in range(5)]
        for player in players:
            await player.send(f"{address}?_HLS_msn={newest + 2}")
        await until(lambda: len(run.waiting) == 5, "they wait")
        for player in players:
            player.close()
        await until(lambda: not run.waiting, "they are forgotten")


async def test_too_many_connections_are_refused() -> None:
    async with serving_hls(max_connections=2) as hls, hls.publishing():
        first = await hls.player()
        assert (await first.ask("/live.m3u8")).status == 200
        second = await hls.player()
        assert (await second.ask("/live.m3u8")).status == 200
        assert (await hls.ask("/live.m3u8")).status == 503
        assert (await first.ask("/live.m3u8")).status == 200


async def test_who_reads_nothing_and_who_asks_nothing_is_given_up() -> None:
    async with serving_hls(stall_s=0.5, keep_alive_s=1.0) as hls, hls.publishing():
        address = await hls.playlist_address()
        segment = f"{folder_of(address)}/0.ts"
        greedy = await hls.player()
        for _ in range(100):  # more than all buffers hold; the first answer that does not fit waits
            await greedy.send(segment)
        await until(lambda: not hls.server.connections, "both are closed")


async def test_many_requests_at_once_are_all_answered() -> None:
    async with serving_hls() as hls, hls.publishing():
        players = [await hls.player() for _ in range(60)]
        answers = await asyncio.gather(*(player.ask("/live.m3u8") for player in players))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert len(hls.runs) == 1


# Logins, TLS, folders


async def test_a_login_is_asked_for_once_and_what_it_opens_needs_none() -> None:
    async with serving_hls(users={"ann": "secret"}) as hls, hls.publishing():
        player = await hls.player()
        refused = await player.ask("/live.m3u8")
        assert refused.status == 401
        assert "www-authenticate" in refused.headers
        assert (await player.ask("/live.m3u8?user=ann&pass=wrong")).status == 401
        answer = await player.ask("/live.m3u8?user=ann&pass=secret")
        assert answer.status == 200
        assert answer.headers["cache-control"] == "private, no-store"  # it names what needs no login
        assert (await player.ask(f"/{answer.names[0]}")).status == 200


async def test_everything_goes_through_tls(tmp_path: Path) -> None:
    certificate = Certificate(*make_files(tmp_path))
    async with serving_hls(certificate=certificate) as hls, hls.publishing():
        address = await hls.playlist_address()
        plain, secure = await hls.player(), await hls.player(secure=True)
        names = (await secure.ask(address)).names
        segment = f"{folder_of(address)}/{names[0]}"
        assert (await secure.ask(segment)).body == (await plain.ask(segment)).body
        assert (await secure.ask("/")).status == 200
        last = await secure.ask(segment, Connection="close")
        assert last.body
        assert await secure.at_end()


async def test_segments_on_disk_are_written_served_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "hls"
    left = folder / "old.hls" / ("0" * 24)
    left.mkdir(parents=True)
    (left / "7.ts").write_bytes(b"left")
    (left / "8.m4s.new").write_bytes(b"left")
    mine = folder / "mine.hls" / "keep"
    mine.mkdir(parents=True)
    (mine / "7.ts").write_bytes(b"mine")
    options = HlsOptions(segments=QUICK, folder=folder, idle_s=1.0)
    async with serving_hls(options) as hls, hls.publishing("app/live", speed=8):
        await until(lambda: not left.parent.exists(), "what was left is removed")
        assert (mine / "7.ts").read_bytes() == b"mine"
        address = await hls.playlist_address("app/live")
        run = hls.runs.at("app/live")
        assert run is not None
        place = folder / "app" / "live.hls" / run.token
        player: Player = await hls.player()
        for _ in range(12):
            sequence = int((await player.ask(address)).names[-1].removesuffix(".ts"))
            answer = await player.ask(f"{address}?_HLS_msn={sequence + 1}")
            body = (await player.ask(f"{folder_of(address)}/{answer.names[0]}")).body
            assert (place / answer.names[0]).read_bytes() == body
            assert len(list(place.iterdir())) <= 3 + 4 + 2
        assert not (place / "0.ts").exists()
        await until(lambda: not place.parent.exists(), "nobody asks, and all is removed")


# As it is configured


def fetch(port: int, target: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", target)
    answer = connection.getresponse()
    status, body = answer.status, answer.read()
    connection.close()
    return status, body


def test_the_configuration_says_how_long_how_many_and_where(start_server: ServerFactory, tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    config = f"rtsp:\n  udp_base_port: UDP_BASE\nhls: {{fragment: 1, playlist: 3, low_latency: 0, folder: {folder}}}\n"
    server = start_server(config=config, http=True)
    with publishing(server):
        status, multivariant = fetch(server.http_port, "/live.m3u8")
        assert status == 200
        address = f"/{multivariant.decode().splitlines()[-1]}"
        text = ""

        def is_full() -> bool:
            nonlocal text
            text = fetch(server.http_port, address)[1].decode()
            return "EXT-X-MEDIA-SEQUENCE:1\n" in text

        wait_until(is_full, "more segments than are listed")
        assert "#EXT-X-TARGETDURATION:1\n" in text
        assert "EXT-X-PART" not in text
        assert text.count("#EXTINF") == 3
        assert list(folder.glob("live.hls/*/0.ts"))


def test_hls_can_be_switched_off(start_server: ServerFactory) -> None:
    server = start_server(config="rtsp:\n  udp_base_port: UDP_BASE\nhls: {enable: 0}\n", http=True)
    with publishing(server):
        assert fetch(server.http_port, "/live.m3u8")[0] == 404
