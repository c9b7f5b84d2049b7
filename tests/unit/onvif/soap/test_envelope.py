"""SOAP messages: what is taken, what is refused, what is said."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from support.soap import addressing_headers, envelope

from manycast.onvif.soap.envelope import (
    MAX_ALL_ATTRIBUTES,
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_HEADERS,
    MAX_MESSAGE_BYTES,
    Addressing,
    fault_reply,
    fault_reply_11,
    parse_request,
    reply,
)
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.names import ADDRESSING, ENVELOPE, ERROR, SECURITY_EXTENSIONS

ENV = f"{{{ENVELOPE}}}"
BODY = etree.Element("{urn:test}Ask")


def soap(body: str = "<a/>", header: str = "", before: str = "") -> bytes:
    return (
        f'{before}<e:Envelope xmlns:e="{ENVELOPE}" xmlns:w="{ADDRESSING}">'
        f"<e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
    ).encode()


def refused(data: bytes) -> Fault:
    with pytest.raises(Fault) as caught:
        parse_request(data)
    return caught.value


def test_a_message_is_read() -> None:
    request = parse_request(envelope(BODY, *addressing_headers("urn:do", "urn:uuid:1")))
    assert request.body.tag == BODY.tag
    assert request.addressing == Addressing(action="urn:do", message_id="urn:uuid:1")
    assert len(request.headers) == 2
    assert request.security is None


def test_the_header_of_ws_security_is_found() -> None:
    security = etree.Element(f"{{{SECURITY_EXTENSIONS}}}Security")
    security.set(f"{ENV}mustUnderstand", "1")
    assert parse_request(envelope(BODY, security)).security is not None


@pytest.mark.parametrize(
    ("data", "code", "subcodes"),
    [
        (b"", "Sender", ("ter:WellFormed",)),
        (b"\x00\xff", "Sender", ("ter:WellFormed",)),
        (soap()[:-1], "Sender", ("ter:WellFormed",)),
        (b"<Envelope/>", "VersionMismatch", ()),
        (soap().replace(ENVELOPE.encode(), b"http://schemas.xmlsoap.org/soap/envelope/"), "VersionMismatch", ()),
        (f'<e:Envelope xmlns:e="{ENVELOPE}"/>'.encode(), "Sender", ("ter:Tag",)),
        (soap(""), "Sender", ("ter:TagMismatch",)),
        (soap("<a/><b/>"), "Sender", ("ter:TagMismatch",)),
        (soap(header='<x xmlns="urn:x" e:mustUnderstand="1"/>'), "MustUnderstand", ()),
        (soap(header='<x xmlns="urn:x" e:mustUnderstand="true"/>'), "MustUnderstand", ()),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, code: str, subcodes: tuple[str, ...]) -> None:
    fault = refused(data)
    assert (fault.code, fault.subcodes) == (code, subcodes)


@pytest.mark.parametrize(
    "header",
    [
        '<x xmlns="urn:x"/>',
        '<x xmlns="urn:x" e:mustUnderstand="0"/>',
        '<x xmlns="urn:x" e:mustUnderstand="1" w:IsReferenceParameter="true"/>',
        '<w:To e:mustUnderstand="1">urn:us</w:To>',
    ],
)
def test_headers_that_need_not_be_understood_or_are_are_taken(header: str) -> None:
    assert len(parse_request(soap(header=header)).headers) == 1


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(10))


@pytest.mark.parametrize(
    "data",
    [
        soap("<a>&a9;</a>", before=f"<!DOCTYPE e [{BOMB}]>"),
        soap("<a>&x;</a>", before='<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        soap(before='<!DOCTYPE e SYSTEM "http://192.0.2.1/e.dtd">'),
        soap("<a>&x;</a>", before='<!DOCTYPE e [<!ENTITY x "y">]>').decode().encode("utf-16"),
        soap("<a>" * 200 + "</a>" * 200),
        soap("<a>" * (MAX_DEPTH - 1) + "</a>" * (MAX_DEPTH - 1)),
        soap("<a " + " ".join(f'a{n}="1"' for n in range(10_000)) + "/>"),
        soap("<a " + " ".join(f'a{n}="1"' for n in range(MAX_ATTRIBUTES + 1)) + "/>"),
        soap(f"<a>{'<b/>' * MAX_ELEMENTS}</a>"),
        soap("<a " + " ".join(f'xmlns:a{n}="u"' for n in range(MAX_ALL_ATTRIBUTES)) + "/>"),
        soap(header="<h/>" * (MAX_HEADERS + 1)),
        soap("<a>" + "x" * MAX_MESSAGE_BYTES + "</a>"),
        b"<" * 1_000_000,
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_what_is_made_to_hurt_is_refused_at_once(data: bytes) -> None:
    began_s = time.process_time()
    assert refused(data).code == "Sender"
    assert time.process_time() - began_s < 1.0


def test_as_much_as_is_allowed_is_taken() -> None:
    depth = MAX_DEPTH - 2  # in Envelope and Body
    attributes = " ".join(f'a{n}="1"' for n in range(MAX_ATTRIBUTES))
    body = parse_request(soap(f"<a {attributes}>" + "<a>" * (depth - 1) + "</a>" * depth)).body
    assert len(body.attrib) == MAX_ATTRIBUTES
    assert sum(1 for _ in body.iter()) == depth


def test_a_reply_is_addressed_if_the_request_was() -> None:
    addressing = Addressing(action="urn:do", message_id="urn:uuid:1")
    root = etree.fromstring(reply(lambda body: body.append(etree.Element("{urn:test}Said")), addressing, "urn:done"))
    header = {etree.QName(each).localname: each.text for each in root[0]}
    assert header == {"Action": "urn:done", "RelatesTo": "urn:uuid:1", "To": f"{ADDRESSING}/anonymous"}
    assert root[1][0].tag == "{urn:test}Said"
    plain = etree.fromstring(reply(lambda body: body.append(etree.Element("{urn:test}Said")), Addressing(), "urn:done"))
    assert [each.tag for each in plain] == [f"{ENV}Body"]


def test_a_fault_has_its_codes_in_one_another() -> None:
    fault = Fault.sender("ter:InvalidArgVal", "ter:NoProfile", reason="no profile \x01")
    root = etree.fromstring(fault_reply(fault, Addressing(message_id="urn:uuid:1")))
    values = [value.text for value in root.iter(f"{ENV}Value")]
    assert values == ["env:Sender", "ter:InvalidArgVal", "ter:NoProfile"]
    assert root.findtext(f".//{ENV}Text") == "no profile "
    assert root.findtext(f".//{{{ADDRESSING}}}Action") == f"{ADDRESSING}/soap/fault"
    element = root.find(f".//{ENV}Value")
    assert element is not None
    assert element.nsmap["ter"] == ERROR  # the names are in texts: their prefixes have to be known there


@pytest.mark.parametrize(("code", "status"), [("Sender", 400), ("Receiver", 500), ("MustUnderstand", 500)])
def test_a_fault_has_the_status_of_soaps_http_binding(code: Any, status: int) -> None:
    assert Fault(code).status == status


def test_a_fault_of_soap_1_1_has_its_form() -> None:
    root = etree.fromstring(fault_reply_11(Fault("VersionMismatch", reason="SOAP version mismatch")))
    assert root.findtext(".//faultcode") == "env:VersionMismatch"


@given(st.binary(max_size=400))
def test_bytes_raise_faults_and_nothing_else(data: bytes) -> None:
    refused(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_message_with_a_changed_byte_is_read_or_refused(place: int, byte: int) -> None:
    data = bytearray(envelope(BODY, *addressing_headers("urn:do", "urn:uuid:1")))
    data[place % len(data)] = byte
    try:
        parse_request(bytes(data))
    except Fault as fault:
        assert fault.reason  # noqa: PT017 - either is right
