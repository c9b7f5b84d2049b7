"""Waiting until somebody wants an ONVIF device. What it runs on takes time and 50 MB, which most servers never need."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress

LOOK_INTERVAL_S = 1.0


async def until_wanted(sockets: Iterable[socket.socket], is_wanted: Callable[[], bool]) -> None:
    """Wait for a connection, which is left where it is, or until `is_wanted`, which is asked every second."""
    loop = asyncio.get_running_loop()
    connected = asyncio.Event()
    listening = tuple(sockets)
    for sock in listening:
        loop.add_reader(sock, connected.set)
    try:
        while not connected.is_set() and not is_wanted():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await connected.wait()
    finally:
        for sock in listening:
            loop.remove_reader(sock)
