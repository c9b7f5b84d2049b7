"""The client's side of RTMP: how a stream is played (RTMP 1.0 sections 5 and 7)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from manycast.errors import ProtocolError
from manycast.wire import amf
from manycast.wire.address import SourceAddress
from manycast.wire.rtmp.chunk import DEFAULT_CHUNK_BYTES, ChunkReader, RtmpMessage, RtmpType, serialize_message
from manycast.wire.rtmp.commands import (
    COMMAND_CHUNK_STREAM,
    CONTROL_CHUNK_STREAM,
    FOURCCS,
    Command,
    UserControl,
    acknowledgement,
    user_control,
    window_acknowledgement_size,
)
from manycast.wire.rtmp.handshake import ClientHandshake

WINDOW_BYTES = 2_500_000
SET_BUFFER_LENGTH = 3  # a user control event that only clients send (section 7.1.7)
BUFFER_MS = 100  # what we say we buffer: some servers send that much at once
LIVE_OR_RECORDED = -2000.0  # the start that takes what there is (section 7.2.2.1)

_MEDIA = frozenset({RtmpType.AUDIO, RtmpType.VIDEO, RtmpType.DATA, RtmpType.DATA_AMF3, RtmpType.AGGREGATE})
_ENDED = ("NetStream.Play.Stop", "NetStream.Play.Complete", "NetStream.Play.UnpublishNotify")
_LOGIN_WORDS = re.compile(
    r"\b(log-?in|password|credentials?|(not |un)authori[sz]ed|need auth|authfailed|auth\w*[ -](fail|requir|need)\w*)\b",
    re.IGNORECASE,
)
_CONNECT, _CREATE_STREAM, _PLAY = 1.0, 2.0, 3.0  # transaction numbers


@dataclass(frozen=True, slots=True)
class RtmpRefused:
    """The last event: the server does not take us, or does not give the stream. `description` is its word for it."""

    code: str
    description: str

    @property
    def of_client(self) -> bool:
        """Whether it is us who is refused, rather than the stream: `connect` was, or it is about a login.

        For a login that is wrong at `play` there is no code: servers say so in words.
        """
        if self.code.startswith("NetConnection.Connect."):
            return True
        return not self.code.endswith(".StreamNotFound") and _LOGIN_WORDS.search(self.description) is not None

    def __str__(self) -> str:
        return f"the server refuses: {self.code} {self.description[:200]}".rstrip()


@dataclass(frozen=True, slots=True)
class RtmpEnded:
    """The last event: the stream is over."""


RtmpEvent = RtmpMessage | RtmpRefused | RtmpEnded


class RtmpClient:
    """One connection. After each call, what `bytes_to_send` has is to be sent."""

    def __init__(self, address: SourceAddress, *, login_query: str, noise: bytes, agent: str, via: str) -> None:
        """`login_query` goes behind the names of application and stream; `noise` is random, NOISE_BYTES of it; `via`
        says who gets the stream through us, as the header of HTTP does."""
        self._via = via
        self._address = address
        self._app, self._name = _names_of(address)
        self._login_query = login_query
        self._agent = agent
        self._handshake: ClientHandshake | None = ClientHandshake(noise)
        self._reader = ChunkReader()
        self._window_bytes = WINDOW_BYTES
        self._acknowledged_bytes = 0
        self._ended = False
        self._out = bytearray(self._handshake.start())

    def bytes_to_send(self) -> bytes:
        """What is to be sent since the last call."""
        data, self._out = bytes(self._out), bytearray()
        return data

    def receive(self, data: bytes) -> list[RtmpEvent]:
        """Feed what the socket gave; media come as messages. Raises ProtocolError for what is no RTMP."""
        if self._handshake is not None:
            reply, rest = self._handshake.receive(data)
            self._out += reply
            if rest is None:
                return []
            self._handshake = None
            self._connect()
            data = rest
        events: list[RtmpEvent] = []
        for message in self._reader.receive(data):
            if self._ended:
                break
            if message.kind in _MEDIA:
                events.append(message)
            else:
                self._control(message, events)
        if self._reader.received_bytes - self._acknowledged_bytes >= self._window_bytes // 2:
            self._acknowledged_bytes = self._reader.received_bytes
            self._send(acknowledgement(self._acknowledged_bytes), CONTROL_CHUNK_STREAM)
        return events

    # What we say

    def _connect(self) -> None:
        address = self._address
        app = _with_query(self._app, self._login_query)
        properties: dict[str, amf.Value] = {
            "app": app,
            "flashVer": "LNX 9,0,124,2",  # servers look for a version of Flash that knows H.264
            "tcUrl": f"{address.scheme}://{address.authority}/{app}",
            "fpad": False,
            "capabilities": 15.0,
            "audioCodecs": 4071.0,
            "videoCodecs": 252.0,
            "videoFunction": 1.0,
            "fourCcList": list(FOURCCS),
            "swfUrl": self._agent,
            "via": self._via,
        }
        self._command(Command("connect", _CONNECT, properties))

    def _play(self, stream_id: int) -> None:
        name = _with_query(_with_query(self._name, self._address.query), self._login_query)
        event = SET_BUFFER_LENGTH.to_bytes(2) + stream_id.to_bytes(4) + BUFFER_MS.to_bytes(4)
        self._send(RtmpMessage(RtmpType.USER_CONTROL, 0, 0, event), CONTROL_CHUNK_STREAM)
        self._command(Command("play", _PLAY, None, (name, LIVE_OR_RECORDED)), stream_id)

    def _command(self, command: Command, stream_id: int = 0) -> None:
        self._send(command.message(stream_id), COMMAND_CHUNK_STREAM)

    def _send(self, message: RtmpMessage, chunk_stream_id: int) -> None:
        self._out += serialize_message(message, chunk_stream_id=chunk_stream_id, chunk_bytes=DEFAULT_CHUNK_BYTES)

    # What the server says

    def _control(self, message: RtmpMessage, events: list[RtmpEvent]) -> None:
        match message.kind:
            case RtmpType.COMMAND | RtmpType.COMMAND_AMF3:
                self._answer(Command.parse(message), events)
            case RtmpType.WINDOW_ACKNOWLEDGEMENT_SIZE if len(message.body) >= 4:
                self._window_bytes = max(1, int.from_bytes(message.body[:4]))
            case RtmpType.SET_PEER_BANDWIDTH:
                self._send(window_acknowledgement_size(WINDOW_BYTES), CONTROL_CHUNK_STREAM)
            case RtmpType.USER_CONTROL if len(message.body) >= 6:
                event, value = int.from_bytes(message.body[:2]), int.from_bytes(message.body[2:6])
                if event == UserControl.PING_REQUEST:
                    self._send(user_control(UserControl.PING_RESPONSE, value), CONTROL_CHUNK_STREAM)
                elif event == UserControl.STREAM_EOF:
                    self._end(RtmpEnded(), events)
            case _:
                pass  # nothing that a player needs

    def _answer(self, command: Command, events: list[RtmpEvent]) -> None:
        if command.name == "_error" or (command.name == "onStatus" and _information(command).get("level") == "error"):
            said = _information(command)
            self._end(RtmpRefused(str(said.get("code", "")), str(said.get("description", ""))), events)
        elif command.name == "_result" and command.transaction == _CONNECT:
            self._command(Command("createStream", _CREATE_STREAM))
        elif command.name == "_result" and command.transaction == _CREATE_STREAM:
            number = command.arguments[0] if command.arguments else None
            if not isinstance(number, int | float) or not 0 <= number < 1 << 32:
                raise ProtocolError("createStream is answered without a stream id")
            self._play(int(number))
        elif (command.name == "onStatus" and _information(command).get("code") in _ENDED) or command.name == "close":
            self._end(RtmpEnded(), events)

    def _end(self, event: RtmpRefused | RtmpEnded, events: list[RtmpEvent]) -> None:
        self._ended = True
        events.append(event)


def _information(command: Command) -> dict[str, amf.Value]:
    found = command.arguments[0] if command.arguments else None
    return found if isinstance(found, dict) else {}


def _names_of(address: SourceAddress) -> tuple[str, str]:
    """Application and stream: the last part of the path is the stream's name, what stands before it the application."""
    app, _, name = address.path.strip("/").rpartition("/")
    return app, name


def _with_query(name: str, query: str) -> str:
    if not query:
        return name
    return f"{name}{'&' if '?' in name else '?'}{query}"
