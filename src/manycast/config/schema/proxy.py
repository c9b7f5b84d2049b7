"""Streams that are fetched from elsewhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.output import Output
from manycast.config.schema.rules import between, one_word_of, stream_address
from manycast.config.schema.values import Secret, Suffix, Switch, Text


class ProxyTransfer(StrEnum):
    """How an RTSP source is fetched."""

    TCP = "TCP"
    UDP = "UDP"
    MULTICAST = "MULTICAST"


ProxyUrl = Annotated[
    str,
    stream_address("rtsp", "rtsps", "rtsp+http", "rtsp+https", "rtmp", "rtmps", "srt", "http", "https", "udp"),
]
HoldSeconds = Annotated[int, between(0, 3600, unit="s", note="0: they are told at once")]


class Proxy(Group):
    suffix: Suffix = setting("proxy", "Name under which the stream is offered.")
    url: ProxyUrl | None = setting(
        None,
        "Address of the source: RTSP, RTMP, SRT or HTTP MJPEG; also HTTP-FLV, HLS, and MPEG-TS by HTTP and UDP. "
        "Not configured: the proxy is not active.",
        show=False,
    )
    user: Text | None = setting(None, "Login name for the source.")
    password: Secret | None = setting(None, "Password for the source.", node="pass")
    transfer: Annotated[ProxyTransfer, one_word_of(ProxyTransfer)] = setting(
        ProxyTransfer.TCP, "How the stream is fetched from an RTSP source."
    )
    ondemand: Switch = setting(False, "1: connect when there is a viewer. 0: always connected.")
    hold: HoldSeconds = setting(
        10, "How long viewers wait for a source that is away, to go on when it is back.", ours=True
    )
    tls_verify: Switch = setting(True, "Whether the source's certificate must be one that can be trusted.", ours=True)
    private_redirects: Switch = setting(
        False, "Whether a source in the internet may redirect to a private address.", ours=True
    )
    output: Output | None = setting(None, "What is offered; not configured: the source's own parameters.")
