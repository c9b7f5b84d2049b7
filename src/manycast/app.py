"""Puts the rooms together, starts and stops them."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from manycast.config import LoadedConfiguration
from manycast.config.schema.backchannel import Backchannel
from manycast.errors import ManycastError
from manycast.hub.backchannel import Backchannels, Listener, audio_track, offered_tracks
from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub
from manycast.hub.limits import ViewerLimits
from manycast.media.track import Codec, Track
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.server import RtspServer, raise_descriptor_limit
from manycast.sinks.audio_device import AudioDevice
from manycast.sinks.wav_file import WavRecorder
from manycast.sources.demo import DemoSource
from manycast.sources.files.library import CLIP_NAME, FileLibrary

STOP_TIMEOUT_S = 1.5  # then what is left is cut off: a stop takes two seconds at most
SPARE_DESCRIPTORS = 200  # for files, logs, listeners
ALL_INTERFACES = ("0.0.0.0", "::")
DEMO_NAME = "demo"
WIDE_FOLDERS = (Path("/"), Path.home())  # as media folders, hardly meant
TIDY_INTERVAL_S = 5.0

log = logging.getLogger(__name__)


class StartError(ManycastError):
    """The server cannot start; the message says why and what to do about it."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says against the configuration; None where it says nothing."""

    host: str | None = None
    media_folder: Path | None = None
    rtsp_port: int | None = None  # 0 switches the protocol off


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where one protocol listens, and who says so."""

    protocol: str  # as people write it: "RTSP"
    scheme: str
    addresses: tuple[str, ...]  # empty: all interfaces
    port: int
    origin: str
    option: str  # the command line's


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
    rtsp_options: RtspOptions
    limits: ViewerLimits
    media_folder: Path
    applications: tuple[str, ...]
    speech: SpeechPlan | None = None  # None: nobody can speak
    demo: bool
    notes: tuple[str, ...] = field(default=())  # to be said at start


def make_plan(loaded: LoadedConfiguration, overrides: Overrides) -> Plan:
    """What the configuration and the command line ask for together."""
    settings = loaded.settings
    port, origin = settings.rtsp.serverport, loaded.origin("rtsp", "serverport")
    enabled = settings.rtsp.enable
    if overrides.rtsp_port is not None:
        port, origin, enabled = overrides.rtsp_port, "the command line", overrides.rtsp_port != 0
    addresses = (overrides.host,) if overrides.host else settings.rtsp.serverip
    rtsp = Listening(
        protocol="RTSP", scheme="rtsp", addresses=addresses, port=port, origin=origin, option="--rtsp-port"
    )
    media_folder = overrides.media_folder or settings.media_folder
    users = {user.username: user.password.get_secret_value() for user in settings.users}
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
        rtsp=rtsp if enabled else None,
        rtsp_options=options,
        limits=ViewerLimits(backlog_s=settings.limits.backlog / 1000),
        media_folder=media_folder,
        applications=tuple(application.name for application in settings.applications) or ("",),
        speech=_speech_plan(settings.backchannel),
        demo=not loaded.files,
        notes=(*map(str, loaded.warnings), *loaded.unavailable, *_folder_notes(media_folder)),
    )


def _speech_plan(settings: Backchannel | None) -> SpeechPlan | None:
    if settings is None:
        return None
    first = audio_track(Codec(settings.codec.value), settings.samplerate, settings.channels)
    return SpeechPlan(first=first, device=settings.device, record_folder=settings.record)


def _folder_notes(media_folder: Path) -> tuple[str, ...]:
    if media_folder.resolve() in WIDE_FOLDERS:
        return (f"every media file below {media_folder.resolve()} is served; name another folder with --media",)
    return ()


class App:
    """The running server."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.hub = Hub(plan.limits)
        self.library = FileLibrary(plan.media_folder)
        self.backchannels = _backchannels(self.hub, plan.speech) if plan.speech is not None else None
        self.catalogue = Catalogue(self.hub, self.library, plan.applications, self.backchannels)
        self.rtsp: RtspServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open every port, or none. Raises StartError."""
        if self.plan.rtsp is None:
            raise StartError("no protocol is on: switch one on in the configuration, or with --rtsp-port")
        if not self.plan.media_folder.is_dir():
            raise StartError(f"the media folder {self.plan.media_folder} is not there; name another with --media")
        if self.plan.demo:
            self.hub.offer(self.catalogue.path_of(DEMO_NAME), DemoSource, "test pattern")
        if self.plan.rtsp is not None:
            listeners = open_listeners(self.plan.rtsp)
            self.rtsp = RtspServer(self.catalogue, self.plan.rtsp_options)
            self.rtsp.listen(listeners)
            self.rtsp.start()
        self._tasks = [
            asyncio.create_task(self.hub.run_timer(), name="hub timer"),
            asyncio.create_task(self._tidy_files(), name="tidy files"),
        ]

    async def stop(self, reason: str) -> None:
        """Tell viewers and publishers, and close everything."""
        for task in self._tasks:
            task.cancel()
        await self.hub.close(reason)
        if self.rtsp is not None:
            await self.rtsp.close(reason)
        if self.backchannels is not None:
            await self.backchannels.close(reason)
        await self.library.close()

    async def _tidy_files(self) -> None:
        while True:
            await asyncio.sleep(TIDY_INTERVAL_S)
            self.library.tidy(asyncio.get_running_loop().time())

    def addresses(self) -> Sequence[tuple[str, str, str]]:
        """Protocol, what for, and the address, for people to paste."""
        rows: list[tuple[str, str, str]] = []
        if self.plan.rtsp is None:
            return rows
        origin = f"{self.plan.rtsp.scheme}://{_host_and_port(self.plan.rtsp)}/"
        for number, application in enumerate(self.plan.applications):
            base = f"{origin}{application}/" if application else origin
            if number == 0:
                name, purpose = (DEMO_NAME, "test pattern") if self.plan.demo else (CLIP_NAME, "test clip")
                rows.append((self.plan.rtsp.protocol, purpose, f"{base}{name}"))
            rows.append((self.plan.rtsp.protocol, "a file of the media folder", f"{base}FILENAME"))
            rows.append((self.plan.rtsp.protocol, "publish and watch", f"{base}ANY-NAME"))
        return rows


def _backchannels(hub: Hub, plan: SpeechPlan) -> Backchannels:
    listeners: list[Listener] = []
    if plan.device is not None:
        listeners.append(AudioDevice(plan.device))
    if plan.record_folder is not None:
        listeners.append(WavRecorder(plan.record_folder))
    return Backchannels(hub, offered_tracks(plan.first), listeners)


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


def open_listeners(listening: Listening) -> list[socket.socket]:
    """Bind the TCP port on every address. Raises StartError naming the port, the setting and what to do."""
    opened: list[socket.socket] = []
    everywhere = not listening.addresses
    try:
        for address in listening.addresses or ALL_INTERFACES:
            for family, resolved in _resolve(address, listening):
                try:
                    opened.append(_bind(family, resolved, listening.port))
                except OSError as error:
                    if everywhere and opened and family == socket.AF_INET6 and error.errno != errno.EADDRINUSE:
                        continue  # a machine without IPv6
                    raise StartError(_explain(error, listening, address)) from error
    except StartError:
        for sock in opened:
            sock.close()
        raise
    return opened


def _resolve(address: str, listening: Listening) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(address, listening.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise StartError(
            f"{listening.protocol} cannot listen on {address!r}: no such address or name ({error})"
        ) from error
    return list(dict.fromkeys((family, str(name[0])) for family, _, _, _, name in found))


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(1)  # two servers may bind a port with SO_REUSEADDR; only one may listen
    except OSError:
        sock.close()
        raise
    return sock


_ADVICE: Mapping[int, str] = {
    errno.EADDRINUSE: "another program has it. Stop that one, or choose another port with {option}",
    errno.EACCES: "ports below 1024 need root. Start as root, give Python the capability "
    "CAP_NET_BIND_SERVICE, or choose another port with {option}",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address. Choose another with --host",
}


def _explain(error: OSError, listening: Listening, address: str) -> str:
    advice = _ADVICE.get(error.errno or 0, error.strerror or str(error)).format(option=listening.option)
    place = f" on {address}" if listening.addresses else ""
    return f"{listening.protocol} port {listening.port}{place} (set by {listening.origin}) cannot be opened: {advice}"


def _host_and_port(listening: Listening) -> str:
    host = listening.addresses[0] if listening.addresses else own_address()
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{listening.port}"


def own_address() -> str:
    """The address other machines reach this one by, as far as it can be told; nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # a documentation address (RFC 5737): only the route is looked up
            return str(sock.getsockname()[0])
        except OSError:
            return "127.0.0.1"
