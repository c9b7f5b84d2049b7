"""The web server of the device. Its ports are among the network protocols."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from manycast.onvif.state.base import Part


class Server(Part):
    addresses: list[str] = Field(default_factory=list)  # none: every interface, IPv4 and IPv6
    cert_file: Path = Path("ssl.ca")
    key_file: Path = Path("ssl.key")
    http_max_users: int = Field(16, ge=1)  # connections, of HTTP and of HTTPS each
    need_auth: bool = False
