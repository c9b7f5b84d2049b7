"""A web server or a camera as a source. Imports aiohttp: import it late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from manycast.hub.source import FrameSink, SourceError
from manycast.media.track import Track
from manycast.sources.dialling import DialOptions
from manycast.sources.http.client import READ_TIMEOUT_S, SILENCE_S, Answer, HttpClient, http_client
from manycast.sources.http.hls import HlsPull, is_playlist
from manycast.sources.http.intake import (
    JPEG_TYPES,
    TYPED_BY_BYTES,
    UNTYPED,
    Intake,
    Pictures,
    intake_for,
    type_by_bytes,
    type_of,
)
from manycast.sources.http.paced import PacedSink
from manycast.sources.loops import LoopGuard
from manycast.wire.address import SourceAddress
from manycast.wire.multipart import MAX_PART_BYTES

FILE_HELD_S = 4.0  # of a file, beyond what has been handed on
POLL_S = 0.2  # from the beginning of one single picture to that of the next

Publish = Callable[[Sequence[Track]], FrameSink]


class HttpSource:
    """Plays what an address gives: pictures in multipart or one by one, FLV, MPEG-TS, HLS."""

    def __init__(self, address: SourceAddress, *, options: DialOptions, guard: LoopGuard, agent: str) -> None:
        self._address = address
        self._options = options
        self._guard = guard
        self._agent = agent

    async def run(self, publish: Publish) -> None:
        """As `hub.source.Source` says."""
        async with http_client(self._address, self._options, self._guard, self._agent) as client:
            answer = await client.get(self._address)
            async with answer.response:
                await self._play(client, answer, publish)

    async def _play(self, client: HttpClient, answer: Answer, publish: Publish) -> None:
        content_type = answer.response.headers.get("Content-Type", "")
        if type_of(content_type) in UNTYPED:
            answer = await answer.with_head(TYPED_BY_BYTES, limit_s=READ_TIMEOUT_S)
            content_type = type_by_bytes(answer.head) or content_type
        if type_of(content_type) in JPEG_TYPES:
            await _poll(client, answer, Pictures(publish))
        elif is_playlist(content_type, answer.address.path):
            await HlsPull(client, self._address, publish).run(answer)
        else:
            await _take(answer, content_type, publish)


async def _take(answer: Answer, content_type: str, publish: Publish) -> None:
    """A body without end, or a file. Raises SourceError, always."""
    if answer.response.content_length is None:
        await _take_body(answer, intake_for(content_type, answer.address.path, publish), None)
    # A file comes as fast as the network is: its frames are handed on in their own time.
    paced = PacedSink(publish, held_s=2 * FILE_HELD_S)
    intake = intake_for(content_type, answer.address.path, paced.open)
    pacing = asyncio.create_task(paced.run(), name="pace of a file")
    taking = asyncio.create_task(_take_body(answer, intake, paced), name="a file by HTTP")
    try:
        done, _ = await asyncio.wait({pacing, taking}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (pacing, taking):
            task.cancel()
        await asyncio.gather(pacing, taking, return_exceptions=True)


async def _take_body(answer: Answer, intake: Intake, paced: PacedSink | None) -> NoReturn:
    """Raises SourceError."""
    began_s = time.monotonic()
    async for data in answer.pieces():
        now_s = time.monotonic()
        intake.push(data, now_s=now_s)
        if not intake.published and now_s - began_s > SILENCE_S:
            raise SourceError(intake.last_fault or f"no picture and no sound for {SILENCE_S:.0f} s")
        if paced is not None:
            await paced.room(FILE_HELD_S)
    if paced is not None:
        await paced.room(0.0)
    raise SourceError(intake.last_fault if not intake.published and intake.last_fault else "the server hung up")


async def _poll(client: HttpClient, answer: Answer, pictures: Pictures) -> None:
    """One picture after the other. Raises SourceError."""
    began_s = time.monotonic()
    while True:
        pictures.picture(await answer.read(MAX_PART_BYTES, "a picture", limit_s=READ_TIMEOUT_S), now_s=time.monotonic())
        if pictures.last_fault:
            raise SourceError(pictures.last_fault)
        await asyncio.sleep(began_s + POLL_S - time.monotonic())
        began_s = time.monotonic()
        answer = await client.get(answer.address)
