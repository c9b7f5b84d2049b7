"""Streams pulled from an SRT server: our own, in this process, and one that only listens."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from support.inprocess import HOST
from support.srt import LossyRelay, SrtListener
from support.srt_serving import CLIP, Serving, publishing, serving
from support.taking import Taken
from support.waiting import until

from manycast.hub.source import SourceDenied, SourceError
from manycast.libsrt.library import SrtLibrary, SrtMissing
from manycast.media.track import Codec
from manycast.sources.loops import OwnStreams
from manycast.sources.srt.joined import SharedSrt
from manycast.sources.srt.source import SrtSource
from manycast.wire.address import SourceAddress

SECRET = "geheimgeheim"

log = logging.getLogger("test")


def source(address: str, **login: str) -> SrtSource:
    parsed = SourceAddress.parse(address).with_login(login.get("user"), login.get("password"))
    return SrtSource(parsed, shared=SharedSrt(), guard=OwnStreams(str).guard("copy"), log=log)


def url(server: Serving, query: str) -> str:
    return f"srt://{HOST}:{server.port}?{query}"


@asynccontextmanager
async def taking(fetched: SrtSource) -> AsyncIterator[tuple[Taken, asyncio.Task[None]]]:
    taken = Taken()
    task = asyncio.create_task(fetched.run(taken.publish))
    try:
        yield taken, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def failure(fetched: SrtSource) -> str:
    with pytest.raises(SourceError) as failed:
        await fetched.run(Taken().publish)
    return str(failed.value)


@pytest.mark.parametrize(
    "query", ["streamid=live/cam", "streamid=%23!::r=live/cam", "streamid=#!::r=live/cam,m=request"]
)
async def test_a_stream_is_pulled(query: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as server, publishing(server), taking(source(url(server, query))) as (taken, task):
        await until(lambda: len(taken.frames) > 30, "frames come")
        assert [track.codec for track in taken.tracks] == [Codec.H264]
        assert taken.frames[0].keyframe
        first = taken.frames[0].dts_ticks
        assert [frame.dts_ticks - first for frame in taken.frames[:30]] == [number * 3600 for number in range(30)]
        assert not task.done()
    assert "SRT connection closed; RTT" in caplog.text


async def test_the_end_of_the_stream_is_told() -> None:
    async with serving() as server:
        async with publishing(server):
            fetched = source(url(server, "streamid=live/cam"))
            taken = Taken()
            task = asyncio.create_task(fetched.run(taken.publish))
            await until(lambda: taken.frames, "frames come")
        with pytest.raises(SourceError, match="the server hung up"):
            await asyncio.wait_for(task, 10)


async def test_what_is_asked_for_is_set() -> None:
    with SrtListener(CLIP, passphrase=SECRET) as listener:
        address = f"srt://{HOST}:{listener.port}?streamid=live/cam&passphrase={SECRET}&pbkeylen=32&latency=250"
        async with taking(source(address, user="joe", password="se=cret")) as (taken, _):
            await until(lambda: taken.frames, "frames come")
        assert listener.stream_ids == [b"#!::r=live/cam,u=joe,s=se=cret"]
        assert listener.latencies_ms == [250]


async def test_a_host_with_two_addresses_of_which_one_does_not_answer() -> None:
    with SrtListener(CLIP) as listener:
        async with taking(source(f"srt://localhost:{listener.port}")) as (taken, _):
            await until(lambda: taken.frames, "frames come")
        assert listener.stream_ids == [b""]


async def test_ipv6() -> None:
    async with serving() as server:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind(("::1", 0))
        port = sock.getsockname()[1]
        server.srt.listen([sock])
        async with publishing(server), taking(source(f"srt://[::1]:{port}?streamid=live/cam")) as (taken, _):
            await until(lambda: taken.frames, "frames come")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("streamid=live/nothing", "knows no stream of this name (1404)"),
        ("", "cannot read the stream id (1400)"),
        ("streamid=live/cam,m=bidirectional", "(1405)"),
        ("streamid=%23!::r=live/cam,t=file", "(1415)"),
        ("streamid=live/cam,m=publish", "is in use (1409)"),
        (f"streamid=live/cam&passphrase={SECRET}", "a passphrase is set, but the server has none"),
    ],
)
async def test_refusals_in_words(query: str, words: str) -> None:
    async with serving() as server, publishing(server):
        assert words in await failure(source(url(server, query)))


async def test_passphrases_in_words() -> None:
    async with serving(passphrase=SECRET) as server, publishing(server, caller={"passphrase": SECRET}):
        asked = url(server, "streamid=live/cam")
        assert await failure(source(asked)) == "the server wants a passphrase: add passphrase=... to the url"
        with pytest.raises(SourceDenied, match="the passphrase is wrong"):
            await source(f"{asked}&passphrase=wrong-wrong").run(Taken().publish)
        async with taking(source(f"{asked}&passphrase={SECRET}")) as (taken, _):
            await until(lambda: taken.frames, "frames come")


async def test_logins() -> None:
    caller = "live/cam,m=publish,u=joe,s=secret"
    async with serving(users={"joe": "secret"}) as server, publishing(server, caller):
        asked = url(server, "streamid=live/cam")
        assert "check user and pass" in await failure(source(asked))
        assert "check user and pass" in await failure(source(asked, user="joe", password="wrong"))
        async with taking(source(asked, user="joe", password="secret")) as (taken, _):
            await until(lambda: taken.frames, "frames come")


async def test_who_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.srt.dialling.CONNECT_TIMEOUT_S", 1.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((HOST, 0))
        port = deaf.getsockname()[1]
        assert await failure(source(f"srt://{HOST}:{port}")) == f"{HOST}:{port} does not answer within 1 s"


async def test_who_answers_no_more_is_given_up() -> None:
    with SrtListener(CLIP) as listener, LossyRelay(listener.port, loss=0.0, late=0.0, seed=0) as relay:
        taken = Taken()
        task = asyncio.create_task(source(f"srt://{HOST}:{relay.port}").run(taken.publish))
        await until(lambda: taken.frames, "frames come")
        relay.dead = True
        with pytest.raises(SourceError, match="the server answers no more"):
            await asyncio.wait_for(task, 20)


async def test_loss_on_the_way_is_mended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with SrtListener(CLIP) as listener, LossyRelay(listener.port, loss=0.05, late=0.05, seed=3) as relay:
        async with taking(source(f"srt://{HOST}:{relay.port}?latency=400")) as (taken, task):
            await until(lambda: len(taken.frames) > 75, "frames come")
            relay.dead = True
            await asyncio.wait([task], timeout=20)
        assert relay.lost > 5
    assert re.search(r"SRT connection closed; RTT [\d.]+ ms, [1-9]\d* lost", caplog.text)
    first = taken.frames[0].dts_ticks
    assert [frame.dts_ticks - first for frame in taken.frames[:75]] == [number * 3600 for number in range(75)]


@pytest.mark.parametrize("how", ["silent", "noise"])
async def test_what_is_no_stream(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.srt.source.SILENCE_S", 1.0)
    noise = b"\x01" * 1316 if how == "noise" else b""
    with SrtListener(CLIP, instead=noise) as listener:
        expected = "no packet for 1 s" if how == "silent" else "what comes is no transport stream"
        assert await failure(source(f"srt://{HOST}:{listener.port}")) == expected


async def test_a_loop_is_refused() -> None:
    own = OwnStreams(str)
    async with serving() as server, publishing(server):
        own.srt_ports = {server.port}
        address = SourceAddress.parse(url(server, "streamid=%23!::r=live/copy,m=request"))
        fetched = SrtSource(address, shared=SharedSrt(), guard=own.guard("live/copy"), log=log)
        server.hub.offer("live/copy", lambda: fetched, "the proxy of itself")
        with pytest.raises(SourceError, match="a loop: live/copy from live/copy"):
            await server.hub.open("live/copy")


async def test_many_at_once_share_the_library() -> None:
    shared = SharedSrt()
    with SrtListener(CLIP) as listener:
        address = SourceAddress.parse(f"srt://{HOST}:{listener.port}")
        all_taken = [Taken() for _ in range(20)]

        async def take(taken: Taken) -> None:
            """As a proxy does: where the machine is too busy for one to connect in time, it tries again."""
            while True:
                fetched = SrtSource(address, shared=shared, guard=OwnStreams(str).guard("copy"), log=log)
                with suppress(SourceError):
                    await fetched.run(taken.publish)

        tasks = [asyncio.create_task(take(taken)) for taken in all_taken]
        await until(lambda: all(len(taken.frames) > 10 for taken in all_taken), "all have frames")
        assert len([thread for thread in threading.enumerate() if thread.name == "SRT"]) == 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not [thread for thread in threading.enumerate() if thread.name == "SRT"]


async def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> SrtLibrary:
        raise SrtMissing("libsrt is missing: install it")

    monkeypatch.setattr("manycast.sources.srt.joined.SrtLibrary", missing)
    assert await failure(source(f"srt://{HOST}:9")) == "libsrt is missing: install it"
