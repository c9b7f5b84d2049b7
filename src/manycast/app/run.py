"""Run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable

from manycast.app.app import App
from manycast.app.plan import Plan

STOP_TIMEOUT_S = 1.5  # then what is left is cut off: a stop takes two seconds at most

log = logging.getLogger(__name__)


async def run(plan: Plan, on_started: Callable[[App], None]) -> None:
    """Run until SIGTERM or SIGINT. Raises StartError when it cannot start."""
    app = App(plan)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in _stop_signals():
        loop.add_signal_handler(number, stopped.set)
    await app.start()
    on_started(app)
    gc.freeze()  # what is there now stays; collecting it again and again would only stall viewers
    await stopped.wait()
    log.info("stopping")
    try:
        await asyncio.wait_for(app.stop("the server stops"), STOP_TIMEOUT_S)
    except TimeoutError:
        log.warning("not everything ended within %.1f s; cut off", STOP_TIMEOUT_S)


def _stop_signals() -> list[signal.Signals]:
    numbers = [signal.SIGTERM, signal.SIGINT]
    # A closed terminal ends the server like Ctrl-C; under nohup, which has the signal ignored, it goes on.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
