"""The raw pushers of a configuration, running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from manycast.config.schema.pusher import PushedAudio, PushedVideo, Pusher, PusherMode
from manycast.config.schema.settings import Settings
from manycast.config.schema.values import AudioCodec, VideoCodec
from manycast.errors import ManycastError
from manycast.hub.hub import Hub, PathTaken
from manycast.hub.reservation import Reservation
from manycast.hub.source import SourceError
from manycast.media.aac import AudioSpecificConfig
from manycast.sources.dialling import resolve
from manycast.sources.path_log import PathLog
from manycast.sources.proxy import Pauses
from manycast.sources.raw_rtp import NoPort, RawMedium, RawRtpSource
from manycast.wire.rtp.formats import track_from_rtpmap
from manycast.wire.rtp.payload import FIRST_DYNAMIC_PAYLOAD_TYPE, RtpMap, UnsupportedFormat

log = logging.getLogger(__name__)

_VIDEO_NAMES = {
    VideoCodec.H264: "H264",
    VideoCodec.H265: "H265",
    VideoCodec.JPEG: "JPEG",
    VideoCodec.MP4: "MP4V-ES",
}
_AUDIO_NAMES = {AudioCodec.G711A: "PCMA", AudioCodec.G711U: "PCMU"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PusherPlan:
    """One pusher with ports of its own."""

    path: str
    media: tuple[RawMedium, ...]
    tcp: bool
    ip: str | None

    def __str__(self) -> str:
        ports = " and ".join(str(medium.port) for medium in self.media)
        return f"raw RTP by {'TCP' if self.tcp else 'UDP'} at port {ports}"


def pusher_plans(settings: Settings, notes: list[str], host: str | None = None) -> tuple[PusherPlan, ...]:
    """Those in mode TCP or UDP, at `host` where they name no address; what cannot be is said in `notes`."""
    plans: dict[str, PusherPlan] = {}
    for application in settings.applications:
        for pusher in application.pushers:
            path = application.path_of(pusher.suffix)
            if not pusher.raw or path in plans:
                continue
            try:
                media = _media(pusher)
            except UnsupportedFormat as error:
                notes.append(f"the pusher {path} is left out: {error}")
                continue
            if not media:
                notes.append(f"the pusher {path} is left out: it has neither video nor audio")
                continue
            transfer = pusher.transfer
            tcp = transfer.mode is PusherMode.TCP
            plans[path] = PusherPlan(path=path, media=media, tcp=tcp, ip=transfer.ip or host)
    return tuple(plans.values())


def _media(pusher: Pusher) -> tuple[RawMedium, ...]:
    """Raises UnsupportedFormat."""
    media = []
    if pusher.video is not None:
        media.append(RawMedium(*track_from_rtpmap(_video_map(pusher.video)), pusher.transfer.vport))
    if pusher.audio is not None:
        media.append(RawMedium(*track_from_rtpmap(_audio_map(pusher.audio)), pusher.transfer.aport))
    return tuple(media)


def _video_map(video: PushedVideo) -> RtpMap:
    name = _VIDEO_NAMES[video.codec]
    return RtpMap(payload_type=FIRST_DYNAMIC_PAYLOAD_TYPE, encoding_name=name, clock_rate_hz=90_000)


def _audio_map(audio: PushedAudio) -> RtpMap:
    """How an SDP would describe it (RFC 3551 section 6, RFC 3640 section 3.3.6, RFC 7587 section 7)."""
    name, rate, channels, fmtp = _AUDIO_NAMES.get(audio.codec, ""), audio.samplerate, audio.channels, {}
    match audio.codec:
        case AudioCodec.G722:
            name, rate, channels = "G722", 8000, 1
        case AudioCodec.G726:
            name, rate, channels = "G726-32", 8000, 1
        case AudioCodec.OPUS:
            name, rate, channels = "opus", 48_000, 2
        case AudioCodec.AAC:
            name = "mpeg4-generic"
            fmtp = {"mode": "AAC-hbr", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}
            config = AudioSpecificConfig(core_rate_hz=rate, channel_configuration=channels, core_channels=channels)
            fmtp["config"] = config.serialize().hex()
    return RtpMap(
        payload_type=FIRST_DYNAMIC_PAYLOAD_TYPE + 1,
        encoding_name=name,
        clock_rate_hz=rate,
        channels=channels,
        fmtp=fmtp,
    )


class Pushers:
    """Listens at the ports of every pusher."""

    def __init__(self, hub: Hub, plans: Sequence[PusherPlan]) -> None:
        self._hub = hub
        self._plans = plans
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for plan in self._plans:
            try:
                self._start(plan)
            except PathTaken as error:
                log.warning("pusher %s is left out: %s", plan.path, error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, plan: PusherPlan) -> None:
        reservation = self._hub.reserve(plan.path, str(plan))
        adapter = PathLog(log, "pusher", plan.path)
        self._tasks.append(asyncio.create_task(_listen(plan, reservation, adapter), name=f"pusher {plan.path}"))


async def _listen(plan: PusherPlan, reservation: Reservation, adapter: PathLog) -> None:
    """One push after the other, for ever."""
    pauses = Pauses()
    while True:
        reason = "the server stops"
        try:
            ip = await _numeric(plan.ip)
            await RawRtpSource(plan.media, tcp=plan.tcp, ip=ip, log=adapter).run(reservation.publish)
        except NoPort as error:
            reason = str(error)
            pause_s = pauses.next_s()
            adapter.warning("%s; trying again in %.0f s", reason, pause_s)
            await asyncio.sleep(pause_s)
        except ManycastError as error:
            reason = str(error)
            pauses.reset()
            adapter.info("%s", reason)
        except Exception as error:
            reason = str(error)
            adapter.exception("failed")
            await asyncio.sleep(pauses.next_s())
        finally:
            reservation.end(reason)


async def _numeric(ip: str | None) -> str | None:
    """Raises NoPort for a name that nobody knows."""
    try:
        return None if ip is None else (await resolve(ip, 0))[0]
    except SourceError as error:
        raise NoPort(str(error)) from error
