"""Geo locations and storage configurations."""

from __future__ import annotations

from typing import Any

import pytest
from support.soap import SoapFault, asked_device

from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.names import expanded
from manycast.onvif.state.limits import MAX_LOCATIONS, MAX_STORAGES


def place(token: str = "here", **more: Any) -> dict[str, Any]:
    return {"Entity": "Device", "Token": token, "GeoLocation": {"lon": 13.4, "lat": 52.5, "elevation": 34.0}, **more}


async def test_a_place_is_kept_changed_and_deleted() -> None:
    device = await asked_device()
    turned = {"roll": 1.0, "pitch": 2.0, "yaw": 3.0}
    await device.ask("tds:SetGeoLocation", Location=[place(GeoOrientation=turned), place("there")])
    await device.ask("tds:SetGeoLocation", Location=[place(LocalLocation={"x": 1.0, "y": 2.0, "z": 3.0})])
    here, there = (await device.ask("tds:GetGeoLocation")).Location
    assert (here.GeoLocation.lon, here.GeoLocation.lat, here.GeoLocation.elevation) == (13.4, 52.5, 34.0)
    assert here.GeoOrientation is None  # what is not in the request is there no more
    assert here.LocalLocation.z == 3.0
    await device.ask("tds:DeleteGeoLocation", Location=[{"Entity": "Device", "Token": "here"}])
    assert [each.Token for each in (await device.ask("tds:GetGeoLocation")).Location] == [there.Token] == ["there"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"GeoLocation": {"lon": 181.0, "lat": 0.0}},
        {"GeoLocation": {"lon": 0.0, "lat": -91.0}},
        {"GeoSource": "s" * 300},
    ],
)
async def test_what_is_no_place_is_refused(wrong: dict[str, Any]) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidArgVal"):
        await device.ask("tds:SetGeoLocation", Location=[place(), place("there", **wrong)])
    assert device.state.locations == []


@pytest.mark.parametrize("number", ["NaN", "INF", "-INF"])
@pytest.mark.parametrize("part", ["GeoLocation lon", "GeoOrientation yaw", "LocalLocation x", "LocalOrientation pan"])
async def test_a_number_that_is_none_is_no_place(part: str, number: str) -> None:
    device = await asked_device()
    name, _, attribute = part.partition(" ")
    request = contract("tds").rendered(expanded("tds:SetGeoLocation"), {"Location": [{name: {attribute: 1.0}}]})
    request[0][0].set(attribute, number)
    with pytest.raises(SoapFault, match="ter:InvalidArgVal"):
        await device.ask_element(request, "tds", "SetGeoLocation")


async def test_faults_of_places_are_those_of_core() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:NoAutoGeo"):
        await device.ask("tds:SetGeoLocation", Location=[place(AutoGeo=True)])
    with pytest.raises(SoapFault, match="Receiver/ter:Action/ter:TooManyEntries"):
        many = [place(str(number)) for number in range(MAX_LOCATIONS + 1)]
        await device.ask("tds:SetGeoLocation", Location=many)
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:NoConfig"):
        await device.ask("tds:DeleteGeoLocation", Location=[place()])
    await device.ask("tds:SetGeoLocation", Location=[place(Fixed=True)])
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:Fixed"):
        await device.ask("tds:DeleteGeoLocation", Location=[place()])


def storage(**changes: Any) -> dict[str, Any]:
    user = {"UserName": "recorder", "Password": "secret"}
    return {"type": "NFS", "StorageUri": "nfs://192.0.2.5/video", "User": user, **changes}


async def test_a_storage_is_made_changed_and_deleted() -> None:
    device = await asked_device()
    token = (await device.ask("tds:CreateStorageConfiguration", StorageConfiguration=storage())).Token
    told = (await device.ask("tds:GetStorageConfiguration", Token=token)).StorageConfiguration
    assert (told.token, told.Data.StorageUri, told.Data.User.UserName) == (token, "nfs://192.0.2.5/video", "recorder")
    assert told.Data.User.Password is None

    changed = storage(LocalPath="/mnt", User={"UserName": "recorder"})
    await device.ask("tds:SetStorageConfiguration", StorageConfiguration={"token": token, "Data": changed})
    kept = device.state.storage[0]
    assert kept.local_path == "/mnt"
    assert kept.user is not None
    assert kept.user.password == "secret"

    await device.ask("tds:DeleteStorageConfiguration", Token=token)
    assert (await device.ask("tds:GetStorageConfigurations")).StorageConfigurations == []


@pytest.mark.parametrize("wrong", [{"type": "Tape"}, {"StorageUri": None}, {"StorageUri": "s" * 1025}])
async def test_what_is_no_storage_is_refused(wrong: dict[str, Any]) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidArg"):
        await device.ask("tds:CreateStorageConfiguration", StorageConfiguration=storage(**wrong))
    assert device.state.storage == []


async def test_faults_of_storages_are_those_of_core() -> None:
    device = await asked_device()
    for name in ("GetStorageConfiguration", "DeleteStorageConfiguration"):
        with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:NoConfig"):
            await device.ask(f"tds:{name}", Token="none")
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:NoConfig"):
        await device.ask("tds:SetStorageConfiguration", StorageConfiguration={"token": "none", "Data": storage()})
    for _ in range(MAX_STORAGES):
        await device.ask("tds:CreateStorageConfiguration", StorageConfiguration=storage())
    with pytest.raises(SoapFault, match="Receiver/ter:OperationProhibited/ter:MaxStorageConfigurations"):
        await device.ask("tds:CreateStorageConfiguration", StorageConfiguration=storage())
