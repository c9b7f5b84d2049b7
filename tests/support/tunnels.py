"""RTSP inside other protocols: sockets of a kind for `RawRtsp`, that wrap what is sent and unwrap what comes."""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
from collections.abc import Mapping
from typing import cast

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong

from support.rtsp import TIMEOUT_S, HungUp, RawRtsp
from support.sockets import kept

SUBPROTOCOL = "rtsp.onvif.org"


def plain_connection(host: str, port: int, *, secure: bool = False) -> socket.socket:
    """A connection, in TLS if asked for; the certificate is not checked."""
    sock = kept(socket.create_connection((host, port), timeout=TIMEOUT_S))
    if not secure:
        return sock
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return kept(context.wrap_socket(sock))


def read_head(sock: socket.socket) -> tuple[str, bytes]:
    """The head of an HTTP answer, and what came behind it. Raises HungUp."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            received = sock.recv(65536)
        except ConnectionResetError:
            raise HungUp("reset") from None
        if not received:
            raise HungUp(f"after {data!r}")
        data += received
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode(), rest


def new_cookie() -> str:
    return secrets.token_hex(11)


def get_request(cookie: str | None, path: str = "/live") -> bytes:
    """As QuickTime writes it."""
    line = f"x-sessioncookie: {cookie}\r\n" if cookie is not None else ""
    return (
        f"GET {path} HTTP/1.0\r\nUser-Agent: test\r\n{line}Accept: application/x-rtsp-tunnelled\r\n"
        "Pragma: no-cache\r\nCache-Control: no-cache\r\n\r\n"
    ).encode()


def post_request(cookie: str, *, length: object = 32767, more: str = "") -> bytes:
    return (
        f"POST /live HTTP/1.0\r\nUser-Agent: test\r\nx-sessioncookie: {cookie}\r\n"
        "Content-Type: application/x-rtsp-tunnelled\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
        f"Content-Length: {length}\r\n{more}Expires: Sun, 9 Jan 1972 00:00:00 GMT\r\n\r\n"
    ).encode()


class TunnelSocket:
    """The two connections of RTSP over HTTP; `get` and `post` may be used by themselves."""

    def __init__(self, host: str, port: int, *, secure: bool = False, post_first: bool = False) -> None:
        self.cookie = new_cookie()
        self._address = (host, port)
        self._secure = secure
        self.post: socket.socket
        if post_first:
            self.open_post()
        self.get = plain_connection(host, port, secure=secure)
        self.get.sendall(get_request(self.cookie))
        self.answer, self._rest = read_head(self.get)
        if not post_first:
            self.open_post()

    def open_post(self) -> None:
        """Open a POST, or another one; the one before is left as it is."""
        self.post = plain_connection(*self._address, secure=self._secure)
        self.post.sendall(post_request(self.cookie))

    def sendall(self, data: bytes) -> None:
        self.post.sendall(base64.b64encode(data))

    def recv(self, size: int) -> bytes:
        if self._rest:
            data, self._rest = self._rest[:size], self._rest[size:]
            return data
        return self.get.recv(size)

    def settimeout(self, timeout_s: float) -> None:
        self.get.settimeout(timeout_s)
        self.post.settimeout(timeout_s)

    def close(self) -> None:
        self.get.close()
        self.post.close()


def tunnel(host: str, port: int, *, secure: bool = False, post_first: bool = False) -> tuple[RawRtsp, TunnelSocket]:
    sock = TunnelSocket(host, port, secure=secure, post_first=post_first)
    return RawRtsp(cast(socket.socket, sock), f"rtsp://{host}:{port}"), sock


def upgrade_request(path: str = "/websocket", changes: Mapping[str, str | None] | None = None) -> bytes:
    """The handshake of the documents; `changes` replace headers, or leave them out."""
    headers: dict[str, str | None] = {
        "Host": "192.168.3.27",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "KSO+hOFs1q5SkEnx8bvp6w==",
        "Origin": "http://192.168.3.27",
        "Sec-WebSocket-Protocol": SUBPROTOCOL,
        "Sec-WebSocket-Version": "13",
    }
    headers.update(changes or {})
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


class WebSocket:
    """A WebSocket's client, by wsproto: requests in binary messages, in as many fragments as asked for."""

    def __init__(self, host: str, port: int, *, secure: bool = False, path: str = "/websocket") -> None:
        self.sock = plain_connection(host, port, secure=secure)
        self.sock.sendall(upgrade_request(path))
        self.answer, rest = read_head(self.sock)
        assert self.answer.startswith("HTTP/1.1 101 "), self.answer
        self.connection = Connection(ConnectionType.CLIENT, trailing_data=rest)
        self.fragment_bytes: int | None = None
        self.pongs: list[bytes] = []
        self.close_code: int | None = None
        self._rest = b""

    def sendall(self, data: bytes) -> None:
        size = self.fragment_bytes or len(data) or 1
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        for number, piece in enumerate(pieces, 1):
            self.sock.sendall(self.connection.send(BytesMessage(piece, message_finished=number == len(pieces))))

    def ping(self, payload: bytes) -> None:
        self.sock.sendall(self.connection.send(Ping(payload)))

    def close_handshake(self, code: int = 1000) -> None:
        self.sock.sendall(self.connection.send(CloseConnection(code)))

    def recv(self, _size: int) -> bytes:
        """What the next messages hold; empty when the server closes."""
        while not self._rest and self.close_code is None:
            self._take_events()
            if self._rest or self.close_code is not None:
                break
            received = self.sock.recv(65536)
            if not received:
                return b""
            self.connection.receive_data(received)
        data, self._rest = self._rest, b""
        return data

    def _take_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, BytesMessage):
                self._rest += bytes(event.data)
            elif isinstance(event, Pong):
                self.pongs.append(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                self.close_code = int(event.code)

    def settimeout(self, timeout_s: float) -> None:
        self.sock.settimeout(timeout_s)

    def close(self) -> None:
        self.sock.close()


def websocket(host: str, port: int, *, secure: bool = False, path: str = "/websocket") -> tuple[RawRtsp, WebSocket]:
    sock = WebSocket(host, port, secure=secure, path=path)
    return RawRtsp(cast(socket.socket, sock), f"rtsp://{host}:{port}"), sock
