"""Each case of the Event Handling Device Test Specification, against a device in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.onvif_device import ServedDevice, served_device

from conformance.device import Device, Timing
from conformance.events import SPECIFICATION
from conformance.frame import Case, Outcome, run_case
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.events import Events
from manycast.onvif.state.server import Server
from manycast.onvif.state.users import User, UserLevel

# What would wait for long waits for less; `script/onvif-conformance` waits as the document says.
TIMING = Timing(operation_delay_s=20, time_between_requests_s=0.02, subscription_s=2, pull_s=1)
USER, PASSWORD = "admin", "secret"

NOT_APPLICABLE = {case for case in SPECIFICATION.cases if case.startswith("EVENT-7-")}  # event brokers


@pytest.fixture
async def served() -> AsyncIterator[ServedDevice]:
    state = DeviceState(
        server=Server(need_auth=True),
        users=[User(username=USER, password=PASSWORD, level=UserLevel.ADMINISTRATOR)],
        events=Events(simulate=True),
    )
    async with served_device(state) as served:
        yield served


@pytest.mark.parametrize("case", SPECIFICATION.cases.values(), ids=lambda case: case.identifier)
async def test_case(served: ServedDevice, case: Case) -> None:
    device = Device(served.url, USER, PASSWORD, TIMING)
    result = await asyncio.to_thread(run_case, case, device)
    expected = Outcome.NOT_APPLICABLE if case.identifier in NOT_APPLICABLE else Outcome.PASSED
    assert result.outcome is expected, result.message


def test_all_cases_of_the_document_are_there() -> None:
    groups = {"1": [2], "4": range(6, 11), "5": [1, 2], "6": range(3, 6)}
    counted: dict[str, int] = {}
    for identifier in SPECIFICATION.cases:
        group = identifier.removeprefix("EVENT-").partition("-")[0]
        counted[group] = counted.get(group, 0) + 1
    assert counted == {"1": 1, "2": 14, "3": 17, "4": 5, "5": 2, "6": 3, "7": 11}
    for group, numbers in groups.items():
        assert {f"EVENT-{group}-1-{number}" for number in numbers} <= SPECIFICATION.cases.keys()
