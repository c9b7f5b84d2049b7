"""What the RTMP server is told by the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RtmpOptions:
    loops: int = 1  # how often a file is played to a viewer, -1 endless
    max_connections: int = 10_000
    users: Mapping[str, str] | None = field(default=None, repr=False)  # name to password; None: nobody is asked
    adobe_auth: bool = False  # ask when a client connects, as Flash Media Server does, for rtmp://user:pass@host/...
    beginning_s: float = 10.0  # from the connection to `publish` or `play`
    stall_s: float = 10.0  # a viewer who reads nothing for so long, while something waits for him, is gone
    publisher_silence_s: float = 10.0  # a publisher from whom nothing comes for so long is gone
