"""SRTP for publishing sessions: the publisher's key, and ours for the reports that go back."""

from __future__ import annotations

import secrets
import time

from manycast.hub.srtp import SrtpContext
from manycast.media.clock import ntp_from_unix
from manycast.servers.faults import AnyLog
from manycast.servers.rtsp.keyhole import Keyhole, key_of, receiving_key
from manycast.wire.mikey import CryptoSession, MikeyMessage, serialize_key_mgmt_header
from manycast.wire.rtp.srtp import SrtpKey
from manycast.wire.rtsp.errors import KeyManagementFailure
from manycast.wire.rtsp.message import Request


class PublisherKeys(Keyhole):
    """The keys of one medium that comes in."""

    def __init__(self, key: SrtpKey, log: AnyLog, *, encrypt: bool) -> None:
        super().__init__(key, log)
        self._context = SrtpContext(encrypt=encrypt, keeps=False)

    @classmethod
    def agree(cls, request: Request, announced: MikeyMessage | None, *, encrypt: bool, log: AnyLog) -> PublisherKeys:
        """The key of a SETUP, or else of the ANNOUNCE before. Raises KeyManagementFailure."""
        message = key_of(request) or announced
        if message is None:
            raise KeyManagementFailure("SRTP without a key: there is none in the SDP, and no KeyMgmt header")
        return cls(receiving_key(message), log, encrypt=encrypt)

    def header(self, uri: str, ssrc: int) -> str:
        """The `KeyMgmt` of the reply, with which the publisher can read our reports."""
        key = self._context.key
        message = MikeyMessage(
            bundle_id=secrets.randbits(32),
            sessions=(CryptoSession(ssrc),),
            key=key.master,
            policy=key.policy,
            ntp=ntp_from_unix(time.time()),
            rand=secrets.token_bytes(16),
        )
        return serialize_key_mgmt_header(message, uri)

    def protect(self, report: bytes) -> bytes:
        return self._context.report(report, says_key=False)
