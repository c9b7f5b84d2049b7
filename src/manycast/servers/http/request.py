"""A connection to an HTTP port, once its first request is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from manycast.servers.client import Client
from manycast.wire.http import HttpError, RequestHead, date_of, refusal

MAX_UNREAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The first request of a connection. Its body, if there is one, is still to come, but for `received`."""

    client: Client
    head: RequestHead
    head_bytes: bytes
    received: bytes  # behind the head


def refuse(client: Client, error: HttpError) -> None:
    """Say why, as far as the kernel takes it, and hang up."""
    try:
        dated = HttpError(error.status, str(error), [*error.headers, ("Date", date_of(time.time()))])
        client.pipe.send(refusal(dated))
        # What stays unread when a socket is closed makes the kernel take the answer back.
        client.pipe.recv_into(bytearray(MAX_UNREAD_BYTES))
    except OSError:
        pass
    client.pipe.close()


class HttpRoute(Protocol):
    """Something that is reached by an HTTP request and has the connection to itself from then on."""

    def take(self, request: HttpRequest) -> bool:
        """Own the connection from now on; False when it is not for this route.

        Raises HttpError to refuse it; the connection is not owned then.
        """


RtspTaker = Callable[[Client, bytes], None]  # owns the connection; the bytes are those that came already
