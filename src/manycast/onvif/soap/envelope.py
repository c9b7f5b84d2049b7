"""SOAP 1.2 messages: bytes to a request, and a reply or fault to bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.names import ADDRESSING, ENVELOPE, ENVELOPE_11, PREFIXES, SECURITY_EXTENSIONS, XML

MAX_MESSAGE_BYTES = 2 * 1024 * 1024  # certificates and backups in a request are smaller
MAX_DEPTH = 64
MAX_ELEMENTS = 5000  # the largest requests of ONVIF have some hundreds
MAX_ATTRIBUTES = 64  # of one element; those of ONVIF have a dozen
MAX_ALL_ATTRIBUTES = 10_000  # and declared prefixes, of the whole message
MAX_HEADERS = 64

_ENV = f"{{{ENVELOPE}}}"
_WSA = f"{{{ADDRESSING}}}"
_UNDERSTOOD = (ADDRESSING, SECURITY_EXTENSIONS)
_TRUE = ("1", "true")
_PREFIXES = dict(PREFIXES)
_KEPT = ["env", "ter", "tt", "xs", "tns1", "tdc", "pt", "other"]  # they are in texts, too
_DOCTYPES = tuple("<!DOCTYPE".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressing:
    """The properties of WS-Addressing that a reply depends on; None where they are not there."""

    action: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    to: str | None = None

    @property
    def used(self) -> bool:
        return bool(self.action or self.message_id or self.reply_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A message that was received."""

    body: etree._Element  # the element in the body
    headers: tuple[etree._Element, ...]
    security: etree._Element | None  # the header of WS-Security
    addressing: Addressing


def parse_request(data: bytes) -> Request:
    """Read a message. Raises Fault for what is no SOAP 1.2, is not meant for us, or is made to hurt."""
    root = _parse(data)
    if root.tag != f"{_ENV}Envelope":
        raise Fault("VersionMismatch", reason="SOAP version mismatch")
    body = root.find(f"{_ENV}Body")
    if body is None:
        raise Fault.sender("ter:Tag", reason="a message without a Body")
    content = list(body.iterchildren(tag=etree.Element))
    if len(content) != 1:
        raise Fault.sender("ter:TagMismatch", reason=f"{len(content)} elements in the Body, wanted one")
    header = root.find(f"{_ENV}Header")
    headers = () if header is None else tuple(header.iterchildren(tag=etree.Element))
    if len(headers) > MAX_HEADERS:
        raise Fault.sender("ter:InvalidArgs", reason=f"{len(headers)} headers, at most {MAX_HEADERS}")
    _refuse_what_is_not_understood(headers)
    security = next((each for each in headers if each.tag == f"{{{SECURITY_EXTENSIONS}}}Security"), None)
    return Request(body=content[0], headers=headers, security=security, addressing=_addressing(headers))


def reply(append: Callable[[etree._Element], None], addressing: Addressing, action: str) -> bytes:
    """A message whose body `append` fills; with WS-Addressing's headers if the request had some."""
    envelope, body = _envelope(addressing, action)
    append(body)
    return _serialized(envelope)


def fault_reply(fault: Fault, addressing: Addressing) -> bytes:
    """The message that says what went wrong."""
    envelope, body = _envelope(addressing, fault.action)
    element = etree.SubElement(body, f"{_ENV}Fault")
    code = etree.SubElement(element, f"{_ENV}Code")
    etree.SubElement(code, f"{_ENV}Value").text = f"env:{fault.code}"
    for subcode in fault.subcodes:
        code = etree.SubElement(code, f"{_ENV}Subcode")
        etree.SubElement(code, f"{_ENV}Value").text = subcode
    reason = etree.SubElement(etree.SubElement(element, f"{_ENV}Reason"), f"{_ENV}Text")
    reason.set(f"{{{XML}}}lang", "en")
    reason.text = _printable(fault.reason)
    if fault.detail is not None:
        etree.SubElement(element, f"{_ENV}Detail").append(fault.detail)
    return _serialized(envelope)


def fault_reply_11(fault: Fault) -> bytes:
    """The same for who speaks SOAP 1.1 and would not read SOAP 1.2 (SOAP 1.2 Part 1, appendix A)."""
    env = f"{{{ENVELOPE_11}}}"
    envelope = etree.Element(f"{env}Envelope", nsmap={"env": ENVELOPE_11})
    element = etree.SubElement(etree.SubElement(envelope, f"{env}Body"), f"{env}Fault")
    etree.SubElement(element, "faultcode").text = f"env:{fault.code}"
    etree.SubElement(element, "faultstring").text = fault.reason
    return _serialized(envelope)


def speaks_soap_11(data: bytes) -> bool:
    return ENVELOPE_11.encode() in data[:4096]


def _parse(data: bytes) -> etree._Element:
    if len(data) > MAX_MESSAGE_BYTES:
        raise Fault.sender("ter:InvalidArgs", reason=f"a message of {len(data)} bytes, at most {MAX_MESSAGE_BYTES}")
    if any(doctype in data for doctype in _DOCTYPES):
        raise _doctype()
    if data.count(b"<") > 2 * MAX_ELEMENTS or data.count(b"=") > MAX_ALL_ATTRIBUTES:  # cheaper than to read them all
        raise Fault.sender("ter:InvalidArgs", reason="more elements or attributes than any request has")
    # Without huge_tree, libxml2 bounds depth, names, texts and what entities grow to.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Fault.sender("ter:WellFormed", reason=f"Well-formed Error: {str(error)[:200]}") from error
    if root.getroottree().docinfo.internalDTD is not None:  # in an encoding not thought of
        raise _doctype()
    _refuse_what_is_made_to_hurt(root)
    return root


def _doctype() -> Fault:
    return Fault.sender("ter:WellFormed", reason="a document type declaration, which SOAP forbids")


def _refuse_what_is_made_to_hurt(root: etree._Element) -> None:
    depth = count = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            depth -= 1
            continue
        depth += 1
        count += 1
        if depth > MAX_DEPTH or count > MAX_ELEMENTS or len(element.attrib) > MAX_ATTRIBUTES:
            raise Fault.sender(
                "ter:InvalidArgs",
                reason=f"more than {MAX_DEPTH} elements deep, {MAX_ELEMENTS} elements or {MAX_ATTRIBUTES} attributes",
            )


def _refuse_what_is_not_understood(headers: tuple[etree._Element, ...]) -> None:
    for header in headers:
        if header.get(f"{_ENV}mustUnderstand", "0").strip() not in _TRUE:
            continue
        reference = header.get(f"{_WSA}IsReferenceParameter", "0").strip() in _TRUE
        if not reference and etree.QName(header).namespace not in _UNDERSTOOD:
            name = etree.QName(header).localname
            raise Fault("MustUnderstand", reason=f"SOAP header blocks not understood: {name[:100]}")


def _addressing(headers: tuple[etree._Element, ...]) -> Addressing:
    texts = {str(header.tag): (header.text or "").strip() for header in headers}
    reply_to = next((header for header in headers if header.tag == f"{_WSA}ReplyTo"), None)
    return Addressing(
        action=texts.get(f"{_WSA}Action"),
        message_id=texts.get(f"{_WSA}MessageID"),
        reply_to=None if reply_to is None else (reply_to.findtext(f"{_WSA}Address") or "").strip(),
        to=texts.get(f"{_WSA}To"),
    )


def _envelope(addressing: Addressing, action: str) -> tuple[etree._Element, etree._Element]:
    envelope = etree.Element(f"{_ENV}Envelope", nsmap=_PREFIXES)
    if addressing.used:
        header = etree.SubElement(envelope, f"{_ENV}Header")
        etree.SubElement(header, f"{_WSA}Action").text = action
        if addressing.message_id:
            etree.SubElement(header, f"{_WSA}RelatesTo").text = addressing.message_id
        etree.SubElement(header, f"{_WSA}To").text = f"{ADDRESSING}/anonymous"
    return envelope, etree.SubElement(envelope, f"{_ENV}Body")


def _serialized(envelope: etree._Element) -> bytes:
    etree.cleanup_namespaces(envelope, keep_ns_prefixes=_KEPT)
    return etree.tostring(envelope, encoding="UTF-8", xml_declaration=True)


def _printable(text: str) -> str:
    """Without the characters that XML cannot carry."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
