"""What playing and publishing sessions have in common."""

from __future__ import annotations

from typing import Protocol

from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.reply import Reply
from manycast.wire.rtsp.message import Request
from manycast.wire.rtsp.state import SessionState


class RtspSession(Protocol):
    """One streaming session (RFC 2326 section 3.4). It is not tied to the connection it was opened on."""

    id: str
    publishing: bool
    state: SessionState

    async def setup(self, connection: RtspConnection, request: Request) -> Reply:
        """Give one medium its transport."""

    async def pause(self, connection: RtspConnection, request: Request) -> Reply:
        """Stop for a while."""

    def parameters(self) -> dict[str, str]:
        """What GET_PARAMETER can ask for, by name."""

    def heard(self, now_s: float) -> None:
        """The client has shown a sign of life."""

    def handle_timer(self, now_s: float) -> None:
        """Do what is due, and end what shows no sign of life; called once a second."""

    def covers(self, uri: str) -> bool:
        """Whether an address is that of what the session is for, or of one of its media."""

    def tear_down(self, uri: str) -> None:
        """Stop the medium of this address, and with the last one, or all at once, end (RFC 2326 section 10.7).

        Raises NotFound, OnlyAggregateOperationAllowed.
        """

    def close(self, reason: str) -> None:
        """End the session and free all it holds; the client is told by goodbye packets where it plays."""
