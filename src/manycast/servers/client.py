"""Who is connected to one of the server's TCP ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from manycast.hub.pipe import Pipe


@dataclass(frozen=True, slots=True)
class Client:
    """A client, and the way of bytes there."""

    pipe: Pipe
    peer: tuple[str, int]
    local_address: str
    secure: bool  # behind TLS
    # At an HTTP port: takes the connection back with what was read of its next request, where that is not for whoever
    # has it.
    again: Callable[[Client, bytes], None] | None = None

    def __str__(self) -> str:
        host = f"[{self.peer[0]}]" if ":" in self.peer[0] else self.peer[0]
        return f"{host}:{self.peer[1]}"
