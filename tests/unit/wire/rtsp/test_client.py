"""The client's side of RTSP, against answers made by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.media.track import Codec
from manycast.wire.address import SourceAddress
from manycast.wire.digest import Algorithm
from manycast.wire.digest_guard import DigestGuard, Verdict
from manycast.wire.mikey import (
    CryptoSession,
    MikeyMessage,
    parse_key_mgmt_header,
    serialize_key_mgmt_attribute,
)
from manycast.wire.rtsp.client import (
    MAX_KEEP_ALIVE_S,
    RESPONSE_TIMEOUT_S,
    ClientEvent,
    ClientFailed,
    Described,
    Playing,
    Redirected,
    RtspClient,
    TransportAgreed,
    TransportRefused,
)
from manycast.wire.rtsp.headers import TransportSpec
from manycast.wire.rtsp.message import Request, Response
from manycast.wire.rtsp.receiver import InterleavedReceived, RequestReceived, ResponseReceived, RtspReceiver

URL = "rtsp://joe:secret@camera/live"
TCP = TransportSpec(protocol="RTP/AVP/TCP", interleaved=(0, 1))
SECURE = TransportSpec(protocol="RTP/SAVP/TCP", interleaved=(0, 1))
H264 = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"

Answer = Callable[[Request], Response]


class Server:
    """Answers each request as told, and keeps them."""

    def __init__(self, url: str = URL, **answers: Answer) -> None:
        self.client = RtspClient(SourceAddress.parse(url), user_agent="test", cnonce="0123")
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.events: list[ClientEvent] = []
        self.now_s = 100.0
        self.sdp = "v=0\r\ns=x\r\nt=0 0\r\n" + H264 + "a=control:track1\r\n"
        self.answers = answers
        self._receiver = RtspReceiver()

    def start(self) -> None:
        self.client.start(now_s=self.now_s)
        self.exchange()

    def set_up(self, *transports: TransportSpec | None) -> None:
        self.events += self.client.set_up(transports or (TCP,), now_s=self.now_s)
        self.exchange()

    def exchange(self) -> None:
        """Until nothing more is asked."""
        while data := self.client.bytes_to_send():
            for event in self._receiver.receive(data):
                if isinstance(event, ResponseReceived):
                    self.responses.append(event.response)
                elif isinstance(event, RequestReceived):
                    self.requests.append(event.request)
                    self.tell(self.answer(event.request))

    def answer(self, request: Request) -> Response:
        own = self.answers.get(request.method)
        response = own(request) if own is not None else self.usual(request)
        if request.cseq is not None:
            response.headers.set("CSeq", str(request.cseq))
        return response

    def usual(self, request: Request) -> Response:
        response = Response(200, body=self.sdp.encode() if request.method == "DESCRIBE" else b"")
        if request.method == "OPTIONS":
            response.headers.set("Public", "DESCRIBE, SETUP, PLAY, GET_PARAMETER")
        if request.method == "SETUP":
            response.headers.set("Session", "abc;timeout=40")
            response.headers.set("Transport", request.headers.get("Transport") or "")
        return response

    def tell(self, response: Response | Request) -> None:
        self.events += self.client.receive(response.serialize(), now_s=self.now_s)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.events += self.client.handle_timer(now_s=self.now_s)
        self.exchange()

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    @property
    def failure(self) -> str:
        last = self.events[-1]
        assert isinstance(last, ClientFailed), self.events
        return str(last.error)


def status(code: int, *headers: tuple[str, str]) -> Answer:
    def answer(_request: Request) -> Response:
        response = Response(code)
        for name, value in headers:
            response.headers.add(name, value)
        return response

    return answer


def test_the_conversation() -> None:
    server = Server()
    server.start()
    server.set_up()
    assert server.methods == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
    described, agreed, playing = server.events
    assert isinstance(described, Described)
    assert described.media[0].carried is not None
    assert described.media[0].carried.track.codec is Codec.H264
    assert isinstance(agreed, TransportAgreed)
    assert agreed.transport.interleaved == (0, 1)
    assert isinstance(playing, Playing)
    assert server.requests[3].headers.get("Session") == "abc"
    assert all("secret" not in str(request.headers) and "joe" not in request.uri for request in server.requests)
    server.client.tear_down()
    server.exchange()
    assert server.methods[-1] == "TEARDOWN"


@pytest.mark.parametrize(
    ("answered", "described", "duration_s"),
    [
        (None, None, None),
        ("npt=0-8", None, 8.0),
        ("npt=2.5-8", "npt=0-100", 5.5),
        ("npt=0.000-", "npt=0-8.25", 8.25),
        (None, "npt=0-8.25", 8.25),
        ("npt=3-", "npt=0-8", 5.0),
        ("npt=now-", "npt=now-", None),
        ("npt=0-", "npt=0-", None),
        ("npt=0-0", "npt=0-0", None),
        ("clock=19961108T143720.25Z-", "smpte=0:10:20-", None),
        ("nonsense", "more of it", None),
    ],
)
def test_how_long_it_plays(answered: str | None, described: str | None, duration_s: float | None) -> None:
    server = Server(PLAY=status(200, *([("Range", answered)] if answered else [])))
    if described is not None:
        server.sdp = server.sdp.replace("m=", f"a=range:{described}\r\nm=", 1)
    server.start()
    server.set_up()
    playing = server.events[-1]
    assert isinstance(playing, Playing)
    assert playing.duration_s == duration_s


CONTROLS = [  # Content-Base, control of the session, control of the medium; URL of SETUP, of PLAY
    (None, None, "track1", "rtsp://camera/live/track1", "rtsp://camera/live"),
    (None, None, None, "rtsp://camera/live", "rtsp://camera/live"),
    (None, "*", "trackID=0", "rtsp://camera/live/trackID=0", "rtsp://camera/live"),
    ("rtsp://camera/live/", "*", "track1", "rtsp://camera/live/track1", "rtsp://camera/live/"),
    ("rtsp://camera/x", None, "rtsp://camera/y/track1", "rtsp://camera/y/track1", "rtsp://camera/x"),
    (None, "rtsp://nat/all", "track1", "rtsp://nat/all/track1", "rtsp://nat/all"),
    ("rtsp://camera/live/", "all", "track1", "rtsp://camera/live/track1", "rtsp://camera/live/all"),
    ("rtsp://camera/live?a=1", None, "track1", "rtsp://camera/live?a=1/track1", "rtsp://camera/live?a=1"),
]


@pytest.mark.parametrize(("base", "session", "medium", "setup", "play"), CONTROLS)
def test_what_controls_are_joined_to(
    base: str | None, session: str | None, medium: str | None, setup: str, play: str
) -> None:
    server = Server()
    lines = "v=0\r\ns=x\r\n" + (f"a=control:{session}\r\n" if session else "") + H264
    body = (lines + (f"a=control:{medium}\r\n" if medium else "")).encode()

    def describe(_request: Request) -> Response:
        response = Response(200, body=body)
        if base is not None:
            response.headers.set("Content-Base", base)
        return response

    server.answers["DESCRIBE"] = describe
    server.start()
    server.set_up()
    assert [server.requests[2].uri, server.requests[3].uri] == [setup, play]


def test_odd_descriptions() -> None:
    server = Server()
    server.sdp = (
        "v=0\ns=x\nm=audio 0 RTP/AVP 0\nm=video 0 RTP/AVP 97 98\na=rtpmap:97 nobody/90000\na=rtpmap:98 h264/90000\n"
        "m=application 0 RTP/AVP 99\nm=video 0 RTP/AVP 26\na=inactive\n"
    )
    server.start()
    described = server.events[0]
    assert isinstance(described, Described)
    codecs = [None if item.carried is None else item.carried.track.codec for item in described.media]
    assert codecs == [Codec.G711U, Codec.H264, None, None]


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("qop", [False, True])
def test_digest(algorithm: Algorithm, qop: bool) -> None:
    guard = DigestGuard(realm="r", secret=b"0" * 16, algorithms=[algorithm], offer_qop=qop, nonce_lifetime_s=10)
    server = Server()

    def guarded(request: Request) -> Response:
        authorization = request.headers.get("Authorization")
        verdict = Verdict.REFUSED
        if authorization is not None:
            verdict = guard.check(
                authorization,
                method=request.method,
                uri=request.uri,
                password_of={"joe": "secret"}.get,
                now_s=server.now_s,
            )
        if verdict is Verdict.ACCEPTED:
            return server.usual(request)
        response = Response(401)
        for challenge in guard.challenges(now_s=server.now_s, stale=verdict is Verdict.STALE):
            response.headers.add("WWW-Authenticate", challenge)
        return response

    server.answers = dict.fromkeys(("DESCRIBE", "SETUP", "PLAY", "GET_PARAMETER"), guarded)
    server.start()
    server.set_up()
    assert isinstance(server.events[-1], Playing)
    server.wait(MAX_KEEP_ALIVE_S)  # the nonce is stale by now
    assert server.methods[-2:] == ["GET_PARAMETER", "GET_PARAMETER"]
    server.wait(MAX_KEEP_ALIVE_S)
    assert not any(isinstance(event, ClientFailed) for event in server.events)


def test_basic_and_no_login() -> None:
    challenge = status(401, ("WWW-Authenticate", 'Basic realm="x"'))
    server = Server(DESCRIBE=challenge)
    server.start()
    assert server.failure == "the server refuses user and pass"
    assert server.requests[-1].headers.get("Authorization") == "Basic am9lOnNlY3JldA=="
    server = Server("rtsp://camera/live", DESCRIBE=challenge)
    server.start()
    assert "configure user and pass" in server.failure
    server = Server(DESCRIBE=status(401))
    server.start()
    assert "of a kind that is not known" in server.failure


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("rtsp://other:8554/x?y=1", "rtsp://other:8554/x?y=1"),
        ("/x", "rtsp://camera/x"),
        ("x", "rtsp://camera/x"),
        ("rtsp://camera:8554/x", "rtsp://camera:8554/x"),
    ],
)
def test_redirects(location: str, target: str) -> None:
    server = Server(DESCRIBE=status(302, ("Location", location)))
    server.start()
    (event,) = server.events
    assert isinstance(event, Redirected)
    assert event.address.uri == target
    assert (event.address.user == "joe") == (event.address.host == "camera")


def test_a_redirect_to_nowhere() -> None:
    server = Server(DESCRIBE=status(302, ("Location", "mailto://x")))
    server.start()
    assert "redirects to an address beginning with 'mailto'" in server.failure


def test_another_transport() -> None:
    server = Server(SETUP=status(461))
    server.start()
    server.set_up()
    assert server.events[-1] == TransportRefused("the server does not send by TCP")


def test_a_medium_that_is_refused_is_left_out() -> None:
    server = Server()
    server.sdp += "m=audio 0 RTP/AVP 0\r\na=control:track2\r\n"
    server.answers["SETUP"] = lambda request: server.usual(request) if request.uri.endswith("track1") else Response(500)
    server.start()
    server.set_up(TCP, TransportSpec(protocol="RTP/AVP/TCP", interleaved=(2, 3)))
    assert [event.media_index for event in server.events if isinstance(event, TransportAgreed)] == [0]
    assert isinstance(server.events[-1], Playing)
    server = Server(SETUP=status(500))
    server.start()
    server.set_up()
    assert server.failure == "SETUP of video: 500 Internal Server Error"


def test_keys_are_read_and_told() -> None:
    theirs = MikeyMessage(bundle_id=1, sessions=(CryptoSession(7, 2),), key=bytes(30))
    ours = MikeyMessage(bundle_id=2, sessions=(CryptoSession(8),), key=bytes(range(30)))
    server = Server()
    described = f"a=key-mgmt:{serialize_key_mgmt_attribute(theirs)}\r\n"
    server.sdp = server.sdp.replace("RTP/AVP", "RTP/SAVP") + "a=key-mgmt:mikey !!!\r\n" + described
    server.start()
    event = server.events[-1]
    assert isinstance(event, Described)
    found = event.media[0].key
    assert found is not None
    assert (found.key, found.sessions) == (theirs.key, theirs.sessions)
    server.events += server.client.set_up([SECURE], keys={0: ours}, now_s=server.now_s)
    server.exchange()
    assert isinstance(server.events[-1], Playing)
    setup = next(request for request in server.requests if request.method == "SETUP")
    told = parse_key_mgmt_header(setup.headers.get("KeyMgmt") or "")
    assert told is not None
    assert told.key == ours.key


def test_what_is_secure_needs_a_key_and_stays_secure() -> None:
    server = Server()
    server.sdp = server.sdp.replace("RTP/AVP", "RTP/SAVP")
    server.start()
    event = server.events[-1]
    assert isinstance(event, Described)
    assert event.media[0].carried is None
    assert "without a key" in event.media[0].refusal
    server = Server(SETUP=status(200, ("Session", "1"), ("Transport", "RTP/AVP/TCP;interleaved=0-1")))
    server.start()
    server.set_up(SECURE)
    assert isinstance(server.events[-1], TransportRefused)


def test_keep_alive_as_the_server_offers() -> None:
    server = Server(GET_PARAMETER=status(405))
    server.start()
    server.set_up()
    deadline_s = server.client.next_deadline_s()
    assert deadline_s == server.now_s + 20  # half of what the server said
    server.wait(19)
    assert server.methods[-1] == "PLAY"
    server.wait(1)
    assert server.methods[-1] == "GET_PARAMETER"
    server.wait(20)
    assert server.methods[-1] == "OPTIONS"
    server.answers["OPTIONS"] = status(454)
    server.wait(20)
    assert server.failure == "the server has forgotten the session"


def test_a_server_that_says_nothing() -> None:
    client = RtspClient(SourceAddress.parse(URL), user_agent="test", cnonce="0")
    client.start(now_s=0.0)
    assert client.next_deadline_s() == RESPONSE_TIMEOUT_S
    (event,) = client.handle_timer(now_s=RESPONSE_TIMEOUT_S)
    assert isinstance(event, ClientFailed)


def test_a_keep_alive_that_is_never_answered_is_no_fault() -> None:
    server = Server()
    server.start()
    server.set_up()
    for _ in range(10):
        server.now_s += 10
        assert server.client.handle_timer(now_s=server.now_s) == []
    assert server.client.bytes_to_send().count(b"GET_PARAMETER") >= 3


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a web server answers there"),
        (b"<!DOCTYPE html>\r\n<html>\r\n\r\n", "does not speak RTSP"),
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n", "99999999"),
        (b"\x00\x01\x02", "does not speak RTSP"),
    ],
)
def test_what_is_no_rtsp(answer: bytes, says: str) -> None:
    client = RtspClient(SourceAddress.parse(URL), user_agent="test", cnonce="0")
    client.start(now_s=0.0)
    (event,) = client.receive(answer, now_s=0.0)
    assert isinstance(event, ClientFailed)
    assert says in str(event.error)


def test_what_a_server_asks() -> None:
    server = Server()
    server.start()
    server.set_up()
    server.tell(Request("OPTIONS", "*"))
    server.tell(Request("PING", "*"))
    server.exchange()
    assert [response.status for response in server.responses] == [200, 501]
    request = Request("REDIRECT", "*")
    request.headers.set("Location", "rtsp://other/x")
    server.tell(request)
    assert isinstance(server.events[-1], Redirected)


def test_packets_pass_through() -> None:
    server = Server()
    server.start()
    server.set_up()
    assert server.client.receive(b"$\x00\x00\x03abc", now_s=0.0) == [InterleavedReceived(0, b"abc")]


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_hostile_bytes_end_in_one_failure(pieces: list[bytes]) -> None:
    server = Server()
    server.start()
    server.set_up()
    events = [event for piece in pieces for event in server.client.receive(piece, now_s=0.0)]
    failures = [event for event in events if not isinstance(event, InterleavedReceived)]
    assert len(failures) <= 1


@given(st.text(max_size=300))
def test_hostile_descriptions(text: str) -> None:
    server = Server()
    server.sdp = "v=0\r\n" + H264 + text
    server.start()
    assert isinstance(server.events[-1], Described | ClientFailed)
