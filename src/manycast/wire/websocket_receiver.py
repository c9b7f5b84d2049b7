"""WebSocket, what clients send (RFC 6455), by wsproto. It makes tables, and so is loaded for the first client."""

from __future__ import annotations

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from manycast.wire.websocket import CloseReceived, DataReceived, PeerFailed, PingReceived, WebSocketEvent


class WebSocketReceiver:
    """Bytes of one client in, events out. Messages of any size stream through, nothing of them is kept."""

    def __init__(self) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._ended = False

    def receive(self, data: bytes) -> list[WebSocketEvent]:
        """Feed what the socket gave; the data in the events does not depend on how it was cut."""
        if self._ended:
            return []
        self._connection.receive_data(data)
        events: list[WebSocketEvent] = []
        for event in self._connection.events():
            match event:
                case BytesMessage():
                    events.append(DataReceived(bytes(event.data)))
                case TextMessage():  # some clients send RTSP, which is text, in text messages
                    events.append(DataReceived(event.data.encode()))
                case Ping():
                    events.append(PingReceived(bytes(event.payload)))
                case CloseConnection():
                    self._ended = True
                    events.append(self._closed(int(event.code), event.reason or ""))
                case _:  # pongs nobody asked for are allowed (RFC 6455 section 5.5.3)
                    pass
        return events

    def _closed(self, code: int, reason: str) -> CloseReceived | PeerFailed:
        # wsproto tells a peer that closes from one that failed by nothing but its own state.
        if self._connection.state is ConnectionState.REMOTE_CLOSING:
            return CloseReceived(code, reason)
        return PeerFailed(code, reason)
