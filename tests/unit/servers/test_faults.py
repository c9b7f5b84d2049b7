"""What peers do wrong is told once a second, with how often."""

from __future__ import annotations

import logging
import time

import pytest

from manycast.servers.faults import INTERVAL_S, FaultLog

log = logging.getLogger(__name__)


@pytest.mark.parametrize(
    ("held", "told"), [(0, []), (1, ["fault 1"]), (2, ["fault 2 (and 1 more such faults)"])], ids=["none", "one", "two"]
)
def test_the_first_fault_is_told_at_once_and_the_rest_together(
    held: int, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    faults = FaultLog()
    for number in range(1 + held):
        faults.note(log, f"fault {number}")
    faults.handle_timer(time.monotonic() + INTERVAL_S)
    assert caplog.messages == ["fault 0", *told]
