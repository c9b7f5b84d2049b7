"""The messages of WS-Discovery (April 2005) that a device takes and sends; bytes to values and back.

SOAP over UDP, WS-Addressing of August 2004. Nothing here knows sockets or time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from lxml import etree

from manycast.errors import ProtocolError
from manycast.onvif.discovery.scopes import RFC3986, SUPPORTED_RULES

MAX_DATAGRAM_BYTES = 16 * 1024  # a probe has half a kilobyte
MAX_TEXT_CHARS = 4096  # of scopes and types together
MAX_ITEMS = 64  # scopes or types in one probe
MAX_ID_CHARS = 256

SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
EVERYBODY = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
ANONYMOUS = f"{ADDRESSING}/role/anonymous"

DEVICE_WSDL = "http://www.onvif.org/ver10/device/wsdl"
NETWORK_WSDL = "http://www.onvif.org/ver10/network/wsdl"
TYPES = frozenset({f"{{{NETWORK_WSDL}}}NetworkVideoTransmitter", f"{{{DEVICE_WSDL}}}Device"})
TYPES_TEXT = "dn:NetworkVideoTransmitter tds:Device"

_A = f"{{{ADDRESSING}}}"
_D = f"{{{DISCOVERY}}}"
_PREFIXES = {"a": ADDRESSING, "d": DISCOVERY, "dn": NETWORK_WSDL, "tds": DEVICE_WSDL}
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class MalformedDiscovery(ProtocolError):
    """A datagram that is no message of WS-Discovery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Somebody looks for devices of all of these types, in all of these scopes."""

    message_id: str
    envelope: str = SOAP_12  # the version of SOAP, which the answer has too
    types: frozenset[str] = frozenset()  # as {namespace}name
    scopes: tuple[str, ...] = ()
    rule: str = RFC3986  # how scopes are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Somebody knows a device, and asks where it is."""

    message_id: str
    envelope: str = SOAP_12
    endpoint: str


Request = Probe | Resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device, as its messages describe it on one interface."""

    endpoint: UUID
    scopes: tuple[str, ...]
    xaddrs: tuple[str, ...]  # where its device service is
    metadata_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What makes each message of a device differ (AppSequence, section 4.2)."""

    message_id: UUID
    instance_id: int  # grows with each start
    message_number: int


def parse(data: bytes) -> Request | None:
    """Read a datagram; None: a message that is not for devices. Raises MalformedDiscovery and nothing else."""
    root = _root(data)
    envelope = root.tag.removeprefix("{").removesuffix("}Envelope")
    if envelope not in (SOAP_12, SOAP_11):
        raise MalformedDiscovery("no SOAP envelope")
    header, body = root.find(f"{{{envelope}}}Header"), root.find(f"{{{envelope}}}Body")
    if header is None or body is None:
        raise MalformedDiscovery("a message without a header or a body")
    action = _text(header, f"{_A}Action")
    if action not in (f"{DISCOVERY}/Probe", f"{DISCOVERY}/Resolve"):
        return None
    message_id = _id(header, f"{_A}MessageID")
    content = body.find(f"{_D}{action.rpartition('/')[2]}")
    if content is None:
        raise MalformedDiscovery(f"no content for {action}")
    if action.endswith("/Resolve"):
        reference = content.find(f"{_A}EndpointReference")
        if reference is None:
            raise MalformedDiscovery("a Resolve of nothing")
        return Resolve(message_id=message_id, envelope=envelope, endpoint=_id(reference, f"{_A}Address"))
    return _probe(content, message_id, envelope)


def hello(target: Target, stamp: Stamp) -> bytes:
    """A device has come, or is another now."""
    return _message("Hello", SOAP_12, EVERYBODY, None, stamp, lambda body: _describe(body, "Hello", target))


def bye(target: Target, stamp: Stamp) -> bytes:
    """A device goes."""

    def content(body: etree._Element) -> None:
        _refer(etree.SubElement(body, f"{_D}Bye"), target.endpoint)

    return _message("Bye", SOAP_12, EVERYBODY, None, stamp, content)


def answer(request: Request, target: Target, stamp: Stamp) -> bytes:
    """A device is what is looked for, or is asked for."""
    name = "ProbeMatch" if isinstance(request, Probe) else "ResolveMatch"

    def content(body: etree._Element) -> None:
        _describe(etree.SubElement(body, f"{_D}{name}es"), name, target)

    return _message(f"{name}es", request.envelope, ANONYMOUS, request.message_id, stamp, content)


def rule_refused(request: Probe, stamp: Stamp) -> bytes:
    """The fault for a rule of comparing scopes that is not known; for probes to one device only (section 5.1)."""

    def content(body: etree._Element) -> None:
        env = f"{{{request.envelope}}}"
        fault = etree.SubElement(body, f"{env}Fault")
        reason, supported = "the matching rule is not supported", " ".join(SUPPORTED_RULES)
        if request.envelope == SOAP_11:
            etree.SubElement(fault, "faultcode").text = "d:MatchingRuleNotSupported"
            etree.SubElement(fault, "faultstring").text = reason
            detail = etree.SubElement(fault, "detail")
        else:
            code = etree.SubElement(fault, f"{env}Code")
            etree.SubElement(code, f"{env}Value").text = "s:Sender"
            subcode = etree.SubElement(code, f"{env}Subcode")
            etree.SubElement(subcode, f"{env}Value").text = "d:MatchingRuleNotSupported"
            text = etree.SubElement(etree.SubElement(fault, f"{env}Reason"), f"{env}Text")
            text.set(_XML_LANG, "en")
            text.text = reason
            detail = etree.SubElement(fault, f"{env}Detail")
        etree.SubElement(detail, f"{_D}SupportedMatchingRules").text = supported

    return _message("fault", request.envelope, ANONYMOUS, request.message_id, stamp, content)


def _root(data: bytes) -> etree._Element:
    if len(data) > MAX_DATAGRAM_BYTES:
        raise MalformedDiscovery(f"{len(data)} bytes, {MAX_DATAGRAM_BYTES} are allowed")
    # Without huge_tree, libxml2 bounds depth and names.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MalformedDiscovery(f"no well-formed XML: {error}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise MalformedDiscovery("a document type, which SOAP forbids")
    return root


def _probe(content: etree._Element, message_id: str, envelope: str) -> Probe:
    scopes = content.find(f"{_D}Scopes")
    types = content.find(f"{_D}Types")
    return Probe(
        message_id=message_id,
        envelope=envelope,
        types=frozenset() if types is None else frozenset(_qualified(name, types) for name in _list(types)),
        scopes=() if scopes is None else tuple(_list(scopes)),
        rule=RFC3986 if scopes is None else (scopes.get("MatchBy") or RFC3986).strip(),
    )


def _list(element: etree._Element) -> list[str]:
    text = element.text or ""
    items = text.split()
    if len(text) > MAX_TEXT_CHARS or len(items) > MAX_ITEMS:
        raise MalformedDiscovery(f"{len(items)} items in a list, {len(text)} characters")
    return items


def _qualified(name: str, element: etree._Element) -> str:
    prefix, colon, local = name.rpartition(":")
    namespace = element.nsmap.get(prefix if colon else None)
    if colon and namespace is None:
        raise MalformedDiscovery(f"a type with an unknown prefix: {name[:100]!r}")
    return f"{{{namespace or ''}}}{local}"


def _text(parent: etree._Element, tag: str) -> str:
    return (parent.findtext(tag) or "").strip()


def _id(parent: etree._Element, tag: str) -> str:
    text = _text(parent, tag)
    if not text or len(text) > MAX_ID_CHARS:
        raise MalformedDiscovery(f"{tag}: {len(text)} characters, 1 to {MAX_ID_CHARS} are allowed")
    return text


def _message(
    name: str,
    envelope: str,
    to: str,
    relates_to: str | None,
    stamp: Stamp,
    fill: Callable[[etree._Element], None],
) -> bytes:
    env = f"{{{envelope}}}"
    root = etree.Element(f"{env}Envelope", nsmap={"s": envelope, **_PREFIXES})
    header = etree.SubElement(root, f"{env}Header")
    etree.SubElement(header, f"{_A}Action").text = f"{DISCOVERY}/{name}"
    etree.SubElement(header, f"{_A}MessageID").text = stamp.message_id.urn
    if relates_to is not None:
        etree.SubElement(header, f"{_A}RelatesTo").text = relates_to
    etree.SubElement(header, f"{_A}To").text = to
    sequence = etree.SubElement(header, f"{_D}AppSequence")
    sequence.set("InstanceId", str(stamp.instance_id))
    sequence.set("MessageNumber", str(stamp.message_number))
    fill(etree.SubElement(root, f"{env}Body"))
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _describe(parent: etree._Element, name: str, target: Target) -> None:
    element = etree.SubElement(parent, f"{_D}{name}")
    _refer(element, target.endpoint)
    etree.SubElement(element, f"{_D}Types").text = TYPES_TEXT
    etree.SubElement(element, f"{_D}Scopes").text = " ".join(target.scopes)
    etree.SubElement(element, f"{_D}XAddrs").text = " ".join(target.xaddrs)
    etree.SubElement(element, f"{_D}MetadataVersion").text = str(target.metadata_version)


def _refer(element: etree._Element, endpoint: UUID) -> None:
    reference = etree.SubElement(element, f"{_A}EndpointReference")
    etree.SubElement(reference, f"{_A}Address").text = endpoint.urn
