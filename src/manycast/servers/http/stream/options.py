"""What streams over HTTP are told by the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    flv: bool = True  # as HTTP-FLV and WebSocket-FLV
    mp4: bool = True  # as fragmented MP4, by HTTP and by WebSocket
    flv_login: bool = False  # who asks for FLV has to log in
    mp4_login: bool = False
    chunked: bool = True  # Transfer-Encoding: chunked; else a reply goes on until the connection ends
    loops: int = 1  # how often a file is played to a viewer, -1 endless
    max_connections: int = 10_000
    stall_s: float = 10.0  # a viewer who reads nothing for so long, while something waits for him, is gone
