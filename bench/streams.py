"""Viewers of what is no RTSP: HTTP-FLV, MP4 by WebSocket, RTMP. They hop from frame to frame, and notice what is
missing."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import NamedTuple

from viewers import ViewerFigures
from ways import connect

from manycast.wire.rtmp.chunk import RtmpMessage, serialize_message
from manycast.wire.rtmp.commands import Command

MAX_STEP_MS = 60  # from picture to picture; they are 33 ms apart
BUFFER_BYTES = 1 << 20
SMALLEST_KEYFRAME_BYTES = 5000  # more than parameter sets have

_HANDSHAKE_BYTES = 1536
_RTMP_CHUNK_BYTES = 64 * 1024
_AUDIO, _VIDEO = 8, 9
_buffer = bytearray(BUFFER_BYTES)
_view = memoryview(_buffer)


class Unit(NamedTuple):
    """A piece of what is received, as far as it matters: where it ends, and what it says of its frame."""

    end: int
    kind: int  # _AUDIO, _VIDEO, or neither
    clock: int  # milliseconds, or the number of the fragment


Hop = Callable[[bytearray, int, int], Unit | None]  # from a position, in so many bytes; None: not all has come


class StreamLoadViewer:
    def __init__(self, sock: socket.socket, hop: Hop, step: int, rest: bytes = b"") -> None:
        """`step` is how far a picture's clock may be from the one before."""
        self._sock = sock
        self._hop = hop
        self._step = step
        self._held = rest
        self._last = {_AUDIO: 0, _VIDEO: 0}
        self._bytes = self._frames = self._gaps = 0
        self._largest = 0  # of the pictures, in bytes
        self._fault = ""
        sock.setblocking(False)

    def sockets(self) -> tuple[socket.socket, ...]:
        return (self._sock,)

    def read(self, sock: socket.socket) -> bool:
        start = len(self._held)
        _buffer[:start] = self._held
        try:
            got = sock.recv_into(_view[start:])
        except BlockingIOError:
            return True
        except OSError as error:
            self._fault = str(error)
            return False
        if not got:
            self._fault = "the server hung up"
            return False
        self._bytes += got
        position, end, last = 0, start + got, self._last
        while (unit := self._hop(_buffer, position, end)) is not None:
            self._largest = max(self._largest, (unit.end - position) * (unit.kind == _VIDEO))
            position = unit.end
            if unit.kind in last:
                if unit.kind == _VIDEO and last[_VIDEO] and unit.clock - last[_VIDEO] > self._step:
                    self._gaps += 1
                last[unit.kind] = unit.clock
                self._frames += 1
        self._held = bytes(_view[position:end])
        return True

    def wait_for_picture(self) -> None:
        """Read up to the first whole picture, which is a keyframe."""
        while True:
            select.select([self._sock], [], [])
            if not self.read(self._sock):
                raise SystemExit(self._fault)
            if self._largest > SMALLEST_KEYFRAME_BYTES:
                return

    def report(self) -> None:
        """Nobody expects a sign of life."""

    def figures(self) -> ViewerFigures:
        last = (self._last[_VIDEO] & 0xFFFF, self._last[_AUDIO] & 0xFFFF)
        return ViewerFigures(self._bytes, self._frames, self._gaps, self._fault, last, "")

    def close(self) -> None:
        self._sock.close()


def open_stream(transport: str, host: str, port: int, path: str) -> StreamLoadViewer:
    sock = connect(host, port)
    if transport == "rtmp":
        _start_rtmp(sock, host, path)
        return StreamLoadViewer(sock, _hop_message, MAX_STEP_MS)
    if transport == "ws-fmp4":
        upgrade = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: KSO+hOFs1q5SkEnx8bvp6w==\r\n"
        )
        return StreamLoadViewer(sock, _hop_frame, 1, _ask(sock, f"{path}.mp4", upgrade))
    return StreamLoadViewer(sock, _hop_chunk, MAX_STEP_MS, _ask(sock, f"{path}.flv", ""))


def _ask(sock: socket.socket, path: str, more: str) -> bytes:
    """Send a request; what came behind the head of its answer."""
    sock.sendall(f"GET /{path} HTTP/1.1\r\nHost: server\r\n{more}\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        received = sock.recv(65536)
        if not received:
            raise SystemExit("the server hung up on a request")
        data += received
    if data.split(b" ", 2)[1] not in (b"200", b"101"):
        raise SystemExit(f"the server refused: {data[:300]!r}")
    return data.partition(b"\r\n\r\n")[2]


def _start_rtmp(sock: socket.socket, host: str, path: str) -> None:
    sock.sendall(b"\x03" + bytes(_HANDSHAKE_BYTES))
    answer = b""
    while len(answer) < 1 + 2 * _HANDSHAKE_BYTES:
        answer += sock.recv(1 + 2 * _HANDSHAKE_BYTES - len(answer))
    sock.sendall(answer[1 : 1 + _HANDSHAKE_BYTES])
    connecting = Command("connect", 1.0, {"app": "", "tcUrl": f"rtmp://{host}/"}, ())
    commands = (connecting, Command("createStream", 2.0, None, ()))
    playing = Command("play", 0.0, None, (path,))
    messages: list[RtmpMessage] = [*(command.message(0) for command in commands), playing.message(1)]
    sock.sendall(b"".join(serialize_message(message, chunk_stream_id=3, chunk_bytes=128) for message in messages))


def _hop_chunk(data: bytearray, position: int, end: int) -> Unit | None:
    """A chunk of HTTP with the tags of one frame: the last tag's kind and time are the frame's."""
    line = data.find(b"\r\n", position, end)
    if line < 0:
        return None
    start, size = line + 2, int(data[position:line], 16)
    if start + size + 2 > end:
        return None
    tag_bytes = int.from_bytes(data[start + size - 4 : start + size])
    tag = start + size - 4 - tag_bytes
    clock = int.from_bytes(data[tag + 4 : tag + 7]) | data[tag + 7] << 24
    return Unit(start + size + 2, data[tag] if tag_bytes else 0, clock)


def _hop_frame(data: bytearray, position: int, end: int) -> Unit | None:
    """A WebSocket frame with a fragment: their numbers count both tracks together."""
    if position + 10 > end:
        return None
    size, start = data[position + 1], position + 2
    if size == 126:
        size, start = int.from_bytes(data[start : start + 2]), start + 2
    elif size == 127:
        size, start = int.from_bytes(data[start : start + 8]), start + 8
    if start + size > end:
        return None
    if data[start + 4 : start + 8] != b"moof":
        return Unit(start + size, 0, 0)
    return Unit(start + size, _VIDEO, int.from_bytes(data[start + 20 : start + 24]))


def _hop_message(data: bytearray, position: int, end: int) -> Unit | None:
    """A whole RTMP message with a header of the longest form, in chunks of 64 KiB."""
    if position + 12 > end:
        return None
    size = int.from_bytes(data[position + 4 : position + 7])
    after = position + 12 + size + (size - 1) // _RTMP_CHUNK_BYTES
    if after > end:
        return None
    return Unit(after, data[position + 7], int.from_bytes(data[position + 1 : position + 4]))
