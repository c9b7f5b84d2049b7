"""The whole configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from manycast.config.schema.application import Application
from manycast.config.schema.backchannel import Backchannel
from manycast.config.schema.base import Group, setting
from manycast.config.schema.capture import Capture
from manycast.config.schema.convert import Convert
from manycast.config.schema.http import HlsSettings, HttpFlvSettings, HttpMp4Settings, HttpSettings, HttpsSettings
from manycast.config.schema.limits import Limits
from manycast.config.schema.onvif.device import OnvifSettings
from manycast.config.schema.rtmp import RtmpSettings, RtmpsSettings
from manycast.config.schema.rtsp import RtspSettings, RtspsSettings
from manycast.config.schema.rules import between
from manycast.config.schema.srt import SrtSettings
from manycast.config.schema.transcode import Transcode
from manycast.config.schema.user import User
from manycast.config.schema.values import FilePath, Switch

LoopCount = Annotated[int, between(-1, 1_000_000, zero=1, note="-1: without end, 0: 1")]
LogLevel = Annotated[int, between(0, 5, note="0 TRACE, 1 DEBUG, 2 INFO, 3 WARN, 4 ERROR, 5 FATAL")]


class Settings(Group):
    """What is in force. The defaults are those of an ordinary user who wrote no file."""

    loop_nums: LoopCount = setting(1, "How often a media file is played to a viewer.")
    log_enable: Switch = setting(True, "Log on or off. Errors at start are shown all the same.")
    log_level: LogLevel = setting(2, "Messages of this level and above are logged.")
    media_folder: FilePath = setting(
        Path(),
        "Where media files are found. Default: the configuration file's folder, or the current one.",
        ours=True,
    )
    http: HttpSettings = setting(HttpSettings(), "The HTTP server.")
    https: HttpsSettings = setting(HttpsSettings(), "The HTTPS server.")
    rtsp: RtspSettings = setting(RtspSettings(), "The RTSP server.")
    rtsps: RtspsSettings = setting(RtspsSettings(), "The RTSP server over TLS.", ours=True)
    rtmp: RtmpSettings = setting(RtmpSettings(), "The RTMP server.")
    rtmps: RtmpsSettings = setting(RtmpsSettings(), "The RTMP server over TLS.", ours=True)
    srt: SrtSettings = setting(SrtSettings(), "The SRT server.")
    http_flv: HttpFlvSettings = setting(HttpFlvSettings(), "HTTP-FLV.", node="http-flv")
    http_mp4: HttpMp4Settings = setting(HttpMp4Settings(), "MP4 by HTTP and WebSocket.", node="http-mp4", ours=True)
    hls: HlsSettings = setting(HlsSettings(), "HLS.")
    convert: Convert = setting(Convert(), "Conversion for protocols that cannot carry a codec.", ours=True)
    transcode: Transcode = setting(Transcode(), "What encodes and decodes.", ours=True)
    capture: Capture = setting(Capture(), "Cameras, screens, windows and microphones.", ours=True)
    limits: Limits = setting(Limits(), "Limits.", ours=True)
    users: tuple[User, ...] = setting((), "Who may log in, repeatable.", node="user")
    applications: tuple[Application, ...] = setting(
        (Application(),),
        "The first elements of addresses, repeatable. Without any, all paths stand at the root.",
        node="application",
    )
    onvif: OnvifSettings = setting(OnvifSettings(), "The ONVIF device.", ours=True)
    backchannel: Backchannel | None = setting(
        None, "Audio from viewers to the server. Without this group, there is none."
    )

    def needs_auth(self, block: Literal["rtsp", "rtmp", "srt", "http_flv", "http_mp4", "hls"]) -> bool:
        """Whether the protocol of this block asks for a login: its own word, else that of the RTSP block."""
        own: bool | None = getattr(self, block).need_auth
        return self.rtsp.need_auth if own is None else own
