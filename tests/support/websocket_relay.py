"""A door for players that know RTSP and no WebSocket: what comes in by TCP goes on in binary messages, and back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import aiohttp

from support.tunnels import SUBPROTOCOL

HOST = "127.0.0.1"
CLOSING_S = 5.0  # for a player to take what waits for it


@contextmanager
def websocket_relay(address: str) -> Iterator[int]:
    """Its port, while the block runs. The WebSocket's client is aiohttp's; certificates are not checked."""
    loop = asyncio.new_event_loop()
    relay = _Relay(address)
    thread = threading.Thread(target=loop.run_forever, name="websocket relay", daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(relay.open(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(relay.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Relay:
    def __init__(self, address: str) -> None:
        self._address = address
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._take, HOST, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # connections are closed in a turn of their own

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(self._address, protocols=[SUBPROTOCOL], ssl=False) as socket,
            ):
                assert socket.protocol == SUBPROTOCOL
                await self._join(reader, writer, socket)
            await asyncio.sleep(0.25)  # aiohttp's documentation: TLS connections are not closed before
        except (OSError, asyncio.CancelledError):  # either side hung up: the player tells what it missed
            pass
        finally:
            writer.close()
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), CLOSING_S)
            writer.transport.abort()
            self._tasks.discard(task)

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        async def inwards() -> None:
            while data := await reader.read(65536):
                await socket.send_bytes(data)

        async def outwards() -> None:
            async for message in socket:
                assert message.type is aiohttp.WSMsgType.BINARY
                writer.write(message.data)
                await writer.drain()

        tasks = [asyncio.create_task(inwards()), asyncio.create_task(outwards())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
