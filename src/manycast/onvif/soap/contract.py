"""One WSDL: what its operations are called, and how their messages are read and written."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import zeep.exceptions
from lxml import etree
from zeep.settings import Settings
from zeep.transports import Transport
from zeep.wsdl import Document

from manycast.onvif.soap.catalogue import SERVICES, ServiceDescription, wsdl_folder
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.names import PREFIXES
from manycast.onvif.soap.schema import local_file, move_wildcards_back, read_schema
from manycast.onvif.soap.wsdl import OperationDescription, read_operations

MAX_REASON_CHARS = 300

_NIL = f"{{{PREFIXES['xsi']}}}nil"

logging.getLogger("zeep").setLevel(logging.WARNING)  # else it tells of every message of a WSDL


class Contract:
    """The messages of one service, with the types of its WSDL.

    What its operations are is read at once; the types, which take a tenth of a second, when `prepare` is called.
    """

    def __init__(self, service: ServiceDescription) -> None:
        self.service = service
        described = read_operations(wsdl_folder() / service.wsdl)
        self.operations: Mapping[str, OperationDescription] = {each.request: each for each in reversed(described)}
        self.response_actions: Mapping[str, str] = {each.request_action: each.response_action for each in described}
        self._schema: etree.XMLSchema | None = None
        self._types: Any = None
        self._elements: dict[str, Any] = {}
        self._reading = threading.Lock()
        self._parsing = threading.Lock()  # the schema keeps what it complains of: it is for one thread at a time

    async def prepare(self) -> None:
        """Read the types, in a thread, unless they are there already."""
        if self._schema is None:
            await asyncio.to_thread(self.read)

    def read(self) -> None:
        """Read the types. It blocks."""
        with self._reading:
            if self._schema is not None:
                return
            folder = wsdl_folder()
            wsdl = self.service.wsdl
            transport: Any = _LocalFiles(folder)  # zeep's annotation asks for the class
            self._types = Document(str(folder / wsdl), transport, settings=Settings(strict=True)).types
            self._schema = read_schema(folder, wsdl)

    @property
    def schema(self) -> etree.XMLSchema:
        assert self._schema is not None, "the contract is not prepared"
        return self._schema

    def parse(self, element: etree._Element) -> Any:
        """The request in the body of a message, as zeep's value. Raises Fault for what the schema forbids."""
        if not self.schema.validate(element):
            raise Fault.sender("ter:InvalidArgs", reason=_complaint(self.schema.error_log))
        for leaf in element.iter(etree.Element):
            if leaf.text is None and not len(leaf):
                leaf.text = ""  # else zeep takes an empty text for none,
                if not leaf.attrib:
                    leaf.set(_NIL, "false")  # and an empty element, too
        try:
            with _unreadable.raised():
                return self._element(str(element.tag)).parse(element, self._types)
        except (zeep.exceptions.Error, ValueError, OverflowError) as error:  # times that Python does not know
            raise Fault.sender("ter:InvalidArgs", reason=str(error)[:MAX_REASON_CHARS]) from error

    async def parse_soon(self, element: etree._Element, *, large: bool) -> Any:
        """`parse`, of a large request in a thread, so that streams do not wait for it."""
        if not large and self._parsing.acquire(blocking=False):
            try:
                return self.parse(element)
            finally:
                self._parsing.release()
        return await asyncio.to_thread(self._parse_in_turn, element)

    def _parse_in_turn(self, element: etree._Element) -> Any:
        with self._parsing:
            return self.parse(element)

    def render(self, parent: etree._Element, name: str, values: Mapping[str, Any] | etree._Element) -> None:
        """Append the element of this name, with these values, to `parent`; or the element that `values` is already.

        Values that the WSDL does not know are our own mistake: TypeError or zeep's ValidationError.
        """
        if isinstance(values, etree._Element):
            parent.append(values)
            return
        element = self._element(name)
        element.render(parent, element(**values))

    def _element(self, name: str) -> Any:
        found = self._elements.get(name)
        if found is None:
            found = self._elements[name] = self._types.get_element(name)
        return found

    def rendered(self, name: str, values: Mapping[str, Any]) -> etree._Element:
        """The element by itself: what wildcards take."""
        parent = etree.Element("parent", nsmap=dict(PREFIXES))
        self.render(parent, name, values)
        return parent[0]


@cache
def contract(prefix: str) -> Contract:
    """The contract of a service, the same for the whole process."""
    return Contract(SERVICES[prefix])


class _Unreadable(logging.Filter):
    """Makes zeep raise for values that the schema allows and Python does not know, such as a time before Christ: zeep
    itself logs them and goes on without."""

    def __init__(self) -> None:
        super().__init__()
        self._here = threading.local()
        logging.getLogger("zeep.xsd.types.simple").addFilter(self)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """In this thread, while the block runs."""
        self._here.on = True
        try:
            yield
        finally:
            self._here.on = False

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(self._here, "on", False) and record.exc_info:
            raise ValueError(f"a value that cannot be read: {record.exc_info[1]}")
        return True


_unreadable = _Unreadable()


class _LocalFiles(Transport):
    """What zeep reads WSDLs and schemas with. It never goes to the network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._close_session = False  # what the base class looks at when it is deleted

    def load(self, url: str) -> bytes:
        root = etree.parse(local_file(self._folder, url)).getroot()
        move_wildcards_back(root)
        return etree.tostring(root)


def _complaint(errors: Any) -> str:
    """What the schema has against it, in words without namespaces; binary data, such as keys, is not repeated."""
    text = next((str(error.message) for error in errors), "")
    if text.endswith("'xs:base64Binary'."):
        return "what should be base64 is not"
    for prefix, namespace in PREFIXES.items():
        text = text.replace(f"{{{namespace}}}", f"{prefix}:")
    return text[:MAX_REASON_CHARS]
