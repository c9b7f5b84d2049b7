"""Streams pulled from an RTSP server: our own, in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.inprocess import HOST, blocking, serving
from support.inprocess_http import make_files, serving_http
from support.taking import Taken
from support.waiting import until

from manycast.hub.source import SourceError
from manycast.media.track import Codec
from manycast.servers.certificate import Certificate
from manycast.sources.dialling import DialOptions
from manycast.sources.rtsp.source import RtspSource, Transfer
from manycast.wire.address import SourceAddress


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


async def test_a_certificate_nobody_vouches_for_is_refused(certificate: Certificate) -> None:
    async with serving_http(certificate=certificate) as server:
        with pytest.raises(SourceError, match="tls_verify"):
            await RtspSource(address(server.rtsps_port, scheme="rtsps")).run(Taken().publish)
