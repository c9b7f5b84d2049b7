"""What is to run: the configuration and the command line together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from manycast.app.hardware import HardwarePlan, hardware_plan
from manycast.app.listening import Listening
from manycast.app.onvif_plan import OnvifPlan, onvif_plan
from manycast.app.outputs import output_rules
from manycast.app.proxies import ProxyPlan, proxy_plans
from manycast.app.pushers import PusherPlan, pusher_plans
from manycast.app.tls import TlsPlan
from manycast.config import LoadedConfiguration
from manycast.config.schema.backchannel import Backchannel
from manycast.config.schema.http import DEFAULT_CERT_FILE, DEFAULT_KEY_FILE, HlsSettings
from manycast.config.schema.settings import Settings
from manycast.hub.backchannel import audio_track
from manycast.hub.conversions import ConversionOptions
from manycast.hub.hls_packager import HlsOptions
from manycast.hub.limits import ViewerLimits
from manycast.hub.on_demand import LINGER_S
from manycast.hub.output import OutputRules
from manycast.media.track import Codec, Track
from manycast.servers.http.hls.options import HlsServerOptions
from manycast.servers.http.stream.options import StreamOptions
from manycast.servers.rtmp.options import RtmpOptions
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.server import raise_descriptor_limit
from manycast.servers.srt.options import SrtOptions
from manycast.wire.hls.segmenter import SegmenterOptions
from manycast.wire.mpegts.packet import PACKET_BYTES

SPARE_DESCRIPTORS = 200  # for files, logs, listeners
WIDE_FOLDERS = (Path("/"), Path.home())  # as media folders, hardly meant
PAGE_BLOCKS: tuple[Literal["rtsp", "http_flv", "http_mp4", "hls"], ...] = ("rtsp", "http_flv", "http_mp4", "hls")


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
    onvif_https_port: int | None = None


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
    max_connections = max(16, raise_descriptor_limit() - SPARE_DESCRIPTORS)
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
        rtsp_options=_rtsp_options(settings, users if settings.rtsp.need_auth else None, max_connections),
        rtmp_options=_rtmp_options(settings, users if settings.needs_auth("rtmp") else None, max_connections),
        stream_options=_stream_options(settings, max_connections),
        srt_options=_srt_options(settings, users if settings.needs_auth("srt") else None),
        hls_options=_hls_options(settings.hls),
        hls_server_options=HlsServerOptions(
            login=settings.needs_auth("hls"),
            max_connections=max_connections,
            stall_s=settings.limits.stall_timeout,
        ),
        http_users=users if any(settings.needs_auth(block) for block in PAGE_BLOCKS) else None,
        limits=ViewerLimits(
            max_sessions=settings.limits.max_sessions or None, backlog_s=settings.limits.backlog / 1000
        ),
        media_folder=media_folder,
        applications=tuple(application.name for application in settings.applications) or ("",),
        speech=_speech_plan(settings.backchannel),
        proxies=proxies,
        pushers=pushers,
        onvif=onvif_plan(loaded, host=overrides.host, port=overrides.onvif_port, https_port=overrides.onvif_https_port),
        outputs=output_rules(settings),
        conversions=ConversionOptions(video=settings.convert.video, audio=settings.convert.audio),
        hardware=hardware_plan(settings.transcode),
        capture_linger_s=float(settings.capture.linger),
        demo=not loaded.files,
        notes=(*map(str, loaded.warnings), *pulled_notes, *_folder_notes(media_folder)),
    )


def _rtsp_options(settings: Settings, users: Mapping[str, str] | None, max_connections: int) -> RtspOptions:
    return RtspOptions(
        udp_base_port=settings.rtsp.udp_base_port,
        metadata=settings.rtsp.metadata,
        loops=settings.loop_nums,
        max_connections=max_connections,
        users=users,
        basic_in_clear=settings.rtsp.basic_auth,
        multicast=settings.rtsp.multicast,
        multicast_ttl=settings.rtsp.multicast_ttl,
        srtp=settings.rtsps.srtp,
        srtp_encrypt=settings.rtsps.srtp_encrypt,
        stall_s=settings.limits.stall_timeout,
    )


def _rtmp_options(settings: Settings, users: Mapping[str, str] | None, max_connections: int) -> RtmpOptions:
    return RtmpOptions(
        loops=settings.loop_nums,
        max_connections=max_connections,
        users=users,
        adobe_auth=settings.rtmp.adobe_auth,
        stall_s=settings.limits.stall_timeout,
    )


def _stream_options(settings: Settings, max_connections: int) -> StreamOptions:
    return StreamOptions(
        flv=settings.http_flv.enable,
        mp4=settings.http_mp4.enable,
        flv_login=settings.needs_auth("http_flv"),
        mp4_login=settings.needs_auth("http_mp4"),
        chunked=settings.http_flv.chunked,
        loops=settings.loop_nums,
        max_connections=max_connections,
        stall_s=settings.limits.stall_timeout,
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


def login_notes(plan: Plan) -> list[str]:
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
