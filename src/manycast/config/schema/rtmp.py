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
    adobe_auth: Switch = setting(
        False,
        "Whether the login is asked for as Flash Media Server does, for rtmp://user:pass@host/... "
        "With 0 it stands behind the name: ?user=...&pass=...",
        ours=True,
    )


class RtmpsSettings(Group):
    enable: Switch = setting(
        False,
        "RTMP over TLS on or off, on the addresses of the RTMP block, with the HTTPS block's certificate.",
        ours=True,
    )
    serverport: Port = setting(1936, "TCP port.", ours=True)
