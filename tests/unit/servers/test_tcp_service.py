"""Looking after time limits."""

from __future__ import annotations

import asyncio
import logging

import pytest
from support.virtual_time import run

from manycast.servers.client import Client
from manycast.servers.faults import FaultLog
from manycast.servers.tcp_service import MAX_STANDSTILL_S, TcpService


class Service(TcpService):
    def __init__(self) -> None:
        log = logging.getLogger(__name__)
        super().__init__("plain", "secure", log, FaultLog(), handshake_timeout_s=1.0)
        self.looked_s: list[float] = []

    def take(self, client: Client) -> None:
        raise NotImplementedError

    def handle_timer(self, now_s: float) -> None:
        self.looked_s.append(now_s)

    def end_all(self, reason: str) -> None:
        pass


def test_after_a_standstill_of_the_server_nobody_counts_as_silent_before_he_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        asleep_s = 0.0
        monkeypatch.setattr("manycast.servers.tcp_service.time.monotonic", lambda: loop.time() + asleep_s)
        service = Service()
        service.start()
        await asyncio.sleep(10.1)
        assert len(service.looked_s) == 20
        asleep_s = 60.0
        await asyncio.sleep(0.5)
        assert len(service.looked_s) == 20, "first is read what came in the meantime"
        await asyncio.sleep(0.5)
        assert len(service.looked_s) == 21
        for _ in range(10):  # it has far too much to do
            asleep_s += MAX_STANDSTILL_S + 1
            await asyncio.sleep(0.5)
        assert len(service.looked_s) == 26, "limits hold all the same"
        await service.close("the end")

    run(main())
