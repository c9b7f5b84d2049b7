"""An asyncio transport over one of our pipes, for protocols that want one."""

from __future__ import annotations

import asyncio
from typing import Any

from manycast.hub.pipe import Buffer, Pipe

READ_BYTES = 64 * 1024
HIGH_WATER_BYTES = 256 * 1024  # above it the protocol is asked to wait
STALL_S = 30.0  # a peer who reads nothing for so long, while something waits for it, is gone

_read_buffer = memoryview(bytearray(READ_BYTES))


class PipeTransport(asyncio.Transport):
    """Calls the protocol from the loop, as `asyncio.Protocol` says, beginning with `connection_made`."""

    def __init__(self, pipe: Pipe, protocol: asyncio.Protocol, extra: dict[str, Any]) -> None:
        """The transport owns the pipe from now on."""
        super().__init__(extra)
        self._pipe = pipe
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._closing = False
        self._lost = False
        self._reading = False
        self._asked_to_wait = False
        self._stall_timer: asyncio.TimerHandle | None = None
        protocol.connection_made(self)
        self.resume_reading()

    def get_protocol(self) -> asyncio.Protocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    # Reading

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._pipe.when_readable(None)

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._pipe.when_readable(self._readable)

    def _readable(self) -> None:
        try:
            size = self._pipe.recv_into(_read_buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if size:
            self._protocol.data_received(bytes(_read_buffer[:size]))
        else:
            self.pause_reading()
            if not self._protocol.eof_received():
                self.close()

    # Writing

    def write(self, data: Buffer) -> None:
        if self._closing or not data:
            return
        sent = 0
        if not self._waiting:
            try:
                sent = self._pipe.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                self._fail(error)
                return
        if sent < len(data):
            if not self._waiting:
                self._pipe.when_writable(self._flush)
                self._moved()
            self._waiting += memoryview(data)[sent:]
            if len(self._waiting) > HIGH_WATER_BYTES and not self._asked_to_wait:
                self._asked_to_wait = True
                self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def can_write_eof(self) -> bool:
        return False

    def _flush(self) -> None:
        """The kernel has room again; what TLS still held has gone."""
        while self._waiting:
            try:
                sent = self._pipe.send(self._waiting[:HIGH_WATER_BYTES])
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(error)
                return
            del self._waiting[:sent]
            self._moved()
        if self._closing:
            self._lose(None)
            return
        self._pipe.when_writable(None)
        self._stop_timer()
        if self._asked_to_wait:
            self._asked_to_wait = False
            self._protocol.resume_writing()

    def _moved(self) -> None:
        self._stop_timer()
        self._stall_timer = self._loop.call_later(STALL_S, self._lose, TimeoutError(f"reads nothing for {STALL_S} s"))

    def _stop_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    # Closing

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Hang up when all has been sent."""
        if self._closing:
            return
        self.pause_reading()
        self._closing = True
        self._pipe.when_writable(self._flush)  # called at once where nothing waits
        self._moved()

    def release(self) -> None:
        """Let go of the pipe, which has another owner from now on; the protocol loses its connection."""
        self._reading = False
        self._closing = self._lost = True
        self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self._fail(None)

    def _fail(self, error: Exception | None) -> None:
        self.pause_reading()
        self._closing = True
        self._loop.call_soon(self._lose, error)

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._closing = self._lost = True
        self._reading = False
        self._waiting.clear()
        self._stop_timer()
        self._pipe.close()
        self._protocol.connection_lost(error)
