"""The client's side of RTSP: how a stream is asked for, and kept alive (RFC 2326).

The conversation is OPTIONS, DESCRIBE, SETUP of each medium, PLAY; one request at a time, for embedded servers take no
more.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from manycast.wire.address import MalformedAddress, SourceAddress
from manycast.wire.login import ClientLogin, LoginRefused
from manycast.wire.mikey import MikeyMessage, serialize_key_mgmt_header
from manycast.wire.rtsp.errors import BadRequest, HttpOnRtspPort, RtspError, UnsupportedTransport
from manycast.wire.rtsp.headers import (
    NptRange,
    SessionHeader,
    TransportSpec,
    parse_range,
    parse_require,
    parse_transports,
)
from manycast.wire.rtsp.message import REASONS, Headers, Request, Response
from manycast.wire.rtsp.receiver import InterleavedReceived, PeerFailed, RequestReceived, ResponseReceived, RtspReceiver
from manycast.wire.rtsp.source_description import SourceMedia, SourceRefused, read_description
from manycast.wire.via import serialize_via

RESPONSE_TIMEOUT_S = 8.0  # less than a viewer waits for a source on demand, so that he is told why
DEFAULT_SESSION_TIMEOUT_S = 60  # RFC 2326 section 12.37
MIN_KEEP_ALIVE_S = 2.0
MAX_KEEP_ALIVE_S = 30.0  # NATs forget a silent mapping after some minutes, firewalls of cameras' networks earlier


class SourceLoginRefused(SourceRefused):
    """The server wants another login than ours."""


class LoopRefused(SourceRefused):
    """The server gets the stream from whoever asks it (508)."""


class FeatureRefused(SourceRefused):
    """The server does not know what is required of it (551)."""


class SourceTimedOut(SourceRefused):
    """The server says nothing."""


@dataclass(frozen=True, slots=True)
class Described:
    """The server has described the stream: now `set_up` is to be called."""

    media: tuple[SourceMedia, ...]


@dataclass(frozen=True, slots=True)
class TransportAgreed:
    """How a medium will come. From now on its packets may."""

    media_index: int
    transport: TransportSpec


@dataclass(frozen=True, slots=True)
class Playing:
    """The server has begun to send, for `duration_s` where it has said when that ends."""

    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Redirected:
    """The last event: the stream is elsewhere."""

    address: SourceAddress


@dataclass(frozen=True, slots=True)
class TransportRefused:
    """The last event: the server does not send in this way; another connection may try another one."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClientFailed:
    """The last event."""

    error: SourceRefused


ClientEvent = Described | TransportAgreed | Playing | Redirected | TransportRefused | ClientFailed | InterleavedReceived
_Conversation = Generator[Request, Response, None]


class _Moved(Exception):
    def __init__(self, location: str) -> None:
        self.location = location


@dataclass(slots=True)
class _Session:
    id: str | None = None
    timeout_s: float = DEFAULT_SESSION_TIMEOUT_S
    methods: frozenset[str] = field(default_factory=frozenset)


class RtspClient:
    """One connection to a server. After each call, what `bytes_to_send` has is to be sent."""

    def __init__(
        self,
        address: SourceAddress,
        *,
        user_agent: str,
        cnonce: str,
        require: str | None = None,
        via: Sequence[bytes] = (),
    ) -> None:
        """`cnonce` is random, for Digest; logins are those of the address. `require` is a feature the server must
        have (RFC 2326 section 12.32); `via` are the marks of all who get the stream through us.
        """
        self._via = [("Via", serialize_via("RTSP/1.0", via))] if via else []
        self._required = [] if require is None else [("Require", require)]
        self.base_url = address.uri  # what requests for the whole stream go to
        self._address = address
        self._user_agent = user_agent
        self._receiver = RtspReceiver()
        self._out = bytearray()
        self._cseq = 0
        self._login = ClientLogin(address.user, address.password, cnonce=cnonce)
        self._session = _Session()
        self._media: tuple[SourceMedia, ...] = ()
        self._conversation: _Conversation | None = None
        self._pending: list[ClientEvent] = []  # what the conversation appends its events to
        self._deadline_s: float | None = None
        self._keep_alive_s: float | None = None  # when the next one is due, once it plays
        self._keeping_alive = False
        self._ended = False

    def start(self, *, now_s: float) -> None:
        """Ask for the description."""
        self._run(self._describe(), [], now_s)

    def set_up(
        self,
        transports: Sequence[TransportSpec | None],
        *,
        keys: Mapping[int, MikeyMessage] | None = None,
        now_s: float,
    ) -> list[ClientEvent]:
        """Ask for the media described, each as said, None leaves one out; then for them to be sent.

        `keys` are those of what we send for some of the media, by their index.
        """
        events: list[ClientEvent] = []
        self._run(self._play(transports, keys or {}), events, now_s)
        return events

    def tear_down(self) -> None:
        """Say goodbye; the answer need not be waited for."""
        if self._session.id is not None and not self._ended:
            self._send(self._request("TEARDOWN", self.base_url))
            self._ended = True

    def send_interleaved(self, channel: int, data: bytes) -> None:
        self._out += bytes((0x24, channel)) + len(data).to_bytes(2) + data

    def bytes_to_send(self) -> bytes:
        """What is to be sent since the last call."""
        data, self._out = bytes(self._out), bytearray()
        return data

    def receive(self, data: bytes, *, now_s: float) -> list[ClientEvent]:
        """Feed what the socket gave."""
        events: list[ClientEvent] = []
        for event in self._receiver.receive(data):
            if type(event) is InterleavedReceived:
                events.append(event)
            elif self._ended:
                break
            elif isinstance(event, ResponseReceived):
                self._take_response(event.response, events, now_s)
            elif isinstance(event, RequestReceived):
                self._answer(event.request, events)
            elif isinstance(event, PeerFailed):
                self._end(ClientFailed(SourceRefused(_what_it_is(event.error))), events)
        return events

    def handle_timer(self, *, now_s: float) -> list[ClientEvent]:
        """Give up waiting, or keep the session alive; call it by `next_deadline_s`."""
        events: list[ClientEvent] = []
        if self._ended:
            return events
        if self._deadline_s is not None and now_s >= self._deadline_s:
            self._deadline_s = None
            if self._keeping_alive:  # some servers never answer; whether media comes is what counts
                self._keeping_alive = False
                self._conversation = None
            else:
                error = SourceTimedOut(f"no answer for {RESPONSE_TIMEOUT_S:.0f} s")
                self._end(ClientFailed(error), events)
        if self._keep_alive_s is not None and now_s >= self._keep_alive_s and self._conversation is None:
            self._plan_keep_alive(now_s)
            self._keeping_alive = True
            self._run(self._keep_alive(), events, now_s)
        return events

    def next_deadline_s(self) -> float | None:
        return min((time for time in (self._deadline_s, self._keep_alive_s) if time is not None), default=None)

    # The conversation

    def _run(self, conversation: _Conversation, events: list[ClientEvent], now_s: float) -> None:
        self._conversation = conversation
        self._step(None, events, now_s)

    def _step(self, response: Response | None, events: list[ClientEvent], now_s: float) -> None:
        """Go on with the conversation up to its next request."""
        assert self._conversation is not None
        self._pending = events
        try:
            conversation = self._conversation
            request = next(conversation) if response is None else conversation.send(response)
        except StopIteration:
            self._conversation = None
            self._deadline_s = None
            self._keeping_alive = False
            if any(isinstance(event, Playing) for event in events):
                self._plan_keep_alive(now_s)
        except _Moved as moved:
            self._redirect(moved.location, events)
        except UnsupportedTransport as error:
            self._end(TransportRefused(str(error)), events)
        except SourceRefused as error:
            self._end(ClientFailed(error), events)
        except LoginRefused as error:
            self._end(ClientFailed(SourceLoginRefused(str(error))), events)
        except RtspError as error:
            self._end(ClientFailed(SourceRefused(f"an answer that cannot be read: {error}")), events)
        else:
            self._send(request)
            self._deadline_s = now_s + RESPONSE_TIMEOUT_S

    def _describe(self) -> _Conversation:
        address = self._address
        options = yield from self._ask("OPTIONS", address.uri)
        public = ",".join(options.headers.get_all("Public"))
        self._session.methods = frozenset(name.upper() for name in parse_require(public))
        response = yield from self._ask(
            "DESCRIBE", address.uri, ("Accept", "application/sdp"), *self._required, *self._via
        )
        _expect_ok(response, "DESCRIBE")
        base = response.headers.get("Content-Base") or response.headers.get("Content-Location") or ""
        self.base_url, self._media = read_description(response.body, base.strip() or address.uri, address.uri)
        self._pending.append(Described(self._media))

    def _play(self, transports: Sequence[TransportSpec | None], keys: Mapping[int, MikeyMessage]) -> _Conversation:
        refusals: list[str] = []
        agreed = 0
        for index, (media, spec) in enumerate(zip(self._media, transports, strict=True)):
            if spec is None:
                continue
            headers = [("Transport", spec.serialize()), *self._required]
            if index in keys:
                headers.append(("KeyMgmt", serialize_key_mgmt_header(keys[index], media.url)))
            response = yield from self._ask("SETUP", media.url, *headers)
            if response.status == UnsupportedTransport.status:
                raise UnsupportedTransport(f"the server does not send by {_name_of(spec)}")
            if response.status != 200:
                refusals.append(f"SETUP of {media.kind}: {_status_of(response)}")
                continue
            self._take_session(response)
            self._pending.append(TransportAgreed(index, _agreed(spec, response)))
            agreed += 1
        if not agreed:
            raise SourceRefused("; ".join(refusals) or "nothing in it can be carried")
        response = yield from self._ask("PLAY", self.base_url, ("Range", "npt=0.000-"), *self._required)
        if response.status == 457:  # some live servers know no range
            response = yield from self._ask("PLAY", self.base_url, *self._required)
        _expect_ok(response, "PLAY")
        self._take_session(response)
        described = [media.range for media in self._media]
        self._pending.append(Playing(_duration_s(response.headers.get("Range"), described)))

    def _keep_alive(self) -> _Conversation:
        method = "GET_PARAMETER" if "GET_PARAMETER" in self._session.methods else "OPTIONS"
        response = yield from self._ask(method, self.base_url)
        if response.status == 454:
            raise SourceRefused("the server has forgotten the session")
        if response.status >= 400:
            self._session.methods -= {"GET_PARAMETER"}

    def _ask(self, method: str, uri: str, *headers: tuple[str, str]) -> Generator[Request, Response, Response]:
        """One request, again with a login where the server asks for it. Raises LoginRefused, _Moved."""
        while True:
            response: Response = yield self._request(method, uri, *headers)
            location = response.headers.get("Location")
            if 300 <= response.status < 400 and response.status != 304 and location:
                raise _Moved(location)
            if response.status != 401:
                self._login.accepted()
                return response
            self._login.take(response.headers.get_all("WWW-Authenticate"))

    # Messages

    def _request(self, method: str, uri: str, *headers: tuple[str, str]) -> Request:
        self._cseq += 1
        fields = Headers([("CSeq", str(self._cseq)), ("User-Agent", self._user_agent)])
        if self._session.id is not None:
            fields.add("Session", self._session.id)
        authorization = self._login.answer(method, uri)
        if authorization is not None:
            fields.add("Authorization", authorization)
        for name, value in headers:
            fields.add(name, value)
        return Request(method, uri, headers=fields)

    def _send(self, request: Request) -> None:
        self._out += request.serialize()

    def _take_response(self, response: Response, events: list[ClientEvent], now_s: float) -> None:
        if self._conversation is None or response.status < 200:
            return
        if response.cseq is not None and response.cseq < self._cseq:
            return  # to a request that was given up
        self._step(response, events, now_s)

    def _answer(self, request: Request, events: list[ClientEvent]) -> None:
        """What a server asks of its client: the few who do want to know whether it lives, or send it elsewhere."""
        known = request.method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "REDIRECT", "ANNOUNCE")
        response = Response(200 if known else 501)
        if request.cseq is not None:
            response.headers.set("CSeq", str(request.cseq))
        self._out += response.serialize()
        location = request.headers.get("Location")
        if request.method == "REDIRECT" and location:
            self._redirect(location, events)

    def _take_session(self, response: Response) -> None:
        value = response.headers.get("Session")
        if value is not None:
            header = SessionHeader.parse(value)
            self._session.id = header.id
            self._session.timeout_s = header.timeout_s or self._session.timeout_s

    def _plan_keep_alive(self, now_s: float) -> None:
        half_s = self._session.timeout_s / 2
        self._keep_alive_s = now_s + max(MIN_KEEP_ALIVE_S, min(half_s, MAX_KEEP_ALIVE_S))

    def _redirect(self, location: str, events: list[ClientEvent]) -> None:
        try:
            self._end(Redirected(self._address.redirected(location)), events)
        except MalformedAddress as error:
            self._end(ClientFailed(SourceRefused(f"the server redirects to {error}")), events)

    def _end(self, event: ClientEvent, events: list[ClientEvent]) -> None:
        self._ended = True
        self._conversation = None
        self._deadline_s = self._keep_alive_s = None
        events.append(event)


def _agreed(asked: TransportSpec, response: Response) -> TransportSpec:
    """The transport of an answer; what it leaves out is as it was asked for."""
    header = response.headers.get("Transport")
    if header is None:
        return asked
    spec = parse_transports(header)[0]
    if (spec.is_tcp, spec.multicast, spec.is_secure) != (asked.is_tcp, asked.multicast, asked.is_secure):
        raise UnsupportedTransport(f"asked for {_name_of(asked)}, the server wants to send by {_name_of(spec)}")
    return replace(
        spec, interleaved=spec.interleaved or asked.interleaved, client_port=spec.client_port or asked.client_port
    )


def _duration_s(played: str | None, described: Sequence[str | None]) -> float | None:
    """How long it takes to play what the answer to PLAY names: where that has no end, up to that of the description."""
    start_s, end_s = _npt_of(played)
    if end_s is None:
        end_s = max((end for _, end in map(_npt_of, described) if end is not None), default=None)
    return None if end_s is None or end_s <= start_s else end_s - start_s


def _npt_of(value: str | None) -> tuple[float, float | None]:
    """Start and end of a range; many servers name none, or something odd."""
    try:
        found = parse_range(value or "")
    except RtspError:
        return 0.0, None
    return (found.start_s or 0.0, found.end_s) if isinstance(found, NptRange) else (0.0, None)


def _name_of(spec: TransportSpec) -> str:
    name = "TCP" if spec.is_tcp else "multicast" if spec.multicast else "UDP"
    return f"SRTP, {name}" if spec.is_secure else name


def _status_of(response: Response) -> str:
    return f"{response.status} {response.reason or REASONS.get(response.status, '')}".rstrip()[:80]


def _expect_ok(response: Response, method: str) -> None:
    if response.status == 404:
        raise SourceRefused("the server knows no stream of this name (404)")
    if response.status == 508:
        raise LoopRefused("a loop: the server there gets the stream from here (508)")
    if response.status == 551:
        raise FeatureRefused("the server does not know what is required (551)")
    if response.status != 200:
        raise SourceRefused(f"{method} is answered with {_status_of(response)}")


def _what_it_is(error: RtspError) -> str:
    if isinstance(error, HttpOnRtspPort):
        return "a web server answers there, not an RTSP server: check the port"
    if isinstance(error, BadRequest):
        return f"what answers there does not speak RTSP: {error}"
    return str(error)
