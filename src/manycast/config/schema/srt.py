"""The SRT server."""

from __future__ import annotations

from typing import Annotated

from pydantic import SecretStr

from manycast.config.schema.base import Group, setting
from manycast.config.schema.http import NEED_AUTH_ELSEWHERE
from manycast.config.schema.rules import SecretRule, between
from manycast.config.schema.values import Address, Port, Switch

# The length is SRT's own (SRTO_PASSPHRASE).
Passphrase = Annotated[SecretStr, SecretRule(allowed="10 to 79 characters", min_chars=10, max_chars=79)]
LatencyMilliseconds = Annotated[int, between(0, 60_000, unit="ms")]


class SrtSettings(Group):
    enable: Switch = setting(True, "SRT server on or off.")
    serverip: tuple[Address, ...] = setting(
        (), "Addresses to listen on, repeatable; none: all interfaces, IPv4 and IPv6."
    )
    serverport: Port = setting(8890, "UDP port.")
    latency: LatencyMilliseconds = setting(120, "Latency; a client that asks for more gets more.", ours=True)
    passphrase: Passphrase | None = setting(None, "Passphrase for encryption; not configured: none.", ours=True)
    need_auth: Switch | None = setting(None, NEED_AUTH_ELSEWHERE, ours=True)
