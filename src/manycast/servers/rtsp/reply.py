"""What a handler answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from manycast import __version__
from manycast.wire.rtsp.headers import http_date
from manycast.wire.rtsp.message import Response


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, and what is to happen right after it was written: media never overtakes the reply to PLAY."""

    response: Response
    then: Callable[[], None] | None = None


def complete(response: Response, cseq: str | None) -> Response:
    """Put on the headers that every response has."""
    if cseq is not None:
        response.headers.set("CSeq", cseq)
    response.headers.set("Server", f"manycast/{__version__}")
    response.headers.set("Date", http_date(time.time()))
    return response
