"""Messages of WS-Discovery: bytes to values, and values to bytes."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from manycast.onvif.discovery.messages import (
    ADDRESSING,
    DEVICE_WSDL,
    DISCOVERY,
    MAX_DATAGRAM_BYTES,
    NETWORK_WSDL,
    SOAP_11,
    SOAP_12,
    MalformedDiscovery,
    Probe,
    Request,
    Resolve,
    Stamp,
    Target,
    answer,
    bye,
    hello,
    parse,
    rule_refused,
)
from manycast.onvif.discovery.scopes import RFC3986, STRCMP0

NAMES = {"s": SOAP_12, "a": ADDRESSING, "d": DISCOVERY}
TARGET = Target(
    endpoint=UUID(int=5),
    scopes=("onvif://www.onvif.org/name/a%20b", "urn:<&>"),
    xaddrs=("http://192.0.2.1:8000/onvif/device_service", "https://[2001:db8::1]:8443/onvif/device_service"),
    metadata_version=3,
)
STAMP = Stamp(message_id=UUID(int=9), instance_id=1234, message_number=7)


def envelope(action: str, body: str, message_id: str = "urn:uuid:1", soap: str = SOAP_12) -> bytes:
    return f"""<?xml version="1.0" encoding="utf-8"?>
        <s:Envelope xmlns:s="{soap}" xmlns:a="{ADDRESSING}" xmlns:d="{DISCOVERY}"
            xmlns:dn="{NETWORK_WSDL}" xmlns:tds="{DEVICE_WSDL}">
        <s:Header><a:Action>{DISCOVERY}/{action}</a:Action><a:MessageID> {message_id}
        </a:MessageID></s:Header><s:Body>{body}</s:Body></s:Envelope>""".strip().encode()


def probe(content: str = "", **keywords: str) -> bytes:
    return envelope("Probe", f"<d:Probe>{content}</d:Probe>", **keywords)


def test_a_probe_for_everything() -> None:
    assert parse(probe()) == Probe(message_id="urn:uuid:1")


def test_a_probe_for_types_and_scopes() -> None:
    content = f"""<d:Types>
        dn:NetworkVideoTransmitter  tds:Device </d:Types><d:Scopes MatchBy="{STRCMP0}"> a:b
        c:d</d:Scopes>"""
    assert parse(probe(content)) == Probe(
        message_id="urn:uuid:1",
        types=frozenset({f"{{{NETWORK_WSDL}}}NetworkVideoTransmitter", f"{{{DEVICE_WSDL}}}Device"}),
        scopes=("a:b", "c:d"),
        rule=STRCMP0,
    )


def test_prefixes_are_what_they_are_declared_to_be() -> None:
    content = f'<d:Types xmlns:x="{DEVICE_WSDL}" xmlns="{NETWORK_WSDL}">x:Device Other</d:Types><d:Scopes/>'
    request = parse(probe(content))
    assert isinstance(request, Probe)
    assert request.types == {f"{{{DEVICE_WSDL}}}Device", f"{{{NETWORK_WSDL}}}Other"}
    assert (request.scopes, request.rule) == ((), RFC3986)


def test_a_resolve() -> None:
    reference = "<a:EndpointReference><a:Address>urn:uuid:2</a:Address></a:EndpointReference>"
    data = envelope("Resolve", f"<d:Resolve>{reference}</d:Resolve>")
    assert parse(data) == Resolve(message_id="urn:uuid:1", endpoint="urn:uuid:2")


@pytest.mark.parametrize("data", [hello(TARGET, STAMP), bye(TARGET, STAMP), envelope("ProbeMatches", "<d:x/>")])
def test_what_other_devices_say_is_not_for_devices(data: bytes) -> None:
    assert parse(data) is None


HOSTILE = [
    b"",
    b"GET / HTTP/1.1",
    b"<a/>",
    b'<s:Envelope xmlns:s="urn:other"/>',
    f'<s:Envelope xmlns:s="{SOAP_12}"/>'.encode(),
    envelope("Probe", ""),
    envelope("Resolve", "<d:Resolve/>"),
    envelope("Resolve", "<d:Resolve><a:EndpointReference/></d:Resolve>"),
    probe(message_id=""),
    probe(message_id="x" * 1000),
    probe("<d:Types>nobody:Device</d:Types>"),
    probe(f"<d:Scopes>{'a:b ' * 100}</d:Scopes>"),
    probe(f"<d:Scopes>{'a' * 5000}</d:Scopes>"),
    probe("<!-- x -->" * 3000),
    probe("<d:Scopes>&e;</d:Scopes>").replace(b"<s:Env", b'<!DOCTYPE e [<!ENTITY e "a:b">]><s:Env', 1),
    b'<!DOCTYPE e SYSTEM "http://127.0.0.1:9/e">' + probe().partition(b"?>")[2],
    probe("<x>" * 400 + "</x>" * 400),
    probe().replace(b"utf-8", b"utf-99"),
]


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_messages_give_the_named_error(data: bytes) -> None:
    with pytest.raises(MalformedDiscovery):
        parse(data)


def test_a_datagram_that_is_too_large_is_not_even_parsed() -> None:
    with pytest.raises(MalformedDiscovery, match="bytes"):
        parse(b"<" * (MAX_DATAGRAM_BYTES + 1))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    with pytest.raises(MalformedDiscovery):
        parse(data)


def test_every_prefix_of_a_message_is_refused() -> None:
    whole = probe("<d:Types>tds:Device</d:Types>")
    for end in range(len(whole) - 1):
        with pytest.raises(MalformedDiscovery):
            parse(whole[:end])


@given(st.integers(0, 5000), st.binary(min_size=1, max_size=3))
def test_a_damaged_message_is_read_or_refused_by_name(position: int, damage: bytes) -> None:
    data = bytearray(probe("<d:Types>tds:Device</d:Types><d:Scopes>a:b</d:Scopes>"))
    start = position % len(data)
    data[start : start + len(damage)] = damage
    try:
        parse(bytes(data))
    except MalformedDiscovery:
        pass


TOKENS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=10)


@given(TOKENS, st.lists(TOKENS, max_size=5), st.lists(TOKENS, max_size=5), TOKENS, st.sampled_from([SOAP_11, SOAP_12]))
def test_generated_probes(message_id: str, types: list[str], scopes: list[str], rule: str, soap: str) -> None:
    content = f"""<d:Types>{" ".join(f"tds:{name}" for name in types)}</d:Types>
        <d:Scopes MatchBy="{rule}">{" ".join(scopes)}</d:Scopes>"""
    assert parse(probe(content, message_id=message_id, soap=soap)) == Probe(
        message_id=message_id,
        envelope=soap,
        types=frozenset(f"{{{DEVICE_WSDL}}}{name}" for name in types),
        scopes=tuple(scopes),
        rule=rule,
    )


def header_of(root: etree._Element, soap: str = SOAP_12) -> dict[str, str | None]:
    header = root.find(f"{{{soap}}}Header")
    assert header is not None
    return {etree.QName(each).localname: each.text for each in header}


def check_description(root: etree._Element, element: str) -> None:
    described = root.find(f"s:Body/{element}", NAMES)
    assert described is not None
    assert described.findtext("a:EndpointReference/a:Address", None, NAMES) == TARGET.endpoint.urn
    types = described.find("d:Types", NAMES)
    assert types is not None
    assert (types.text or "").split() == ["dn:NetworkVideoTransmitter", "tds:Device"]
    assert (types.nsmap["dn"], types.nsmap["tds"]) == (NETWORK_WSDL, DEVICE_WSDL)
    assert tuple(described.findtext("d:Scopes", "", NAMES).split()) == TARGET.scopes
    assert tuple(described.findtext("d:XAddrs", "", NAMES).split()) == TARGET.xaddrs
    assert described.findtext("d:MetadataVersion", None, NAMES) == "3"


def check_sequence(root: etree._Element) -> None:
    sequence = root.find("s:Header/d:AppSequence", NAMES)
    assert sequence is not None
    assert (sequence.get("InstanceId"), sequence.get("MessageNumber")) == ("1234", "7")


def test_hello() -> None:
    root = etree.fromstring(hello(TARGET, STAMP))
    assert header_of(root) == {
        "Action": f"{DISCOVERY}/Hello",
        "MessageID": "urn:uuid:00000000-0000-0000-0000-000000000009",
        "To": "urn:schemas-xmlsoap-org:ws:2005:04:discovery",
        "AppSequence": None,
    }
    check_sequence(root)
    check_description(root, "d:Hello")


def test_bye_names_the_device_alone() -> None:
    root = etree.fromstring(bye(TARGET, STAMP))
    assert header_of(root)["Action"] == f"{DISCOVERY}/Bye"
    check_sequence(root)
    element = root.find("s:Body/d:Bye", NAMES)
    assert element is not None
    assert [etree.QName(each).localname for each in element] == ["EndpointReference"]
    assert element.findtext("a:EndpointReference/a:Address", None, NAMES) == TARGET.endpoint.urn


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (Probe(message_id="urn:uuid:1"), "ProbeMatch"),
        (Resolve(message_id="urn:uuid:1", endpoint=TARGET.endpoint.urn), "ResolveMatch"),
    ],
)
def test_answers(request_: Request, name: str) -> None:
    root = etree.fromstring(answer(request_, TARGET, STAMP))
    header = header_of(root)
    assert header["Action"] == f"{DISCOVERY}/{name}es"
    assert header["RelatesTo"] == "urn:uuid:1"
    assert header["To"] == f"{ADDRESSING}/role/anonymous"
    check_sequence(root)
    check_description(root, f"d:{name}es/d:{name}")


def test_an_answer_has_the_askers_version_of_soap() -> None:
    root = etree.fromstring(answer(Probe(message_id="urn:uuid:1", envelope=SOAP_11), TARGET, STAMP))
    assert root.tag == f"{{{SOAP_11}}}Envelope"


def test_the_fault_for_an_unknown_rule() -> None:
    root = etree.fromstring(rule_refused(Probe(message_id="urn:uuid:1", rule="x"), STAMP))
    assert header_of(root)["Action"] == f"{DISCOVERY}/fault"
    fault = root.find("s:Body/s:Fault", NAMES)
    assert fault is not None
    assert fault.findtext("s:Code/s:Value", None, NAMES) == "s:Sender"
    assert fault.findtext("s:Code/s:Subcode/s:Value", None, NAMES) == "d:MatchingRuleNotSupported"
    assert RFC3986 in fault.findtext("s:Detail/d:SupportedMatchingRules", "", NAMES).split()
    old = etree.fromstring(rule_refused(Probe(message_id="urn:uuid:1", envelope=SOAP_11), STAMP))
    assert old.findtext(f"{{{SOAP_11}}}Body/{{{SOAP_11}}}Fault/faultcode") == "d:MatchingRuleNotSupported"
