"""What the RTSP server is told by the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ANNOUNCED_TIMEOUT_S = 60  # what replies to SETUP say
RECLAIM_TIMEOUT_S = 65.0  # when a session without a sign of life is ended: a little later than announced


@dataclass(frozen=True, slots=True, kw_only=True)
class RtspOptions:
    udp_base_port: int = 22000
    metadata: bool = False  # whether everything played has a metadata track at its side
    loops: int = 1  # how often a file is played to a viewer, -1 endless
    max_connections: int = 10_000
    users: Mapping[str, str] | None = field(default=None, repr=False)  # name to password; None: nobody is asked
    basic_in_clear: bool = False  # whether passwords are taken by Basic without TLS
    srtp: bool = True  # whether what is asked for by TLS is described, and can be had, as SRTP
    srtp_encrypt: bool = True  # whether SRTP hides payloads, or only shows that nobody has touched them
    multicast: bool = False  # whether RTP goes to multicast groups, for those who ask for that
    multicast_ttl: int = 16  # how many routers it may pass
    segmentation: bool = True  # let the kernel cut a frame's packets, where it can
    first_request_timeout_s: float = 10.0  # for a connection that sends nothing, or half a request
    idle_timeout_s: float = RECLAIM_TIMEOUT_S  # for a connection without a session
    stall_s: float = 10.0  # a client who reads nothing for so long, while something waits for it, is gone
    publisher_silence_s: float = 10.0  # a publisher from whom no packet comes for so long is gone
