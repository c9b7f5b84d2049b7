"""A stream that is fetched from elsewhere, whatever happens to the way there."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from manycast.errors import ManycastError
from manycast.hub.keyframes import KeyframeRequests
from manycast.hub.reservation import Reservation
from manycast.hub.source import FrameSink, Source, SourceDenied, SourceError, keyframe_request_of
from manycast.media.track import Track
from manycast.sources.continuity import Continuity, TracksChanged
from manycast.sources.path_log import AnyLog

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
JITTER = 0.25  # of a pause, up and down: a hundred proxies of one camera network are not to come back at once

_random = random.SystemRandom()


class Pauses:
    """How long to wait before the next try: longer and longer, never twice the same."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    def next_s(self) -> float:
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return pause_s * _random.uniform(1 - JITTER, 1 + JITTER)

    def reset(self) -> None:
        self._next_s = FIRST_PAUSE_S


class ProxySource:
    """A source that mends short outages: its viewers stay, and go on at the next keyframe."""

    def __init__(self, fetcher: Source, *, hold_s: float, patience_s: float = 0.0, log: AnyLog) -> None:
        """`fetcher` is run once for each connection; `hold_s` is how long an outage may be, and `patience_s` how long
        the first connection is tried."""
        self._fetcher = fetcher
        self._hold_s = hold_s
        self._patience_s = patience_s
        self._log = log

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """As `hub.source.Source` says. A source that is denied raises at once."""
        flow = Continuity(publish)
        pauses = Pauses()
        patient_until_s = time.monotonic() + self._patience_s
        while True:
            reason = await self._fetch(flow, pauses)
            until_s = flow.last_frame_s + self._hold_s if flow.tracks else patient_until_s
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise SourceError(reason)
            pause_s = min(pauses.next_s(), left_s)
            self._log.warning("%s; trying again in %.1f s, viewers wait", reason, pause_s)
            await asyncio.sleep(pause_s)

    @property
    def makes_keyframes(self) -> bool:
        return keyframe_request_of(self._fetcher) is not None

    def request_keyframe(self) -> None:
        request = keyframe_request_of(self._fetcher)
        if request is not None:
            request()

    async def _fetch(self, flow: Continuity, pauses: Pauses) -> str:
        """One connection, up to its end; returns why. Raises TracksChanged, SourceDenied."""
        waits = bool(flow.tracks)
        keyframes = KeyframeRequests()  # for what it is to go on with

        def open_flow(tracks: Sequence[Track]) -> FrameSink:
            keyframes.on_request = keyframe_request_of(self._fetcher)
            return flow.open(tracks)

        limit_s = max(0.1, flow.last_frame_s + self._hold_s - time.monotonic()) if waits else None

        def flows() -> None:
            if not timeout.expired():
                timeout.reschedule(None)
            pauses.reset()
            keyframes.close()
            if waits:
                self._log.info("goes on after %.1f s", time.monotonic() - flow.last_frame_s)

        try:
            async with asyncio.timeout(limit_s) as timeout:
                flow.on_flow, flow.on_wait = flows, keyframes.request
                await self._fetcher.run(open_flow)
        except (TracksChanged, SourceDenied):
            raise
        except TimeoutError:
            return f"the source was away for more than {self._hold_s:.0f} s"
        except ManycastError as error:
            return str(error)
        return "the source has ended"


async def keep(reservation: Reservation, source: ProxySource, log: AnyLog) -> None:
    """Have a path filled for ever, until cancelled."""
    pauses = Pauses()
    said = ""
    while True:
        reason, denied = "the server stops", False

        def publish(tracks: Sequence[Track]) -> FrameSink:
            nonlocal said
            said = ""
            pauses.reset()
            stream = reservation.publish(tracks)
            stream.keyframes.on_request = keyframe_request_of(source)
            return stream

        try:
            await source.run(publish)
        except SourceError as error:
            reason, denied = str(error), isinstance(error, SourceDenied)
        except Exception as error:
            log.exception("failed")
            reason = str(error)
        finally:
            reservation.end(reason)
        if denied:
            reservation.deny(reason)
        pause_s = pauses.next_s()
        level = logging.DEBUG if reason == said else logging.WARNING
        log.log(level, "%s; trying again in %.0f s, and so on, up to every %.0f s", reason, pause_s, LONGEST_PAUSE_S)
        said = reason
        # Whatever viewers want: not more than a try a second, and fewer where wrong logins may lock the account.
        fixed_s = pause_s if denied else min(pause_s, FIRST_PAUSE_S)
        await asyncio.sleep(fixed_s)
        await reservation.pause(pause_s - fixed_s)
