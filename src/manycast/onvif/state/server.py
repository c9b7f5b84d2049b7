"""The web server of the device. Its ports are among the network protocols."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from manycast.onvif.state.base import Part
from manycast.onvif.state.limits import MAX_LISTENING


class Server(Part):
    addresses: list[str] = Field(default_factory=list, max_length=MAX_LISTENING)  # none: every interface, IPv4 and IPv6
    cert_file: Path = Path("ssl.ca")
    key_file: Path = Path("ssl.key")
    http_max_users: int = Field(16, ge=1, le=10_000)  # connections, of HTTP and of HTTPS each
    need_auth: bool = False
    apply_network: bool = False  # whether the machine's network changes with the device's
