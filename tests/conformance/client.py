"""A SOAP client that looks closely: logins, WS-Addressing, and the schema of every reply."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import requests
from lxml import etree
from requests.auth import HTTPDigestAuth

from manycast.onvif.soap.catalogue import SERVICES, wsdl_folder
from manycast.onvif.soap.names import PREFIXES
from manycast.onvif.soap.schema import read_schema

NAMESPACES: Mapping[str, str] = {
    **PREFIXES,
    "wsse": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
    "wsu": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd",
}
_TOKEN_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
_MESSAGE_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0"
_WSA = f"{{{NAMESPACES['wsa']}}}"

REPLY_S = 30.0  # how long a reply is waited for, unless the request itself waits


class BadReply(Exception):
    """A reply that is not what SOAP, HTTP or the schema allow."""


class SoapFault(Exception):
    """The device says that it did not do it."""

    def __init__(self, status: int, element: etree._Element, action: str) -> None:
        self.status = status  # of HTTP
        self.element = element
        self.action = action  # WS-Addressing's, "" if there is none
        self.code = _local(element.findtext("env:Code/env:Value", "", NAMESPACES))
        self.subcodes = [_local(str(value.text)) for value in element.iterfind(".//env:Subcode/env:Value", NAMESPACES)]
        self.reason = element.findtext("env:Reason/env:Text", "", NAMESPACES)
        detail = element.find("env:Detail", NAMESPACES)
        self.details = [] if detail is None else list(detail)
        names = [etree.QName(each).localname for each in self.details]
        super().__init__(f"fault {'/'.join((self.code, *self.subcodes, *names))}: {self.reason}")

    def says(self, *names: str) -> bool:
        """Whether one of these stands in its detail or its subcodes."""
        return any(etree.QName(each).localname in names for each in self.details) or any(
            subcode in names for subcode in self.subcodes
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A WS-Addressing endpoint reference."""

    address: str
    parameters: tuple[etree._Element, ...] = ()

    @classmethod
    def parse(cls, element: etree._Element) -> Endpoint:
        parameters = element.find("wsa:ReferenceParameters", NAMESPACES)
        return cls(
            element.findtext("wsa:Address", "", NAMESPACES).strip(), () if parameters is None else tuple(parameters)
        )


@dataclass(frozen=True, slots=True)
class Reply:
    body: etree._Element
    action: str  # WS-Addressing's, "" if there is none
    relates_to: str
    status: int  # of HTTP

    def text(self, path: str) -> str:
        """The text at a path; raises BadReply if nothing is there."""
        found = self.body.findtext(path, None, NAMESPACES)
        if found is None:
            raise BadReply(f"no {path} in {self.body.tag}")
        return found.strip()

    def all(self, path: str) -> list[etree._Element]:
        return self.body.findall(path, NAMESPACES)


def make(name: str, *content: etree._Element | str, **attributes: str) -> etree._Element:
    """An element by its name with a prefix out of NAMESPACES, with text or children."""
    element = etree.Element(qualified(name), attributes, nsmap=dict(NAMESPACES))
    for each in content:
        if isinstance(each, str):
            element.text = each
        else:
            element.append(each)
    return element


def qualified(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


class SoapClient:
    """Asks one device, as one user or as nobody."""

    def __init__(self, user: str = "", password: str = "", *, timeout_s: float = REPLY_S) -> None:
        self._user = user
        self._password = password
        self._timeout_s = timeout_s
        self.clock_offset = timedelta(0)  # the device's clock less ours

    def ask(
        self, to: Endpoint, body: etree._Element, action: str, *, waits_s: float = 0.0, login: bool = True
    ) -> Reply:
        """Send a request and give its reply, valid by the schema. Raises SoapFault, BadReply, OSError."""
        data = self.message(to, body, action, login=login)
        return self.send(to.address, data, action, waits_s=waits_s, login=login)

    def message(self, to: Endpoint, body: etree._Element, action: str, *, login: bool = True) -> bytes:
        header = make(
            "env:Header",
            make("wsa:Action", action),
            make("wsa:MessageID", f"urn:uuid:{uuid.uuid4()}"),
            make("wsa:ReplyTo", make("wsa:Address", f"{NAMESPACES['wsa']}/anonymous")),
            make("wsa:To", to.address),
        )
        for parameter in to.parameters:
            copy = etree.fromstring(etree.tostring(parameter))
            copy.set(f"{_WSA}IsReferenceParameter", "true")
            header.append(copy)
        if login and self._user:
            header.append(self._username_token())
        return etree.tostring(make("env:Envelope", header, make("env:Body", body)), encoding="UTF-8")

    def send(self, url: str, data: bytes, action: str, *, waits_s: float = 0.0, login: bool = True) -> Reply:
        """Post bytes as they are; the reply and errors are as with `ask`."""
        response = requests.post(
            url,
            data,
            headers={"Content-Type": f'application/soap+xml; charset=utf-8; action="{action}"'},
            auth=HTTPDigestAuth(self._user, self._password) if login and self._user else None,
            timeout=self._timeout_s + waits_s,
            verify=False,
        )
        return read_reply(response.status_code, response.content)

    def _username_token(self) -> etree._Element:
        nonce = os.urandom(16)
        created = (datetime.now(UTC) + self.clock_offset).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = hashlib.sha1(nonce + created.encode() + self._password.encode()).digest()
        return make(
            "wsse:Security",
            make(
                "wsse:UsernameToken",
                make("wsse:Username", self._user),
                make("wsse:Password", base64.b64encode(digest).decode(), Type=f"{_TOKEN_PROFILE}#PasswordDigest"),
                make("wsse:Nonce", base64.b64encode(nonce).decode(), EncodingType=f"{_MESSAGE_SECURITY}#Base64Binary"),
                make("wsu:Created", created),
            ),
        )


def read_reply(status: int, content: bytes) -> Reply:
    """What an HTTP response says. Raises SoapFault, BadReply."""
    try:
        root = etree.fromstring(content)
    except etree.XMLSyntaxError as error:
        raise BadReply(f"HTTP {status} with what is no XML: {content[:100]!r}") from error
    body = root.find("env:Body", NAMESPACES)
    if body is None or len(body) != 1:
        raise BadReply(f"HTTP {status} without a SOAP 1.2 body of one element")
    action = root.findtext("env:Header/wsa:Action", "", NAMESPACES).strip()
    if body[0].tag == qualified("env:Fault"):
        raise SoapFault(status, body[0], action)
    if status != 200:
        raise BadReply(f"HTTP {status} with {body[0].tag}")
    validate(body[0])
    return Reply(body[0], action, root.findtext("env:Header/wsa:RelatesTo", "", NAMESPACES).strip(), status)


def validate(element: etree._Element) -> None:
    """Raise BadReply unless the schema of its service allows an element."""
    prefix = _service_of(etree.QName(element).namespace or "")
    if prefix is None:
        return
    try:
        _schema(prefix).assertValid(element)
    except etree.DocumentInvalid as error:
        raise BadReply(f"against the schema: {error}") from error


@cache
def _schema(prefix: str) -> etree.XMLSchema:
    return read_schema(wsdl_folder(), SERVICES[prefix].wsdl)


@cache
def _service_of(namespace: str) -> str | None:
    if namespace == NAMESPACES["wsnt"]:
        return "tev"
    return next((prefix for prefix, service in SERVICES.items() if service.namespace == namespace), None)


def _local(name: str) -> str:
    return name.strip().rpartition(":")[2]
