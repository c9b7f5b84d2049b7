"""The SRT server."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from manycast.config.schema.base import Group, setting
from manycast.config.schema.http import NEED_AUTH_ELSEWHERE
from manycast.config.schema.rules import SecretRule, TextRule, between, one_of
from manycast.config.schema.values import Address, Port, Switch

# The length is SRT's own (SRTO_PASSPHRASE).
Passphrase = Annotated[SecretStr, SecretRule(allowed="10 to 79 characters", min_chars=10, max_chars=79)]
LatencyMilliseconds = Annotated[int, between(0, 60_000, unit="ms")]
KeyBits = Annotated[int, one_of(0, 128, 192, 256, unit="bits", note="0: as the caller likes")]
Bandwidth = Annotated[int, between(0, 1_000_000, unit="kb/s", note="0: unlimited")]
Overhead = Annotated[int, between(5, 100, unit="%")]
PayloadBytes = Annotated[int, one_of(*range(188, 1317, 188), unit="bytes")]
PathName = Annotated[str, TextRule(allowed="a path, such as live/cam", forbidden=",")]


class SrtStream(Group):
    """A passphrase for one path."""

    name: PathName = Field(description="Its path: APPLICATION/NAME.", json_schema_extra={"ours": True})
    passphrase: Passphrase = Field(
        description="Passphrase for those who publish and play it, in place of the common one.",
        json_schema_extra={"ours": True},
    )


class SrtSettings(Group):
    enable: Switch = setting(True, "SRT server on or off.")
    serverip: tuple[Address, ...] = setting(
        (), "Addresses to listen on, repeatable; none: all interfaces, IPv4 and IPv6."
    )
    serverport: Port = setting(8890, "UDP port.")
    latency: LatencyMilliseconds = setting(120, "Latency; a client that asks for more gets more.", ours=True)
    passphrase: Passphrase | None = setting(None, "Passphrase for encryption; not configured: none.", ours=True)
    passphrase_required: Switch = setting(
        True,
        "Whether callers without a passphrase are refused. With 0 they are let in with clear=1 in their stream id.",
        ours=True,
    )
    keylength: KeyBits = setting(0, "Length of the AES key that callers are asked to use.", ours=True)
    streams: tuple[SrtStream, ...] = setting(
        (), "Paths with a passphrase of their own, repeatable.", node="stream", ours=True
    )
    maxbw: Bandwidth = setting(0, "The most that is sent to one caller, packets sent again included.", ours=True)
    overhead: Overhead | None = setting(
        None,
        "How much more than the stream's own rate may be sent to a caller, for packets sent again; without `maxbw` "
        "only. Not configured: not limited.",
        ours=True,
    )
    payload_size: PayloadBytes = setting(1316, "How many bytes of the stream go into one datagram.", ours=True)
    need_auth: Switch | None = setting(None, NEED_AUTH_ELSEWHERE, ours=True)
