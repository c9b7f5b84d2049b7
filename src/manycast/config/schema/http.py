"""The HTTP and HTTPS servers, and what is offered on them: HTTP-FLV, MP4 and HLS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.rules import between
from manycast.config.schema.values import Address, FilePath, Port, Switch

DEFAULT_CERT_FILE = Path("ssl.ca")
DEFAULT_KEY_FILE = Path("ssl.key")

NEED_AUTH_ELSEWHERE = "Whether a login is asked for here; not configured: as in the RTSP block."

FragmentSeconds = Annotated[int, between(1, 300, unit="s")]
PartMilliseconds = Annotated[int, between(100, 2000, unit="ms")]
PlaylistLength = Annotated[int, between(3, 1000)]


class HttpSettings(Group):
    enable: Switch = setting(True, "HTTP server on or off. RTSP over HTTP, HTTP-FLV and HLS are offered on it.")
    serverip: tuple[Address, ...] = setting(
        (), "Addresses to listen on, repeatable; none: all interfaces, IPv4 and IPv6."
    )
    serverport: Port = setting(8080, "TCP port.")


class HttpsSettings(Group):
    enable: Switch = setting(True, "HTTPS server on or off. RTSP over HTTPS, HTTP-FLV and HLS are offered on it.")
    serverip: tuple[Address, ...] = setting(
        (), "Addresses to listen on, repeatable; none: all interfaces, IPv4 and IPv6."
    )
    serverport: Port = setting(8443, "TCP port.")
    cert_file: FilePath = setting(
        DEFAULT_CERT_FILE,
        "Certificate, in PEM form. The default one is made at the first start; nobody vouches for it, it is "
        "for tests only.",
    )
    key_file: FilePath = setting(DEFAULT_KEY_FILE, "Private key of the certificate, in PEM form.")


class HttpFlvSettings(Group):
    enable: Switch = setting(True, "HTTP-FLV on or off; needs the HTTP or HTTPS server.")
    chunked: Switch = setting(True, "HTTP chunked transfer encoding on or off.")
    need_auth: Switch | None = setting(None, NEED_AUTH_ELSEWHERE, ours=True)


class HttpMp4Settings(Group):
    enable: Switch = setting(
        True,
        "Fragmented MP4 by HTTP and WebSocket, which the player at / plays, on or off; needs the HTTP or HTTPS server.",
        ours=True,
    )
    need_auth: Switch | None = setting(None, NEED_AUTH_ELSEWHERE, ours=True)


class HlsSettings(Group):
    enable: Switch = setting(True, "HLS on or off; needs the HTTP or HTTPS server.")
    fragment: FragmentSeconds = setting(5, "Length of a fragment.")
    playlist: PlaylistLength = setting(5, "Largest number of fragments in the playlist.")
    cleanupdir: Switch = setting(True, "Whether fragments left from an earlier run are removed at start.")
    folder: FilePath | None = setting(
        None, "Where fragments are kept, a folder for each stream below it; not configured: in memory.", ours=True
    )
    low_latency: Switch = setting(
        True, "Whether players that can may follow closely (Low-Latency HLS), about a second behind.", ours=True
    )
    part: PartMilliseconds = setting(
        250, "Length of the parts of a fragment, with low_latency; players stay three of them behind.", ours=True
    )
    always: Switch = setting(
        False,
        "Whether fragments are made of every stream from its beginning, or only from the first request on until nobody "
        "has asked for a minute.",
        ours=True,
    )
    need_auth: Switch | None = setting(None, NEED_AUTH_ELSEWHERE, ours=True)
