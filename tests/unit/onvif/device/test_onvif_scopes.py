"""Scopes and discovery modes."""

from __future__ import annotations

import pytest
from support.soap import AskedDevice, SoapFault, asked_device

from manycast.onvif.device.scopes import MAX_SCOPE_CHARS
from manycast.onvif.state.limits import MAX_SCOPES

PLACE = "onvif://www.onvif.org/location/cellar"


async def scopes(device: AskedDevice) -> dict[str, str]:
    return {each.ScopeItem: each.ScopeDef for each in (await device.ask("tds:GetScopes")).Scopes}


async def test_scopes_are_added_and_removed() -> None:
    device = await asked_device()
    before = await scopes(device)
    version = device.state.discovery.metadata_version
    await device.ask("tds:AddScopes", ScopeItem=[PLACE, PLACE])
    assert await scopes(device) == {**before, PLACE: "Configurable"}
    assert device.state.discovery.metadata_version > version
    removed = await device.ask("tds:RemoveScopes", ScopeItem=[PLACE])
    assert removed == [PLACE] or removed.ScopeItem == [PLACE]
    assert await scopes(device) == before


async def test_setting_scopes_leaves_the_fixed_ones() -> None:
    device = await asked_device()
    fixed = {uri: kind for uri, kind in (await scopes(device)).items() if kind == "Fixed"}
    categories = {uri.removeprefix("onvif://www.onvif.org/").partition("/")[0] for uri in fixed}
    assert {"Profile", "hardware", "name"} <= categories
    await device.ask("tds:SetScopes", Scopes=[PLACE])
    assert await scopes(device) == {**fixed, PLACE: "Configurable"}


async def test_fixed_and_unknown_scopes_are_not_removed_nor_is_what_comes_with_them() -> None:
    device = await asked_device()
    await device.ask("tds:AddScopes", ScopeItem=[PLACE])
    fixed = next(uri for uri, kind in (await scopes(device)).items() if kind == "Fixed")
    with pytest.raises(SoapFault, match="ter:OperationProhibited/ter:FixedScope"):
        await device.ask("tds:RemoveScopes", ScopeItem=[PLACE, fixed])
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:NoScope"):
        await device.ask("tds:RemoveScopes", ScopeItem=[PLACE, "onvif://nowhere"])
    assert PLACE in await scopes(device)


async def test_there_is_a_bound_to_scopes() -> None:
    device = await asked_device()
    before = await scopes(device)
    with pytest.raises(SoapFault, match="Receiver/ter:Action/ter:TooManyScopes"):
        await device.ask("tds:SetScopes", Scopes=[f"urn:{number}" for number in range(MAX_SCOPES + 1)])
    assert await scopes(device) == before


@pytest.mark.parametrize("scope", ["", "two words", "u" * (MAX_SCOPE_CHARS + 1)])
async def test_what_is_no_scope_is_refused(scope: str) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="InvalidArgVal"):
        await device.ask("tds:AddScopes", ScopeItem=[scope])


async def test_discovery_modes_and_proxies_are_kept() -> None:
    device = await asked_device()
    await device.ask("tds:SetDiscoveryMode", DiscoveryMode="NonDiscoverable")
    assert (await device.ask("tds:GetDiscoveryMode")).DiscoveryMode == "NonDiscoverable"
    await device.ask("tds:SetRemoteDiscoveryMode", RemoteDiscoveryMode="Discoverable")
    assert (await device.ask("tds:GetRemoteDiscoveryMode")).RemoteDiscoveryMode == "Discoverable"
    await device.ask("tds:SetDPAddresses", DPAddress=[{"Type": "IPv4", "IPv4Address": "192.0.2.9"}])
    assert (await device.ask("tds:GetDPAddresses")).DPAddress[0].IPv4Address == "192.0.2.9"
    with pytest.raises(SoapFault, match="InvalidArgs"):
        await device.ask("tds:SetDiscoveryMode", DiscoveryMode="Shy")
