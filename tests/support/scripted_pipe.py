"""A pipe that does what a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from manycast.hub.pipe import Buffer


class ScriptedPipe:
    """Takes up to `room` bytes; gives what is put into `incoming`."""

    def __init__(self) -> None:
        self.room = 0
        self.sent = b""
        self.incoming: list[bytes | OSError] = []
        self.on_readable: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self.closed = False

    def send(self, data: Buffer, /) -> int:
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def sendmsg(self, parts: Sequence[Buffer], /) -> int:
        return self.send(b"".join(parts))

    def recv_into(self, buffer: Buffer, /) -> int:
        if not self.incoming:
            raise BlockingIOError
        data = self.incoming.pop(0)
        if isinstance(data, OSError):
            raise data
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def when_readable(self, callback: Callable[[], None] | None) -> None:
        self.on_readable = callback

    def when_writable(self, callback: Callable[[], None] | None) -> None:
        self.on_writable = callback

    def close(self) -> None:
        self.closed = True

    def has_room(self, size: int) -> None:
        self.room = size
        assert self.on_writable is not None
        self.on_writable()

    def receives(self, data: bytes | OSError) -> None:
        self.incoming.append(data)
        assert self.on_readable is not None
        self.on_readable()
