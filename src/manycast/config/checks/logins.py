"""Logins that nobody or everybody knows."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Literal

from manycast.config.problems import Problem
from manycast.config.schema.settings import Settings
from manycast.config.subject import Subject

_Block = Literal["rtsp", "rtmp", "srt", "http_flv", "http_mp4", "hls"]
_BLOCKS: tuple[_Block, ...] = ("rtsp", "rtmp", "srt", "http_flv", "http_mp4", "hls")
_WELL_KNOWN = ("admin", "admin")


def open_logins(subject: Subject) -> Iterator[Problem]:
    settings = subject.settings
    asking = [block for block in _BLOCKS if getattr(settings, block).enable and settings.needs_auth(block)]
    if not asking:
        return
    if not settings.users:
        yield from _nobody(subject, asking)
    elif _heard_elsewhere(settings):
        yield from _everybody(subject)


def _nobody(subject: Subject, asking: list[_Block]) -> Iterator[Problem]:
    """At each node that asks for a login in vain; that of the RTSP block may ask on behalf of others."""
    for block in ("rtsp", *asking):
        path = (block, "need_auth")
        if subject.written(*path) and subject.settings.needs_auth(block):
            yield subject.problem(path, "but there is no user: everyone is refused", subject.value(*path))


def _everybody(subject: Subject) -> Iterator[Problem]:
    for index, user in enumerate(subject.settings.users):
        if (user.username, user.password.get_secret_value()) == _WELL_KNOWN:
            message = "everyone knows this login, and the server listens beyond this machine"
            yield subject.problem(("users", index), message)


def _heard_elsewhere(settings: Settings) -> bool:
    servers = (settings.http, settings.https, settings.rtsp, settings.rtmp, settings.srt)
    return any(not all(map(is_local, server.serverip or ("",))) for server in servers if server.enable)


def is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"
