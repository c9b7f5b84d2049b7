"""MIKEY messages (RFC 3830), as far as they carry SRTP keys inside RTSP and SDP (RFC 4567).

What is read and written is the pre-shared key message without encryption and without a MAC of its own, as LIVE555,
GStreamer and cameras send it: TLS protects it, which is why it is never sent nor taken without TLS. Who makes which
key:

- The server's key stands in the SDP (`a=key-mgmt`), and protects RTP and RTCP from server to viewer.
- GStreamer's viewer makes another key for its own RTCP and sends it with SETUP (`KeyMgmt`). LIVE555's viewer sends
  back the message it was given, and protects its RTCP with the server's key. Neither wants a message in the reply.
- GStreamer up to 1.22 knows no MKI: packets that have one fail its check. LIVE555 takes only messages with an MKI, of
  four bytes, and otherwise makes a key of its own. GStreamer takes the first `a=key-mgmt` of a medium, LIVE555 the
  last one it can read: a server that writes both, the one without MKI first, is understood by both.
- The roll-over counter a viewer begins with is that of the map. GStreamer looks for the packets' SSRC in it, LIVE555
  takes the first entry, whatever its SSRC. Both begin with 0 when there is none.
- A publisher's key stands in the SDP of its ANNOUNCE, or comes with SETUP. GStreamer's publisher wants a message in the
  reply to SETUP, or it cannot read our reports.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from manycast.errors import ProtocolError

MAX_MESSAGE_BYTES = 4096  # ours have 115 to 120; a bundle of 255 sessions with its keys fits
MAX_MKI_BYTES = 128  # libsrtp's limit
SALT_BYTES = 14  # RFC 3711 section 8.2: the master salt of all AES-CM suites

_VERSION = 1
_SRTP_MAP = 0  # CS ID map type "SRTP-ID"
_ENTRY_BYTES = 9
_TIMESTAMP_BYTES = {0: 8, 1: 8, 2: 4}  # NTP-UTC, NTP, counter
_KEY_BYTES = (16, 32)
_AUTH_TAG_BYTES = (4, 10)
_DATA = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_FIELD = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^";,]*))\s*')


class MalformedMikey(ProtocolError):
    """Bytes that are no MIKEY message, or one whose kind nobody here speaks."""


class _Payload(IntEnum):
    """RFC 3830 section 6.1, "next payload"."""

    LAST = 0
    KEMAC = 1
    T = 5
    ID = 6
    SP = 10
    RAND = 11
    EXTENSION = 21


class _Policy(IntEnum):
    """RFC 3830 section 6.10.1, the parameters of SRTP."""

    ENCRYPTION = 0  # 0: none, 1: AES-CM
    ENCRYPTION_KEY_BYTES = 1
    AUTHENTICATION = 2  # 1: HMAC-SHA1
    AUTHENTICATION_KEY_BYTES = 3
    SALT_BYTES = 4
    PRF = 5
    ENCRYPT_RTP = 7
    ENCRYPT_RTCP = 8
    AUTHENTICATE_RTP = 10
    TAG_BYTES = 11


@dataclass(frozen=True, slots=True)
class CryptoSession:
    """One entry of the map: an SSRC, and the roll-over counter its packets have at this moment."""

    ssrc: int
    roc: int = 0
    policy: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtpPolicy:
    """What is done to packets. What a message leaves unsaid is as RFC 3711 says."""

    encrypt_rtp: bool = True
    encrypt_rtcp: bool = True
    key_bytes: int = 16  # of the master key: 16 or 32
    tag_bytes: int = 10  # of the authentication tag: 10 or 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MikeyMessage:
    """A pre-shared key message with one policy and one key."""

    bundle_id: int  # CSB ID
    sessions: tuple[CryptoSession, ...]
    key: bytes = field(repr=False)  # master key, then master salt
    mki: bytes = b""  # what packets say about their key; empty: nothing
    policy: SrtpPolicy = SrtpPolicy()
    ntp: int = 0  # when it was written, 64 bits as in a sender report
    rand: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a message. Bad bytes raise MalformedMikey and nothing else.

        Of several keys the first one counts. Payloads of no use here are passed over, as far as their length is known.
        """
        if len(data) > MAX_MESSAGE_BYTES:
            raise MalformedMikey(f"{len(data)} bytes, at most {MAX_MESSAGE_BYTES}")
        reader = _Reader(data)
        bundle_id, sessions, following = _parse_header(reader)
        ntp, rand = 0, b""
        policies: dict[int, SrtpPolicy] = {}
        key: tuple[bytes, bytes] | None = None
        while following != _Payload.LAST:
            kind, following = following, reader.number(1)
            match kind:
                case _Payload.T:
                    ntp = _parse_timestamp(reader)
                case _Payload.RAND:
                    rand = reader.take(reader.number(1))
                case _Payload.SP:
                    number, policy = _parse_policy(reader)
                    policies.setdefault(number, policy)
                case _Payload.KEMAC:
                    key = key or _parse_kemac(reader)
                case _Payload.ID | _Payload.EXTENSION:
                    reader.take(1)
                    reader.take(reader.number(2))
                case _:
                    raise MalformedMikey(f"payload {kind}, of which no length is known")
        if key is None:
            raise MalformedMikey("no key")
        number = sessions[0].policy if sessions else 0
        policy = policies.get(number, SrtpPolicy())
        if len(key[0]) != policy.key_bytes + SALT_BYTES:
            raise MalformedMikey(f"key and salt of {len(key[0])} bytes, wanted {policy.key_bytes + SALT_BYTES}")
        return cls(bundle_id=bundle_id, sessions=sessions, key=key[0], mki=key[1], policy=policy, ntp=ntp, rand=rand)

    def serialize(self) -> bytes:
        if not 1 <= len(self.sessions) <= 255:
            raise ValueError(f"{len(self.sessions)} crypto sessions")
        head = bytes((_VERSION, 0, _Payload.T, 0)) + self.bundle_id.to_bytes(4)
        entries = [
            bytes((session.policy,)) + session.ssrc.to_bytes(4) + session.roc.to_bytes(4) for session in self.sessions
        ]
        numbers = sorted({session.policy for session in self.sessions})
        policies = [
            bytes((_Payload.KEMAC if number == numbers[-1] else _Payload.SP, number)) + self._policy()
            for number in numbers
        ]
        return b"".join(
            [
                head,
                bytes((len(self.sessions), _SRTP_MAP)),
                *entries,
                bytes((_Payload.RAND, 0)) + self.ntp.to_bytes(8),
                bytes((_Payload.SP, len(self.rand))) + self.rand,
                *policies,
                self._kemac(),
            ]
        )

    def _policy(self) -> bytes:
        """Behind the policy's number. The values and their order are those LIVE555 and GStreamer both take."""
        policy = self.policy
        encrypts = policy.encrypt_rtp or policy.encrypt_rtcp
        values = {
            _Policy.ENCRYPTION: encrypts,
            _Policy.ENCRYPTION_KEY_BYTES: policy.key_bytes,
            _Policy.AUTHENTICATION: 1,
            # GStreamer reads this as the length of the tag; 20, the key's, leaves it at the usual 10.
            _Policy.AUTHENTICATION_KEY_BYTES: 20 if policy.tag_bytes == 10 else policy.tag_bytes,
            _Policy.SALT_BYTES: SALT_BYTES,
            _Policy.ENCRYPT_RTP: policy.encrypt_rtp,
            _Policy.ENCRYPT_RTCP: policy.encrypt_rtcp,
            _Policy.AUTHENTICATE_RTP: 1,
            _Policy.TAG_BYTES: policy.tag_bytes,
        }
        parameters = b"".join(bytes((kind, 1, int(value))) for kind, value in values.items())
        return bytes((0,)) + len(parameters).to_bytes(2) + parameters

    def _kemac(self) -> bytes:
        """RFC 3830 sections 6.2, 6.13 and 6.14: one traffic key, key and salt in one, as both peers want it."""
        validity = bytes((len(self.mki),)) + self.mki if self.mki else b""
        key_data = bytes((0, 2 << 4 | bool(self.mki))) + len(self.key).to_bytes(2) + self.key + validity
        return bytes((_Payload.LAST, 0)) + len(key_data).to_bytes(2) + key_data + bytes((0,))


def parse_key_mgmt_attribute(value: str) -> MikeyMessage | None:
    """Read the value of `a=key-mgmt` (RFC 4567 section 3.1); None for another protocol. Raises MalformedMikey."""
    protocol, _, data = value.strip().partition(" ")
    return MikeyMessage.parse(_decode(data.strip())) if protocol.lower() == "mikey" else None


def serialize_key_mgmt_attribute(message: MikeyMessage) -> str:
    return f"mikey {base64.b64encode(message.serialize()).decode()}"


def parse_key_mgmt_header(value: str) -> MikeyMessage | None:
    """Read a `KeyMgmt` header (RFC 4567 section 3.2): the first entry for MIKEY, or None. Raises MalformedMikey."""
    if len(value) > 4 * MAX_MESSAGE_BYTES:
        raise MalformedMikey(f"KeyMgmt of {len(value)} characters")
    fields: dict[str, str] = {}
    position = 0
    while position < len(value):
        match = _FIELD.match(value, position)
        if match is None:
            raise MalformedMikey(f"KeyMgmt: no name=value at character {position}")
        fields[match[1].lower()] = match[2] if match[2] is not None else match[3].strip()
        position = match.end()
        if position == len(value) or value[position] == ",":
            if fields.get("prot", "").lower() == "mikey":
                return MikeyMessage.parse(_decode(fields.get("data", "")))
            fields = {}
        elif value[position] != ";":
            raise MalformedMikey(f"KeyMgmt: no separator at character {position}")
        position += 1
    return None


def serialize_key_mgmt_header(message: MikeyMessage, uri: str) -> str:
    return f'prot=mikey;uri="{uri}";data="{base64.b64encode(message.serialize()).decode()}"'


class _Reader:
    """A cursor that never reads past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._position

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise MalformedMikey(f"{size} bytes wanted at byte {self._position} of {len(self._data)}")
        self._position += size
        return self._data[self._position - size : self._position]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))


def _decode(data: str) -> bytes:
    if len(data) > 2 * MAX_MESSAGE_BYTES or not _DATA.fullmatch(data):
        raise MalformedMikey("data that is no base64")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise MalformedMikey(f"base64: {error}") from error


def _parse_header(reader: _Reader) -> tuple[int, tuple[CryptoSession, ...], int]:
    """RFC 3830 section 6.1: the bundle's id, its sessions, and the kind of the first payload."""
    version, kind, following = reader.take(3)
    if version != _VERSION:
        raise MalformedMikey(f"version {version}, wanted {_VERSION}")
    if kind != 0:
        raise MalformedMikey(f"message of type {kind}; only 0, the initiator's pre-shared key message, is known")
    if reader.number(1) & 0x7F:
        raise MalformedMikey("another pseudo-random function than MIKEY-1")
    bundle_id = reader.number(4)
    count, map_type = reader.take(2)
    if map_type != _SRTP_MAP:
        raise MalformedMikey(f"map of type {map_type}, wanted {_SRTP_MAP}, SRTP-ID")
    sessions = []
    for _ in range(count):
        entry = reader.take(_ENTRY_BYTES)
        sessions.append(CryptoSession(int.from_bytes(entry[1:5]), int.from_bytes(entry[5:9]), entry[0]))
    return bundle_id, tuple(sessions), following


def _parse_timestamp(reader: _Reader) -> int:
    """RFC 3830 section 6.6."""
    kind = reader.number(1)
    if kind not in _TIMESTAMP_BYTES:
        raise MalformedMikey(f"timestamp of type {kind}")
    return reader.number(_TIMESTAMP_BYTES[kind])


def _parse_policy(reader: _Reader) -> tuple[int, SrtpPolicy]:
    """RFC 3830 section 6.10."""
    number, protocol = reader.take(2)
    if protocol != 0:
        raise MalformedMikey(f"policy for protocol {protocol}, wanted 0, SRTP")
    parameters = _Reader(reader.take(reader.number(2)))
    values: dict[int, int] = {}
    while parameters.left:
        kind = parameters.number(1)
        value = parameters.take(parameters.number(1))
        if len(value) == 1:
            values[kind] = value[0]
        elif kind in _Policy.__members__.values():
            raise MalformedMikey(f"policy parameter {kind} of {len(value)} bytes")
    return number, _policy_of(values)


def _policy_of(values: dict[int, int]) -> SrtpPolicy:
    encryption = values.get(_Policy.ENCRYPTION, 1)
    authentication = values.get(_Policy.AUTHENTICATION, 1)
    key_bytes = values.get(_Policy.ENCRYPTION_KEY_BYTES, 16)
    # GStreamer says the tag's length where the authentication key's belongs.
    named = values.get(_Policy.AUTHENTICATION_KEY_BYTES)
    tag_bytes = values.get(_Policy.TAG_BYTES, named if named in _AUTH_TAG_BYTES else 10)
    if encryption > 1:
        raise MalformedMikey(f"encryption {encryption}; only 0, none, and 1, AES-CM, are known")
    if authentication != 1 or not values.get(_Policy.AUTHENTICATE_RTP, 1):
        raise MalformedMikey("packets without HMAC-SHA1: anyone could send such")  # RFC 3711 section 9.5
    if key_bytes not in _KEY_BYTES:
        raise MalformedMikey(f"encryption key of {key_bytes} bytes, wanted 16 or 32")
    if tag_bytes not in _AUTH_TAG_BYTES:
        raise MalformedMikey(f"authentication tag of {tag_bytes} bytes, wanted 10 or 4")
    if values.get(_Policy.SALT_BYTES, SALT_BYTES) != SALT_BYTES:
        raise MalformedMikey(f"salt of {values[_Policy.SALT_BYTES]} bytes, wanted {SALT_BYTES}")
    if values.get(_Policy.PRF, 0) != 0:
        raise MalformedMikey(f"key derivation {values[_Policy.PRF]}; only 0, AES-CM, is known")
    return SrtpPolicy(
        encrypt_rtp=bool(encryption and values.get(_Policy.ENCRYPT_RTP, 1)),
        encrypt_rtcp=bool(encryption and values.get(_Policy.ENCRYPT_RTCP, 1)),
        key_bytes=key_bytes,
        tag_bytes=tag_bytes,
    )


def _parse_kemac(reader: _Reader) -> tuple[bytes, bytes]:
    """RFC 3830 section 6.2: the first key with its salt, and its MKI."""
    if reader.number(1) != 0:
        raise MalformedMikey("encrypted keys: the key they are encrypted with is known to nobody here")
    keys = _Reader(reader.take(reader.number(2)))
    if reader.number(1) != 0:
        raise MalformedMikey("keys with a MAC: the key it was made with is known to nobody here")
    keys.take(1)
    kind = keys.number(1)
    if kind >> 4 not in (2, 3):
        raise MalformedMikey(f"key of type {kind >> 4}, wanted a traffic encryption key: 2, or 3 with salt")
    key = keys.take(keys.number(2))
    if kind >> 4 == 3:
        key += keys.take(keys.number(2))
    mki = b""
    if kind & 0x0F == 1:  # section 6.14
        mki = keys.take(keys.number(1))
        if len(mki) > MAX_MKI_BYTES:
            raise MalformedMikey(f"MKI of {len(mki)} bytes, at most {MAX_MKI_BYTES}")
    return key, mki
