"""Sockets that are closed behind each test, also when it fails half-way."""

from __future__ import annotations

import socket

_opened: list[socket.socket] = []


def kept(sock: socket.socket) -> socket.socket:
    """Have a socket closed behind the test."""
    _opened.append(sock)
    return sock


def close_all() -> None:
    while _opened:
        _opened.pop().close()
