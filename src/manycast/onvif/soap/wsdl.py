"""What a WSDL file says of its operations (WSDL 1.1), read without the types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_ACTION_ATTRIBUTES = (
    "{http://www.w3.org/2006/05/addressing/wsdl}Action",
    "{http://www.w3.org/2007/05/addressing/metadata}Action",
)
_REQUEST = "Request"


@dataclass(frozen=True, slots=True)
class OperationDescription:
    """One operation. Names of elements are as lxml writes them."""

    name: str
    port_type: str
    request: str  # the element in the body of the request
    response: str | None  # likewise of the reply; None: there is none
    request_action: str  # of WS-Addressing
    response_action: str


def read_operations(file: Path) -> list[OperationDescription]:
    """The operations of all bindings of a WSDL, in its order. What several port types have comes several times.

    Raises KeyError for a WSDL that names what is not in it.
    """
    documents = list(_documents(file, set()))
    messages: dict[str, str] = {}
    port_types: dict[str, etree._Element] = {}
    for root in documents:
        namespace = root.get("targetNamespace", "")
        for message in root.iterfind(f"{_WSDL}message"):
            part = message.find(f"{_WSDL}part")
            if part is not None and part.get("element"):
                messages[f"{{{namespace}}}{message.get('name')}"] = _qualified(part, part.get("element", ""))
        for port_type in root.iterfind(f"{_WSDL}portType"):
            port_types[f"{{{namespace}}}{port_type.get('name')}"] = port_type
    found: list[OperationDescription] = []
    for binding in documents[0].iterfind(f"{_WSDL}binding"):
        port_type = port_types[_qualified(binding, binding.get("type", ""))]
        soap_actions = _soap_actions(binding)
        found += [_operation(element, messages, soap_actions) for element in port_type.iterfind(f"{_WSDL}operation")]
    return found


def _soap_actions(binding: etree._Element) -> dict[str, str]:
    """The actions of a binding that name the message. (Others name the operation: they are those of SOAP 1.1.)"""
    found: dict[str, str] = {}
    for operation in binding.iterfind(f"{_WSDL}operation"):
        action = next((str(each.get("soapAction")) for each in operation if each.get("soapAction")), "")
        if action.endswith(_REQUEST):
            found[operation.get("name", "")] = action.removesuffix(_REQUEST)
    return found


def _documents(file: Path, seen: set[Path]) -> Iterator[etree._Element]:
    seen.add(file)
    root = etree.parse(file).getroot()
    yield root
    for wanted in root.iterfind(f"{_WSDL}import"):
        imported = (file.parent / wanted.get("location", "")).resolve()
        if imported not in seen:
            yield from _documents(imported, seen)


def _operation(element: etree._Element, messages: dict[str, str], soap_actions: dict[str, str]) -> OperationDescription:
    name = element.get("name", "")
    soap_action = soap_actions.get(name, "")
    request = element.find(f"{_WSDL}input")
    assert request is not None
    response = element.find(f"{_WSDL}output")
    port_type = element.getparent()
    assert port_type is not None
    return OperationDescription(
        name=name,
        port_type=port_type.get("name", ""),
        request=messages[_qualified(request, request.get("message", ""))],
        response=None if response is None else messages[_qualified(response, response.get("message", ""))],
        request_action=_action(element, request, name, soap_action and f"{soap_action}{_REQUEST}"),
        response_action=""
        if response is None
        else _action(element, response, f"{name}Response", soap_action and f"{soap_action}Response"),
    )


def _action(operation: etree._Element, message: etree._Element, name: str, soap_action: str) -> str:
    """The action written down, or the one WS-Addressing Metadata derives (section 4.4.4)."""
    for attribute in _ACTION_ATTRIBUTES:
        if action := message.get(attribute):
            return action
    if soap_action:
        return soap_action
    port_type = operation.getparent()
    assert port_type is not None
    definitions = port_type.getparent()
    assert definitions is not None
    namespace = definitions.get("targetNamespace", "").rstrip("/")
    return f"{namespace}/{port_type.get('name')}/{message.get('name', name)}"


def _qualified(element: etree._Element, name: str) -> str:
    prefix, colon, local = name.rpartition(":")
    return f"{{{element.nsmap[prefix if colon else None]}}}{local}"
