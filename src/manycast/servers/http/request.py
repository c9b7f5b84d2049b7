"""A connection to an HTTP port, once its first request is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from manycast.hub.pipe import Pipe
from manycast.wire.http import HttpError, RequestHead, refusal

MAX_UNREAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Client:
    """Who is connected, and the way of bytes there."""

    pipe: Pipe
    peer: tuple[str, int]
    local_address: str
    secure: bool
    # Takes the connection back with what was read of its next request, where that is not for whoever has it.
    again: Callable[[Client, bytes], None] | None = None

    def __str__(self) -> str:
        host = f"[{self.peer[0]}]" if ":" in self.peer[0] else self.peer[0]
        return f"{host}:{self.peer[1]}"

    def refuse(self, error: HttpError) -> None:
        """Say why, as far as the kernel takes it, and hang up."""
        try:
            self.pipe.send(refusal(error))
            # What stays unread when a socket is closed makes the kernel take the answer back.
            self.pipe.recv_into(bytearray(MAX_UNREAD_BYTES))
        except OSError:
            pass
        self.pipe.close()


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The first request of a connection. Its body, if there is one, is still to come, but for `received`."""

    client: Client
    head: RequestHead
    head_bytes: bytes
    received: bytes  # behind the head


class HttpRoute(Protocol):
    """Something that is reached by an HTTP request and has the connection to itself from then on."""

    def take(self, request: HttpRequest) -> bool:
        """Own the connection from now on; False when it is not for this route.

        Raises HttpError to refuse it; the connection is not owned then.
        """


RtspTaker = Callable[[Client, bytes], None]  # owns the connection; the bytes are those that came already
