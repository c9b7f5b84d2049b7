"""Puts the rooms together, starts and stops them."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from manycast.camera_talks import CameraTalks
from manycast.config import LoadedConfiguration
from manycast.config.schema.backchannel import Backchannel
from manycast.config.schema.http import DEFAULT_CERT_FILE, DEFAULT_KEY_FILE, HlsSettings
from manycast.config.schema.settings import Settings
from manycast.hardware import HardwarePlan, hardware_plan
from manycast.hub.backchannel import Backchannels, Listener, audio_track, offered_tracks
from manycast.hub.catalogue import Catalogue
from manycast.hub.conversions import ConversionOptions
from manycast.hub.hls_packager import HlsOptions
from manycast.hub.hls_runs import HlsRuns
from manycast.hub.hub import Hub
from manycast.hub.limits import ViewerLimits
from manycast.hub.on_demand import LINGER_S
from manycast.hub.output import OutputRules
from manycast.hub.transcoding import Transcoding
from manycast.libsrt.library import SrtLibrary, SrtMissing
from manycast.listening import Listening, StartError, open_listeners
from manycast.media.track import Codec, Track
from manycast.onvif_service import OnvifPlan, OnvifService, onvif_plan
from manycast.outputs import output_rules
from manycast.proxies import Proxies, ProxyPlan, proxy_plans
from manycast.pushers import PusherPlan, Pushers, pusher_plans
from manycast.rtsp_port import RtspPort
from manycast.servers.certificate import Certificate
from manycast.servers.faults import FaultLog
from manycast.servers.http.front import HttpFront
from manycast.servers.http.hls.options import HlsServerOptions
from manycast.servers.http.hls.server import HlsServer
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.overview import Offer, Overview
from manycast.servers.http.pages import Pages
from manycast.servers.http.request import HttpRoute
from manycast.servers.http.stream.options import StreamOptions
from manycast.servers.http.stream.server import StreamServer
from manycast.servers.rtmp.options import RtmpOptions
from manycast.servers.rtmp.server import RtmpServer
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.server import RtspServer, raise_descriptor_limit
from manycast.servers.rtsp.switched_off import SwitchedOffRoute
from manycast.servers.rtsp.tunnel import TunnelRoute
from manycast.servers.rtsp.websocket import WebSocketRoute
from manycast.servers.srt.options import SrtOptions
from manycast.servers.srt.server import SrtServer
from manycast.sinks.audio_device import AudioDevice
from manycast.sinks.wav_file import WavRecorder
from manycast.sources.capture.finder import CaptureFinder
from manycast.sources.demo import DemoSource
from manycast.sources.files.library import CLIP_NAME, FileLibrary
from manycast.sources.transcoding.service import TranscodingService
from manycast.tls import TlsPlan, open_certificate
from manycast.wire.hls.segmenter import SegmenterOptions
from manycast.wire.mpegts.packet import PACKET_BYTES

STOP_TIMEOUT_S = 1.5  # then what is left is cut off: a stop takes two seconds at most
SPARE_DESCRIPTORS = 200  # for files, logs, listeners
DEMO_NAME = "demo"
WIDE_FOLDERS = (Path("/"), Path.home())  # as media folders, hardly meant
TIDY_INTERVAL_S = 5.0
MAX_ROWS = 20  # of proxies and pushers: where there are more, nobody reads them at the start
PAGE_BLOCKS: tuple[Literal["rtsp", "http_flv", "http_mp4", "hls"], ...] = ("rtsp", "http_flv", "http_mp4", "hls")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says against the configuration; None where it says nothing."""

    host: str | None = None
    media_folder: Path | None = None
    rtsp_port: int | None = None  # 0 switches the protocol off, as for all ports
    rtsps_port: int | None = None
    http_port: int | None = None
    https_port: int | None = None
    rtmp_port: int | None = None
    rtmps_port: int | None = None
    srt_port: int | None = None
    onvif_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechPlan:
    """The back channel: which codec is offered first, and where what is said goes."""

    first: Track
    device: str | None
    record_folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to run."""

    rtsp: Listening | None
    rtsps: Listening | None
    http: Listening | None
    https: Listening | None
    rtmp: Listening | None
    rtmps: Listening | None
    srt: Listening | None
    rtsp_over_http: bool  # and over WebSocket, on the HTTP port
    rtsp_over_https: bool
    tls: TlsPlan
    rtsp_options: RtspOptions
    rtmp_options: RtmpOptions
    srt_options: SrtOptions
    stream_options: StreamOptions
    hls_options: HlsOptions | None  # None: no HLS
    hls_server_options: HlsServerOptions
    http_users: Mapping[str, str] | None = field(repr=False)  # who may see the page; None: everyone
    limits: ViewerLimits
    media_folder: Path
    applications: tuple[str, ...]
    speech: SpeechPlan | None = None  # None: nobody can speak
    proxies: tuple[ProxyPlan, ...] = ()
    pushers: tuple[PusherPlan, ...] = ()
    onvif: OnvifPlan | None = None
    outputs: OutputRules = field(default_factory=OutputRules)
    conversions: ConversionOptions = field(default_factory=ConversionOptions)
    hardware: HardwarePlan = field(default_factory=HardwarePlan)
    capture_linger_s: float = LINGER_S
    demo: bool
    notes: tuple[str, ...] = field(default=())  # to be said at start


def make_plan(loaded: LoadedConfiguration, overrides: Overrides) -> Plan:
    """What the configuration and the command line ask for together."""
    settings = loaded.settings
    media_folder = overrides.media_folder or settings.media_folder
    users = {user.username: user.password.get_secret_value() for user in settings.users}
    pulled_notes: list[str] = []
    proxies = proxy_plans(settings, pulled_notes)
    pushers = pusher_plans(settings, pulled_notes, overrides.host)
    descriptors = raise_descriptor_limit()
    options = RtspOptions(
        udp_base_port=settings.rtsp.udp_base_port,
        metadata=settings.rtsp.metadata,
        loops=settings.loop_nums,
        max_sessions=settings.limits.max_sessions or None,
        max_connections=max(16, descriptors - SPARE_DESCRIPTORS),
        users=users if settings.rtsp.need_auth else None,
        basic_in_clear=settings.rtsp.basic_auth,
        multicast=settings.rtsp.multicast,
        multicast_ttl=settings.rtsp.multicast_ttl,
        srtp=settings.rtsps.srtp,
        srtp_encrypt=settings.rtsps.srtp_encrypt,
        stall_s=settings.limits.stall_timeout,
    )
    return Plan(
        rtsp=_listening(loaded, overrides, "rtsp", overrides.rtsp_port),
        rtsps=_listening(loaded, overrides, "rtsps", overrides.rtsps_port),
        http=_listening(loaded, overrides, "http", overrides.http_port),
        https=_listening(loaded, overrides, "https", overrides.https_port),
        rtmp=_listening(loaded, overrides, "rtmp", overrides.rtmp_port),
        rtmps=_listening(loaded, overrides, "rtmps", overrides.rtmps_port),
        srt=_listening(loaded, overrides, "srt", overrides.srt_port),
        rtsp_over_http=settings.rtsp.rtsp_over_http,
        rtsp_over_https=settings.rtsp.rtsp_over_https,
        tls=_tls_plan(loaded, overrides),
        rtsp_options=options,
        rtmp_options=RtmpOptions(
            loops=settings.loop_nums,
            max_connections=options.max_connections,
            users=users if settings.needs_auth("rtmp") else None,
            adobe_auth=settings.rtmp.adobe_auth,
            stall_s=settings.limits.stall_timeout,
        ),
        stream_options=StreamOptions(
            flv=settings.http_flv.enable,
            mp4=settings.http_mp4.enable,
            flv_login=settings.needs_auth("http_flv"),
            mp4_login=settings.needs_auth("http_mp4"),
            chunked=settings.http_flv.chunked,
            loops=settings.loop_nums,
            max_connections=options.max_connections,
            stall_s=settings.limits.stall_timeout,
        ),
        srt_options=_srt_options(settings, users if settings.needs_auth("srt") else None),
        hls_options=_hls_options(settings.hls),
        hls_server_options=HlsServerOptions(
            login=settings.needs_auth("hls"),
            max_connections=options.max_connections,
            stall_s=settings.limits.stall_timeout,
        ),
        http_users=users if any(settings.needs_auth(block) for block in PAGE_BLOCKS) else None,
        limits=ViewerLimits(backlog_s=settings.limits.backlog / 1000),
        media_folder=media_folder,
        applications=tuple(application.name for application in settings.applications) or ("",),
        speech=_speech_plan(settings.backchannel),
        proxies=proxies,
        pushers=pushers,
        onvif=onvif_plan(loaded, host=overrides.host, port=overrides.onvif_port),
        outputs=output_rules(settings),
        conversions=ConversionOptions(video=settings.convert.video, audio=settings.convert.audio),
        hardware=hardware_plan(settings.transcode),
        capture_linger_s=float(settings.capture.linger),
        demo=not loaded.files,
        notes=(*map(str, loaded.warnings), *pulled_notes, *_folder_notes(media_folder)),
    )


def _hls_options(settings: HlsSettings) -> HlsOptions | None:
    if not settings.enable:
        return None
    return HlsOptions(
        segments=SegmenterOptions(
            fragment_s=settings.fragment,
            playlist=settings.playlist,
            part_s=settings.part / 1000 if settings.low_latency else None,
        ),
        always=settings.always,
        folder=settings.folder,
        clean_folder=settings.cleanupdir,
    )


def _srt_options(settings: Settings, users: Mapping[str, str] | None) -> SrtOptions:
    srt = settings.srt
    return SrtOptions(
        loops=settings.loop_nums,
        max_sessions=settings.limits.max_sessions or None,
        users=users,
        latency_ms=srt.latency,
        passphrase=srt.passphrase.get_secret_value() if srt.passphrase is not None else None,
        passphrases={stream.name: stream.passphrase.get_secret_value() for stream in srt.streams},
        passphrase_required=srt.passphrase_required,
        key_bits=srt.keylength,
        max_bandwidth_bps=1000 * srt.maxbw,
        overhead_percent=srt.overhead,
        payload_packets=srt.payload_size // PACKET_BYTES,
    )


def _speech_plan(settings: Backchannel | None) -> SpeechPlan | None:
    if settings is None:
        return None
    first = audio_track(Codec(settings.codec.value), settings.samplerate, settings.channels)
    return SpeechPlan(first=first, device=settings.device, record_folder=settings.record)


def _listening(
    loaded: LoadedConfiguration,
    overrides: Overrides,
    block: Literal["rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt"],
    port: int | None,
) -> Listening | None:
    settings = getattr(loaded.settings, block)
    if not (settings.enable if port is None else port):
        return None
    # Addresses of RTSP hold for RTSP in TLS as well, and those of RTMP likewise.
    plain = {"rtsps": loaded.settings.rtsp, "rtmps": loaded.settings.rtmp}
    addresses = plain.get(block, settings).serverip
    return Listening(
        protocol=block.upper(),
        scheme=block,
        addresses=(overrides.host,) if overrides.host else addresses,
        port=port or settings.serverport,
        origin=loaded.origin(block, "serverport") if port is None else "the command line",
        option=f"--{block}-port",
        required=port is not None or block in ("rtsp", "rtsps", "rtmps") or loaded.written(block),
        udp=block == "srt",
    )


def _tls_plan(loaded: LoadedConfiguration, overrides: Overrides) -> TlsPlan:
    https = loaded.settings.https
    names = (https.cert_file.name, https.key_file.name)
    by_option = bool(overrides.https_port or overrides.rtsps_port or overrides.rtmps_port)
    demanded = by_option or loaded.settings.rtsps.enable or loaded.settings.rtmps.enable
    return TlsPlan(
        cert_file=https.cert_file,
        key_file=https.key_file,
        origin=loaded.origin("https", "cert_file"),
        make=names == (DEFAULT_CERT_FILE.name, DEFAULT_KEY_FILE.name),
        required=demanded or (overrides.https_port is None and loaded.written("https")),
        demanded=demanded,
    )


def _folder_notes(media_folder: Path) -> tuple[str, ...]:
    if media_folder.resolve() in WIDE_FOLDERS:
        return (f"every media file below {media_folder.resolve()} is served; name another folder with --media",)
    return ()


def _login_notes(plan: Plan) -> list[str]:
    """What is missing from the addresses that are printed."""
    notes = []
    if plan.rtsp is not None and plan.rtsp_options.users is not None:
        notes.append("RTSP asks for a login: rtsp://NAME:PASSWORD@HOST/...")
    if plan.rtmp is not None and plan.rtmp_options.users is not None and not plan.rtmp_options.adobe_auth:
        notes.append("RTMP asks for a login: rtmp://HOST/...?user=NAME&pass=PASSWORD")
    if plan.srt is not None and plan.srt_options.users is not None:
        notes.append("SRT asks for a login: srt://HOST?streamid=...,u=NAME,s=PASSWORD")
    if plan.srt is not None and plan.srt_options.passphrase is not None and plan.srt_options.passphrase_required:
        notes.append("SRT asks for the passphrase: srt://HOST?streamid=...&passphrase=SECRET")
    return notes


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
        self.notes = [*plan.notes, *_login_notes(plan)]  # to be said at start
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
        overview = Overview(self.catalogue, self.library.names, self._offers(), player=plan.stream_options.mp4)
        front = HttpFront(Pages(self._how_to_play, overview, login))
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

    async def _tidy_files(self) -> None:
        while True:
            await asyncio.sleep(TIDY_INTERVAL_S)
            self.library.tidy(asyncio.get_running_loop().time())

    def addresses(self) -> Sequence[tuple[str, str, str]]:
        """Protocol, what for, and the address, for people to paste."""
        rows: list[tuple[str, str, str]] = []
        first = self.plan.applications[0]
        name, purpose = (DEMO_NAME, "test pattern") if self.plan.demo else (CLIP_NAME, "test clip")
        path = f"/{first}/{name}" if first else f"/{name}"
        for listening in (self.plan.rtsp, self.plan.rtsps, self.plan.rtmp, self.plan.rtmps):
            if listening is not None and listening.protocol in self._opened:
                rows.append((listening.protocol, purpose, listening.base + path))
                if len(rows) == 1:
                    rows += self._rtsp_rows(listening)
        if self.plan.srt is not None and self.srt is not None:
            rows.append(("SRT", purpose, f"{self.plan.srt.base}?streamid={path[1:]}"))
        for listening, with_rtsp in (
            (self.plan.http, self.plan.rtsp_over_http),
            (self.plan.https, self.plan.rtsp_over_https),
        ):
            if listening is None or listening.protocol not in self._opened:
                continue
            if with_rtsp and self.rtsp is not None:
                place = listening.base.partition("://")[2]
                websocket = "wss" if listening.scheme == "https" else "ws"
                rows.append((f"RTSP over {listening.protocol}", purpose, f"rtsp://{place}{path}"))
                rows.append(("RTSP over WebSocket", purpose, f"{websocket}://{place}/websocket"))
            if self.plan.stream_options.flv:
                rows.append((f"{listening.protocol}-FLV", purpose, f"{listening.base}{path}.flv"))
            if self.plan.hls_options is not None and self.plan.demo:
                rows.append(("HLS", purpose, f"{listening.base}{path}.m3u8"))
            rows.append((listening.protocol, "what there is", f"{listening.base}/"))
        if self.onvif is not None:
            rows += [("ONVIF", "for recorders", address) for address in self.onvif.addresses()]
        return rows

    def _offers(self) -> list[Offer]:
        """How the page makes addresses."""
        plan, opened, options = self.plan, self._opened, self.plan.stream_options
        offers = []
        for listening in (plan.rtsp, plan.rtsps, plan.rtmp, plan.rtmps):
            if listening is not None and listening.protocol in opened:
                offers.append(Offer(label=listening.protocol, scheme=listening.scheme, port=listening.port))
        if plan.srt is not None and self.srt is not None:
            offers.append(Offer(label="SRT", scheme="srt", port=plan.srt.port, before="?streamid="))
        for listening, websocket in ((plan.http, "ws"), (plan.https, "wss")):
            if listening is None or listening.protocol not in opened:
                continue
            for label, suffix, wanted in (("FLV", ".flv", options.flv), ("MP4", ".mp4", options.mp4)):
                if wanted:
                    port, name = listening.port, f"{listening.protocol}-{label}"
                    offers.append(Offer(label=name, scheme=listening.scheme, port=port, suffix=suffix))
                    offers.append(Offer(label=f"WebSocket-{label}", scheme=websocket, port=port, suffix=suffix))
            if plan.hls_options is not None:
                port = listening.port
                offers.append(Offer(label="HLS", scheme=listening.scheme, port=port, suffix=".m3u8", files=False))
        return offers

    def _rtsp_rows(self, listening: Listening) -> list[tuple[str, str, str]]:
        rows = []
        for application in self.plan.applications:
            base = f"{listening.base}/{application}/" if application else f"{listening.base}/"
            rows.append((listening.protocol, "a file of the media folder", f"{base}FILENAME"))
            rows.append((listening.protocol, "publish and watch", f"{base}ANY-NAME"))
        fetched = [(plan.path, "a proxy") for plan in self.plan.proxies]
        fetched += [(plan.path, str(plan)) for plan in self.plan.pushers]
        if len(fetched) <= MAX_ROWS:
            rows += [(listening.protocol, what, f"{listening.base}/{quote(path)}") for path, what in fetched]
        return rows

    def _how_to_play(self) -> str:
        rows = [(f"{protocol}:", purpose, address) for protocol, purpose, address in self.addresses()]
        lines = [f"{protocol:22} {address:50} {purpose}" for protocol, purpose, address in rows]
        lines += ["", "Over HTTP: ffplay -rtsp_transport http ADDRESS, vlc --rtsp-http ADDRESS"]
        return "\n".join([*lines, "Over HTTPS: ffplay -rtsp_transport https ADDRESS", ""])


def _backchannels(hub: Hub, plan: Plan, speech: SpeechPlan, transcoding: Transcoding) -> Backchannels:
    loudspeaker = None if speech.device is None else AudioDevice(speech.device)
    listeners: list[Listener] = [CameraTalks(plan.proxies, transcoding, loudspeaker)]
    if speech.record_folder is not None:
        listeners.append(WavRecorder(speech.record_folder))
    return Backchannels(hub, offered_tracks(speech.first), listeners)


async def run(plan: Plan, on_started: Callable[[App], None]) -> None:
    """Run until SIGTERM or SIGINT. Raises StartError when it cannot start."""
    app = App(plan)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in _stop_signals():
        loop.add_signal_handler(number, stopped.set)
    await app.start()
    on_started(app)
    gc.freeze()  # what is there now stays; collecting it again and again would only stall viewers
    await stopped.wait()
    log.info("stopping")
    try:
        await asyncio.wait_for(app.stop("the server stops"), STOP_TIMEOUT_S)
    except TimeoutError:
        log.warning("not everything ended within %.1f s; cut off", STOP_TIMEOUT_S)


def _stop_signals() -> list[signal.Signals]:
    numbers = [signal.SIGTERM, signal.SIGINT]
    # A closed terminal ends the server like Ctrl-C; under nohup, which has the signal ignored, it goes on.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
