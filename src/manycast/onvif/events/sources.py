"""What tells events by itself while a device runs, and the timer that it is driven by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from manycast.hub.hub import Hub
from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.metadata_track import MetadataTrack
from manycast.onvif.events.processor import INTERVAL_S, ProcessorUsage
from manycast.onvif.events.simulation import Simulated, Simulation
from manycast.onvif.events.streams import StreamEvents
from manycast.onvif.state.events import Events

TICK_S = 1.0
MAX_TOKEN = 64  # characters of a tt:ReferenceToken

log = logging.getLogger(__name__)


class EventSources:
    """Processor usage; with a hub, its streams and their metadata tracks; simulated events where they are wanted."""

    def __init__(
        self,
        broker: EventBroker,
        settings: Events,
        clock: Callable[[], datetime],
        *,
        hub: Hub | None = None,
        shows: Callable[[str], bool] = lambda path: True,
        simulated: Sequence[Simulated] = (),
    ) -> None:
        """`shows` says which paths of the hub are the device's; `simulated` are simulations of what is elsewhere."""
        self._settings = settings
        self._hub = hub
        self._shows = shows
        self._processor = ProcessorUsage(broker)
        self._simulation = Simulation(broker, clock, more=simulated) if settings.simulate else None
        self._streams = None if hub is None else StreamEvents(broker, self._video_source_of)
        self._track = None if hub is None else MetadataTrack(broker, hub.metadata, shows)
        self._measured_s: float | None = None
        self._simulated_s: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="ONVIF events")

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._track is not None:
            self._track.close()

    def handle_timer(self, *, now_s: float) -> None:
        """Let each do what is due. Call it every second."""
        if self._measured_s is None or now_s - self._measured_s >= INTERVAL_S:
            self._measured_s = now_s
            self._processor.measure()
        if self._simulated_s is None:
            self._simulated_s = now_s
        if self._simulation is not None and now_s - self._simulated_s >= self._settings.simulate_interval_s:
            self._simulated_s = now_s
            self._simulation.tell_next()
        if self._streams is not None:
            self._streams.look(self._live())
        if self._track is not None:
            self._track.handle_timer(now_s=now_s)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                self.handle_timer(now_s=loop.time())
            except Exception:
                log.exception("events could not be told")
            await asyncio.sleep(TICK_S)

    def _live(self) -> Iterable[str]:
        """Streams that are filled on demand stop because nobody watches, which is no loss."""
        assert self._hub is not None
        on_demand = set(self._hub.offered)
        return [stream.path for stream in self._hub if stream.path not in on_demand]

    def _video_source_of(self, path: str) -> str | None:
        return path if self._shows(path) and len(path) <= MAX_TOKEN else None
