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
def test_of_any_text_nobody_is_named_who_is_not_in_it(rest: str) -> None:
    for scheme in ("Digest ", ""):
        assert claimed_user(scheme + rest) in rest.replace("\\", "")
    assert len(claimed_user("Basic " + rest)) <= len(rest)
