"""What viewers say to proxies of RTSP cameras, brought to the cameras."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from manycast.app.proxies import ProxyPlan
from manycast.hub.backchannel import Ear, Listener
from manycast.hub.transcoding import Transcoding
from manycast.sources.path_log import PathLog
from manycast.sources.rtsp.source import Transfer
from manycast.sources.rtsp.talk import CameraEar

CLOSE_TIMEOUT_S = 1.0  # a camera that does not answer to a goodbye is left behind

log = logging.getLogger(__name__)


class CameraTalks:
    """A listener: each talk goes to the camera behind its path, or, where there is none, to the loudspeaker here."""

    def __init__(self, plans: Sequence[ProxyPlan], transcoding: Transcoding, loudspeaker: Listener | None) -> None:
        self._plans = {plan.path: plan for plan in plans if plan.fetch.address.scheme.startswith("rtsp")}
        self._transcoding = transcoding
        self._loudspeaker = loudspeaker
        self._tasks: set[asyncio.Task[None]] = set()

    def ear(self, path: str, talker: str) -> Ear | None:
        plan = self._plans.get(path)
        if plan is None:
            return self._loudspeaker.ear(path, talker) if self._loudspeaker is not None else None
        ear = CameraEar(
            plan.fetch.address,
            udp=plan.fetch.transfer is Transfer.UDP,
            options=plan.fetch.options,
            transcoding=self._transcoding,
            talker=talker,
            log=PathLog(log, "proxy", path),
        )
        self._tasks.add(ear.task)
        ear.task.add_done_callback(self._tasks.discard)
        return ear

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()
        if self._loudspeaker is not None:
            await self._loudspeaker.close()
