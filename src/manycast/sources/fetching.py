"""The source for an address, by its scheme."""

from __future__ import annotations

from dataclasses import dataclass, field

import manycast
from manycast.hub.source import Source, SourceError
from manycast.sources.dialling import DialOptions
from manycast.sources.loops import LoopGuard
from manycast.sources.path_log import AnyLog
from manycast.sources.rtmp.source import RtmpSource
from manycast.sources.rtsp.source import RtspSource, Transfer
from manycast.sources.srt.joined import SharedSrt
from manycast.sources.srt.source import SrtSource
from manycast.sources.udp_source import UdpSource
from manycast.wire.address import SourceAddress

AGENT = f"Manycast/{manycast.__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPlan:
    """Where a stream comes from."""

    address: SourceAddress  # with its login
    transfer: Transfer = Transfer.TCP  # of RTSP
    options: DialOptions = field(default_factory=DialOptions)


def make_fetcher(plan: FetchPlan, guard: LoopGuard, srt: SharedSrt, log: AnyLog) -> Source:
    """Raises SourceError for a scheme that nothing is there for."""
    address = plan.address
    match address.scheme:
        case "rtsp" | "rtsps" | "rtsp+http" | "rtsp+https":
            return RtspSource(address, plan.transfer, options=plan.options, guard=guard, log=log)
        case "rtmp" | "rtmps":
            return RtmpSource(address, options=plan.options, guard=guard, agent=AGENT)
        case "http" | "https":
            from manycast.sources.http.source import HttpSource  # brings aiohttp with it

            return HttpSource(address, options=plan.options, guard=guard, agent=AGENT)
        case "srt":
            return SrtSource(address, shared=srt, guard=guard, log=log)
        case "udp":
            return UdpSource(address)
        case _:
            raise SourceError(f"nothing fetches {address.scheme}:// yet")
