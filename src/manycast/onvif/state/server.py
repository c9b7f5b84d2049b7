"""The web server of the device. Its ports are among the network protocols."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from manycast.onvif.state.base import Part
from manycast.onvif.state.limits import MAX_LISTENING


class PushTo(StrEnum):
    """To whom notifications of events are sent, as far as subscribers choose it."""

    SUBSCRIBER = "subscriber"  # the address that subscribed
    NETWORK = "network"  # and others, but this machine itself, and addresses that mean something on one link only
    ANYWHERE = "anywhere"


class Server(Part):
    """What no client can change."""

    addresses: list[str] = Field(default_factory=list, max_length=MAX_LISTENING)  # none: every interface, IPv4 and IPv6
    cert_file: Path = Path("ssl.ca")
    key_file: Path = Path("ssl.key")
    http_max_users: int = Field(16, ge=1, le=10_000)  # connections, of HTTP and of HTTPS each
    need_auth: bool = False
    push_to: PushTo = PushTo.NETWORK
    apply_network: bool = False  # whether the machine's network changes with the device's
