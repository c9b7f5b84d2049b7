"""The RTMP server."""

from __future__ import annotations

from manycast.config.schema.base import Group, setting
from manycast.config.schema.http import NEED_AUTH_ELSEWHERE
from manycast.config.schema.values import Address, Port, Switch


class RtmpSettings(Group):
    enable: Switch = setting(True, "RTMP server on or off.")
    serverip: tuple[Address, ...] = setting(
        (), "Addresses to listen on, repeatable; none: all interfaces, IPv4 and IPv6."
    )
    serverport: Port = setting(1935, "TCP port.")
    need_auth: Switch | None = setting(None, NEED_AUTH_ELSEWHERE, ours=True)
