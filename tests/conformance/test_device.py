"""The cases of the Base, Access Policy and Device IO Device Test Specifications, against a server process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from support.server import ServerProcess

from conformance import access_policy, base, device_io
from conformance.device import Device, Timing
from conformance.frame import Case, Outcome, run_case

TIMING = Timing(operation_delay_s=20, time_between_requests_s=0.05, pull_s=2)
USER, PASSWORD = "admin", "admin"
CONFIG = """<?xml version="1.0"?>
<config>
  <need_auth>1</need_auth>
  <user><username>admin</username><password>admin</password><userlevel>Administrator</userlevel></user>
</config>
"""
CASES = [
    case
    for specification in (base.SPECIFICATION, access_policy.SPECIFICATION, device_io.SPECIFICATION)
    for case in specification.cases.values()
    if not case.identifier.startswith("DISCOVERY-")  # in a network of their own
]
SERVICES_TO_COME = ("14", "15", "17", *map(str, range(20, 30)))
NOT_APPLICABLE = {
    *(case.identifier for case in CASES if case.identifier.startswith("IPCONFIG-")),  # they need a network for tests
    *(f"DEVICE-1-1-{number}" for number in SERVICES_TO_COME),
    "DEVICE-3-1-16",  # needs firmware
    "DEVICE-9-1-7",  # needs an NTP server
    *(f"DEVICE-9-1-{number}" for number in range(9, 13)),  # fans, power supplies, storage, temperature
    *(f"DEVICEIO-1-2-{number}" for number in range(1, 5)),  # needs Profile T
    "DEVICEIO-2-1-2",  # likewise
    *(case.identifier for case in device_io.SPECIFICATION.cases.values() if case.procedure is None),
}
BY_MACHINE = {  # whether its interfaces have DHCP, and IPv6
    *(f"DEVICE-2-1-{number}" for number in (6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 19, 21, 29, 31)),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("conformance")
    file = folder / "onvif.cfg"
    file.write_text(CONFIG)
    with ServerProcess(folder, onvif=True, arguments=("-c", str(file))) as server:
        yield f"http://127.0.0.1:{server.onvif_port}/onvif/device_service"


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")  # the certificate is our own
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.identifier)
async def test_case(url: str, case: Case) -> None:
    device = Device(url, USER, PASSWORD, TIMING)
    result = await asyncio.to_thread(run_case, case, device)
    expected = Outcome.NOT_APPLICABLE if case.identifier in NOT_APPLICABLE else Outcome.PASSED
    by_machine = case.identifier in BY_MACHINE and result.outcome is Outcome.NOT_APPLICABLE
    assert result.outcome is expected or by_machine, result.message
