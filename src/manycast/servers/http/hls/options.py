"""What HLS over HTTP is told by the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsServerOptions:
    login: bool = False  # who asks for a multivariant playlist has to log in
    max_connections: int = 10_000
    stall_s: float = 10.0  # a player who reads nothing for so long, while something waits for it, is gone
    keep_alive_s: float = 65.0  # between two requests on a connection
