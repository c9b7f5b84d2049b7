"""An RTSP server as a source."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import Enum

from manycast.hub.source import FrameSink, SourceError
from manycast.media.track import Track
from manycast.sources.dialling import DialOptions, check_redirect
from manycast.sources.loops import LoopGuard
from manycast.sources.rtsp.dialogue import MovedElsewhere, OtherTransport
from manycast.sources.rtsp.session import ClientSession
from manycast.wire.address import SourceAddress

MAX_REDIRECTS = 5


class Transfer(Enum):
    """How media come; the value is the word of the configuration."""

    TCP = "TCP"
    UDP = "UDP"
    MULTICAST = "MULTICAST"


_ORDER = {  # what is tried, the next one when a server refuses, or nothing arrives
    Transfer.TCP: (Transfer.TCP, Transfer.UDP),
    Transfer.UDP: (Transfer.UDP, Transfer.TCP),
    Transfer.MULTICAST: (Transfer.MULTICAST, Transfer.TCP),
}


class RtspSource:
    """Plays a stream of another server. May run again and again; it remembers which transport has worked."""

    def __init__(
        self,
        address: SourceAddress,
        transfer: Transfer = Transfer.TCP,
        *,
        options: DialOptions | None = None,
        guard: LoopGuard | None = None,
        log: logging.LoggerAdapter[logging.Logger] | logging.Logger | None = None,
    ) -> None:
        self._address = address
        # What goes through HTTP goes through it all.
        self._transfers = [Transfer.TCP] if "+" in address.scheme else list(_ORDER[transfer])
        self._options = options or DialOptions()
        self._guard = guard
        self._said: set[str] = set()  # about transports, once each
        self._redirected_to: list[str] = []  # in the latest run; not said again in the next one
        self._session: ClientSession | None = None  # the latest
        self._log = log or logging.getLogger(__name__)

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """As `hub.source.Source` says."""
        address = self._address
        left = list(self._transfers)
        refusals: list[str] = []
        said_before, self._redirected_to = self._redirected_to, []
        first_peer: str | None = None

        def connected(local: tuple[str, int], peer: tuple[str, int]) -> None:
            nonlocal first_peer
            if self._guard is not None:
                self._guard.check(address, local, peer)
            if first_peer is None:
                first_peer = peer[0]
            check_redirect(first_peer, peer[0], self._options)

        while True:
            transfer = left[0]
            via = () if self._guard is None else self._guard.marks()
            session = ClientSession(address, transfer.value, publish, connected, self._options, self._log, via)
            self._session = session
            try:
                await session.run()
                return
            except MovedElsewhere as moved:
                if len(self._redirected_to) == MAX_REDIRECTS:
                    raise SourceError(f"redirected more than {MAX_REDIRECTS} times, last to {moved.address}") from None
                address = moved.address
                if str(address) not in (*said_before, *self._redirected_to):
                    self._log.info("redirected to %s", address)
                self._redirected_to.append(str(address))
                if not address.scheme.startswith("rtsp"):
                    raise SourceError(f"redirected to {address}, which is no RTSP") from None
            except OtherTransport as unfit:
                del left[0]
                refusals.append(str(unfit))
                if not left:
                    raise SourceError("; ".join(refusals)) from None
                if str(unfit) not in self._said:
                    self._said.add(str(unfit))
                    self._log.info("%s; trying %s", unfit, left[0].value)
            finally:
                if session.received:
                    self._transfers.sort(key=lambda other: other is not transfer)

    @property
    def makes_keyframes(self) -> bool:
        return self._session is not None and self._session.makes_keyframes

    def request_keyframe(self) -> None:
        if self._session is not None:
            self._session.request_keyframe()
