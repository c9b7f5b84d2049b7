"""Clients of others log in to a device, read it, and set it up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.onvif_clients import (
    DEADLINE_S,
    ONVIF_PYTHON,
    ONVIF_ZEEP_ASYNC,
    USER,
    device_with_login,
    login_to,
    program,
)
from support.onvif_device import ServedDevice

SYNCHRONOUS = """
import json, sys
from onvif import ONVIFClient

host, port, user, password, digest = sys.argv[1:]
client = ONVIFClient(host, int(port), user, password, http_digest=digest == "True")

def say(what):
    print(json.dumps(what), flush=True)

def refused(call, **values):
    try:
        call(**values)
    except Exception as error:
        return str(error)
    return "done"

device = client.devicemgmt()
say(device.GetDeviceInformation().Model)
say([service.XAddr for service in device.GetServices(IncludeCapability=True)])
say(device.GetCapabilities(Category=["All"]).Device.IO.RelayOutputs)
say(device.GetSystemDateAndTime().UTCDateTime.Date.Year)
device.CreateUsers(User=[{"Username": "guard", "Password": "word", "UserLevel": "Operator"}])
say([user.Username for user in device.GetUsers()])
say(refused(device.CreateUsers, User=[{"Username": "guard", "Password": "word", "UserLevel": "Operator"}]))
device.AddScopes(ScopeItem=["onvif://www.onvif.org/location/cellar"])
say([scope.ScopeItem for scope in device.GetScopes()][-1])
device.SetRelayOutputState(RelayOutputToken="Relay1", LogicalState="active")
say(refused(device.SetRelayOutputState, RelayOutputToken="Relay9", LogicalState="active"))
say(refused(device.GetDot1XConfigurations))
say(client.deviceio().GetDigitalInputs()[0].token)
"""

ASYNCHRONOUS = """
import asyncio, json, sys
from onvif import ONVIFCamera

def say(what):
    print(json.dumps(what), flush=True)

async def main():
    host, port, user, password = sys.argv[1:]
    camera = ONVIFCamera(host, int(port), user, password)
    await camera.update_xaddrs()
    say(sorted(camera.xaddrs.values()))
    device = await camera.create_devicemgmt_service()
    say((await device.GetDeviceInformation()).Model)
    await device.SetHostname({"Name": "cellar"})
    say((await device.GetHostname()).Name)
    say([each.Name for each in await device.GetNetworkProtocols()])
    say((await device.GetSystemUris()).SystemBackupUri)
    wrong = ONVIFCamera(host, int(port), user, "guess")
    try:
        await wrong.update_xaddrs()
        await (await wrong.create_devicemgmt_service()).GetDeviceInformation()
        say("done")
    except Exception as error:
        say(str(error))
    await wrong.close()
    await camera.close()

asyncio.run(main())
"""


@pytest.fixture
async def served() -> AsyncIterator[ServedDevice]:
    async with device_with_login() as served:
        yield served


@pytest.mark.parametrize("digest", [False, True])
async def test_onvif_python_sets_a_device_up(served: ServedDevice, digest: bool) -> None:
    async with program(ONVIF_PYTHON, SYNCHRONOUS, *login_to(served), str(digest)) as client:
        assert await client.said() == served.device.store.state.information.model
        assert served.url in await client.said()
        assert await client.said() == 2
        assert await client.said() == datetime.now(UTC).year
        assert await client.said() == [USER, "guard"]
        assert "UsernameClash" in await client.said()
        assert await client.said() == "onvif://www.onvif.org/location/cellar"
        assert "RelayToken" in await client.said()
        assert "ActionNotSupported" in await client.said()
        assert await client.said() == "Input1"
    assert served.device.store.state.relays[0].active


async def test_onvif_zeep_async_sets_a_device_up(served: ServedDevice) -> None:
    async with program(ONVIF_ZEEP_ASYNC, ASYNCHRONOUS, *login_to(served)) as client:
        assert served.url in await client.said()
        assert await client.said() == served.device.store.state.information.model
        assert await client.said() == "cellar"
        assert await client.said() == ["HTTP"]
        assert await client.said() == f"{served.address}/onvif/system/backup"
        assert "not authorized" in (await client.said()).lower()


async def test_a_clock_that_is_off_is_made_up_for_by_the_client(served: ServedDevice) -> None:
    """It asks for the device's time first, which needs no login, and makes its tokens by that."""
    served.device.store.state.clock.offset_s = timedelta(days=100).total_seconds()
    script = """
import asyncio, json, sys
from onvif import ONVIFCamera
async def main():
    host, port, user, password = sys.argv[1:]
    camera = ONVIFCamera(host, int(port), user, password, adjust_time=True)
    await camera.update_xaddrs()
    device = await camera.create_devicemgmt_service()
    print(json.dumps((await device.GetDeviceInformation()).Model), flush=True)
    await camera.close()
asyncio.run(main())
"""
    async with program(ONVIF_ZEEP_ASYNC, script, *login_to(served)) as client:
        assert await client.said() == served.device.store.state.information.model


async def test_the_command_line_of_onvif_python_asks_for_information(served: ServedDevice) -> None:
    host, port, user, password = login_to(served)
    login = ("--host", host, "--port", port, "--username", user, "--password", password)
    command = (str(Path(sys.executable).with_name("onvif")), *login, "devicemgmt", "GetDeviceInformation")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(DEADLINE_S):
            said, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    assert served.device.store.state.information.model in said.decode()
