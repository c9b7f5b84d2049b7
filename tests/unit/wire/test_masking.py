"""Addresses are shown without their passwords, however these are written."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.errors import ProtocolError
from manycast.wire.http import RequestHead
from manycast.wire.masking import masked, masked_line
from manycast.wire.rtsp.message import Request, parse_head, parse_start_line
from manycast.wire.rtsp.url import RtspUrl

SECRET = "Sekrit77"
_NAMES = ["pass", "password", "PASS", "passphrase", "pwd", "token", "s", "p%61ss", "%50ass", "secret"]
# What people have in passwords; what would end one by the grammar of the place is left out there.
_AROUND = st.text(" !\"#$%'()*+,-./:;<=>?@[]^_`{|}~aZ0ß", max_size=6)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://u:p@h:1/p@q", "rtsp://***@h:1/p@q"),
        ("rtsp://h/p", "rtsp://h/p"),
        ("*", "*"),
        ("rtsp://u@h", "rtsp://***@h"),
        ("rtsp://h:8554/a@b?user=u&pass=p&t=1", "rtsp://h:8554/a@b?user=u&pass=***&t=1"),
        ("rtsp://[::1]:554/a@b", "rtsp://[::1]:554/a@b"),
        ("rtsp://u:p/q@h/x", "rtsp://***@h/x"),
        ("u:p@h/x", "***@h/x"),
        ("/x&user=u&pass=p&w=1", "/x&user=u&pass=***&w=1"),
        ("srt://h?streamid=#!::r=x,s=p,m=publish", "srt://h?streamid=#!::r=x,s=***,m=publish"),
        ("srt://h?streamid=%23%21::r%3Dx%2Cs%3Dp%2Cm%3Dr", "srt://h?streamid=%23%21::r%3Dx%2Cs%3D***%2Cm%3Dr"),
        ("/x?compass=north&starts=1", "/x?compass=north&starts=1"),
    ],
)
def test_what_is_secret_is_hidden_and_nothing_else(address: str, shown: str) -> None:
    assert masked(address) == shown
    assert masked(shown) == shown


@given(_AROUND, _AROUND, st.sampled_from(_NAMES), st.booleans())
def test_a_password_in_a_query_never_comes_through(before: str, after: str, name: str, encoded: bool) -> None:
    password = f"{before}{SECRET}{after}".replace("#", "")
    text = f"rtsp://h/x?user=u&{name}={quote(password, safe='') if encoded else password}&t=1"
    assert SECRET not in masked(text)
    assert masked(text).endswith("&t=1")


@given(_AROUND, _AROUND)
def test_a_password_before_the_host_never_comes_through(before: str, after: str) -> None:
    password = f"{before}{SECRET}{after}".translate(str.maketrans("", "", "@/?#"))
    assert masked(f"rtsp://u:{password}@h/x") == "rtsp://***@h/x"


def _rtsp_line(line: str) -> object:
    return parse_start_line(*parse_head(line.encode()))


def _rtsp_header(line: str) -> object:
    return parse_head(f"PLAY * RTSP/1.0\r\n{line}".encode())


def _http_line(line: str) -> object:
    return RequestHead.parse(line.encode())


def _http_header(line: str) -> object:
    return RequestHead.parse(f"GET / HTTP/1.1\r\n{line}".encode())


@pytest.mark.parametrize("read", [_rtsp_line, _rtsp_header, _http_line, _http_header, RtspUrl.parse])
@pytest.mark.parametrize(
    "line",
    [
        "DESCRIBE rtsp://u:Sekrit77@h/x HTTQ/1.0",
        "DESCRIBE rtsp://h/x?pass=Sekrit77",
        "DESCRIBE rtsp://h/x RTSP/1.0?pass=Sekrit77",
        "GET /x.flv?user=u&pass=Sekrit77",
        "GET /x.flv?user=u&pass=my Sekrit77 HTTP/1.1",
        "GET /x.flv HTTP/1.9?pass=Sekrit77",
        "Authorization Basic Sekrit77",
        "Authorization: Basic Sekrit77\0",
        " Basic Sekrit77",
        "rtsp://u:p/Sekrit77:@h:port/x",
        "rtsp://u:Sekrit77/@h/x",
        "rtsp://u:Sekrit77%ff@h/x",
        "rtsp://u:Sekrit77%00@h/x",
        "u:Sekrit77@h/x",
        "rtsp://h/x%ff?pass=Sekrit77",
        "rtsp://h/../x&pass=Sekrit77",
        "rtsp://h:99999/x&pass=Sekrit77",
        "rtsp://h/%00&pass=Sekrit77",
        "ftp://u:Sekrit77@h/x",
    ],
)
def test_what_cannot_be_read_is_told_without_its_password(read: Callable[[str], object], line: str) -> None:
    said = ""
    try:
        read(line)
    except ProtocolError as error:
        said = str(error)
    assert SECRET not in said


def test_requests_are_told_without_their_password() -> None:
    assert str(Request("PLAY", "rtsp://u:p@h/x?pass=Sekrit77")).startswith("PLAY 'rtsp://***@h/x?pass=***'")


@pytest.mark.parametrize(
    "part", ["://x:", "@://x:", "?pass=", " a:", "%3f", "?s=a ", "?s= ab/", "basic ", " ", "a:", "[a"]
)
def test_long_lines_are_masked_at_once(part: str) -> None:
    line = masked_line(part * 100_000 + "@")
    assert len(line) <= 80
