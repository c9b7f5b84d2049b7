"""One SRT connection, from the end of its handshake on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from manycast.hub.catalogue import Catalogue
from manycast.hub.source import SourceError
from manycast.hub.stored_player import StoredPlayer
from manycast.hub.stream import Stream
from manycast.hub.ts_packager import TsLayout
from manycast.libsrt.library import Events, Option, SrtError, SrtLibrary, Statistics
from manycast.libsrt.poller import Poller
from manycast.libsrt.reader import Reader
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import FaultLog
from manycast.servers.srt.admission import Caller
from manycast.servers.srt.options import SrtOptions
from manycast.servers.srt.play import COMPLETE_TIMEOUT_S, NotPlayable, Play
from manycast.servers.srt.publish import Publication
from manycast.wire.mpegts.mux import CARRIED
from manycast.wire.mpegts.packet import NULL_PACKET, PACKET_BYTES, SYNC_BYTE

LISTENS_STEP_S = 0.005
LISTENS_TRIES = 16  # then it should, however far away it is
BURST_S = 1.0  # how long the beginning is paced
STATISTICS_INTERVAL_S = 2.0
GONE = "the other end has gone"
NO_PUBLISHER = "it sends, but asked to play: add m=publish to the stream id"
DRAIN_S = 0.2  # for what was sent last to arrive, beside the latency, before the connection is closed


class Host(Protocol):
    """What a connection needs of the server that took it."""

    options: SrtOptions
    faults: FaultLog
    log: logging.Logger
    library: SrtLibrary
    poller: Poller

    def forget(self, connection: SrtConnection) -> None:
        """The connection was closed."""

    def bandwidth(self) -> int:
        """The option's value for a connection in its steady state."""


class SrtConnection:
    """Publishes or plays one stream."""

    def __init__(self, host: Host, catalogue: Catalogue, sock: int, caller: Caller) -> None:
        self.caller = caller
        self.sock = sock
        self.log = ConnectionLog(host.log, f"SRT {caller}")
        self.closed = False
        self.opened_s = time.monotonic()
        self.statistics = Statistics()
        self.publication: Publication | None = None
        self._host = host
        self._catalogue = catalogue
        self._library = host.library
        self._loop = asyncio.get_running_loop()
        self._play: Play | None = None
        self._task: asyncio.Task[None] | None = None
        self._close_at_s: float | None = None
        self._close_reason = ""
        self._paced = False
        self._next_statistics_s = self.opened_s + STATISTICS_INTERVAL_S
        self._reader: Reader | None = None

    def start(self) -> None:
        """Begin what was asked for."""
        if self.caller.request.publish:
            self.publication = Publication(
                self._catalogue.hub,
                self.caller.path,
                f"SRT publisher {self.caller}",
                self._host.faults,
                self.log,
                self._refuse,
            )
            self._read(self.publication.push, self.publication.interrupt)
        else:
            self._host.poller.senders += 1
            self._task = self._loop.create_task(self._open(), name="SRT play")
            self._read(self._sent_by_viewer, _ignore)

    def handle_timer(self, now_s: float) -> None:
        if now_s >= self._next_statistics_s:
            self._next_statistics_s = now_s + STATISTICS_INTERVAL_S
            self._sample()
        if self._close_at_s is not None:
            if now_s >= self._close_at_s:
                self.close(self._close_reason)
            return
        if self._paced and now_s - self.opened_s > BURST_S:
            self._paced = False
            self._set_bandwidth()
        if self.publication is not None:
            self._check_publication(self.publication, now_s)

    def close(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        self._sample()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._host.poller.remove(self.sock)
        if self._reader is not None:
            self._reader.close()
        if not self.caller.request.publish:
            self._host.poller.senders -= 1
        self._library.lib.srt_close(self.sock)
        self._host.forget(self)
        if self.publication is not None:
            self.publication.close("the publisher has gone" if reason == GONE else reason)
            self.log.info("publisher of %s closed: %s; %s", self.caller.path, reason, self.statistics)
        elif self._play is not None:
            self._play.close()
            elapsed_s = time.monotonic() - self.opened_s
            counters = self._play.viewer.counters
            text = "viewer of %s closed: %s; %.1f s, %s; %s"
            self.log.info(text, self.caller.request.name, reason, elapsed_s, counters, self.statistics)
        else:
            self.log.debug("closed: %s", reason)

    # Receiving

    def _read(self, on_data: Callable[[bytes], None], on_gap: Callable[[], None]) -> None:
        self._reader = Reader(self._library, self.sock, on_data=on_data, on_gap=on_gap, on_end=lambda: self.close(GONE))
        self._host.poller.add(self.sock, Events.IN, self._ready)
        self._reader.read()  # what came before would not be told

    def _ready(self, events: int) -> None:
        if events & Events.IN and self._reader is not None:
            self._reader.read()
        if events & Events.ERR and not self.closed:
            self.close(GONE)

    # Publishing

    def _check_publication(self, publication: Publication, now_s: float) -> None:
        options = self._host.options
        publication.handle_timer(now_s)
        if now_s - publication.latest_s > options.publisher_silence_s:
            self.close(f"nothing published for {options.publisher_silence_s:.0f} s")
        elif not publication.live and now_s - publication.waits_since_s > options.beginning_s:
            self._refuse(f"no stream within {options.beginning_s:.0f} s: {publication.what_is_missing()}")

    # Playing

    async def _open(self) -> None:
        name = self.caller.request.name
        try:
            await self._begin(name)
        except (SourceError, NotPlayable) as error:
            self._refuse(str(error))
        except Exception:
            self.log.exception("playing %s failed", name)
            self.close("our own mistake")

    async def _begin(self, name: str) -> None:
        """Raises SourceError and NotPlayable."""
        found = await self._catalogue.find(name)
        if found is None:
            raise NotPlayable(f"{name} has just ended")
        options, player = self._host.options, None
        if isinstance(found, Stream):
            stream = await self._catalogue.stream_for(found, CARRIED)
            await stream.wait_complete(COMPLETE_TIMEOUT_S)
        else:
            media = await self._catalogue.media_for(found, CARRIED)
            player = StoredPlayer(media, options.loops, self._catalogue.hub.limits, self._ended)
            stream = player.stream
        self._play = play = Play(
            self._library,
            self.sock,
            stream,
            TsLayout(options.payload_packets),
            player=player,
            on_end=self._ended,
            on_broken=self._broken,
        )
        await self._wait_until_it_listens()
        self.log.info("plays %s", name)
        try:
            if not options.max_bandwidth_bps:
                play.viewer.pace()
                self._paced = True
        except SrtError:
            self.close(GONE)
            return
        play.begin()

    async def _wait_until_it_listens(self) -> None:
        """What comes right behind the handshake is often lost: with it, the beginning of the first picture would be.

        So packets that say nothing go first, until one of them is acknowledged.
        """
        library = self._library
        for number in range(1, LISTENS_TRIES):
            library.lib.srt_sendmsg2(self.sock, NULL_PACKET, PACKET_BYTES, library.ffi.NULL)
            await asyncio.sleep(LISTENS_STEP_S)
            if library.unacknowledged(self.sock) < number:
                return

    def _sent_by_viewer(self, data: bytes) -> None:
        """A viewer has nothing to say: what sends a transport stream has forgotten to say that it publishes."""
        if data[:1] == bytes((SYNC_BYTE,)):
            self._host.faults.note(self.log, NO_PUBLISHER)
            self.close("it sends instead")
        elif self._reader is not None:
            self._reader.close()  # libsrt drops what is not read

    def _broken(self) -> None:
        """Not from within a fan-out."""
        self._loop.call_soon(self.close, GONE)

    def _ended(self, reason: str) -> None:
        """Close, once what was sent last has been played at the other end."""
        try:
            latency_ms = self._library.option(self.sock, Option.PEERLATENCY)
        except SrtError:
            latency_ms = 0
        self._close_at_s = time.monotonic() + latency_ms / 1000 + DRAIN_S
        self._close_reason = reason

    # Common

    def _refuse(self, reason: str) -> None:
        self._host.faults.note(self.log, f"refused: {reason}")
        self.close(reason)

    def _set_bandwidth(self) -> None:
        try:
            self._library.set_option(self.sock, Option.MAXBW, self._host.bandwidth())
        except SrtError:
            pass  # it has just gone, which is told by itself

    def _sample(self) -> None:
        self.statistics = self._library.statistics(self.sock) or self.statistics


def _ignore() -> None:
    pass
