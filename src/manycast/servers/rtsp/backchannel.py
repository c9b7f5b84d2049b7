"""The back channel of a session: what its client says (ONVIF Streaming Specification, "Back channel connection")."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import replace

from manycast.hub.backchannel import Backchannels, Busy
from manycast.hub.names import spoken_path
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, G726Parameters, Track
from manycast.servers.faults import AnyLog
from manycast.wire.rtp.formats import format_for_codec, track_from_rtpmap
from manycast.wire.rtp.payload import FIRST_DYNAMIC_PAYLOAD_TYPE, RtpMap
from manycast.wire.rtp.receiver import RtpSessionReceiver
from manycast.wire.rtsp.errors import NotEnoughBandwidth
from manycast.wire.rtsp.url import Side, track_control
from manycast.wire.sdp import Direction, MediaDescription

FEATURE_TAG = "www.onvif.org/ver20/backchannel"
SLOT = 6  # in a session's eight ports
REPORT_INTERVAL_S = 5.0

# Those of ONVIF's example; what is configured beyond the table has the first dynamic one.
_G726_TYPES = {16_000: 97, 24_000: 98, 32_000: 99, 40_000: 100}
_OPUS_TYPE = 101

_random = random.SystemRandom()


def speakable(backchannels: Backchannels | None, path: str) -> Backchannels | None:
    """Who is asked when somebody wants to speak to a path; None where nobody can."""
    return backchannels if spoken_path(path) is None else None


def offered_rtpmaps(tracks: Sequence[Track]) -> tuple[RtpMap, ...]:
    """How the tracks that can be spoken are described, each with a payload type of its own."""
    return tuple(map(_describe_track, tracks))


def describe_backchannel(tracks: Sequence[Track], base_url: str) -> MediaDescription:
    """The section that a client sends by: all codecs in one, the preferred one first."""
    rtpmaps = {rtpmap.payload_type: rtpmap for rtpmap in offered_rtpmaps(tracks)}
    return MediaDescription(
        kind="audio",
        port=0,
        payload_types=tuple(rtpmaps),
        rtpmaps=rtpmaps,
        control=track_control(base_url, Side.BACKCHANNEL),
        direction=Direction.SENDONLY,  # ONVIF names directions as the client sees them
    )


def _describe_track(track: Track) -> RtpMap:
    dynamic = FIRST_DYNAMIC_PAYLOAD_TYPE
    if isinstance(track.parameters, G726Parameters):
        dynamic = _G726_TYPES[track.parameters.bit_rate]
    elif track.codec is Codec.OPUS:
        dynamic = _OPUS_TYPE
    rtpmap = format_for_codec(track.codec).describe(track, dynamic)
    if track.codec is Codec.OPUS and isinstance(track.parameters, AudioParameters):
        # Here it is we who receive: what we like to hear (RFC 7587 section 6.1), not what we send.
        return replace(rtpmap, fmtp={"stereo": "1"} if track.parameters.channels > 1 else {})
    return rtpmap


class SpeechPart:
    """One client's talk: packets in, sounds out. What comes before PLAY, or in a pause, is thrown away."""

    def __init__(self, backchannels: Backchannels, path: str, talker: str, log: AnyLog) -> None:
        """Raises NotEnoughBandwidth while somebody else speaks."""
        try:
            self._talk = backchannels.begin(path, talker)
        except Busy as error:
            raise NotEnoughBandwidth(str(error)) from error
        self.playing = False
        self.report_due_s = 0.0
        self._path = path
        self._log = log
        self._rtpmaps = offered_rtpmaps(backchannels.offered)
        self._tracks = backchannels.offered
        self._indices = {rtpmap.payload_type: index for index, rtpmap in enumerate(self._rtpmaps)}
        self._receiver: RtpSessionReceiver | None = None
        self._latest = 0  # the track of the latest packet
        self._unlisted: set[int] = set()
        self._early_packets = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def set_up(self, *, ordered: bool) -> None:
        """Get ready to receive; `ordered` says that the transport keeps the order of packets."""
        receiver = RtpSessionReceiver(self._tracks, ssrc=_random.getrandbits(32), cname=f"manycast/{self._path}")
        for index, rtpmap in enumerate(self._rtpmaps):
            _track, payload_format = track_from_rtpmap(rtpmap)
            receiver.add_track(index, rtpmap.payload_type, payload_format, ordered=ordered)
        self._receiver = receiver

    def rtp_received(self, data: bytes, now_s: float) -> None:
        """The payload type says what it is (RFC 3550 section 5.1); an unlisted one is told once and ignored."""
        receiver = self._receiver
        if receiver is None or len(data) < 2:
            return
        if not self.playing:
            self._early_packets += 1
            return
        payload_type = data[1] & 0x7F
        index = self._indices.get(payload_type)
        if index is None:
            self._note_unlisted(payload_type)
            return
        self._latest = index
        self._push(receiver.receive_rtp(index, data, now_s=now_s))
        self._arm_timer()

    def rtcp_received(self, data: bytes, now_s: float) -> None:
        if self._receiver is not None:
            self._receiver.receive_rtcp(self._latest, data, now_s=now_s)

    def take_report(self, now_s: float) -> bytes | None:
        """The receiver report, when one is due."""
        if self._receiver is None or now_s < self.report_due_s:
            return None
        report = self._receiver.report(self._latest, now_s=now_s)
        if report is not None:
            self.report_due_s = now_s + REPORT_INTERVAL_S
        return report

    def close(self, reason: str) -> None:
        """Hang up."""
        if self._timer is not None:
            self._timer.cancel()
        self._talk.end(reason)
        if self._early_packets:
            self._log.debug("%d packets of the back channel came while it did not play", self._early_packets)

    def _push(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._talk.push(frame)

    def _note_unlisted(self, payload_type: int) -> None:
        if payload_type not in self._unlisted:
            self._unlisted.add(payload_type)
            offered = ", ".join(f"{rtpmap.payload_type} {rtpmap.encoding_name}" for rtpmap in self._rtpmaps)
            self._log.warning(
                "back channel of %s: payload type %d is ignored, offered are %s", self._path, payload_type, offered
            )

    def _arm_timer(self) -> None:
        """Wake up when a packet has been waited for long enough."""
        assert self._receiver is not None
        deadline_s = self._receiver.next_deadline_s()
        if deadline_s is not None and self._timer is None:
            self._timer = self._loop.call_later(max(0.0, deadline_s - time.monotonic()), self._give_up_holes)

    def _give_up_holes(self) -> None:
        self._timer = None
        if self._receiver is not None:
            self._push(self._receiver.handle_timer(now_s=time.monotonic()))
            self._arm_timer()
