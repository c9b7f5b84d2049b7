"""What a playing session has set up: the stream or file, what is at its side, and the transport of its tracks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from manycast.hub.catalogue import Catalogue
from manycast.hub.stream import Stream, StreamEnded
from manycast.media.track import MediaKind
from manycast.servers.rtsp.backchannel import SLOT as SPEECH_SLOT
from manycast.servers.rtsp.backchannel import SpeechPart, speakable
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.context import RtspContext
from manycast.servers.rtsp.file_target import FileTarget
from manycast.servers.rtsp.multicast import MulticastTransport
from manycast.servers.rtsp.srtp_transport import SrtpTransport
from manycast.servers.rtsp.targets import LiveTarget, PlayInfo, Target
from manycast.servers.rtsp.transports import (
    InterleavedTransport,
    PlayTransport,
    RtcpSink,
    UdpTransport,
    offered_transports,
)
from manycast.servers.rtsp.udp_ports import SessionPorts
from manycast.servers.rtsp.viewer_signs import ViewerSigns
from manycast.wire.rtsp.errors import (
    AggregateOperationNotAllowed,
    KeyManagementFailure,
    MethodNotValidInThisState,
    NotFound,
    OnlyAggregateOperationAllowed,
    RtspError,
    UnsupportedTransport,
)
from manycast.wire.rtsp.headers import RtpInfo, TransportSpec, serialize_rtp_info
from manycast.wire.rtsp.message import Request
from manycast.wire.rtsp.url import Control, RtspUrl, Side

SLOTS = {MediaKind.VIDEO: 0, MediaKind.AUDIO: 2, MediaKind.APPLICATION: 4}  # in a session's eight ports


async def open_target(
    catalogue: Catalogue, name: str, loops: int, on_end: Callable[[str], None]
) -> LiveTarget | FileTarget:
    """What a name stands for, ready to be set up. Raises NotFound, SourceError."""
    found = await catalogue.find(name)
    if found is None:
        raise NotFound(f"nothing is called {name!r}")
    found = await catalogue.form_for_rtp(found)
    if not isinstance(found, Stream):
        return FileTarget(catalogue.title(found), loops, on_end)
    try:
        return LiveTarget(found, on_end)
    except StreamEnded as error:
        raise NotFound(f"{name} has just ended: {error}") from error


@dataclass(slots=True)
class Part:
    """What plays in a session by a clock of its own: the stream or file itself, the metadata at its side."""

    target: Target
    first_track: int  # the session numbers the tracks of all its parts in one row
    viewer: Any = None
    layout: Any = None

    @property
    def tracks(self) -> range:
        return range(self.first_track, self.first_track + len(self.target.tracks))


class PlaySetup:
    """The parts of one session, one transport for all their tracks, and what the client says."""

    def __init__(
        self,
        context: RtspContext,
        name: str,
        signs: ViewerSigns,
        on_hold: Callable[[RtspConnection, bool], None],
        on_end: Callable[[str], None],
    ) -> None:
        """`on_hold` is told which connection the session is on, and whether it ends there; `on_end` that the source
        has come to its end, and why."""
        self.main: Part | None = None
        self.metadata: Part | None = None
        self.speech: SpeechPart | None = None  # what the client says
        self.transport: PlayTransport | None = None
        self._context = context
        self._name = name
        self._signs = signs
        self._on_hold = on_hold
        self._on_end = on_end
        self._track_urls: dict[int, str] = {}

    @property
    def parts(self) -> list[Part]:
        return [part for part in (self.main, self.metadata) if part is not None]

    async def agree(self, connection: RtspConnection, request: Request) -> TransportSpec:
        """Set up the track that a SETUP is for, and return its transport. Raises RtspError, SourceError."""
        if self.main is None:
            self.main = Part(await self._open_main(connection, request), 0)
        for part in self.parts:
            part.viewer = part.layout = None  # a PLAY that was refused made them for what was set up by then
        _url, control = RtspUrl.parse(request.uri).split_control()
        if control is Side.BACKCHANNEL:
            return self._agree_speech(connection, request)
        track_index = self._track_of(self.main, control)
        agreed = self._agree_track(connection, request, track_index)
        self._track_urls[track_index] = request.uri
        return agreed

    def parts_for(self, request: Request) -> list[Part]:
        """What PLAY and PAUSE are for: all tracks at once (RFC 2326 section 10.5)."""
        media = len(self._track_urls) + (self.speech is not None)
        if self.transport is None or not media:
            raise MethodNotValidInThisState(request.method, "without SETUP of a track", ("SETUP",))
        _url, control = RtspUrl.parse(request.uri).split_control()
        if control is not None and media > 1:
            raise OnlyAggregateOperationAllowed("ask for the whole address, not for one track")
        return [part for part in self.parts if not self._track_urls.keys().isdisjoint(part.tracks)]

    def make_viewers(self, parts: Sequence[Part]) -> None:
        assert self.transport is not None
        for part in parts:
            if part.viewer is None:
                part.viewer, part.layout = self.transport.viewer(part.tracks, part.target.limit)

    def check_keys(self, parts: Sequence[Part], infos: Sequence[PlayInfo]) -> None:
        """See that what is to be sent can be read with the keys that were told. Raises RtspError."""
        if not isinstance(self.transport, SrtpTransport):
            return
        for part, info in zip(parts, infos, strict=True):
            for track_index, sender, start in zip(part.tracks, part.target.senders, info.starts, strict=True):
                if track_index in self._track_urls:
                    self.transport.check(track_index, sender.ssrc, start)

    def rtp_info(self, parts: Sequence[Part], infos: Sequence[PlayInfo]) -> str:
        starts = {
            part.first_track + number: start
            for part, info in zip(parts, infos, strict=True)
            for number, start in enumerate(info.starts)
        }
        return serialize_rtp_info(
            [
                RtpInfo(url=url, seq=starts[index].sequence, rtptime=starts[index].rtp_timestamp)
                for index, url in sorted(self._track_urls.items())
            ]
        )

    def pause(self, parts: Sequence[Part]) -> None:
        for part in parts:
            part.target.pause()
            if isinstance(self.transport, SrtpTransport):
                self.transport.paused(part.first_track, [sender.ssrc for sender in part.target.senders])
        if self.speech is not None:
            self.speech.playing = False

    def drop(self, control: Control, *, started: bool) -> bool:
        """Take one medium out while the others go on; False, and nothing is done, where there is no other.

        `started` says that PLAY was granted once.
        Raises NotFound for one that is not set up, OnlyAggregateOperationAllowed where the others cannot go on alone.
        """
        track_index = self._number_of(control)
        if track_index is None:
            raise NotFound(f"no such track of {self._name} is set up")
        if len(self._track_urls) + (self.speech is not None) == 1:
            return False
        assert self.transport is not None
        if self.speech is not None and track_index == self._speech_track:
            self.speech.close("TEARDOWN")
            self.speech = None
        else:
            self._drop_played(track_index, started=started)
        self.transport.drop(track_index)
        return True

    def pause_metadata(self) -> None:
        """Stop what is at a file's side; players wait for the goodbye of every track they have set up."""
        if self.metadata is not None:
            if isinstance(self.metadata.target, LiveTarget):
                self.metadata.target.say_goodbye()
            self.metadata.target.pause()

    def report_speech(self, now_s: float) -> None:
        """Tell the client how what it says arrives, when that is due."""
        if self.speech is not None and self.transport is not None:
            report = self.speech.take_report(now_s)
            if report is not None:
                self.transport.send_rtcp(self._speech_track, report)

    def close(self, reason: str) -> None:
        for part in self.parts:
            part.target.close(say_goodbye=True)
        if self.speech is not None:
            self.speech.close(reason)
        if self.transport is not None:
            self.transport.close()

    # Tracks

    def _number_of(self, control: Control) -> int | None:
        """The track that is set up under a control."""
        if control is Side.BACKCHANNEL:
            return None if self.speech is None else self._speech_track
        track_index = control if isinstance(control, int) else None
        if control is Side.METADATA and self.metadata is not None:
            track_index = self.metadata.first_track
        return track_index if track_index in self._track_urls else None

    def _drop_played(self, track_index: int, *, started: bool) -> None:
        assert self.transport is not None
        part = next(part for part in self.parts if track_index in part.tracks)
        alone = self._track_urls.keys().isdisjoint(set(part.tracks) - {track_index})
        if started and not alone and not self.transport.drops_started:
            raise OnlyAggregateOperationAllowed("tracks that have begun to play in one connection end together")
        if started:
            self.transport.send_rtcp(track_index, part.target.senders[track_index - part.first_track].goodbye())
        else:
            part.viewer = part.layout = None  # a PLAY that was refused made them for all
        if alone:
            part.target.pause()
        del self._track_urls[track_index]

    def _track_of(self, main: Part, control: Control | None) -> int:
        """Which track of the session a SETUP is for; what is at the stream's side is opened for it."""
        count = len(main.target.tracks)
        if control is None:
            if count > 1:
                raise AggregateOperationNotAllowed(f"{self._name} has {count} tracks: SETUP one of them")
            return 0
        if control is Side.METADATA and self._context.options.metadata:
            if self.metadata is None:
                self.metadata = Part(self._open_metadata(), count)
            return self.metadata.first_track
        if not isinstance(control, int) or control >= count:
            name = f"track {control}" if isinstance(control, int) else control.name.lower()
            raise NotFound(f"{self._name} has no {name}")
        return control

    async def _open_main(self, connection: RtspConnection, request: Request) -> Target:
        """What is played: the session's own, or that of its multicast group."""
        context = self._context
        open_own = partial(open_target, context.catalogue, self._name, context.options.loops)
        if not self._wish(connection, request).multicast:
            return await open_own(self._on_end)
        path = context.catalogue.path_of(self._name)
        group = await context.multicast.find(path, connection.local_address, open_own)
        self.transport = MulticastTransport(group, connection, self._rtcp_received)
        self._on_hold(connection, False)
        return group.main.member(self._on_end)

    def _open_metadata(self) -> Target:
        feed = self._context.catalogue.metadata(self._name)
        if isinstance(self.transport, MulticastTransport):
            return self.transport.side(partial(LiveTarget, feed)).member(_metadata_ended)
        return LiveTarget(feed, _metadata_ended)

    def _agree_track(self, connection: RtspConnection, request: Request, track_index: int) -> TransportSpec:
        spec, transport = self._transport_for(connection, request)
        part = next(part for part in self.parts if track_index in part.tracks)
        number = track_index - part.first_track
        if isinstance(transport, SrtpTransport):
            transport.take_key(request, track_index)
        agreed = transport.set_up(spec, track_index, SLOTS[part.target.tracks[number].kind])
        if isinstance(transport, SrtpTransport):
            return agreed  # GStreamer that is told the SSRC here does not look up its roll-over counter
        return replace(agreed, ssrc=part.target.senders[number].ssrc)

    # What the client says

    @property
    def _speech_track(self) -> int:
        """The number of what the client says: behind the tracks of all parts."""
        assert self.main is not None
        return len(self.main.target.tracks) + 1

    def _agree_speech(self, connection: RtspConnection, request: Request) -> TransportSpec:
        catalogue = self._context.catalogue
        path = catalogue.path_of(self._name)
        backchannels = speakable(catalogue.backchannels, path)
        if backchannels is None:
            raise NotFound(f"{self._name} has no back channel")
        spec, transport = self._transport_for(connection, request)
        if spec.multicast:
            raise UnsupportedTransport("what a client says cannot come by multicast")
        speech = self.speech or SpeechPart(backchannels, path, f"RTSP client {connection.peer}", connection.log)
        try:
            if isinstance(transport, SrtpTransport):
                transport.take_key(request, self._speech_track)
            agreed = transport.set_up(spec, self._speech_track, SPEECH_SLOT, self._speech_received)
        except RtspError:
            if self.speech is None:
                speech.close("refused")  # the floor is for others
            raise
        speech.set_up(ordered=spec.is_tcp)
        self.speech = speech
        return agreed

    def _speech_received(self, data: bytes, now_s: float) -> None:
        self._signs.heard(now_s)
        if self.speech is not None:
            self.speech.rtp_received(data, now_s)

    def _rtcp_received(self, track_index: int, data: bytes) -> None:
        now_s = time.monotonic()
        if self.speech is not None and track_index == self._speech_track:
            self._signs.heard(now_s)
            self.speech.rtcp_received(data, now_s)
            return
        asked = self._signs.rtcp_received(track_index, data, now_s)
        for part in self.parts if asked else ():
            if track_index in part.tracks and part.target.senders[track_index - part.first_track].ssrc in asked:
                part.target.request_keyframe()

    # The transport

    def _wish(self, connection: RtspConnection, request: Request) -> TransportSpec:
        """The first transport of the client's list that can be given (RFC 2326 section 12.39)."""
        options = self._context.options
        offered = offered_transports(
            request, secure=connection.link.secure, srtp=options.srtp, multicast=options.multicast
        )
        if offered[0].is_record:
            raise UnsupportedTransport("mode=record without ANNOUNCE")
        return offered[0]

    def _transport_for(self, connection: RtspConnection, request: Request) -> tuple[TransportSpec, PlayTransport]:
        spec = self._wish(connection, request)
        if self.transport is None:
            self.transport = self._open_transport(connection, spec)
        if not self.transport.fits(connection, spec):
            raise UnsupportedTransport(f"one session has one transport: this one has {self.transport}")
        return spec, self.transport

    def _open_transport(self, connection: RtspConnection, spec: TransportSpec) -> PlayTransport:
        make_transport = partial(self._make_transport, connection, spec)
        transport: PlayTransport
        if spec.is_secure:
            keys = connection.told_keys.get(self._name)
            if keys is None:
                raise KeyManagementFailure("no keys were told on this connection: DESCRIBE first")
            transport = SrtpTransport(make_transport, keys, self._rtcp_received, connection.log)
        else:
            transport = make_transport(self._rtcp_received)
        self._on_hold(connection, spec.is_tcp)
        return transport

    def _make_transport(self, connection: RtspConnection, spec: TransportSpec, on_rtcp: RtcpSink) -> PlayTransport:
        if spec.is_tcp:
            return InterleavedTransport(connection, on_rtcp)
        return UdpTransport(
            SessionPorts(self._context.udp_ports, connection.local_address),
            connection.peer_address,
            on_rtcp,
            self._signs.refused,
            segmentation=self._context.options.segmentation,
        )


def _metadata_ended(_reason: str) -> None:
    """What it is about goes on."""
