"""A raw RTMP client: says what it is told to, and shows what comes back."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from manycast.wire import amf
from manycast.wire.flv.demux import FlvDemuxer
from manycast.wire.flv.message import FlvMessage, MessageType
from manycast.wire.flv.mux import FlvMuxer
from manycast.wire.rtmp.chunk import ChunkReader, RtmpMessage, RtmpType, serialize_message
from manycast.wire.rtmp.commands import Command, set_chunk_size
from manycast.wire.rtmp.handshake import NOISE_BYTES, ClientHandshake
from support.clips import Clip
from support.sockets import kept

TIMEOUT_S = 60.0
CHUNK_BYTES = 4096


class HungUp(Exception):
    """The server closed the connection."""


@dataclass
class RawRtmp:
    sock: socket.socket
    messages: list[RtmpMessage] = field(default_factory=list)
    _reader: ChunkReader = field(default_factory=ChunkReader)
    _transaction: float = 0.0

    @classmethod
    def connect(cls, host: str, port: int) -> Self:
        """Up to the end of the handshake."""
        sock = kept(socket.create_connection((host, port), timeout=TIMEOUT_S))
        client = cls(sock)
        handshake = ClientHandshake(bytes(NOISE_BYTES))
        sock.sendall(handshake.start())
        rest = None
        while rest is None:
            reply, rest = handshake.receive(client._read())
            sock.sendall(reply)
        client.messages += client._reader.receive(rest)
        client.send(set_chunk_size(CHUNK_BYTES), chunk_bytes=128)
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, message: RtmpMessage, *, chunk_stream_id: int = 3, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.sock.sendall(serialize_message(message, chunk_stream_id=chunk_stream_id, chunk_bytes=chunk_bytes))

    def call(self, name: str, *arguments: amf.Value, properties: amf.Value = None, stream_id: int = 0) -> None:
        self._transaction += 1
        self.send(Command(name, self._transaction, properties, arguments).message(stream_id))

    def ask(self, name: str, *arguments: amf.Value, properties: amf.Value = None) -> Command:
        """A call and the answer to it."""
        self.call(name, *arguments, properties=properties)
        while True:
            answer = self.command()
            if answer.name in ("_result", "_error") and answer.transaction == self._transaction:
                return answer

    def open(self, app: str, **properties: amf.Value) -> Command:
        return self.ask("connect", properties={"app": app, "tcUrl": f"rtmp://host/{app}", **properties})

    def new_stream(self) -> int:
        (number,) = self.ask("createStream").arguments
        assert isinstance(number, float)
        return int(number)

    def publish(self, app: str, name: str) -> tuple[int, str]:
        """The stream's id, and the code the server answers with."""
        self.open(app)
        stream_id = self.new_stream()
        self.call("publish", name, "live", stream_id=stream_id)
        return stream_id, self.status()

    def play(self, app: str, name: str) -> tuple[int, str]:
        self.open(app)
        stream_id = self.new_stream()
        self.call("play", name, stream_id=stream_id)
        return stream_id, self.status()

    def status(self) -> str:
        """The code of the next `onStatus`."""
        while True:
            command = self.command()
            if command.name == "onStatus":
                information = command.arguments[0]
                assert isinstance(information, dict)
                assert information["level"] in ("status", "error")
                return str(information["code"])

    def command(self) -> Command:
        """The next command; media before it is passed over."""
        while True:
            message = self.message()
            if message.kind == RtmpType.COMMAND:
                return Command.parse(message)

    def message(self) -> RtmpMessage:
        while not self.messages:
            self.messages += self._reader.receive(self._read())
        return self.messages.pop(0)

    def frames(self, count: int) -> tuple[FlvDemuxer, list[object]]:
        """The next frames, put together by the demuxer that is returned with them."""
        demuxer = FlvDemuxer()
        found: list[object] = []
        kinds = {RtmpType.AUDIO: MessageType.AUDIO, RtmpType.VIDEO: MessageType.VIDEO, RtmpType.DATA: MessageType.DATA}
        while len(found) < count:
            message = self.message()
            if message.kind in kinds:
                kind = kinds[RtmpType(message.kind)]
                found += demuxer.push(FlvMessage(kind, message.timestamp_ms, message.body))
        return demuxer, found

    def hangs_up(self) -> None:
        """Read until the server closes the connection; times out when it does not."""
        try:
            while True:
                self._read()
        except HungUp:
            pass

    def send_media(self, messages: Sequence[FlvMessage], stream_id: int) -> None:
        for message in messages:
            rtmp = RtmpMessage(message.kind, stream_id, message.timestamp_ms, message.body)
            self.send(rtmp, chunk_stream_id=6)

    def send_clip(self, clip: Clip, stream_id: int, frames: int) -> None:
        """The clip's first frames, as fast as they go."""
        muxer = FlvMuxer([clip.track])
        self.send_media(muxer.start(0), stream_id)
        for number in range(frames):
            self.send_media(muxer.messages(clip.frame(number)), stream_id)

    def _read(self) -> bytes:
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            raise HungUp from None
        if not data:
            raise HungUp
        return data
