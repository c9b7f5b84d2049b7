"""Streams that are fetched from elsewhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.output import Output
from manycast.config.schema.rules import one_word_of, stream_address
from manycast.config.schema.values import Secret, Suffix, Switch, Text


class ProxyTransfer(StrEnum):
    """How an RTSP source is fetched."""

    TCP = "TCP"
    UDP = "UDP"
    MULTICAST = "MULTICAST"


ProxyUrl = Annotated[str, stream_address("rtsp", "rtsps", "rtmp", "rtmps", "srt", "http", "https")]


class Proxy(Group):
    suffix: Suffix = setting("proxy", "Name under which the stream is offered.")
    url: ProxyUrl | None = setting(
        None,
        "Address of the source: RTSP, RTMP, SRT or HTTP MJPEG. Not configured: the proxy is not active.",
        show=False,
    )
    user: Text | None = setting(None, "Login name for the source.")
    password: Secret | None = setting(None, "Password for the source.", node="pass")
    transfer: Annotated[ProxyTransfer, one_word_of(ProxyTransfer)] = setting(
        ProxyTransfer.TCP, "How the stream is fetched from an RTSP source."
    )
    ondemand: Switch = setting(False, "1: connect when there is a viewer. 0: always connected.")
    output: Output | None = setting(None, "What is offered; not configured: the source's own parameters.")
