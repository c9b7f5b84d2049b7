"""A player of streams by WebSocket that keeps what it gets."""

from __future__ import annotations

import asyncio

import aiohttp


async def listen(url: str, seconds: float) -> bytes:
    """All binary messages of so long."""
    data = bytearray()
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        try:
            async with asyncio.timeout(seconds):
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY:
                        data += message.data
        except TimeoutError:
            pass
    return bytes(data)
