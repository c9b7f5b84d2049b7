"""What each method does: one handler per method, in a table."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

from manycast.hub.hops import LoopFound
from manycast.hub.sessions import TooManySessions
from manycast.media.track import Track
from manycast.servers.rtsp import backchannel
from manycast.servers.rtsp.addresses import base_url, name_in
from manycast.servers.rtsp.announcement import read_announcement
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.context import RtspContext
from manycast.servers.rtsp.describe import SDP_TYPE, describe
from manycast.servers.rtsp.options import ANNOUNCED_TIMEOUT_S
from manycast.servers.rtsp.play import PlaySession
from manycast.servers.rtsp.publish import PublishSession
from manycast.servers.rtsp.reply import Reply
from manycast.servers.rtsp.session import RtspSession
from manycast.servers.rtsp.told_keys import ToldKeys
from manycast.wire.rtsp.errors import (
    BadRequest,
    Forbidden,
    HeaderFieldNotValidForResource,
    LoopDetected,
    MethodNotAllowed,
    NotAcceptable,
    NotEnoughBandwidth,
    NotFound,
    OptionNotSupported,
    ParameterNotUnderstood,
    SessionNotFound,
    UnsupportedMediaType,
)
from manycast.wire.rtsp.headers import SessionHeader, parse_require
from manycast.wire.rtsp.message import Request, Response
from manycast.wire.rtsp.state import PUBLIC, SessionState, next_state
from manycast.wire.rtsp.url import RtspUrl, split_parameters

PARAMETERS_TYPE = "text/parameters"

Handler = Callable[[RtspContext, RtspConnection, Request], Awaitable[Reply]]


async def handle(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    """Answer one request. Raises RtspError for what is refused."""
    if request.cseq is None:
        raise BadRequest("no CSeq header, or no number in it")
    if context.login is not None:
        await context.login.check(connection, request)
    if request.uri == "*" and request.method in ("DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "RECORD"):
        raise MethodNotAllowed(request.method, ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER"))
    _check_options(context, request)
    session = _session_of(context, request)
    if session is not None or request.method not in HANDLERS:
        state, publishing = (session.state, session.publishing) if session else (SessionState.INIT, False)
        next_state(state, request.method, publishing=publishing)
    return await HANDLERS[request.method](context, connection, request)


def _check_options(context: RtspContext, request: Request) -> None:
    supported = () if context.catalogue.backchannels is None else (backchannel.FEATURE_TAG,)
    unknown = [tag for tag in _required(request) if tag not in supported]
    if unknown == [backchannel.FEATURE_TAG]:
        raise OptionNotSupported(unknown, "nobody can speak here: the configuration has no backchannel")
    if unknown:
        raise OptionNotSupported(unknown)


def _required(request: Request) -> list[str]:
    """The feature tags a client asks for."""
    values = [*request.headers.get_all("Require"), *request.headers.get_all("Proxy-Require")]
    return [tag for value in values for tag in parse_require(value)]


def _spoken_tracks(context: RtspContext, request: Request, name: str) -> Sequence[Track]:
    """What a client who asks for the back channel can speak; none for others.

    Raises OptionNotSupported where there is no back channel.
    """
    if backchannel.FEATURE_TAG not in _required(request):
        return ()
    catalogue = context.catalogue
    found = backchannel.speakable(catalogue.backchannels, catalogue.path_of(name))
    if found is None:
        raise OptionNotSupported([backchannel.FEATURE_TAG])
    return found.offered


def _session_of(context: RtspContext, request: Request) -> RtspSession | None:
    header = request.headers.get("Session")
    if header is None:
        return None
    session_id = SessionHeader.parse(header).id
    session = context.sessions.get(session_id)
    if session is None:
        raise SessionNotFound(session_id)
    session.heard(time.monotonic())
    return session


def _open_session(context: RtspContext, connection: RtspConnection, request: Request) -> RtspSession:
    """A new session for a SETUP without one: it publishes when an ANNOUNCE came before, else it plays."""
    try:
        context.catalogue.hub.sessions.check_room()
    except TooManySessions as error:
        raise NotEnoughBandwidth(str(error)) from error
    session_id = secrets.token_hex(8)
    session: RtspSession
    if connection.announcement is not None:
        session = PublishSession(context, connection, session_id, connection.announcement)
    else:
        session = PlaySession(context, connection, session_id, name_in(request.uri))
    context.sessions[session_id] = session
    return session


def _needed_session(context: RtspContext, request: Request) -> RtspSession:
    session = _session_of(context, request)
    if session is None:
        raise SessionNotFound("")
    _check_address(session, request)
    return session


def _check_address(session: RtspSession, request: Request) -> None:
    """See that a request does not name one stream and mean the session of another."""
    if not session.covers(request.uri):
        raise NotFound(f"session {session.id} is not for {name_in(request.uri)!r}")


async def _options(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    response = Response(status=200)
    response.headers.set("Public", PUBLIC)
    return Reply(response)


async def _describe(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    accept = (request.headers.get("Accept") or "").lower()
    if accept and not any(kind in accept for kind in (SDP_TYPE, "application/*", "*/*")):
        raise NotAcceptable(f"Accept: {accept}: descriptions are {SDP_TYPE}")
    name = name_in(request.uri)
    try:
        context.catalogue.asked(name, request.headers.get_all("Via"))
    except LoopFound as error:
        raise LoopDetected(str(error)) from error
    found = await context.catalogue.find(name)
    if found is None:
        raise NotFound(f"nothing is called {name!r}")
    found = await context.catalogue.form_for_rtp(found)
    session_id = str(int(context.started_unix_s))
    keys = None
    if connection.link.secure and context.options.srtp:
        keys = ToldKeys(context.srtp_offers, found)
        connection.tell_keys(name, keys)
    description = await describe(
        found,
        name,
        base_url=base_url(request.uri),
        loops=context.options.loops,
        metadata=context.options.metadata,
        speech=_spoken_tracks(context, request, name),
        keys=keys,
        source_filter=context.options.multicast and not _is_misled_by_source_filter(request),
        local_address=connection.local_address,
        session_id=session_id,
    )
    response = Response(status=200, body=description.serialize())
    response.headers.set("Content-Type", SDP_TYPE)
    response.headers.set("Content-Base", f"{base_url(request.uri)}/")
    return Reply(response)


def _is_misled_by_source_filter(request: Request) -> bool:
    """LIVE555 takes any source filter for a description of multicast, also where it asks for unicast.

    Then its reports go to a port where nobody hears them, and media from behind a NAT is thrown away; by multicast it
    does not take in our reports.
    """
    return "LIVE555" in (request.headers.get("User-Agent") or "")


async def _announce(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    content_type = (request.headers.get("Content-Type") or SDP_TYPE).partition(";")[0].strip().lower()
    if content_type != SDP_TYPE:
        raise UnsupportedMediaType(f"Content-Type: {content_type}: wanted {SDP_TYPE}")
    if any(isinstance(session, PublishSession) for session in connection.sessions):
        raise Forbidden("this connection publishes already")
    name = split_parameters(RtspUrl.parse(request.uri).path)[0]
    if not name:
        raise NotFound("an address without a path cannot be published to")
    path = context.catalogue.path_of(name)
    taken = context.catalogue.taken_by(path)
    if taken is not None:
        raise Forbidden(f"{path} is taken by {taken}")
    announcement = read_announcement(path, base_url(request.uri), request.body)
    for media in announcement.media:
        if media.carried is None:
            connection.log.warning("%s: a medium is left out: %s", path, media.refusal)
        elif media.refusal:
            connection.log.info("%s: a medium is passed on as it is: %s", path, media.refusal)
    connection.announcement = announcement
    return Reply(Response(status=200))


async def _setup(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    session = _session_of(context, request)
    fresh = session is None
    announcement = connection.announcement
    if session is None:
        session = _open_session(context, connection, request)
    try:
        return await session.setup(connection, request)
    except BaseException:
        if fresh:
            session.close("refused")
            connection.announcement = announcement  # a publisher may ask for another transport
        raise


async def _play(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    session = _needed_session(context, request)
    if not isinstance(session, PlaySession):
        raise HeaderFieldNotValidForResource("Session: that session publishes")
    return await session.play(connection, request)


async def _record(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    session = _needed_session(context, request)
    if not isinstance(session, PublishSession):
        raise HeaderFieldNotValidForResource("Session: that session plays")
    return await session.record(connection, request)


async def _pause(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    return await _needed_session(context, request).pause(connection, request)


async def _teardown(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    session = _session_of(context, request)
    if session is None:
        if connection.announcement is None:
            raise SessionNotFound("")
        connection.announcement = None
        return Reply(Response(status=200))
    _check_address(session, request)
    session.tear_down(request.uri)
    response = Response(status=200)
    response.headers.set("Session", session.id)
    return Reply(response)


async def _get_parameter(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    """An empty body only keeps the session alive (RFC 2326 section 10.8)."""
    session = _session_of(context, request)
    wanted = [line.strip() for line in request.body.decode("utf-8", "replace").splitlines() if line.strip()]
    known = session.parameters() if session is not None else {}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ParameterNotUnderstood(unknown)
    body = "".join(f"{name}: {known[name]}\r\n" for name in wanted).encode()
    response = Response(status=200, body=body)
    if body:
        response.headers.set("Content-Type", PARAMETERS_TYPE)
    if session is not None:
        response.headers.set("Session", SessionHeader(session.id, ANNOUNCED_TIMEOUT_S).serialize())
    return Reply(response)


async def _set_parameter(context: RtspContext, connection: RtspConnection, request: Request) -> Reply:
    """No parameter can be set; an empty body keeps the session alive."""
    _session_of(context, request)
    lines = request.body.decode("utf-8", "replace").splitlines()
    names = [line.partition(":")[0].strip() for line in lines if line.strip()]
    if names:
        raise ParameterNotUnderstood(names)
    return Reply(Response(status=200))


HANDLERS: dict[str, Handler] = {
    "OPTIONS": _options,
    "DESCRIBE": _describe,
    "ANNOUNCE": _announce,
    "SETUP": _setup,
    "PLAY": _play,
    "RECORD": _record,
    "PAUSE": _pause,
    "TEARDOWN": _teardown,
    "GET_PARAMETER": _get_parameter,
    "SET_PARAMETER": _set_parameter,
}
