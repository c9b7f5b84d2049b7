"""Logins: WS-UsernameToken and HTTP Digest."""

from __future__ import annotations

from collections.abc import Callable

import requests
from lxml import etree
from requests.auth import HTTPDigestAuth

from conformance.base.features import HTTP_DIGEST, SPECIFICATION, USERNAME_TOKEN
from conformance.base.requests import xml
from conformance.client import NAMESPACES, BadReply, SoapFault, read_reply
from conformance.device import Device
from conformance.frame import Failed, Feature, require

PASSWORD_TEXT = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"
LOGIN = Feature("a login, from an operator", lambda device: bool(device.user))


def _post(device: Device, data: bytes, *, digest: bool = False) -> requests.Response:
    return requests.post(
        device.services["tds"].address,
        data,
        headers={"Content-Type": "application/soap+xml; charset=utf-8"},
        auth=HTTPDigestAuth(device.user, device.password) if digest else None,
        timeout=30,
        verify=False,
    )


def _message(device: Device, *, login: bool) -> bytes:
    body = xml("<tds:GetUsers/>")
    return device.client.message(device.services["tds"], body, device.action_of(body), login=login)


def _remove(name: str) -> Callable[[etree._Element], None]:
    def change(token: etree._Element) -> None:
        (element,) = token.findall(name, NAMESPACES)
        token.remove(element)

    return change


def _other_type(token: etree._Element) -> None:
    (password,) = token.findall("wsse:Password", NAMESPACES)
    password.set("Type", PASSWORD_TEXT)


@SPECIFICATION.case("SECURITY-1-1-1", "USER TOKEN PROFILE", USERNAME_TOKEN, LOGIN)
def user_token(device: Device) -> None:
    for what, change in (
        ("without a nonce", _remove("wsse:Nonce")),
        ("without a time", _remove("wsu:Created")),
        ("with another type of password", _other_type),
    ):
        root = etree.fromstring(_message(device, login=True))
        (token,) = root.findall(".//wsse:UsernameToken", NAMESPACES)
        change(token)
        response = _post(device, etree.tostring(root))
        try:
            read_reply(response.status_code, response.content)
        except (SoapFault, BadReply):
            continue
        raise Failed(f"a token {what} is accepted")
    response = _post(device, _message(device, login=True))
    read_reply(response.status_code, response.content)


@SPECIFICATION.case("SECURITY-1-1-2", "DIGEST AUTHENTICATION", HTTP_DIGEST, LOGIN)
def http_digest(device: Device) -> None:
    data = _message(device, login=False)
    response = _post(device, data)
    require(response.status_code == 401, f"HTTP {response.status_code} without a login, not 401")
    challenge = response.headers.get("WWW-Authenticate", "")
    for part in ("Digest", "realm=", "nonce="):
        require(part in challenge, f"no {part} in the challenge {challenge!r}")
    response = _post(device, data, digest=True)
    read_reply(response.status_code, response.content)
