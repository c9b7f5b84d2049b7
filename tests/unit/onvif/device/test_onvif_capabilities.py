"""What the device says it can, and whether that is so."""

from __future__ import annotations

import pytest
from lxml import etree
from support.soap import SoapFault, asked_device, delivered

from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.names import expanded


def canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True)


async def test_services_are_told_with_versions_and_the_address_that_was_used() -> None:
    device = await asked_device()
    device.delivery = delivered(base_url="https://[2001:db8::7]:8443")
    services = (await device.ask("tds:GetServices", IncludeCapability=False)).Service
    assert {each.Namespace for each in services} >= {SERVICES[prefix].namespace for prefix in ("tds", "tev", "tmd")}
    for each in services:
        service = next(known for known in SERVICES.values() if known.namespace == each.Namespace)
        assert each.XAddr == f"https://[2001:db8::7]:8443{service.path}"
        assert (each.Version.Major, each.Version.Minor) == service.version
        assert each.Capabilities is None


async def test_capabilities_are_the_same_wherever_they_are_asked() -> None:
    device = await asked_device()
    request = contract("tds").rendered(expanded("tds:GetServices"), {"IncludeCapability": True})
    for service in await device.ask_element(request, "tds", "GetServices"):
        namespace = service.findtext(expanded("tds:Namespace"))
        prefix = next(prefix for prefix, known in SERVICES.items() if known.namespace == namespace)
        alone = contract(prefix).rendered(expanded(f"{prefix}:GetServiceCapabilities"), {})
        told = (await device.ask_element(alone, prefix, "GetServiceCapabilities"))[0]
        listed = service.find(f"{expanded('tds:Capabilities')}/*")
        assert listed is not None
        assert canonical(listed) == canonical(told)


async def test_what_is_announced_answers() -> None:
    device = await asked_device()
    capabilities = (await device.ask("tds:GetServiceCapabilities")).Capabilities
    assert capabilities.Network.IPFilter
    assert capabilities.Security["UsernameToken"]
    assert capabilities.Security["HashingAlgorithms"] == ["SHA-256", "MD5"]
    assert capabilities.System.HttpSystemBackup
    assert "tt:IRLamp|Auto" in capabilities.Misc.AuxiliaryCommands


async def test_capabilities_of_the_older_kind() -> None:
    device = await asked_device()
    everything = (await device.ask("tds:GetCapabilities")).Capabilities
    assert everything.Device.XAddr == "http://192.0.2.7:8000/onvif/device_service"
    assert everything.Device.IO.RelayOutputs == 2
    assert everything.Events.WSPullPointSupport
    assert everything.Extension.DeviceIO.XAddr == "http://192.0.2.7:8000/onvif/deviceio_service"
    only = (await device.ask("tds:GetCapabilities", Category=["Events"])).Capabilities
    assert only.Device is None
    assert only.Events is not None
    with pytest.raises(SoapFault, match="Receiver/ter:ActionNotSupported/ter:NoSuchService"):
        await device.ask("tds:GetCapabilities", Category=["PTZ"])


async def test_information_is_that_of_the_state() -> None:
    device = await asked_device()
    device.state.information.manufacturer = "Somebody & Söhne"
    told = await device.ask("tds:GetDeviceInformation")
    assert (told.Manufacturer, told.Model) == ("Somebody & Söhne", device.state.information.model)


async def test_hashes_of_digest_are_chosen() -> None:
    device = await asked_device()
    await device.ask("tds:SetHashingAlgorithm", Algorithm=["MD5"])
    assert [("SHA-256" in challenge) for challenge in device.device.login.challenges()] == [False]
    await device.ask("tds:SetHashingAlgorithm", Algorithm=["MD5,SHA-256"])
    assert [("SHA-256" in challenge) for challenge in device.device.login.challenges()] == [False, True]
    for wrong in ([], ["ROT13"]):
        with pytest.raises(SoapFault, match="ter:InvalidArg"):
            await device.ask("tds:SetHashingAlgorithm", Algorithm=wrong)
