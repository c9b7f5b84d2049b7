"""What a handler answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from manycast.wire.rtsp.message import Response


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, and what is to happen right after it was written: media never overtakes the reply to PLAY."""

    response: Response
    then: Callable[[], None] | None = None
