"""RTSP over WebSocket and secure WebSocket (ONVIF streaming specification): all of RTSP in binary messages."""

from __future__ import annotations

from collections.abc import Callable

from manycast.hub.rtp_packager import Framing
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.http.request import HttpRequest
from manycast.servers.rtsp.link import PipeLink
from manycast.servers.rtsp.server import RtspServer
from manycast.wire.websocket import (
    CloseReceived,
    DataReceived,
    PeerFailed,
    PingReceived,
    accept_upgrade,
    asks_for_websocket,
    binary_frame,
    close_frame,
    pong_frame,
)

SUBPROTOCOL = "rtsp.onvif.org"
GOING_AWAY = 1001  # RFC 6455 section 7.4.1


class WebSocketRoute:
    """The WebSockets of one port, at any path: which stream is meant is said in the RTSP requests."""

    def __init__(self, server: RtspServer) -> None:
        self._server = server

    def take(self, request: HttpRequest) -> bool:
        if not asks_for_websocket(request.head):
            return False
        answer = accept_upgrade(request.head, SUBPROTOCOL)
        client = request.client
        pipe = PipeLink(
            client.pipe,
            name="secure WebSocket" if client.secure else "WebSocket",
            secure=client.secure,
            peer=client.peer,
            local_address=client.local_address,
            received=request.received,
        )
        pipe.outbox.write(answer)
        self._server.adopt(WebSocketLink(pipe, self._note))
        return True

    def _note(self, link: WebSocketLink, text: str) -> None:
        log = ConnectionLog(self._server.log, f"{link.name} {link.peer_address}:{link.peer_port}")
        self._server.faults.note(log, text)


class WebSocketLink:
    """A WebSocket, behind its handshake."""

    def __init__(self, pipe: PipeLink, note: Callable[[WebSocketLink, str], None]) -> None:
        from manycast.wire.websocket_receiver import WebSocketReceiver

        self.name, self.secure = pipe.name, pipe.secure
        self.peer_address, self.peer_port = pipe.peer_address, pipe.peer_port
        self.local_address = pipe.local_address
        self.outbox = pipe.outbox
        self.framing: Framing | None = binary_frame  # the same for all: viewers share the frames
        self._pipe = pipe
        self._note = note
        self._receiver = WebSocketReceiver()
        self._on_data: Callable[[bytes], None] = _ignore
        self._on_end: Callable[[str], None] = _ignore
        self._close_code = GOING_AWAY
        self._closed = False

    def start(self, on_data: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_data, self._on_end = on_data, on_end
        self._pipe.start(self._received, on_end)

    def pause_reading(self) -> None:
        self._pipe.pause_reading()

    def resume_reading(self) -> None:
        self._pipe.resume_reading()

    def close(self) -> None:
        """Announce the end, as far as the kernel takes it, and hang up."""
        if self._closed:
            return
        self._closed = True
        self.outbox.write(close_frame(self._close_code))
        self._pipe.close()

    def _received(self, data: bytes) -> None:
        for event in self._receiver.receive(data):
            if self._closed:
                return
            match event:
                case DataReceived():
                    self._on_data(event.data)
                case PingReceived():
                    self.outbox.write(pong_frame(event.payload))
                case CloseReceived():
                    self._close_code = event.code  # echoed: RFC 6455 section 5.5.1
                    self._on_end("the client closed the WebSocket")
                case PeerFailed():
                    self._close_code = event.code
                    self._note(self, f"no WebSocket frame: {event.reason}")
                    self._on_end(f"no WebSocket frame: {event.reason}")


def _ignore(_value: object) -> None:
    pass
