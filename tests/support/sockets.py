"""Sockets that are closed behind each test, also when it fails half-way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

_opened: list[socket.socket] = []


def kept(sock: socket.socket) -> socket.socket:
    """Have a socket closed behind the test."""
    _opened.append(sock)
    return sock


@contextmanager
def closing() -> Iterator[None]:
    """Close what the block opens; sockets of fixtures that live longer were opened before it."""
    before = len(_opened)
    yield
    for sock in _opened[before:]:
        sock.close()
    del _opened[before:]
