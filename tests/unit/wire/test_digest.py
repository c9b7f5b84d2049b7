"""Digest authentication, both sides."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.authentication import MAX_AUTHORIZATION_CHARS, MalformedAuthorization
from manycast.wire.basic import BasicChallenge
from manycast.wire.challenges import choose_challenge, parse_challenges, respond
from manycast.wire.digest import Algorithm, DigestChallenge, DigestCredentials
from manycast.wire.digest_guard import DigestGuard, Verdict, uri_covers

RFC2617 = (  # section 3.5
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",'
    ' uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b",'
    ' response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
RFC7616 = (  # section 3.9.1; algorithm and response differ
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={},'
    ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,'
    ' cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{}",'
    ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("header", "password"),
    [
        (RFC2617, "Circle Of Life"),
        (RFC7616.format("MD5", "8ca523f5e9506fed4657c9700eebdbec"), "Circle of Life"),
        (
            RFC7616.format("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            "Circle of Life",
        ),
        (
            # RFC 2617 section 3.5 without qop, as RFC 2069 has it; worked out with another program (md5sum).
            'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",'
            ' uri="/dir/index.html", response="670fd8c2df070c60b045671b8b24ff02"',
            "Circle Of Life",
        ),
    ],
)
def test_the_examples_of_the_rfcs(header: str, password: str) -> None:
    credentials = DigestCredentials.parse(header)
    assert credentials.username == "Mufasa"
    assert credentials.expected_response(password, "GET") == credentials.response
    assert credentials.expected_response(password + " ", "GET") != credentials.response
    assert credentials.expected_response(password, "POST") != credentials.response
    assert DigestCredentials.parse(credentials.serialize()) == credentials


def test_the_client_answers_the_example_of_the_rfc() -> None:
    challenge = DigestChallenge(
        realm="testrealm@host.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        qop_auth=True,
        opaque="5ccc069c403ebaf9f0171e9517f40e41",
    )
    answer = respond(
        challenge,
        username="Mufasa",
        password="Circle Of Life",
        method="GET",
        uri="/dir/index.html",
        cnonce="0a4f113b",
    )
    assert DigestCredentials.parse(answer) == DigestCredentials.parse(RFC2617)


def test_the_client_answers_basic() -> None:
    answer = respond(
        BasicChallenge(realm="x"), username="Aladdin", password="open sesame", method="GET", uri="/", cnonce=""
    )
    assert answer == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617 section 2


CAPTURED = [  # what players answered to the challenge below; user "user", password "pa:ss"
    (  # ffmpeg, with a query
        "SETUP",
        "rtsp://127.0.0.1:18553/live/a%20b?x=1/trackID=0",
        'Digest username="user", realm="manycast", nonce="1388-b575a568fcfae3c2e9b32bda8e50e0f0",'
        ' uri="rtsp://127.0.0.1:18553/live/a%20b?x=1/trackID=0", response="f593188b8827aaabe254ddefbe64fd4b"',
    ),
    (  # ffmpeg, qop offered; it puts qop in quotes
        "PLAY",
        "rtsp://127.0.0.1:18556/live/a/",
        'Digest username="user", realm="manycast", nonce="1388-b575a568fcfae3c2e9b32bda8e50e0f0",'
        ' uri="rtsp://127.0.0.1:18556/live/a/", response="436e111ba038bb3a6046bf1b9a003d60", qop="auth",'
        ' cnonce="04eb39480fa94332", nc=00000003',
    ),
    (  # GStreamer
        "DESCRIBE",
        "rtsp://127.0.0.1:18555/live/one?x=1",
        'Digest username="user", realm="manycast", nonce="1388-b575a568fcfae3c2e9b32bda8e50e0f0",'
        ' uri="rtsp://127.0.0.1:18555/live/one?x=1", response="80c5d81a4485a391a4df96689cdc302d"',
    ),
]


@pytest.mark.parametrize(("method", "uri", "header"), CAPTURED)
def test_the_answers_of_known_players_are_accepted(method: str, uri: str, header: str) -> None:
    guard = DigestGuard(realm="manycast", secret=b"s" * 16)
    users = {"user": "pa:ss"}
    assert guard.check(header, method=method, uri=uri, password_of=users.get, now_s=5) is Verdict.ACCEPTED
    for wrong in ({"user": "pass"}, {}):
        assert guard.check(header, method=method, uri=uri, password_of=wrong.get, now_s=5) is Verdict.REFUSED
    assert guard.check(header, method="RECORD", uri=uri, password_of=users.get, now_s=5) is Verdict.REFUSED
    elsewhere = "rtsp://h/other"
    assert guard.check(header, method=method, uri=elsewhere, password_of=users.get, now_s=5) is Verdict.REFUSED


URI = "rtsp://h/live/one"


def answer(guard: DigestGuard, *, now_s: float, password: str = "secret", username: str = "user") -> str:
    challenge = choose_challenge(parse_challenges(guard.challenges(now_s=now_s)))
    assert challenge is not None
    return respond(challenge, username=username, password=password, method="PLAY", uri=URI, cnonce="c", nc=1)


def judge(guard: DigestGuard, header: str, *, now_s: float, since_s: float | None = None) -> Verdict:
    users = {"user": "secret", "jürgen": "größe", "empty": ""}
    return guard.check(header, method="PLAY", uri=URI, password_of=users.get, now_s=now_s, since_s=since_s)


GUARDS = [
    {},
    {"offer_qop": True},
    {"algorithms": (Algorithm.SHA256,)},
    {"algorithms": (Algorithm.SHA256, Algorithm.MD5), "offer_qop": True},
]


@pytest.fixture(params=GUARDS)
def guard(request: pytest.FixtureRequest) -> DigestGuard:
    return DigestGuard(realm='many"cast\\', secret=b"0123456789abcdef", **request.param)


def test_the_two_sides_understand_each_other(guard: DigestGuard) -> None:
    assert judge(guard, answer(guard, now_s=10), now_s=10) is Verdict.ACCEPTED
    assert judge(guard, answer(guard, now_s=10, username="jürgen", password="größe"), now_s=10) is Verdict.ACCEPTED
    assert judge(guard, answer(guard, now_s=10, username="empty", password=""), now_s=10) is Verdict.ACCEPTED
    assert judge(guard, answer(guard, now_s=10, password="wrong"), now_s=10) is Verdict.REFUSED
    assert judge(guard, answer(guard, now_s=10, username="nobody"), now_s=10) is Verdict.REFUSED


def test_nobody_does_not_get_in_with_an_empty_password(guard: DigestGuard) -> None:
    assert judge(guard, answer(guard, now_s=10, username="nobody", password=""), now_s=10) is Verdict.REFUSED


def test_an_old_nonce_is_stale_and_not_refused(guard: DigestGuard) -> None:
    header = answer(guard, now_s=10.0004)
    assert judge(guard, header, now_s=310) is Verdict.ACCEPTED
    assert judge(guard, header, now_s=310.1) is Verdict.STALE
    # With a wrong password it is refused: stale=true would promise that the password is right.
    assert judge(guard, answer(guard, now_s=10, password="wrong"), now_s=400) is Verdict.REFUSED
    stale = parse_challenges(guard.challenges(now_s=400, stale=True))
    assert all(isinstance(challenge, DigestChallenge) and challenge.stale for challenge in stale)


def test_a_nonce_of_this_connection_does_not_grow_old(guard: DigestGuard) -> None:
    header = answer(guard, now_s=10.0004)
    assert judge(guard, header, now_s=99999, since_s=10.0004) is Verdict.ACCEPTED
    assert judge(guard, header, now_s=99999, since_s=10.1) is Verdict.STALE


@pytest.mark.parametrize("options", GUARDS)
def test_a_nonce_from_before_a_restart_is_stale_where_the_password_is_right(options: dict[str, Any]) -> None:
    guard = DigestGuard(realm="r", secret=b"0123456789abcdef", **options)
    before = DigestGuard(realm="r", secret=b"another secret..", **options)
    assert judge(guard, answer(before, now_s=10), now_s=10) is Verdict.STALE
    assert judge(guard, answer(before, now_s=10), now_s=10, since_s=0) is Verdict.STALE
    assert judge(guard, answer(before, now_s=10, password="guess"), now_s=10) is Verdict.REFUSED
    assert judge(guard, answer(before, now_s=10, username="nobody"), now_s=10) is Verdict.REFUSED


def test_a_nonce_of_another_realm_is_refused(guard: DigestGuard) -> None:
    header = answer(guard, now_s=10)
    other_realm = DigestGuard(realm="other", secret=b"0123456789abcdef", algorithms=tuple(Algorithm))
    assert judge(other_realm, header, now_s=10) is Verdict.REFUSED


def test_another_realm_with_our_own_nonce_is_refused() -> None:
    guard = DigestGuard(realm="r", secret=b"0123456789abcdef")
    (challenge,) = parse_challenges(guard.challenges(now_s=10))
    assert isinstance(challenge, DigestChallenge)
    other = replace(challenge, realm="other")
    header = respond(other, username="user", password="secret", method="PLAY", uri=URI, cnonce="")
    assert judge(guard, header, now_s=10) is Verdict.REFUSED


def test_a_nonce_made_up_lets_nobody_in() -> None:
    guard = DigestGuard(realm="r", secret=b"0123456789abcdef")
    for nonce in ("", "-", "2710-", "2710-00000000000000000000000000000000", "zz-\udcff", "9" * 4000):
        challenge = DigestChallenge(realm="r", nonce=nonce)
        header = respond(challenge, username="user", password="secret", method="PLAY", uri=URI, cnonce="")
        assert judge(guard, header, now_s=10) is Verdict.STALE
        header = respond(challenge, username="user", password="guess", method="PLAY", uri=URI, cnonce="")
        assert judge(guard, header, now_s=10) is Verdict.REFUSED


def test_an_algorithm_that_was_not_offered_is_refused() -> None:
    guard = DigestGuard(realm="r", secret=b"0123456789abcdef")
    (challenge,) = parse_challenges(guard.challenges(now_s=10))
    assert isinstance(challenge, DigestChallenge)
    other = DigestChallenge(realm="r", nonce=challenge.nonce, algorithm=Algorithm.SHA256)
    header = respond(other, username="user", password="secret", method="PLAY", uri=URI, cnonce="")
    assert judge(guard, header, now_s=10) is Verdict.REFUSED


def test_session_keys_are_understood() -> None:
    guard = DigestGuard(realm="r", secret=b"0123456789abcdef")
    (challenge,) = parse_challenges(guard.challenges(now_s=10))
    assert isinstance(challenge, DigestChallenge)
    for qop_auth in (False, True):
        other = DigestChallenge(realm="r", nonce=challenge.nonce, session_key=True, qop_auth=qop_auth)
        assert parse_challenges([other.serialize()]) == [other]
        header = respond(other, username="user", password="secret", method="PLAY", uri=URI, cnonce="c")
        assert "algorithm=MD5-sess" in header
        assert judge(guard, header, now_s=10) is Verdict.ACCEPTED


def test_challenges_have_the_form_live555_scans_for() -> None:
    guard = DigestGuard(realm="manycast", secret=b"s" * 16)
    assert guard.challenges(now_s=5) == ['Digest realm="manycast", nonce="1388-b575a568fcfae3c2e9b32bda8e50e0f0"']
    (stale,) = guard.challenges(now_s=5, stale=True)
    assert stale.endswith('", stale=TRUE')


def test_the_strongest_challenge_is_chosen() -> None:
    lines = ['Basic realm="b"', 'Digest realm="m", nonce="1"', 'Digest realm="s", nonce="2", algorithm=SHA-256']
    challenges = parse_challenges(lines)
    assert choose_challenge(challenges) == DigestChallenge(realm="s", nonce="2", algorithm=Algorithm.SHA256)
    assert choose_challenge(challenges[:2]) == DigestChallenge(realm="m", nonce="1")
    assert choose_challenge(challenges[:1]) == BasicChallenge(realm="b")
    assert choose_challenge([]) is None


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ('Basic realm="a", Digest realm="b", nonce="c", qop="auth,auth-int", Negotiate', 2),
        ('Digest realm="a",nonce="b",stale="FALSE"', 1),
        ('digest REALM = "a" , Nonce="b"', 1),
        ('Digest realm="a" nonce="b"', 1),
        ("Basic", 1),
        ('Digest realm="a"', 0),
        ('Digest realm="a", nonce="b", algorithm=SHA-512-256', 0),
        ('Digest realm="a", nonce="b", qop="auth-int"', 0),
        ("Negotiate abc==", 0),
        ("", 0),
    ],
)
def test_lines_with_challenges_are_read(line: str, count: int) -> None:
    assert len(parse_challenges([line])) == count


@pytest.mark.parametrize(
    "header",
    ["", "Digest", "Basic dXNlcjpzZWNyZXQ=", "Bearer x", 'username="a"', RFC2617.replace("Digest", "Basic"),
     RFC2617.replace("username", "user"), RFC2617.replace("nc=", "n="), RFC2617.replace("qop=auth", "qop=auth-int"),
     RFC2617 + ", algorithm=SHA-1", RFC2617 + " " * MAX_AUTHORIZATION_CHARS],
)  # fmt: skip
def test_what_is_no_digest_is_refused_without_showing_it(header: str) -> None:
    with pytest.raises(MalformedAuthorization) as caught:
        DigestCredentials.parse(header)
    assert "dXNlcjpzZWNyZXQ=" not in str(caught.value)
    assert judge(DigestGuard(realm="r", secret=b"s" * 16), header, now_s=1) is Verdict.REFUSED


@pytest.mark.parametrize(
    ("signed", "requested", "covers"),
    [
        ("rtsp://h/p", "rtsp://h/p", True),
        ("rtsp://h/p/", "rtsp://h/p", True),
        ("rtsp://h/p", "rtsp://h/p/trackID=0", True),  # LIVE555 signs the base
        ("rtsp://h:554/p", "rtsp://10.0.0.1/p", True),
        ("/p", "rtsp://h/p", True),
        ("rtsp://h/p", "rtsp://h/p?x=1/trackID=0", True),
        ("*", "*", True),
        ("rtsp://h", "rtsp://h/p", False),  # it would stand for everything
        ("", "rtsp://h/p", False),
        ("rtsp://h/p", "rtsp://h/pq", False),
        ("rtsp://h/p/trackID=0", "rtsp://h/p", False),
        ("rtsp://h/p", "rtsp://h/q", False),
        ("rtsp://h/p", "*", False),
    ],
)
def test_the_signed_address_stands_for_what_is_below_it(signed: str, requested: str, covers: bool) -> None:
    assert uri_covers(signed, requested) is covers


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
CREDENTIALS = st.builds(
    DigestCredentials,
    username=TEXTS,
    realm=TEXTS,
    nonce=TEXTS,
    uri=TEXTS,
    response=st.text("0123456789abcdef", max_size=64),
    algorithm=st.sampled_from(Algorithm),
    session_key=st.just(True),
    qop=st.none() | st.just("auth"),
    cnonce=TEXTS,
    opaque=st.none() | TEXTS,
)


@given(CREDENTIALS, st.integers(0, 2**32 - 1))
def test_credentials_survive_the_wire(credentials: DigestCredentials, nc: int) -> None:
    if credentials.qop is not None:
        credentials = replace(credentials, nc=f"{nc:08x}")
    assert DigestCredentials.parse(credentials.serialize()) == credentials


@given(
    st.builds(
        DigestChallenge,
        realm=TEXTS,
        nonce=TEXTS,
        algorithm=st.sampled_from(Algorithm),
        session_key=st.booleans(),
        qop_auth=st.booleans(),
        opaque=st.none() | TEXTS,
        stale=st.booleans(),
    )
)
def test_challenges_survive_the_wire(challenge: DigestChallenge) -> None:
    assert parse_challenges([challenge.serialize()]) == [challenge]
    assert parse_challenges([f'Basic realm="x", {challenge.serialize()}, Other'])[1:] == [challenge]


def test_line_breaks_are_our_own_mistake() -> None:
    with pytest.raises(ValueError):
        DigestChallenge(realm="a\r\nX: y", nonce="b").serialize()


def read(header: str) -> None:
    try:
        DigestCredentials.parse(header)
    except MalformedAuthorization:
        pass
    parse_challenges([header])
    assert judge(DigestGuard(realm="r", secret=b"s" * 16), header, now_s=1) is Verdict.REFUSED


PIECES = [
    "Digest ",
    "Basic ",
    'realm="r"',
    "nonce=",
    'nonce="3e8-',
    '"',
    "\\",
    ",",
    "=",
    " ",
    "uri=",
    "username=",
    "a",
    "é",
]


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_hostile_headers_are_refused(header: str) -> None:
    read(header)
    read("Digest " + header)


@given(st.binary(max_size=60))
def test_hostile_bytes_in_every_field_are_refused(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape").replace("\\", "").replace('"', "")
    fields = ("username", "nonce", "uri", "response", "cnonce", "nc", "qop", "algorithm")
    read('Digest realm="r", ' + ", ".join(f'{name}="{text}"' for name in fields))


@pytest.mark.parametrize("header", [RFC2617, CAPTURED[1][2]])
def test_every_prefix_of_a_header_is_refused(header: str) -> None:
    for size in range(len(header)):
        read(header[:size])


@pytest.mark.parametrize("piece", [" ", "a", "a ", "a=", ",", '"', "\\", 'a="'])
def test_a_hostile_header_of_full_size_takes_no_time(piece: str) -> None:
    read("Digest " + piece * (MAX_AUTHORIZATION_CHARS // len(piece) - 10))


def test_what_was_counted_is_not_taken_from_somebody_else() -> None:
    guard = DigestGuard(realm="r", secret=b"0123456789abcdef", offer_qop=True)
    (challenge,) = parse_challenges(guard.challenges(now_s=0))

    def judged(owner: str, nc: int) -> Verdict:
        header = respond(challenge, username="u", password="p", method="PLAY", uri="/a", cnonce="c", nc=nc)
        return guard.check(
            header, method="PLAY", uri="/a", password_of=lambda user: "p", now_s=1, since_s=None, owner=owner
        )

    assert judged("first", 1) is Verdict.ACCEPTED
    assert judged("first", 1) is Verdict.ACCEPTED  # not every client counts
    assert judged("listener", 1) is Verdict.STALE
    assert judged("first's other connection", 2) is Verdict.ACCEPTED
    assert judged("listener", 2) is Verdict.STALE


def test_the_strict_want_the_target_and_the_qop_that_was_offered() -> None:
    target = "/onvif/device_service?x=1"

    def judged(guard: DigestGuard, *, uri: str = target, qop: bool = True) -> Verdict:
        challenge = choose_challenge(parse_challenges(guard.challenges(now_s=1)))
        assert isinstance(challenge, DigestChallenge)
        header = respond(
            replace(challenge, qop_auth=qop), username="user", password="secret", method="POST", uri=uri, cnonce="c"
        )
        return guard.check(header, method="POST", uri=target, password_of={"user": "secret"}.get, now_s=1)

    lenient = DigestGuard(realm="x", secret=b"s" * 16, offer_qop=True)
    strict = DigestGuard(realm="x", secret=b"s" * 16, offer_qop=True, strict=True)
    assert judged(lenient) is judged(strict) is Verdict.ACCEPTED
    assert (judged(lenient, qop=False), judged(strict, qop=False)) == (Verdict.ACCEPTED, Verdict.REFUSED)
    for uri in (f"http://h{target}", "/onvif/device_service", "/onvif", f"{target}/", ""):
        assert judged(strict, uri=uri) is Verdict.REFUSED
    assert judged(lenient, uri="/onvif") is Verdict.ACCEPTED
    unoffered = DigestGuard(realm="x", secret=b"s" * 16, strict=True)
    assert judged(unoffered, qop=False) is Verdict.ACCEPTED
