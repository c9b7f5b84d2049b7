"""The cases of discovery of the Base Device Test Specification, between two hosts: here, other servers may answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.network import SERVER_IPV4, Host, cabled_hosts
from support.server import ServerProcess

from conformance import base
from conformance.device import Device, Timing
from conformance.frame import Case, Outcome, Result, run_case

TIMING = Timing(time_between_requests_s=0.05, discovery_s=20, silence_s=1)
CASES = [case for case in base.SPECIFICATION.cases.values() if case.identifier.startswith("DISCOVERY-")]


@dataclass(frozen=True, slots=True)
class Network:
    url: str
    client: Host


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with cabled_hosts() as (server_host, client_host):
        with server_host.entered():
            server = ServerProcess(tmp_path_factory.mktemp("discovery"), host=SERVER_IPV4, onvif=True)
        with server:
            yield Network(f"http://{SERVER_IPV4}:{server.onvif_port}/onvif/device_service", client_host)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.identifier)
async def test_case(network: Network, case: Case) -> None:
    def run() -> Result:
        with network.client.entered():
            return run_case(case, Device(network.url, timing=TIMING))

    result = await asyncio.to_thread(run)
    assert result.outcome is Outcome.PASSED, result.message
