"""Puts the rooms together, starts and stops them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace

from manycast.app.addresses import DEMO_NAME, Addresses
from manycast.app.camera_talks import CameraTalks
from manycast.app.listening import Listening, StartError, open_listeners
from manycast.app.onvif_plan import OnvifPlan
from manycast.app.onvif_service import OnvifService
from manycast.app.plan import Plan, SpeechPlan, login_notes
from manycast.app.proxies import Proxies
from manycast.app.pushers import Pushers
from manycast.app.rtsp_port import RtspPort
from manycast.app.tls import open_certificate
from manycast.hub.backchannel import Backchannels, Listener, offered_tracks
from manycast.hub.catalogue import Catalogue
from manycast.hub.hls_runs import HlsRuns
from manycast.hub.hub import Hub
from manycast.hub.transcoding import Transcoding
from manycast.libsrt.library import SrtLibrary, SrtMissing
from manycast.servers.certificate import Certificate
from manycast.servers.faults import FaultLog
from manycast.servers.http.front import HttpFront
from manycast.servers.http.hls.server import HlsServer
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.overview import Overview
from manycast.servers.http.pages import Pages
from manycast.servers.http.request import HttpRoute
from manycast.servers.http.stream.server import StreamServer
from manycast.servers.rtmp.server import RtmpServer
from manycast.servers.rtsp.server import RtspServer
from manycast.servers.rtsp.switched_off import SwitchedOffRoute
from manycast.servers.rtsp.tunnel import TunnelRoute
from manycast.servers.rtsp.websocket import WebSocketRoute
from manycast.servers.srt.server import SrtServer
from manycast.sinks.audio_device import AudioDevice
from manycast.sinks.wav_file import WavRecorder
from manycast.sources.capture.finder import CaptureFinder
from manycast.sources.demo import DemoSource
from manycast.sources.files.library import FileLibrary
from manycast.sources.transcoding.service import TranscodingService

TIDY_INTERVAL_S = 5.0


class App:
    """The running server."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.hub = Hub(plan.limits)
        self.library = FileLibrary(plan.media_folder)
        engines = plan.hardware.engines()
        self.transcoding = TranscodingService(engines)
        self.backchannels = (
            None if plan.speech is None else _backchannels(self.hub, plan, plan.speech, self.transcoding)
        )
        self.catalogue = Catalogue(
            self.hub,
            self.library,
            plan.applications,
            self.backchannels,
            CaptureFinder(plan.outputs, engines=engines, linger_s=plan.capture_linger_s),
            plan.outputs,
            self.transcoding,
            plan.conversions,
        )
        self._pushers = Pushers(self.hub, plan.pushers)
        self._proxies = Proxies(self.hub, plan.proxies, self.catalogue.path_of, self.transcoding, self.catalogue.hops)
        self.rtsp: RtspServer | None = None
        self.rtmp: RtmpServer | None = None
        self.srt: SrtServer | None = None
        self.front: HttpFront | None = None
        self.onvif: OnvifService | None = None
        self._rtsp_port: RtspPort | None = None
        self.notes = [*plan.notes, *login_notes(plan)]  # to be said at start
        self._certificate: Certificate | None = None
        self._srt_library: SrtLibrary | None = None
        self._opened: dict[str, list[socket.socket]] = {}  # listening sockets, by the protocol
        self._tunnels: list[TunnelRoute] = []
        self._streams: StreamServer | None = None
        self._hls: HlsServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open every port, or none. Raises StartError."""
        plan = self.plan
        if not (plan.rtsp or plan.rtsps or plan.http or plan.https or plan.rtmp or plan.rtmps or plan.srt):
            raise StartError("no protocol is on: switch one on in the configuration, or with --rtsp-port")
        if not plan.media_folder.is_dir():
            raise StartError(f"the media folder {plan.media_folder} is not there; name another with --media")
        try:
            self._open_ports()
        except StartError:
            self._close_ports(*self._opened)
            raise
        try:
            if plan.onvif is not None:
                self.onvif = self._open_onvif(plan.onvif)
        except StartError:
            self._close_ports(*self._opened)
            raise
        if plan.demo:
            self.hub.offer(self.catalogue.path_of(DEMO_NAME), DemoSource, "test pattern")
        if plan.rtsp or plan.rtsps:
            self.rtsp = self._start_rtsp()
        if self._opened.keys() & {"RTMP", "RTMPS"}:
            self.rtmp = self._start_rtmp()
        if self._srt_library is not None:
            self.srt = self._start_srt(self._srt_library)
        if self._opened.keys() & {"HTTP", "HTTPS"}:
            self.front = self._start_http()
        self._pushers.start()
        srt_ports = {self.plan.srt.port} if self.plan.srt is not None and self.srt is not None else set()
        self._proxies.start({sock.getsockname()[1] for opened in self._opened.values() for sock in opened}, srt_ports)
        if self.onvif is not None:
            self.onvif.start()
        self._tasks = [
            asyncio.create_task(self.hub.run_timer(), name="hub timer"),
            asyncio.create_task(self._tidy_files(), name="tidy files"),
        ]

    async def stop(self, reason: str) -> None:
        """Tell viewers and publishers, and close everything."""
        for task in self._tasks:
            task.cancel()
        if self.onvif is not None:
            await self.onvif.stop()
        await self._proxies.close()
        await self._pushers.close()
        await self.hub.close(reason)
        if self.rtsp is not None:
            await self.rtsp.close(reason)
        if self.rtmp is not None:
            await self.rtmp.close(reason)
        if self.srt is not None:
            await self.srt.close(reason)
        for tunnels in self._tunnels:
            tunnels.close()
        if self._streams is not None:
            self._streams.close(reason)
        if self._hls is not None:
            self._hls.close()
        if self.front is not None:
            await self.front.close()
        if self.backchannels is not None:
            await self.backchannels.close(reason)
        await self.catalogue.close()
        self.transcoding.close()
        await self.library.close()

    def _open_ports(self) -> None:
        """Raises StartError."""
        plan = self.plan
        for listening in (plan.rtsp, plan.rtsps, plan.http, plan.https, plan.rtmp, plan.rtmps):
            if listening is not None:
                self._open_port(listening)
        if plan.srt is not None:
            self._open_srt(plan.srt)
        if self._opened.keys() & {"RTSPS", "HTTPS", "RTMPS"}:
            self._certificate = open_certificate(plan.tls, self.notes)
            if self._certificate is None:
                self._close_ports("RTSPS", "HTTPS", "RTMPS")
        if not self._opened:
            raise StartError("; ".join(self.notes))

    def _close_ports(self, *protocols: str) -> None:
        for protocol in protocols:
            for sock in self._opened.pop(protocol, ()):
                sock.close()

    def _open_port(self, listening: Listening) -> None:
        try:
            self._opened[listening.protocol] = open_listeners(listening)
        except StartError as error:
            if listening.required:
                raise
            self.notes.append(f"no {listening.protocol}: {error}")

    def _open_srt(self, listening: Listening) -> None:
        """Raises StartError. Without the library the server runs without SRT."""
        try:
            library = SrtLibrary()
        except SrtMissing as error:
            self.notes.append(f"no SRT: {error}")
            return
        self._open_port(listening)
        if "SRT" in self._opened:
            self._srt_library = library

    def _open_onvif(self, plan: OnvifPlan) -> OnvifService:
        """Raises StartError."""
        rtsp = self.plan.rtsp
        onvif = OnvifService(
            plan,
            hub=self.hub,
            rtsp_port=None if rtsp is None else rtsp.port,
            move_rtsp=self._move_rtsp,
            restart_streams=self._restart_streams,
        )
        onvif.open(self.notes)
        return onvif

    def _move_rtsp(self, number: int | None) -> None:
        """Raises OSError."""
        if self._rtsp_port is not None:
            self._rtsp_port.move(number)

    async def _restart_streams(self, paths: Sequence[str]) -> None:
        for path in paths:
            await self.hub.interrupt(path, "the device restarts")

    def _start_rtsp(self) -> RtspServer:
        options = self.plan.rtsp_options
        if options.users is not None and self.onvif is not None:
            options = replace(options, users=self.onvif.with_users(options.users))
        server = RtspServer(self.catalogue, options)
        if self.onvif is not None:
            server.admits = self.onvif.admits
        acceptor = server.listen(self._opened.get("RTSP", ()))
        if self.plan.rtsp is not None:
            self._rtsp_port = RtspPort(server, self.plan.rtsp, acceptor)
        if self._certificate is not None:
            server.listen(self._opened.get("RTSPS", ()), make_context=self._certificate.context)
        server.start()
        return server

    def _start_rtmp(self) -> RtmpServer:
        server = RtmpServer(self.catalogue, self.plan.rtmp_options)
        server.listen(self._opened.get("RTMP", ()))
        if self._certificate is not None:
            server.listen(self._opened.get("RTMPS", ()), make_context=self._certificate.context)
        server.start()
        return server

    def _start_srt(self, library: SrtLibrary) -> SrtServer:
        server = SrtServer(library, self.catalogue, self.plan.srt_options)
        server.listen(self._opened.pop("SRT"))  # they are the library's from now on
        server.start()
        return server

    def _start_http(self) -> HttpFront:
        plan = self.plan
        login = None
        faults = FaultLog()
        if plan.http_users is not None:
            login = HttpLogin(plan.http_users, faults, basic_in_clear=plan.rtsp_options.basic_in_clear)
        self._streams = StreamServer(self.catalogue, plan.stream_options, faults, login)
        self._streams.start()
        if plan.hls_options is not None:
            runs = HlsRuns(self.hub, plan.hls_options, self.catalogue.form_for)
            self._hls = HlsServer(self.catalogue, runs, plan.hls_server_options, faults, login)
            self._hls.start()
        offers = self.addresses().offers()
        overview = Overview(self.catalogue, self.library.names, offers, player=plan.stream_options.mp4)
        front = HttpFront(Pages(lambda: self.addresses().how_to_play(), overview, login))
        self._listen_http(front, "HTTP", self.plan.rtsp_over_http, None)
        if self._certificate is not None:
            self._listen_http(front, "HTTPS", self.plan.rtsp_over_https, self._certificate)
        front.start()
        return front

    def _listen_http(self, front: HttpFront, protocol: str, with_rtsp: bool, certificate: Certificate | None) -> None:
        assert self._streams is not None
        streams: list[HttpRoute] = [self._streams] if self._hls is None else [self._hls, self._streams]
        routes: list[HttpRoute] = [SwitchedOffRoute(), *streams]
        take_rtsp = None
        if with_rtsp and self.rtsp is not None:
            tunnels = TunnelRoute(self.rtsp)
            self._tunnels.append(tunnels)
            routes = [tunnels, *streams, WebSocketRoute(self.rtsp)]
            take_rtsp = self.rtsp.take
        make_context = None if certificate is None else certificate.context
        front.listen(self._opened.get(protocol, ()), routes, take_rtsp=take_rtsp, make_context=make_context)

    def addresses(self) -> Addresses:
        opened = {*self._opened, *(("SRT",) if self.srt is not None else ())}
        return Addresses(self.plan, frozenset(opened), () if self.onvif is None else tuple(self.onvif.addresses()))

    async def _tidy_files(self) -> None:
        while True:
            await asyncio.sleep(TIDY_INTERVAL_S)
            self.library.tidy(asyncio.get_running_loop().time())


def _backchannels(hub: Hub, plan: Plan, speech: SpeechPlan, transcoding: Transcoding) -> Backchannels:
    loudspeaker = None if speech.device is None else AudioDevice(speech.device)
    listeners: list[Listener] = [CameraTalks(plan.proxies, transcoding, loudspeaker)]
    if speech.record_folder is not None:
        listeners.append(WavRecorder(speech.record_folder))
    return Backchannels(hub, offered_tracks(speech.first), listeners)
