"""Contracts: the WSDL files of all services, their operations and types."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from manycast.onvif.soap.catalogue import SERVICES, wsdl_folder
from manycast.onvif.soap.contract import Contract, contract
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.names import PREFIXES, XML_SCHEMA, expanded
from manycast.onvif.soap.schema import SchemaMissing, local_file, make_deterministic, move_wildcards_back
from manycast.onvif.soap.service import snake_case
from manycast.onvif.soap.wsdl import read_operations


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("a WSDL is never fetched")

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.mark.parametrize("prefix", SERVICES)
def test_every_service_can_be_read(prefix: str) -> None:
    read = Contract(SERVICES[prefix])
    read.read()
    own = (SERVICES[prefix].namespace, PREFIXES["wsnt"])
    for described in read.operations.values():
        element = etree.Element(described.request)
        if etree.QName(element).namespace not in own:  # DeviceIO has two operations of the device service
            continue
        read.schema.validate(element)  # it knows the element: else it would say so
        assert "No matching global declaration" not in str(read.schema.error_log)
        assert described.response is not None or described.name == "Notify"
        assert described.request_action


def test_there_are_516_operations_in_nineteen_services() -> None:
    folder = wsdl_folder()
    assert len(SERVICES) == 19
    assert sum(len(read_operations(folder / service.wsdl)) for service in SERVICES.values()) == 516


def test_services_have_addresses_of_their_own() -> None:
    assert len({service.path for service in SERVICES.values()}) == 19
    assert SERVICES["tds"].path == "/onvif/device_service"


async def prepared(prefix: str) -> Contract:
    await contract(prefix).prepare()
    return contract(prefix)


async def test_what_is_rendered_can_be_parsed() -> None:
    read = await prepared("tds")
    values = {
        "RelayOutputToken": "r",
        "Properties": {"Mode": "Monostable", "DelayTime": timedelta(seconds=1.5), "IdleState": "open"},
    }
    parsed = read.parse(read.rendered(expanded("tds:SetRelayOutputSettings"), values))
    assert (parsed.RelayOutputToken, parsed.Properties.DelayTime) == ("r", timedelta(seconds=1.5))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<tds:IncludeCapability>maybe</tds:IncludeCapability>",
        "<tds:IncludeCapability/>",
        "<tds:Other/>",
        "<tds:IncludeCapability>true</tds:IncludeCapability><tds:IncludeCapability>true</tds:IncludeCapability>",
        "<IncludeCapability>true</IncludeCapability>",
        "text",
    ],
)
async def test_what_the_schema_forbids_is_a_fault_in_words(content: str) -> None:
    read = await prepared("tds")
    request = etree.fromstring(f'<tds:GetServices xmlns:tds="{PREFIXES["tds"]}">{content}</tds:GetServices>')
    with pytest.raises(Fault) as caught:
        read.parse(request)
    assert caught.value.subcodes == ("ter:InvalidArgs",)
    assert "{http" not in caught.value.reason.replace("{" + PREFIXES["tds"] + "}", "")


async def test_binary_data_that_is_damaged_is_not_repeated() -> None:
    read = await prepared("tds")
    request = etree.Element(expanded("tds:SetAccessPolicy"))
    policy = etree.SubElement(request, expanded("tds:PolicyFile"))
    etree.SubElement(policy, expanded("tt:Data")).text = "secret!"
    with pytest.raises(Fault) as caught:
        read.parse(request)
    assert (caught.value.subcodes, "secret" in caught.value.reason) == (("ter:InvalidArgs",), False)


async def test_words_out_of_an_enumeration_are_refused() -> None:
    read = await prepared("tds")
    with pytest.raises(Fault, match="InvalidArgs"):
        read.parse(read.rendered(expanded("tds:SetDiscoveryMode"), {"DiscoveryMode": "Shy"}))


async def test_a_time_that_python_does_not_know_is_refused() -> None:
    read = await prepared("tds")
    request = read.rendered(expanded("tds:CreateCertificate"), {})
    etree.SubElement(request, expanded("tds:ValidNotBefore")).text = "-0044-03-15T00:00:00Z"
    with pytest.raises(Fault, match="InvalidArgs"):
        read.parse(request)


async def test_an_empty_text_is_a_text_and_an_empty_element_is_there() -> None:
    read = await prepared("tds")
    name = read.parse(read.rendered(expanded("tds:SetHostname"), {"Name": ""})).Name
    assert name == ""
    location = read.parse(read.rendered(expanded("tds:SetGeoLocation"), {"Location": [{}]})).Location[0]
    assert location.Entity is None


async def test_elements_of_vendors_are_taken_where_the_schema_says() -> None:
    read = await prepared("tds")
    request = read.rendered(
        expanded("tds:SetRemoteUser"), {"RemoteUser": {"Username": "u", "UseDerivedPassword": True}}
    )
    etree.SubElement(request[0], "{urn:vendor}More").text = "x"
    assert read.parse(request).RemoteUser.Username == "u"


async def test_preparing_at_the_same_time_reads_once() -> None:
    fresh = Contract(SERVICES["tse"])
    await asyncio.gather(*(fresh.prepare() for _ in range(5)))
    assert fresh.schema is fresh.schema


async def test_what_follows_a_wildcard_is_found() -> None:
    """In tt:CapabilitiesExtension the wildcard comes first."""
    read = await prepared("tds")
    values = {"Capabilities": {"Extension": {"Search": {"XAddr": "urn:x", "MetadataSearch": False}}}}
    parsed = read.parse(read.rendered(expanded("tds:GetCapabilitiesResponse"), values))
    assert parsed.Capabilities.Extension.Search.XAddr == "urn:x"


def test_a_schema_that_is_not_there_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    for url in ("http://www.onvif.org/ver10/schema/onvif.xsd", str(tmp_path / "none.xsd")):
        with pytest.raises(SchemaMissing):
            local_file(tmp_path, url)


def schema(content: str) -> etree._Element:
    return etree.fromstring(f'<xs:schema xmlns:xs="{XML_SCHEMA}">{content}</xs:schema>')


@pytest.mark.parametrize(
    ("content", "namespace"),
    [
        ('<xs:element name="a" minOccurs="0"/><xs:any namespace="##any"/>', "##other"),
        ('<xs:element name="a" maxOccurs="unbounded"/><xs:any/>', "##other"),
        ('<xs:any namespace="##targetNamespace"/><xs:element name="a"/>', "##other"),
        ('<xs:element ref="x:a" minOccurs="0" xmlns:x="urn:x"/><xs:any/>', "##targetNamespace"),
        (
            '<xs:element ref="x:a" minOccurs="0" xmlns:x="urn:x"/><xs:element name="b" minOccurs="0"/><xs:any/>',
            "##local",
        ),
        ('<xs:element name="a"/><xs:any namespace="##any"/>', "##any"),
        ('<xs:any namespace="##any"/>', "##any"),
        ('<xs:element name="a" minOccurs="0"/><xs:any namespace="##other"/>', "##other"),
    ],
)
def test_wildcards_are_narrowed_only_where_they_are_ambiguous(content: str, namespace: str) -> None:
    root = schema(f'<xs:complexType name="t"><xs:sequence>{content}</xs:sequence></xs:complexType>')
    make_deterministic(root)
    wildcard = next(root.iter(f"{{{XML_SCHEMA}}}any"))
    assert wildcard.get("namespace") == namespace


def test_wildcards_are_moved_behind_what_may_follow() -> None:
    root = schema('<xs:complexType><xs:sequence><xs:any/><xs:element name="a"/></xs:sequence></xs:complexType>')
    move_wildcards_back(root)
    assert [etree.QName(each).localname for each in root[0][0]] == ["element", "any"]


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("GetIPAddressFilter", "get_ip_address_filter"),
        ("GetDNS", "get_dns"),
        ("SetDPAddresses", "set_dp_addresses"),
        ("GetOSDs", "get_osds"),
        ("GetPkcs10Request", "get_pkcs10_request"),
        ("PullMessages", "pull_messages"),
        ("GetCACertificates", "get_ca_certificates"),
    ],
)
def test_methods_are_named_like_operations(name: str, method: str) -> None:
    assert snake_case(name) == method


def test_no_two_operations_of_a_service_have_the_same_method() -> None:
    for service in SERVICES.values():
        names = {each.name for each in read_operations(wsdl_folder() / service.wsdl)}
        assert len({snake_case(name) for name in names}) == len(names)


async def test_a_request_that_comes_while_a_large_one_is_read_does_not_hold_up_the_loop() -> None:
    tds = contract("tds")
    await tds.prepare()
    element = tds.rendered(expanded("tds:SetHostname"), {"Name": "camera"})
    with tds._parsing:  # as the thread has it that reads the large one
        waiting = asyncio.create_task(tds.parse_soon(element, large=False))
        await asyncio.sleep(0.01)
        assert not waiting.done()
    assert (await waiting).Name == "camera"


async def test_each_request_is_told_what_is_wrong_with_it_alone() -> None:
    tds = contract("tds")
    await tds.prepare()

    async def complaint(number: int) -> str:
        element = etree.Element(expanded("tds:SetHostname"))
        etree.SubElement(element, expanded(f"tds:Wrong{number}"))
        try:
            await tds.parse_soon(element, large=number % 2 == 0)
        except Fault as fault:
            return fault.reason
        raise AssertionError("it was taken")

    for number, reason in enumerate(await asyncio.gather(*map(complaint, range(40)))):
        assert f"Wrong{number}'" in reason
