"""What the implementations of services are made of."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from lxml import etree

from manycast.onvif.security.access import Access
from manycast.onvif.soap.catalogue import ServiceDescription
from manycast.onvif.state.users import UserLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks for an operation, and how they reached us."""

    user: str | None = None  # None: nobody said who they are
    level: UserLevel = UserLevel.ANONYMOUS
    base_url: str  # scheme, host and port as the client reached us, without a slash at the end
    path: str = ""  # of the address that the request was sent to, with its query
    address: str = ""  # of the client
    port: int = 0
    received: datetime = field(default_factory=lambda: datetime.now(UTC))
    headers: tuple[etree._Element, ...] = ()  # of the SOAP header; reference parameters are among them
    body: etree._Element  # the request as it came, for values that depend on its prefixes
    secure: bool = False  # through TLS


Reply = Mapping[str, Any] | etree._Element  # the response's content, or the whole response
Handler = Callable[[Any, Caller], Awaitable[Reply]]

Method = TypeVar("Method", bound=Callable[..., Awaitable[Reply]])

NOTHING: Reply = {}  # the reply of operations that have nothing to say


class Service:
    """Operations of one WSDL. Several objects may share a WSDL, a subject each.

    An operation is a method marked by `operation`, named like it in snake_case. It gets the request's element as zeep
    parses it, with the WSDL's names as attributes, and returns what the response's element holds as nested mappings
    and lists, or that element; it may raise Fault. Another exception is our own mistake.
    """

    description: ClassVar[ServiceDescription]

    def handlers(self) -> dict[str, tuple[Access, Handler]]:
        """The methods marked as operations, by their names in snake_case."""
        found: dict[str, tuple[Access, Handler]] = {}
        for name in dir(type(self)):
            access = getattr(getattr(type(self), name), "access", None)
            if isinstance(access, Access):
                found[name] = (access, getattr(self, name))
        return found

    async def capabilities(self, caller: Caller) -> Reply | None:
        """What GetServices says of this service besides its address; None: this object does not know."""
        return None

    def legacy_capabilities(self, caller: Caller) -> Reply | None:
        """What GetCapabilities says of it, where that operation knows of the service, with its XAddr; else None."""
        return None

    def start(self) -> None:
        """The device begins to run, in the event loop."""

    async def close(self) -> None:
        """The device ends."""


def operation(access: Access) -> Callable[[Method], Method]:
    """Mark a method as an operation of this access class."""

    def mark(method: Method) -> Method:
        method.access = access  # type: ignore[attr-defined]
        return method

    return mark


_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?![A-Z]s(?![a-z]))")  # OSDs is one word


def snake_case(operation_name: str) -> str:
    """`GetIPAddressFilter` is `get_ip_address_filter`."""
    return _WORDS.sub("_", operation_name).lower()
