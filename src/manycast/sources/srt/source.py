"""An SRT server, or whatever else waits for callers, as a source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from manycast.errors import ManycastError
from manycast.hub.source import FrameSink, SourceError
from manycast.libsrt.reader import Reader
from manycast.media.track import Track
from manycast.sources.loops import LoopGuard
from manycast.sources.path_log import AnyLog
from manycast.sources.srt.dialling import SrtLink, dial
from manycast.sources.srt.joined import SharedSrt
from manycast.sources.ts_packets import TsIntake
from manycast.wire.address import SourceAddress
from manycast.wire.srt.call import SrtCall

SILENCE_S = 10.0
TICK_S = 1.0
HUNG_UP_S = 3.0  # who says goodbye does it sooner after his last packet; libsrt gives up after 5 s of silence


class SrtSource:
    """Calls, and takes the transport stream that comes."""

    def __init__(self, address: SourceAddress, *, shared: SharedSrt, guard: LoopGuard, log: AnyLog) -> None:
        """Raises MalformedAddress."""
        self._address = address
        self._call = SrtCall.of(address)
        self._shared = shared
        self._guard = guard
        self._log = log

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """As `hub.source.Source` says."""
        async with self._shared.open() as joined:
            link = await dial(joined, self._address, self._call)
            try:
                self._guard.check(self._address, (link.local, 0), link.peer)
                await _Receiving(link, TsIntake(publish)).watch()
            finally:
                link.sample()
                self._log.info("SRT connection closed; %s", link.statistics)
                link.close()


class _Receiving:
    def __init__(self, link: SrtLink, intake: TsIntake) -> None:
        self._link = link
        self._intake = intake
        self._latest_s = time.monotonic()
        self._fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = Reader(
            link.library, link.sock, on_data=self._take, on_gap=intake.interrupt, on_end=self._hung_up
        )
        link.on_ready = self._reader.read

    async def watch(self) -> None:
        """Raises SourceError when nothing comes any more, or nothing that can be used."""
        began_s = time.monotonic()
        self._reader.read()  # what came before would not be told
        try:
            while not self._fault.done():
                await asyncio.wait([self._fault], timeout=TICK_S)
                self._link.sample()
                now_s = time.monotonic()
                if now_s - self._latest_s > SILENCE_S:
                    raise SourceError(f"no packet for {SILENCE_S:.0f} s")
                if not self._intake.published and now_s - began_s > SILENCE_S:
                    raise SourceError(self._intake.last_fault or "what comes is no transport stream")
            self._fault.result()
        finally:
            self._reader.close()
            if self._fault.done() and not self._fault.cancelled():
                self._fault.exception()

    def _take(self, data: bytes) -> None:
        self._latest_s = time.monotonic()
        try:
            self._intake.push(data, now_s=self._latest_s)
        except ManycastError as error:
            self._end(error)

    def _hung_up(self) -> None:
        silence_s = time.monotonic() - self._latest_s
        self._end(SourceError("the server hung up" if silence_s < HUNG_UP_S else "the server answers no more"))

    def _end(self, error: ManycastError) -> None:
        self._reader.close()
        if not self._fault.done():
            self._fault.set_exception(error)
