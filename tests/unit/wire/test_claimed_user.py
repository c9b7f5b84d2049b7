"""Whom a header names."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.claimed_user import claimed_user

DIGEST = 'Digest username="{}", realm="r", nonce="n", uri="/", response="00"'


@pytest.mark.parametrize("user", ["admin", "zo\u00eb", "a b"])
def test_both_schemes_name_somebody(user: str) -> None:
    assert claimed_user(DIGEST.format(user)) == user
    assert claimed_user("basic " + b64encode(f"{user}:secret".encode()).decode()) == user


@pytest.mark.parametrize("header", ["", "Basic", "Basic !", "Digest", "Bearer x", 'Digest username="admin"'])
def test_what_cannot_be_read_names_nobody(header: str) -> None:
    assert claimed_user(header) == ""


@given(st.text())
def test_nothing_is_raised(rest: str) -> None:
    for scheme in ("Basic ", "Digest ", ""):
        claimed_user(scheme + rest)
