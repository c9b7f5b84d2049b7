"""What RTSP answers when it refuses: one class for each answer, with the headers that go with it."""

from __future__ import annotations

from collections.abc import Sequence

from manycast.errors import ProtocolError


class RtspError(ProtocolError):
    """A request that is refused; `status` and `headers()` are what the peer is told."""

    status = 400

    def headers(self) -> list[tuple[str, str]]:
        """The headers that belong to the answer, ready to send."""
        return []

    def body(self) -> bytes:
        """What the answer says beyond its headers, which name its type."""
        return b""


class BadRequest(RtspError):
    status = 400  # RFC 2326 section 7.1.1, as for every status without a section of its own


class HttpOnRtspPort(BadRequest):
    """An HTTP message where RTSP was expected; the driver may answer it in HTTP, or take it for a tunnel."""


class TlsOnPlainPort(BadRequest):
    """A TLS ClientHello on a port that speaks plain RTSP; no answer in plain text would be understood."""


class Unauthorized(RtspError):
    status = 401

    def __init__(self, challenges: Sequence[str]) -> None:
        super().__init__("no credentials, or not the right ones")
        self.challenges = tuple(challenges)

    def headers(self) -> list[tuple[str, str]]:
        return [("WWW-Authenticate", challenge) for challenge in self.challenges]


class Forbidden(RtspError):
    status = 403


class NotFound(RtspError):
    status = 404


class MethodNotAllowed(RtspError):
    """The method is known, but this resource never allows it."""

    status = 405

    def __init__(self, method: str, allow: Sequence[str]) -> None:
        super().__init__(f"{method!r} is not for this resource; it allows {', '.join(allow)}")
        self.allow = tuple(allow)

    def headers(self) -> list[tuple[str, str]]:
        return [("Allow", ", ".join(self.allow))]  # RFC 2326 section 12.4


class NotAcceptable(RtspError):
    status = 406


class RequestEntityTooLarge(RtspError):
    status = 413


class RequestUriTooLarge(RtspError):
    status = 414


class UnsupportedMediaType(RtspError):
    status = 415


class ParameterNotUnderstood(RtspError):
    status = 451  # RFC 2326 section 11.3.2

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"unknown parameters {', '.join(map(repr, names))[:200]}")
        self.names = tuple(names)

    def headers(self) -> list[tuple[str, str]]:
        return [("Content-Type", "text/parameters")] if self.names else []

    def body(self) -> bytes:
        """The names alone (RFC 2326 section 10.9, RFC 7826 section 17.4.14)."""
        return "".join(f"{name}\r\n" for name in self.names).encode("utf-8", "replace")


class NotEnoughBandwidth(RtspError):
    status = 453  # RFC 2326 section 11.3.4


class SessionNotFound(RtspError):
    status = 454  # RFC 2326 section 11.3.5

    def __init__(self, session_id: str) -> None:
        super().__init__(f"no session {session_id!r}")
        self.session_id = session_id


class MethodNotValidInThisState(RtspError):
    """The method is known and would do at another moment of the session."""

    status = 455  # RFC 2326 section 11.3.6

    def __init__(self, method: str, state: str, allow: Sequence[str]) -> None:
        super().__init__(f"{method} in state {state}, which allows {', '.join(allow)}")
        self.allow = tuple(allow)

    def headers(self) -> list[tuple[str, str]]:
        return [("Allow", ", ".join(self.allow))]


class HeaderFieldNotValidForResource(RtspError):
    status = 456  # RFC 2326 section 11.3.7


class InvalidRange(RtspError):
    status = 457  # RFC 2326 section 11.3.8


class AggregateOperationNotAllowed(RtspError):
    status = 459  # RFC 2326 section 11.3.10


class OnlyAggregateOperationAllowed(RtspError):
    status = 460  # RFC 2326 section 11.3.11


class UnsupportedTransport(RtspError):
    status = 461  # RFC 2326 section 11.3.12


class KeyManagementFailure(RtspError):
    status = 463  # RFC 4567; the name is the one GStreamer has for it


class MethodNotImplemented(RtspError):
    """A method nobody knows."""

    status = 501


class RangeUnitNotImplemented(RtspError):
    """Times in a unit that nothing here is counted in."""

    status = 501  # RFC 2326 section 12.29


class ServiceUnavailable(RtspError):
    status = 503


class VersionNotSupported(RtspError):
    status = 505


class LoopDetected(RtspError):
    status = 508  # of HTTP (RFC 5842 section 7.2); RTSP has none for it


class OptionNotSupported(RtspError):
    status = 551  # RFC 2326 section 11.3.14

    def __init__(self, tags: Sequence[str], reason: str | None = None) -> None:
        super().__init__(reason or f"required options that are not there: {', '.join(map(repr, tags))}")
        self.tags = tuple(tags)

    def headers(self) -> list[tuple[str, str]]:
        return [("Unsupported", ", ".join(self.tags))]  # RFC 2326 section 12.41
