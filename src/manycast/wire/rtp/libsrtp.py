"""Sessions of libsrtp, by pylibsrtp, for what the latter does not offer.

Of the suites it knows only those that encrypt: ours is written into libsrtp's policy as it lies in memory
(srtp_crypto_policy_t of srtp.h, the same in all of libsrtp 2).
"""

from __future__ import annotations

import struct

from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi

from manycast.wire.mikey import SALT_BYTES, SrtpPolicy
from manycast.wire.rtp.srtp import MAX_PACKET_BYTES, SrtpKey

__all__ = ["Error", "receiving_session", "sending_session"]

REPLAY_WINDOW_PACKETS = 1024  # UDP may bring them in another order

_TRAILER_BYTES = 256  # what pylibsrtp wants to be free behind a packet, and more
_CRYPTO_POLICY = struct.Struct("=IiIiiI")  # cipher, its key's and salt's size, authentication, key, tag, services
_NO_CIPHER, _AES_128, _AES_256 = 0, 1, 5
_HMAC_SHA1 = 3
_ENCRYPT, _AUTHENTICATE = 1, 2
_HMAC_KEY_BYTES = 20

_allocate = ffi.new_allocator(should_clear_after_alloc=False)  # memory that is not touched costs nothing


def sending_session(key: SrtpKey) -> Session:
    """One that protects packets, of any SSRC."""
    return _session(key, Policy.SSRC_ANY_OUTBOUND)


def receiving_session(key: SrtpKey) -> Session:
    """One that opens packets, of any SSRC; it raises Error for those that are not what the key says."""
    return _session(key, Policy.SSRC_ANY_INBOUND)


def _session(key: SrtpKey, direction: int) -> Session:
    policy = key.policy
    if len(key.master) != policy.key_bytes + SALT_BYTES:
        raise ValueError(f"key and salt of {len(key.master)} bytes, wanted {policy.key_bytes + SALT_BYTES}")
    native = Policy(key=key.master, ssrc_type=direction)
    native.window_size = REPLAY_WINDOW_PACKETS
    for name, encrypt in (("rtp", policy.encrypt_rtp), ("rtcp", policy.encrypt_rtcp)):
        ffi.buffer(ffi.addressof(native._policy, name))[:] = _crypto_policy(policy, encrypt=encrypt)
    session = Session(native)
    # pylibsrtp's own buffer has 1500 bytes, less what could be added at most; ours takes what RTP over TCP can bring.
    session._cdata = _allocate("char[]", MAX_PACKET_BYTES + _TRAILER_BYTES)
    session._buffer = ffi.buffer(session._cdata)
    return session


def _crypto_policy(policy: SrtpPolicy, *, encrypt: bool) -> bytes:
    cipher = (_AES_256 if policy.key_bytes == 32 else _AES_128) if encrypt else _NO_CIPHER
    return _CRYPTO_POLICY.pack(
        cipher,
        policy.key_bytes + SALT_BYTES,
        _HMAC_SHA1,
        _HMAC_KEY_BYTES,
        policy.tag_bytes,
        _ENCRYPT | _AUTHENTICATE if encrypt else _AUTHENTICATE,
    )
