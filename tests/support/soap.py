"""Asks an ONVIF device without a network, and takes no reply that its WSDL does not allow."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from manycast.onvif.onvif_device import Delivery, OnvifDevice
from manycast.onvif.security.username_token import digest
from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.names import (
    ADDRESSING,
    ENVELOPE,
    PREFIXES,
    SECURITY_EXTENSIONS,
    SECURITY_UTILITY,
    expanded,
)
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.store import StateStore
from manycast.onvif.state.users import User, UserLevel
from manycast.onvif.surroundings import Surroundings

PASSWORD_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_ENV = f"{{{ENVELOPE}}}"
_WSSE = f"{{{SECURITY_EXTENSIONS}}}"
_WSU = f"{{{SECURITY_UTILITY}}}"


class SoapFault(Exception):
    """A fault, as it was sent: `ter:InvalidArgVal/ter:NoScope`, and HTTP's status."""

    def __init__(self, fault: etree._Element, status: int) -> None:
        values = [value.text or "" for value in fault.iter(f"{_ENV}Value")]
        self.code = values[0].removeprefix("env:")
        self.subcodes = "/".join(values[1:])
        self.reason = fault.findtext(f".//{_ENV}Text") or ""
        self.status = status
        super().__init__(f"{self.code}/{self.subcodes}: {self.reason}")


def envelope(body: etree._Element, *headers: etree._Element) -> bytes:
    root = etree.Element(f"{_ENV}Envelope", nsmap=dict(PREFIXES))
    if headers:
        etree.SubElement(root, f"{_ENV}Header").extend(headers)
    etree.SubElement(root, f"{_ENV}Body").append(body)
    return etree.tostring(root)


def addressing_headers(action: str, message_id: str) -> tuple[etree._Element, etree._Element]:
    headers = []
    for name, text in (("Action", action), ("MessageID", message_id)):
        headers.append(etree.Element(f"{{{ADDRESSING}}}{name}"))
        headers[-1].text = text
    return headers[0], headers[1]


def username_token(
    user: str,
    password: str,
    *,
    nonce: bytes,
    created: datetime | None = None,
    kind: str | None = PASSWORD_DIGEST,
) -> etree._Element:
    """The header of WS-Security; `kind` None leaves the password's type out, with the password as it is."""
    written = (created or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    security = etree.Element(f"{_WSSE}Security")
    token = etree.SubElement(security, f"{_WSSE}UsernameToken")
    etree.SubElement(token, f"{_WSSE}Username").text = user
    secret = etree.SubElement(token, f"{_WSSE}Password")
    secret.text = digest(nonce, written, password) if kind == PASSWORD_DIGEST else password
    if kind is not None:
        secret.set("Type", kind)
    etree.SubElement(token, f"{_WSSE}Nonce").text = b64encode(nonce).decode()
    etree.SubElement(token, f"{_WSU}Created").text = written
    return security


def delivered(**changes: Any) -> Delivery:
    usual: dict[str, Any] = {
        "method": "POST",
        "target": "/onvif/device_service",
        "base_url": "http://192.0.2.7:8000",
        "authorization": None,
        "address": "192.0.2.1",
        "port": 40000,
        "secure": False,
        "connection": None,
    }
    return Delivery(**{**usual, **changes})


@dataclass
class AskedDevice:
    """A device, and somebody who asks it."""

    device: OnvifDevice
    user: tuple[str, str] | None = None  # name and password
    delivery: Delivery = field(default_factory=delivered)
    _asked: int = 0

    @property
    def state(self) -> DeviceState:
        return self.device.store.state

    def by(self, user: str, password: str) -> AskedDevice:
        """The same device, asked by somebody else."""
        return AskedDevice(self.device, (user, password), self.delivery)

    async def ask(self, name: str, **values: Any) -> Any:
        """Ask for an operation, `tds:GetUsers`; the reply as zeep has it. Raises SoapFault."""
        prefix, _, operation = name.partition(":")
        request = contract(prefix).rendered(expanded(name), values)
        return contract(prefix).parse(await self.ask_element(request, prefix, operation))

    async def ask_element(self, request: etree._Element, prefix: str, operation: str) -> etree._Element:
        headers = []
        if self.user is not None:
            self._asked += 1
            headers.append(username_token(*self.user, nonce=f"{self.user[0]} {id(self)} {self._asked}".encode()))
        answer = await self.device.answer(envelope(request, *headers), self.delivery)
        body = etree.fromstring(answer.body).find(f"{_ENV}Body")
        assert body is not None
        content = body[0]
        if content.tag == f"{_ENV}Fault":
            raise SoapFault(content, answer.status)
        assert answer.status == 200
        assert etree.QName(content).localname == f"{operation}Response"
        schema = contract(prefix).schema
        assert schema.validate(content), schema.error_log
        return content


async def asked_device(
    state: DeviceState | None = None, surroundings: Surroundings | None = None, *, login: bool = False
) -> AskedDevice:
    """A device to ask, with three users; with `login` it is asked by its administrator, who has to say so."""
    default = state or DeviceState()
    default.users = default.users or [
        User(username="admin", password="admin's", level=UserLevel.ADMINISTRATOR),
        User(username="operator", password="operator's", level=UserLevel.OPERATOR),
        User(username="user", password="user's", level=UserLevel.USER),
    ]
    default.server.need_auth = login
    device = OnvifDevice(StateStore(lambda: default.model_copy(deep=True)), surroundings)
    await device.load()
    await device.prepare()
    device.start()
    return AskedDevice(device, ("admin", "admin's") if login else None)
