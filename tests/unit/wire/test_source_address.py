"""Addresses of streams, and where redirects lead to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.address import MalformedAddress, SourceAddress

BASE = "http://joe:secret@camera:81/a/b/c;d?q"


@pytest.mark.parametrize(
    ("location", "target"),
    [  # RFC 3986 section 5.4, as far as streams have such addresses
        ("g", "http://camera:81/a/b/g"),
        ("./g", "http://camera:81/a/b/g"),
        ("g/", "http://camera:81/a/b/g/"),
        ("/g", "http://camera:81/g"),
        ("//g", "http://g"),
        ("//g:82/x", "http://g:82/x"),
        ("//camera:82/x", "http://camera:82/x"),
        ("?y", "http://camera:81/a/b/c;d?y"),
        ("g?y", "http://camera:81/a/b/g?y"),
        ("g?y/./x", "http://camera:81/a/b/g?y/./x"),
        (";x", "http://camera:81/a/b/;x"),
        (".", "http://camera:81/a/b/"),
        ("..", "http://camera:81/a/"),
        ("../g", "http://camera:81/a/g"),
        ("../../g", "http://camera:81/g"),
        ("../../../g", "http://camera:81/g"),
        ("/./g", "http://camera:81/g"),
        ("/../g", "http://camera:81/g"),
        ("g;x=1/../y", "http://camera:81/a/b/y"),
        ("g#s", "http://camera:81/a/b/g"),
        ("a film.ts", "http://camera:81/a/b/a%20film.ts"),
        ("http://other/x", "http://other/x"),
        ("https://camera/x?u=http://other/", "https://camera/x?u=http://other/"),
        ("?u=http://other/", "http://camera:81/a/b/c;d?u=http://other/"),
    ],
)
def test_redirects(location: str, target: str) -> None:
    found = SourceAddress.parse(BASE).redirected(location)
    assert found.uri == target
    assert (found.password == "secret") == (found.host == "camera"), "a login is the host's it was given for"


@pytest.mark.parametrize(
    ("base", "location", "target"),
    [
        ("rtsp://camera/live/1", "2", "rtsp://camera/live/2"),
        ("rtsps://camera/live/1", "//other/2", "rtsps://other/2"),
        ("rtsp+http://camera/live/1", "../2", "rtsp://camera/2"),
        ("http://[::1]:81/x", "/y", "http://[::1]:81/y"),
    ],
)
def test_redirects_of_other_schemes(base: str, location: str, target: str) -> None:
    before = SourceAddress.parse(base)
    found = before.redirected(location)
    assert found.uri == target
    assert found.scheme == before.scheme


def test_a_login_does_not_go_from_tls_to_the_clear() -> None:
    secure = SourceAddress.parse("https://joe:secret@camera/x")
    assert secure.redirected("http://camera/x").password is None
    assert secure.redirected("//camera/y").password == "secret"


@pytest.mark.parametrize("location", ["mailto:joe", "mailto://joe", "http:///x", "http://h:x/", "/a\r\nHost: b", "/\0"])
def test_redirects_to_nowhere(location: str) -> None:
    with pytest.raises(MalformedAddress):
        SourceAddress.parse(BASE).redirected(location)


@given(st.text(max_size=60))
def test_any_location_is_an_address_or_refused(location: str) -> None:
    try:
        found = SourceAddress.parse(BASE).redirected(location)
    except MalformedAddress:
        return
    assert found.host
    assert not any(character <= " " for character in found.uri)
    assert found.password is None or found.host == "camera"
