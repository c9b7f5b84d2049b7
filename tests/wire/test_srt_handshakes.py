"""Handshakes that no library would send, and those of who never goes on."""

from __future__ import annotations

import asyncio
import random

import pytest
from support.inprocess import blocking
from support.srt_handshake import HandCaller
from support.srt_serving import Serving, publishing, serving
from support.waiting import until

from manycast.wire.srt.streamid import MAX_BYTES


async def still_serves(server: Serving) -> None:
    with await server.call("live/cam") as viewer:
        demuxer, frames = await blocking(viewer.frames, 10)
    assert len(frames) == 10
    assert demuxer.lost_packets == 0


@pytest.mark.parametrize(
    ("stream_id", "reason"),
    [
        (b"live/cam", None),
        (b"live/nothing", 1404),
        (b"x" * MAX_BYTES, 1404),
        (b"live/cam," + b"," * (MAX_BYTES - 9), None),
        (b"\x00" * 8, 1400),
        (b"\xff" * MAX_BYTES, 1400),
    ],
)
async def test_stream_ids_on_the_wire(stream_id: bytes, reason: int | None) -> None:
    async with serving() as server, publishing(server):
        with HandCaller(server.port) as caller:
            cookie = (await blocking(caller.induce, 77)).cookie
            caller.conclude(77, cookie, stream_id)
            answer = await blocking(caller.answer)
            assert answer is not None
            assert answer.reason == reason
        await still_serves(server)


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 1300, 10_000, 60_000])
async def test_stream_ids_that_are_too_long(size: int) -> None:
    async with serving() as server, publishing(server):
        with HandCaller(server.port) as caller:
            cookie = (await blocking(caller.induce, 77)).cookie
            caller.conclude(77, cookie, b"live/cam," + b"," * (size - 9))
            answer = await blocking(caller.answer)
            assert answer is None or answer.reason is not None
        assert len(server.srt.connections) == 1  # the publisher
        await still_serves(server)


async def test_extensions_that_lie_about_their_length() -> None:
    noise = random.Random(5)
    async with serving() as server, publishing(server):
        with HandCaller(server.port) as caller:
            cookie = (await blocking(caller.induce, 77)).cookie
            for length in (1, 2, 3, 100, 0x7FFF, 0xFFFF):
                for kind in (1, 2, 3, 5, 6, 7, 0xFFFF):
                    lie = kind.to_bytes(2) + length.to_bytes(2) + noise.randbytes(40)
                    caller.conclude_with(77, cookie, lie)
        await still_serves(server)
        await until(lambda: len(server.srt.connections) == 1, "nothing stays", deadline_s=30)


async def test_who_is_let_in_and_never_goes_on_is_closed() -> None:
    """A hundred callers, viewers and publishers, who end with their handshake."""
    async with serving() as server, publishing(server):
        with HandCaller(server.port) as caller:
            cookie = (await blocking(caller.induce, 1)).cookie
            for number in range(1, 101):
                caller.conclude(number, cookie, b"live/cam" if number % 2 else b"live/%d,m=publish" % number)
            await until(lambda: len(server.srt.connections) == 101, "all are let in")
            await still_serves(server)
            await until(lambda: len(server.srt.connections) == 1, "they are closed", deadline_s=40)


async def test_a_flood_of_handshakes_that_are_refused() -> None:
    async with serving() as server, publishing(server):
        with HandCaller(server.port) as caller:
            cookie = (await blocking(caller.induce, 1)).cookie
            for number in range(1, 2001):
                caller.conclude(number, cookie, b"live/nothing")
                if number % 50 == 0:
                    await asyncio.sleep(0.005)
            await still_serves(server)
        await until(lambda: len(server.srt.connections) == 1, "none of them is there")
