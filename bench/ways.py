"""The ways of RTSP other than plain TCP, each as a socket of a kind: what is sent is wrapped, what comes unwrapped."""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
from typing import cast

RECEIVE_BYTES = 1 << 20  # a window that never makes the sender wait
TIMEOUT_S = 20.0


def open_way(transport: str, host: str, port: int) -> socket.socket:
    """A connection over "tcp", "http", "rtsps" or "websocket"; not all of a socket's methods are there."""
    match transport:
        case "http":
            return cast(socket.socket, TunnelWay(host, port))
        case "rtsps":
            return cast(socket.socket, TlsWay(host, port))
        case "websocket":
            return cast(socket.socket, WebSocketWay(host, port))
        case _:
            return connect(host, port)


def connect(host: str, port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(TIMEOUT_S)
    sock.connect((host, port))
    return sock


class TunnelWay:
    """RTSP over HTTP."""

    def __init__(self, host: str, port: int) -> None:
        cookie = f"x-sessioncookie: {secrets.token_hex(11)}\r\n"
        self._get, self._post = connect(host, port), connect(host, port)
        self._get.sendall(f"GET / HTTP/1.0\r\n{cookie}\r\n".encode())
        self._post.sendall(f"POST / HTTP/1.0\r\n{cookie}Content-Length: 32767\r\n\r\n".encode())
        self._rest = _behind_head(self._get)
        self.fileno = self._get.fileno
        self.recv_into = self._get.recv_into

    def sendall(self, data: bytes) -> None:
        self._post.sendall(base64.b64encode(data))

    send = sendall

    def recv(self, size: int) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        return self._get.recv(size)

    def setblocking(self, blocking: bool) -> None:
        self._get.setblocking(blocking)

    def close(self) -> None:
        self._get.close()
        self._post.close()


class TlsWay:
    """RTSP in TLS; nobody looks at the certificate."""

    def __init__(self, host: str, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._sock = context.wrap_socket(connect(host, port))
        self.fileno = self._sock.fileno
        self.recv = self._sock.recv
        self.sendall = self.send = self._sock.sendall
        self.setblocking = self._sock.setblocking
        self.close = self._sock.close

    def recv_into(self, view: memoryview) -> int:
        """All that is there: one call of OpenSSL's gives one record."""
        size = 0
        try:
            while size < len(view):
                got = self._sock.recv_into(view[size:])
                if not got:
                    return size
                size += got
        except ssl.SSLWantReadError as error:
            if not size:
                raise BlockingIOError from error
        return size


class WebSocketWay:
    """RTSP in binary messages."""

    def __init__(self, host: str, port: int) -> None:
        self._sock = connect(host, port)
        self._sock.sendall(
            b"GET /websocket HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: KSO+hOFs1q5SkEnx8bvp6w==\r\nSec-WebSocket-Protocol: rtsp.onvif.org\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        self._rest = _behind_head(self._sock)
        self._left = 0  # of the frame under way
        self.fileno = self._sock.fileno
        self.setblocking = self._sock.setblocking
        self.close = self._sock.close

    def sendall(self, data: bytes) -> None:
        # A mask of zeros: a client must mask, and nobody between is to be fooled here.
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
        self._sock.sendall(b"\x82" + size + bytes(4) + data)

    send = sendall

    def recv(self, size: int) -> bytes:
        buffer = bytearray(size)
        while True:
            try:
                return bytes(buffer[: self.recv_into(memoryview(buffer))])
            except BlockingIOError:
                pass  # only the beginning of a frame had come

    def recv_into(self, view: memoryview) -> int:
        data = self._rest + self._sock.recv(len(view))
        if len(data) == len(self._rest):
            return 0
        position = size = 0
        while position < len(data):
            if not self._left:
                head = _frame_head(data, position)
                if head is None:
                    break
                position, self._left = head
            part = data[position : position + self._left]
            view[size : size + len(part)] = part
            position, size, self._left = position + len(part), size + len(part), self._left - len(part)
        self._rest = data[position:]
        if not size:
            raise BlockingIOError
        return size


def _frame_head(data: bytes, position: int) -> tuple[int, int] | None:
    """Where the payload of a frame without a mask begins, and its size; None while that has not come."""
    if len(data) < position + 2:
        return None
    size, more = data[position + 1], 0
    if size >= 126:
        more = 2 if size == 126 else 8
        if len(data) < position + 2 + more:
            return None
        size = int.from_bytes(data[position + 2 : position + 2 + more])
    return position + 2 + more, size


def _behind_head(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        received = sock.recv(65536)
        if not received:
            raise SystemExit("the server hung up on a handshake")
        data += received
    if data.split(b" ", 2)[1] not in (b"200", b"101"):
        raise SystemExit(f"the server refused: {data!r}")
    return data.partition(b"\r\n\r\n")[2]
