"""The RTSP server, and RTSP over TLS."""

from __future__ import annotations

from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.rules import between
from manycast.config.schema.values import Address, Port, Switch

# The eight UDP ports of one session must fit above the first one.
UdpBasePort = Annotated[int, between(1024, 65528)]
TimeToLive = Annotated[int, between(1, 255, unit="hops")]


class RtspSettings(Group):
    enable: Switch = setting(True, "RTSP server on or off.")
    serverip: tuple[Address, ...] = setting(
        (), "Addresses to listen on, repeatable; none: all interfaces, IPv4 and IPv6."
    )
    serverport: Port = setting(8554, "TCP port.")
    multicast: Switch = setting(False, "RTP multicast on or off.")
    multicast_ttl: TimeToLive = setting(16, "How many routers a multicast packet may pass.", ours=True)
    udp_base_port: UdpBasePort = setting(
        22000,
        "First UDP port for RTSP over UDP. A session takes eight: RTP and RTCP for each of video, audio, "
        "metadata and back channel.",
    )
    metadata: Switch = setting(
        False,
        "Metadata track (ONVIF) beside everything that is played, on or off. Some simple players stumble over it.",
    )
    rtsp_over_http: Switch = setting(
        True, "RTSP over HTTP, and over WebSocket, on the HTTP server's port; needs the HTTP server."
    )
    rtsp_over_https: Switch = setting(
        True,
        "RTSP over HTTPS, and over secure WebSocket, on the HTTPS server's port; needs the HTTPS server.",
    )
    need_auth: Switch = setting(
        False,
        "Whether a login is asked for. It holds for every protocol whose own block does not say otherwise.",
    )
    basic_auth: Switch = setting(
        False,
        "Whether passwords are also taken as they are (Basic) where anybody on the way can read them. "
        "Inside TLS they always are.",
        ours=True,
    )


class RtspsSettings(Group):
    enable: Switch = setting(
        False,
        "RTSP over TLS on or off, on the addresses of the RTSP block, with the HTTPS block's certificate.",
        ours=True,
    )
    serverport: Port = setting(8322, "TCP port.", ours=True)
    srtp: Switch = setting(
        True,
        "Whether media is offered as SRTP, with its keys in the SDP, to those who come by TLS: here, by HTTPS or by "
        "secure WebSocket. Players that know no SRTP get it inside the TLS connection.",
        ours=True,
    )
    srtp_encrypt: Switch = setting(
        True, "Whether SRTP hides what is sent; off: it only shows that nobody has changed it.", ours=True
    )
