"""Who may call what, and how it is changed."""

from __future__ import annotations

import json

import pytest
from support.soap import AskedDevice, SoapFault, asked_device

from manycast.onvif.security.access import Access
from manycast.onvif.state.users import User, UserLevel

READ = "tds:GetDeviceInformation"
ACTUATE = "tds:SendAuxiliaryCommand"
WRITE = "tds:SetDiscoveryMode"
SECRET = "tds:GetUsers"
VALUES = {ACTUATE: {"AuxiliaryCommand": "tt:Wiper|On"}, WRITE: {"DiscoveryMode": "Discoverable"}}


async def may(device: AskedDevice, name: str) -> bool:
    try:
        await device.ask(name, **VALUES.get(name, {}))
    except SoapFault as fault:
        if fault.subcodes != "ter:NotAuthorized":
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("user", "allowed"),
    [
        ("admin", {READ, ACTUATE, WRITE, SECRET}),
        ("operator", {READ, ACTUATE}),
        ("user", {READ}),
    ],
)
async def test_the_level_decides(user: str, allowed: set[str]) -> None:
    device = (await asked_device(login=True)).by(user, f"{user}'s")
    assert {name for name in (READ, ACTUATE, WRITE, SECRET) if await may(device, name)} == allowed


async def test_a_user_of_the_level_anonymous_may_do_what_needs_no_login() -> None:
    device = await asked_device(login=True)
    device.state.users.append(User(username="nobody", password="nobody's", level=UserLevel.ANONYMOUS))
    nobody = device.by("nobody", "nobody's")
    assert not await may(nobody, READ)
    assert await may(nobody, "tds:GetSystemDateAndTime")


async def test_without_need_auth_everybody_may_do_everything() -> None:
    device = await asked_device()
    assert await may(device, SECRET)
    assert await may(device.by("admin", "wrong"), WRITE)


@pytest.mark.parametrize(
    "name",
    [
        "tds:GetSystemDateAndTime",
        "tds:GetServices",
        "tds:GetServiceCapabilities",
        "tds:GetCapabilities",
        "tds:GetHostname",
        "tds:GetEndpointReference",
        "tds:GetWsdlUrl",
        "tev:GetServiceCapabilities",
        "tmd:GetServiceCapabilities",
    ],
)
async def test_what_has_to_be_known_before_the_login_needs_none(name: str) -> None:
    device = await asked_device(login=True)
    device.user = None
    values = {"IncludeCapability": True} if name == "tds:GetServices" else {}
    assert await device.ask(name, **values) is not None
    assert await device.by("admin", "wrong").ask(name, **values) is not None


async def test_every_operation_but_those_asks_for_a_login() -> None:
    device = await asked_device(login=True)
    open_ones = {
        operation.description.name
        for operation in device.device.operations.implemented.values()
        if operation.access is Access.PRE_AUTH
    }
    assert open_ones == {
        "GetServices",
        "GetServiceCapabilities",
        "GetCapabilities",
        "GetWsdlUrl",
        "GetHostname",
        "GetSystemDateAndTime",
        "GetEndpointReference",
    }


async def test_another_policy_holds_at_once_and_is_told() -> None:
    device = await asked_device(login=True)
    user = device.by("user", "user's")
    policy = {"User": ["READ_SYSTEM", "ACTUATE"]}
    await device.ask("tds:SetAccessPolicy", PolicyFile={"Data": json.dumps(policy).encode()})
    assert await may(user, ACTUATE)
    told = json.loads((await device.ask("tds:GetAccessPolicy")).PolicyFile.Data)
    assert told["User"] == ["PRE_AUTH", "READ_SYSTEM", "ACTUATE"]
    assert told["Operator"] == ["PRE_AUTH", "READ_SYSTEM", "READ_SYSTEM_SENSITIVE", "READ_MEDIA", "ACTUATE"]


async def test_no_policy_locks_administrators_out() -> None:
    device = await asked_device(login=True)
    await device.ask("tds:SetAccessPolicy", PolicyFile={"Data": b'{"Administrator": []}'})
    assert await may(device, SECRET)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b'{"King": []}', b'{"User": 5}', b'{"User": ["FLY"]}', b"[" * 10_000, b" " * 20_000]
)
async def test_a_policy_that_is_none_is_refused(data: bytes) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault) as caught:
        await device.ask("tds:SetAccessPolicy", PolicyFile={"Data": data})
    assert caught.value.subcodes == "ter:InvalidArgs/ter:PolicyFormat"
    assert device.state.access_policy is None
