"""SRTP: who shares a key, and packets that are protected once for all who do.

The viewers of a live stream share one key, and so one context and the bytes it makes. A viewer of a file has a key of
his own: others have other packets under the same sequence numbers, and two packets under one number of one key would
give both away (RFC 3711 section 9.1).

A key is told with DESCRIBE, together with the roll-over counter of each track, which receivers cannot find out from
packets. By the time of PLAY the counter must still be the same. So no one is told the shared key shortly before a
sequence number starts anew: who comes then gets a key of his own, whose counter starts with his first packet.
"""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from manycast.errors import ManycastError
from manycast.hub.rtp_packager import Framing, Layout, PacketisedFrame, RtpPackager, TrackStart, interleave
from manycast.hub.stream import Stream
from manycast.hub.udp_viewer import SEGMENT_BYTES, runs_of
from manycast.wire.mikey import SALT_BYTES, CryptoSession, MikeyMessage, SrtpPolicy
from manycast.wire.rtp.srtp import SrtpKey, SrtpSender, with_mki

MKI_BYTES = 4  # what LIVE555 wants
MAX_SHARED_SEQUENCE = 0xE000  # 8192 packets before the number starts anew: 2 s of 50 Mbit/s from DESCRIBE to PLAY

ChunkT = TypeVar("ChunkT")


class KeyUsedUp(ManycastError):
    """What a client was told of a key does not hold any more; it has to ask for a new one."""


class ProtectedFrame:
    """The protected packets of one frame."""

    __slots__ = ("packets", "segment_bytes", "track_index")

    def __init__(self, track_index: int, packets: list[bytes], segment_bytes: int) -> None:
        self.track_index = track_index
        self.packets = packets
        self.segment_bytes = segment_bytes

    def interleaved(self, channel: int, framing: Framing | None = None) -> bytes:
        data = interleave(channel, self.packets)
        return framing(data) if framing is not None else data

    def runs(self) -> tuple[bytes, ...]:
        return runs_of(self.packets, self.segment_bytes)


class SrtpContext:
    """One key of ours, and how far each SSRC has come with it."""

    def __init__(self, *, encrypt: bool, keeps: bool) -> None:
        """Without `encrypt` packets are only authenticated.

        `keeps` the protected packets of live frames: others, or the same viewer after a pause, want them again.
        """
        policy = SrtpPolicy(encrypt_rtp=encrypt, encrypt_rtcp=encrypt)
        master = secrets.token_bytes(policy.key_bytes + SALT_BYTES)
        self.key = SrtpKey(master=master, mki=secrets.token_bytes(MKI_BYTES), policy=policy)
        self._sender: SrtpSender | None = None  # made when it is needed: many keys are told and never used
        self._latest: dict[int, int] = {}  # by SSRC: roll-over counter and sequence number as one number
        self._kept: weakref.WeakKeyDictionary[PacketisedFrame, tuple[ProtectedFrame, ProtectedFrame]] | None
        self._kept = weakref.WeakKeyDictionary() if keeps else None

    def index_of(self, ssrc: int, sequence: int) -> int:
        """What the next packet of an SSRC is numbered with: the roll-over counter before the sequence number."""
        latest = self._latest.get(ssrc)
        if latest is None:
            return sequence
        ahead = (sequence - latest) & 0xFFFF
        return latest + ahead if ahead < 0x8000 else latest + ahead - 0x10000

    def overhead_bytes(self, *, says_key: bool) -> int:
        """What is added to each RTP packet."""
        return self.key.policy.tag_bytes + (len(self.key.mki) if says_key else 0)

    def latest(self, ssrc: int) -> int | None:
        return self._latest.get(ssrc)

    def frame(self, frame: PacketisedFrame, *, says_key: bool) -> ProtectedFrame:
        """A frame's packets, protected; `says_key` puts the MKI into them."""
        if self._kept is None:
            return self._protect(frame)[says_key]
        pair = self._kept.get(frame)
        if pair is None:
            pair = self._kept[frame] = self._protect(frame)
        return pair[says_key]

    def report(self, rtcp: bytes, *, says_key: bool) -> bytes:
        data = self._ready_sender().protect_rtcp(rtcp)
        return with_mki(data, self.key.mki, self.key.policy.tag_bytes) if says_key else data

    def _ready_sender(self) -> SrtpSender:
        if self._sender is None:
            self._sender = SrtpSender(self.key)
        return self._sender

    def _protect(self, frame: PacketisedFrame) -> tuple[ProtectedFrame, ProtectedFrame]:
        """Without MKI, and with it: one protection does for both."""
        plain = frame.packets
        if plain:
            ssrc = int.from_bytes(plain[0][8:12])
            self._latest[ssrc] = self.index_of(ssrc, int.from_bytes(plain[0][2:4])) + len(plain) - 1
        mki, tag_bytes, protect = self.key.mki, self.key.policy.tag_bytes, self._ready_sender().protect
        packets = [protect(packet) for packet in plain]
        saying = [with_mki(packet, mki, tag_bytes) for packet in packets]
        return (
            ProtectedFrame(frame.track_index, packets, SEGMENT_BYTES + self.overhead_bytes(says_key=False)),
            ProtectedFrame(frame.track_index, saying, SEGMENT_BYTES + self.overhead_bytes(says_key=True)),
        )


@dataclass(frozen=True, slots=True)
class SrtpLayout(Generic[ChunkT]):
    """Any layout, of protected packets."""

    inner: Layout[ChunkT]
    context: SrtpContext
    says_key: bool

    def frame(self, frame: PacketisedFrame) -> ChunkT | None:
        # Frames of tracks nobody has set up count as well: their numbers must not be lost track of.
        return self.inner.frame(self.context.frame(frame, says_key=self.says_key))

    def report(self, track_index: int, rtcp: bytes) -> ChunkT | None:
        return self.inner.report(track_index, self.context.report(rtcp, says_key=self.says_key))


class SrtpOffer:
    """A key told to one client, for all tracks of a stream or file."""

    def __init__(self, context: SrtpContext, sessions: Sequence[CryptoSession]) -> None:
        self.context = context
        self._told = tuple(sessions)  # by track
        self._left: dict[int, int] = {}  # by SSRC: the latest packet before a pause

    def messages(self, track: int, *, ntp: int) -> tuple[MikeyMessage, MikeyMessage]:
        """What the SDP says of a track, for clients that know no MKI and for those that want one."""
        key = self.context.key
        without, saying = (
            MikeyMessage(
                bundle_id=secrets.randbits(32),
                sessions=(self._told[track],),
                key=key.master,
                mki=mki,
                policy=key.policy,
                ntp=ntp,
                rand=secrets.token_bytes(16),
            )
            for mki in (b"", key.mki)
        )
        return without, saying

    def check(self, track: int, ssrc: int, start: TrackStart) -> None:
        """Whether the client can follow from a packet on. Raises KeyUsedUp."""
        index = self.context.index_of(ssrc, start.sequence)
        left = self._left.get(ssrc)
        # After a pause, as far as a receiver can tell which number is meant.
        fits = index >> 16 == self._told[track].roc if left is None else abs(index - left) < 0x8000
        if not fits:
            raise KeyUsedUp("the packets have gone past what was told with their key: DESCRIBE again")

    def pause(self, ssrcs: Sequence[int]) -> None:
        """Remember where the client was left."""
        for ssrc in ssrcs:
            latest = self.context.latest(ssrc)
            if latest is not None:
                self._left[ssrc] = latest


class SrtpOffers:
    """Makes the keys of one server."""

    def __init__(self, *, encrypt: bool) -> None:
        self._encrypt = encrypt
        # A key goes with the last one who was told it.
        self._shared: weakref.WeakKeyDictionary[Stream, weakref.ref[SrtpContext]] = weakref.WeakKeyDictionary()

    def own(self, tracks: int, *, live: bool) -> SrtpOffer:
        """A key nobody else gets."""
        return SrtpOffer(SrtpContext(encrypt=self._encrypt, keeps=live), [CryptoSession(0)] * tracks)

    def shared(self, stream: Stream) -> SrtpOffer:
        """A key for a live stream: the one its other viewers have, unless its numbers start anew soon."""
        known = self._shared.get(stream)
        context = known() if known is not None else None
        packager = stream.packager(RtpPackager)
        if context is None:
            context = SrtpContext(encrypt=self._encrypt, keeps=True)
        sessions = [CryptoSession(0)] * len(stream.tracks) if packager is None else _standing(packager, context)
        if sessions is None:
            return self.own(len(stream.tracks), live=True)
        self._shared[stream] = weakref.ref(context)
        return SrtpOffer(context, sessions)


def _standing(packager: RtpPackager, context: SrtpContext) -> list[CryptoSession] | None:
    """Where the tracks stand for who joins now; None when that will not hold until PLAY."""
    sessions = []
    for index, sender in enumerate(packager.senders):
        first = packager.start_of(index, unix_s=0.0).sequence
        if first > sender.sequence or sender.sequence >= MAX_SHARED_SEQUENCE:
            return None
        sessions.append(CryptoSession(sender.ssrc, context.index_of(sender.ssrc, first) >> 16))
    return sessions
