"""SRTP of one medium: the server's packets opened with its key, and ours protected with our own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from manycast.media.clock import ntp_from_unix
from manycast.sources.path_log import AnyLog
from manycast.sources.rtsp.udp import Sink
from manycast.wire.mikey import SALT_BYTES, CryptoSession, MikeyMessage
from manycast.wire.rtp.srtp import SrtpError, SrtpKey, SrtpReceiver, SrtpSender

MAX_ROLL_OVERS = 20_000  # at 4 Mbit/s, 40 days; to follow such a stream takes half a second once
MAX_SENDERS = 4  # SSRCs of one medium: each costs that
MIN_BYTES = 12


class MediumKeys:
    """Both directions of one medium."""

    def __init__(self, told: MikeyMessage, ssrc: int, log: AnyLog) -> None:
        """`told` is the server's message; `ssrc` is ours."""
        self._counters = {session.ssrc: session.roc for session in told.sessions}
        self._usual_counter = told.sessions[0].roc if told.sessions else 0
        self._receiver = SrtpReceiver(SrtpKey.of(told))
        policy = told.policy
        self._key = SrtpKey(master=secrets.token_bytes(policy.key_bytes + SALT_BYTES), policy=policy)
        self._sender = SrtpSender(self._key)
        self._begun: set[int] = set()
        self._ssrc = ssrc
        self._log = log

    def message(self) -> MikeyMessage:
        """What tells the server our key."""
        return MikeyMessage(
            bundle_id=secrets.randbits(32),
            sessions=(CryptoSession(self._ssrc),),
            key=self._key.master,
            policy=self._key.policy,
            ntp=ntp_from_unix(time.time()),
            rand=secrets.token_bytes(16),
        )

    def protect(self, packet: bytes) -> bytes:
        return self._sender.protect(packet)

    def protect_report(self, report: bytes) -> bytes:
        return self._sender.protect_rtcp(report)

    def opening_rtp(self, sink: Sink) -> Sink:
        """What hands opened packets to `sink`."""

        def received(data: bytes, now_s: float) -> None:
            packet = self._open(data, self._open_rtp)
            if packet is not None:
                sink(packet, now_s)

        return received

    def opening_rtcp(self, sink: Sink) -> Sink:
        def received(data: bytes, now_s: float) -> None:
            packet = self._open(data, self._receiver.receive_rtcp)
            if packet is not None:
                sink(packet, now_s)

        return received

    def _open_rtp(self, data: bytes) -> bytes:
        ssrc = int.from_bytes(data[8:12])
        if ssrc not in self._begun:
            if len(self._begun) >= MAX_SENDERS:
                raise SrtpError(f"more than {MAX_SENDERS} senders")
            counter = self._counters.get(ssrc, self._usual_counter)
            if counter > MAX_ROLL_OVERS:
                raise SrtpError(f"a stream whose numbers have begun anew {counter} times, at most {MAX_ROLL_OVERS}")
            self._begun.add(ssrc)
            if counter:
                self._receiver.begin(ssrc, counter << 16 | int.from_bytes(data[2:4]))
        return self._receiver.receive_rtp(data)

    def _open(self, data: bytes, receive: Callable[[bytes], bytes]) -> bytes | None:
        if len(data) < MIN_BYTES:
            return None
        try:
            return receive(data)
        except SrtpError as error:
            if self._receiver.refused <= 1:
                self._log.warning("packets that the server's key does not fit are thrown away: %s", error)
            return None
