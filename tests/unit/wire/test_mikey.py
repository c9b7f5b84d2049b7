"""MIKEY messages: what real peers send, what they are sent, and what is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.mikey import (
    MAX_MESSAGE_BYTES,
    CryptoSession,
    MalformedMikey,
    MikeyMessage,
    SrtpPolicy,
    parse_key_mgmt_attribute,
    parse_key_mgmt_header,
    serialize_key_mgmt_attribute,
    serialize_key_mgmt_header,
)

# LIVE555 2026.06.24: a server's message, and one for packets that are authenticated only, at roll-over counter 3.
LIVE555 = (
    "AQAFAAWpY5IBAAC5AyZJAAAAAAsA7qwN+G8KTjgKEHT0ixhqtEvCV6loWGSKxIkBAAAAGwABAQEBEAIBAQMBFAQBDgcBAQgBAQoBAQsBCgAAACcA"
    "IQAeOFBrnwRBXUPEjbJuj+3bwVEqH159d4TB48MyMaxcBOnBiqEA"
)
LIVE555_AUTHENTICATED_ONLY = (
    "AQAFALKgD4wBAADrtmujAAAAAwsA7qwN+G8MNMIKEDXWYKr2u6CKrG1OZQjjEPcBAAAAGwABAAEBEAIBAQMBFAQBDgcBAAgBAAoBAQsBCgAAACcA"
    "IQAeTypTwbnsU2yxBX55BdpA81o7VwVgUdey28dEFAnjBBtxTkwA"
)
# GStreamer 1.22: a viewer's SETUP, a publisher's SDP, and the SETUP that followed.
GSTREAMER_VIEWER = (
    'prot=mikey;uri="rtsps://127.0.0.1:36139/x/trackID=0";data="AQAFANTvKKkBAAAevNBRAAAAAAsA7qwOkO1KXfIKEL1c7mgjbUe5'
    'JJ2k2siwXc8BAAAAFQABAQEBEAIBAQMBCgcBAQgBAQoBAQAAACIAIAAeJ77tEYigv1w2YjGyuqgC/iqmHvYtFZSLVX3sC7uyAA=="'
)
GSTREAMER_ANNOUNCE = (
    "mikey AQAFANveSSgBAABUVgVxAAAAAAsA7qwOkT/Ru0kKEOLv3q2iYRvB2lilngJ2qWsBAAAAFQABAQEBEAIBAQMBCgcBAQgBAQoBAQAAACIA"
    "IAAeGcdOV9slpA0Q0pDYPR6namKYjoeYo7vaLoKBz9lPAA=="
)
GSTREAMER_PUBLISHER = (
    'prot=mikey;uri="rtsp://127.0.0.1:36139/y/stream=0";data="AQAFANgjZ+MCAABUVgVxAAAAAADQrWxNAAAAAAsA7qwOkUszhxYKEHcH'
    'I42ZUXLucamJMcBSJ20BAAAAFQABAQEBEAIBAQMBCgcBAQgBAQoBAQAAACIAIAAeGcdOV9slpA0Q0pDYPR6namKYjoeYo7vaLoKBz9lPAA=="'
)

MESSAGES = st.builds(
    lambda bundle_id, sessions, long, mki, rtp, rtcp, tag, ntp, rand, key: MikeyMessage(
        bundle_id=bundle_id,
        sessions=tuple(CryptoSession(ssrc, roc) for ssrc, roc in sessions),
        key=key[: 46 if long else 30],
        mki=mki,
        policy=SrtpPolicy(
            encrypt_rtp=rtp or long, encrypt_rtcp=rtcp, key_bytes=32 if long else 16, tag_bytes=10 if tag else 4
        ),
        ntp=ntp,
        rand=rand,
    ),
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=4),
    st.booleans(),
    st.binary(max_size=128),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=255),
    st.binary(min_size=46, max_size=46),
)


def test_live555_server() -> None:
    message = MikeyMessage.parse(base64.b64decode(LIVE555))
    assert message.bundle_id == 0x05A96392
    assert message.sessions == (CryptoSession(ssrc=0xB9032649),)
    assert message.key.hex() == "38506b9f04415d43c48db26e8feddbc1512a1f5e7d7784c1e3c33231ac5c"
    assert message.mki.hex() == "e9c18aa1"
    assert message.policy == SrtpPolicy()
    assert message.serialize() == base64.b64decode(LIVE555)


def test_live555_server_that_does_not_encrypt() -> None:
    message = MikeyMessage.parse(base64.b64decode(LIVE555_AUTHENTICATED_ONLY))
    assert message.policy == SrtpPolicy(encrypt_rtp=False, encrypt_rtcp=False)
    assert message.sessions == (CryptoSession(ssrc=0xEBB66BA3, roc=3),)
    assert message.serialize() == base64.b64decode(LIVE555_AUTHENTICATED_ONLY)


def test_gstreamer_viewer() -> None:
    message = parse_key_mgmt_header(GSTREAMER_VIEWER)
    assert message is not None
    assert message.sessions == (CryptoSession(ssrc=0x1EBCD051),)
    assert message.key.hex() == "27beed1188a0bf5c366231b2baa802fe2aa61ef62d15948b557dec0bbbb2"
    assert message.mki == b""
    assert message.policy == SrtpPolicy()


def test_gstreamer_publisher_says_the_same_key_twice() -> None:
    announced = parse_key_mgmt_attribute(GSTREAMER_ANNOUNCE)
    set_up = parse_key_mgmt_header(GSTREAMER_PUBLISHER)
    assert announced is not None
    assert set_up is not None
    assert announced.key == set_up.key
    assert announced.sessions == (CryptoSession(ssrc=1414923633),)  # what the SDP's a=ssrc says too
    assert [session.ssrc for session in set_up.sessions] == [1414923633, 0xD0AD6C4D]


@given(MESSAGES)
def test_what_is_written_is_read(message: MikeyMessage) -> None:
    assert MikeyMessage.parse(message.serialize()) == message
    assert parse_key_mgmt_attribute(serialize_key_mgmt_attribute(message)) == message
    assert parse_key_mgmt_header(serialize_key_mgmt_header(message, "rtsps://h/a;b,c")) == message


@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(MalformedMikey):
        MikeyMessage.parse(data)


@given(MESSAGES, st.data())
def test_broken_messages_raise_nothing_else(message: MikeyMessage, data: st.DataObject) -> None:
    wire = bytearray(message.serialize())
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = MikeyMessage.parse(bytes(wire[: data.draw(st.integers(0, len(wire)))]))
    except MalformedMikey:
        return
    assert MikeyMessage.parse(read.serialize()) == read


@given(MESSAGES, st.data())
def test_a_message_cut_short_is_refused(message: MikeyMessage, data: st.DataObject) -> None:
    wire = message.serialize()
    with pytest.raises(MalformedMikey):
        MikeyMessage.parse(wire[: data.draw(st.integers(0, len(wire) - 1))])


@given(st.text(max_size=200))
def test_any_header(text: str) -> None:
    for parse in (parse_key_mgmt_header, parse_key_mgmt_attribute):
        try:
            parse(text)
        except MalformedMikey:
            pass


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({0: 2}, "version 2"),
        ({1: 2}, "message of type 2"),
        ({3: 1}, "pseudo-random function"),
        ({9: 1}, "map of type 1"),
        ({2: 7}, "payload 7"),
        ({20: 9}, "timestamp of type 9"),
        ({49: 1}, "policy for protocol 1"),
        ({54: 2}, "encryption 2"),
        ({57: 24}, "encryption key of 24 bytes"),
        ({60: 0}, "anyone could send such"),
        ({66: 12}, "salt of 12 bytes"),
        ({75: 0}, "anyone could send such"),
        ({78: 12}, "tag of 12 bytes"),
        ({80: 1}, "encrypted keys"),
        ({-1: 1}, "MAC"),
        ({84: 0x01}, "key of type 0"),
    ],
)
def test_what_cannot_be_used_is_named(edit: dict[int, int], reason: str) -> None:
    wire = bytearray(base64.b64decode(LIVE555))
    for position, value in edit.items():
        wire[position] = value
    with pytest.raises(MalformedMikey, match=reason):
        MikeyMessage.parse(bytes(wire))


def test_a_long_message_is_refused_unread() -> None:
    with pytest.raises(MalformedMikey, match="at most"):
        MikeyMessage.parse(bytes(MAX_MESSAGE_BYTES + 1))
    with pytest.raises(MalformedMikey, match="characters"):
        parse_key_mgmt_header("a" * 100_000)


def test_a_separate_salt_is_taken() -> None:
    """RFC 3830 section 6.13: type 3, the salt behind the key."""
    wire = base64.b64decode(LIVE555)
    key_data = bytes((0, 3 << 4)) + (16).to_bytes(2) + bytes(range(16)) + (14).to_bytes(2) + bytes(range(14))
    kemac = bytes((0, 0)) + len(key_data).to_bytes(2) + key_data + b"\0"
    assert MikeyMessage.parse(wire[:79] + kemac).key == bytes(range(16)) + bytes(range(14))


def test_other_payloads_are_passed_over() -> None:
    """An ID payload (RFC 3830 section 6.7), and a general extension (6.15)."""
    wire = bytearray(base64.b64decode(LIVE555))
    wire[2] = 6
    identity = bytes((21, 0, 0, 3)) + b"cam" + bytes((5, 1, 0, 2)) + b"xx"
    assert MikeyMessage.parse(bytes(wire[:19]) + identity + bytes(wire[19:])).mki.hex() == "e9c18aa1"


@pytest.mark.parametrize("value", ["other AAAA", "MIKEY2 AAAA"])
def test_other_protocols_are_none_of_ours(value: str) -> None:
    assert parse_key_mgmt_attribute(value) is None


def test_the_entry_for_mikey_is_found_among_others() -> None:
    message = base64.b64encode(base64.b64decode(LIVE555)).decode()
    header = f'prot=other;uri="a,b";data="x", prot=MIKEY; uri="rtsp://h/x" ; data="{message}"'
    found = parse_key_mgmt_header(header)
    assert found is not None
    assert found.bundle_id == 0x05A96392
    assert parse_key_mgmt_header('prot=other;data="x"') is None
    with pytest.raises(MalformedMikey):
        parse_key_mgmt_header("prot=mikey")
