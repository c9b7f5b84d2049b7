"""The operations of a device, found by what stands in the body of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lxml import etree

from manycast.onvif.security.access import Access
from manycast.onvif.soap.contract import Contract, contract
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import Handler, Service, snake_case
from manycast.onvif.soap.wsdl import OperationDescription

_ONVIF = "http://www.onvif.org/"


@dataclass(frozen=True, slots=True)
class Operation:
    contract: Contract
    description: OperationDescription
    access: Access
    handler: Handler


class Operations:
    """The operations of some services. Making it reads what is in their WSDLs, which takes some milliseconds."""

    def __init__(self, services: Iterable[Service]) -> None:
        found: dict[str, Operation] = {}
        self._known: set[str] = set()
        for service in services:
            read = contract(service.description.prefix)
            self._known |= read.operations.keys()
            handlers = service.handlers()
            for described in read.operations.values():
                if handler := handlers.get(snake_case(described.name)):
                    found[described.request] = Operation(read, described, *handler)
        self.implemented: Mapping[str, Operation] = found  # by the request's element

    def find(self, body: etree._Element) -> Operation:
        """Raises Fault for what is not implemented, or no operation at all."""
        operation = self.implemented.get(str(body.tag))
        if operation is not None:
            return operation
        name = etree.QName(body)
        if (name.namespace or "").startswith(_ONVIF) or str(body.tag) in self._known:
            raise Fault.receiver("ter:ActionNotSupported")
        raise Fault.sender("ter:UnknownAction", reason=f"Unknown Action: {name.localname[:100]}")
