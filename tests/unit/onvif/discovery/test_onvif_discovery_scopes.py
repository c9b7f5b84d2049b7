"""Whether what a client looks for is what a device is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.onvif.discovery.scopes import NONE, RFC2396, RFC3986, STRCMP0, matches

ONVIF = "onvif://www.onvif.org"
# The device of the example in ONVIF Core, section Scope parameters.
SCOPES = (
    f"{ONVIF}/Profile/Streaming",
    f"{ONVIF}/hardware/D1-566",
    f"{ONVIF}/location/country/china",
    f"{ONVIF}/location/city/bejing",
    f"{ONVIF}/location/building/headquarter",
    f"{ONVIF}/location/floor/R5",
    f"{ONVIF}/name/ARV-453",
)

WANTED = [
    (ONVIF, True),
    (f"{ONVIF}/", True),
    (f"{ONVIF}/location", True),
    (f"{ONVIF}/location/country", True),
    (f"{ONVIF}/location/country/china", True),
    (f"{ONVIF}/location/country/china/", True),
    (f"{ONVIF}/location/country/china/west", False),
    (f"{ONVIF}/hardware/D1", False),  # whole segments
    (f"{ONVIF}/hardware/D1-566", True),
    (f"{ONVIF}/hardware/d1-566", False),  # the path in its case
    ("ONVIF://WWW.onvif.ORG/name", True),  # the rest in any
    (f"{ONVIF}/name/ARV%2D453", True),  # written otherwise, the same
    (f"{ONVIF}/name?a=b#c", True),  # not looked at
    (f"{ONVIF}/./name", False),
    (f"{ONVIF}/name/../name", False),
    ("onvif://www.onvif.com/name", False),
    ("http://www.onvif.org/name", False),
    ("onvif://www.onvif.org:80/name", False),
    ("onvif://[", False),
    ("", False),
]


@pytest.mark.parametrize(("wanted", "found"), WANTED)
@pytest.mark.parametrize("rule", [RFC3986, RFC2396])
def test_by_scheme_authority_and_segments(wanted: str, found: bool, rule: str) -> None:
    assert matches([wanted], SCOPES, rule) is found


def test_each_wanted_scope_has_to_be_there() -> None:
    assert matches([f"{ONVIF}/name", f"{ONVIF}/location/floor"], SCOPES, RFC3986)
    assert not matches([f"{ONVIF}/name", f"{ONVIF}/location/street"], SCOPES, RFC3986)


def test_who_wants_nothing_finds_everything() -> None:
    assert matches([], SCOPES, RFC3986)
    assert matches([], [], RFC3986)


def test_an_escaped_slash_parts_no_segments() -> None:
    assert not matches(["a://b/c/d"], ["a://b/c%2Fd"], RFC3986)
    assert matches(["a://b/c%2fd"], ["a://b/c%2Fd/e"], RFC3986)


def test_as_texts() -> None:
    assert matches([SCOPES[0]], SCOPES, STRCMP0)
    assert not matches([ONVIF], SCOPES, STRCMP0)
    assert not matches([SCOPES[0].upper()], SCOPES, STRCMP0)


def test_none_is_for_devices_without_scopes() -> None:
    assert not matches([], SCOPES, NONE)
    assert matches([], [], NONE)
    assert not matches([ONVIF], [], NONE)


SEGMENTS = st.lists(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=3), max_size=4)


@given(SEGMENTS, SEGMENTS)
def test_a_path_finds_itself_and_what_is_below(path: list[str], below: list[str]) -> None:
    wanted = "/".join(["a://b", *path])
    assert matches([wanted], ["/".join(["a://b", *path, *below])], RFC3986)
    assert matches([wanted], ["/".join(["a://b", *below])], RFC3986) is (below[: len(path)] == path)


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from([RFC3986, RFC2396, STRCMP0, NONE]))
def test_no_text_makes_it_fail(wanted: str, scope: str, rule: str) -> None:
    assert matches([wanted], [scope], rule) in (True, False)
