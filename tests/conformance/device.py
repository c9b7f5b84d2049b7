"""The device under test, and what it says of itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import urlsplit

from lxml import etree
from requests.auth import AuthBase, HTTPDigestAuth

from conformance.client import BadReply, Endpoint, Reply, SoapClient, SoapFault, make, qualified
from manycast.onvif.soap.catalogue import SERVICES, wsdl_folder
from manycast.onvif.soap.wsdl import OperationDescription, read_operations

REBOOT_BEGINS_S = 2.0  # from the reply to the end of service


@dataclass(frozen=True, slots=True)
class Timing:
    """What an operator would set in a test tool, in seconds."""

    operation_delay_s: float = 30.0  # the `timeout1` of the procedures
    reboot_s: float = 60.0  # within which a device that restarts answers again
    time_between_requests_s: float = 1.0  # how long a procedure pauses where it says to
    subscription_s: int = 20  # of a subscription whose end is waited for
    pull_s: float = 20.0  # of a pull that may bring nothing
    discovery_s: float = 5.0  # within which somebody who looks for devices is answered
    silence_s: float = 5.0  # how long no answer is waited for where none may come


class Device:
    """One device at the address of its device service. What it says of itself is asked once."""

    def __init__(self, url: str, user: str = "", password: str = "", timing: Timing | None = None) -> None:
        self.endpoint = Endpoint(url)
        self.user = user
        self.password = password
        self.timing = timing or Timing()
        self.client = SoapClient(user, password)

    @cached_property
    def services(self) -> dict[str, Endpoint]:
        """The addresses of its services, by prefix (`tds`, `tev`, ...)."""
        self.client.clock_offset = self.now() - datetime.now(UTC)
        body = make("tds:GetServices", make("tds:IncludeCapability", "false"))
        reply = self.client.ask(self.endpoint, body, _operation(body).request_action, login=False)
        known = {service.namespace: prefix for prefix, service in SERVICES.items()}
        found = {}
        for service in reply.all("tds:Service"):
            namespace = service.findtext(qualified("tds:Namespace"), "").strip()
            if namespace in known:
                found[known[namespace]] = Endpoint(service.findtext(qualified("tds:XAddr"), "").strip())
        return found

    @cached_property
    def scopes(self) -> list[str]:
        reply = self.ask(make("tds:GetScopes"))
        return [str(item.text).strip() for item in reply.all("tds:Scopes/tt:ScopeItem")]

    @cached_property
    def device_capabilities(self) -> etree._Element:
        """tds:Capabilities."""
        return self.ask(make("tds:GetServiceCapabilities")).all("tds:Capabilities")[0]

    @cached_property
    def event_capabilities(self) -> etree._Element:
        """tev:Capabilities."""
        return self.ask(make("tev:GetServiceCapabilities")).all("tev:Capabilities")[0]

    @cached_property
    def event_properties(self) -> Reply:
        """tev:GetEventPropertiesResponse."""
        return self.ask(make("tev:GetEventProperties"))

    def now(self) -> datetime:
        """The device's time."""
        body = make("tds:GetSystemDateAndTime")
        reply = self.client.ask(self.endpoint, body, _operation(body).request_action, login=False)

        def part(path: str) -> int:
            return int(reply.text(f"tds:SystemDateAndTime/tt:UTCDateTime/{path}"))

        date = (part("tt:Date/tt:Year"), part("tt:Date/tt:Month"), part("tt:Date/tt:Day"))
        clock = (part("tt:Time/tt:Hour"), part("tt:Time/tt:Minute"), part("tt:Time/tt:Second"))
        return datetime(*date, *clock, tzinfo=UTC)

    def ask(
        self, body: etree._Element, *, to: Endpoint | None = None, waits_s: float = 0.0, login: bool = True
    ) -> Reply:
        """Ask the service that a request belongs to, or the endpoint named. Raises SoapFault, BadReply, OSError."""
        operation = _operation(body)
        if to is None:
            prefix = _service(body)
            if prefix not in self.services:
                raise BadReply(f"the device names no address of the service {prefix!r}")
            to = self.services[prefix]
        return self.client.ask(to, body, operation.request_action, waits_s=waits_s, login=login)

    def action_of(self, body: etree._Element) -> str:
        """The WS-Addressing action of a request."""
        return _operation(body).request_action

    @property
    def http_login(self) -> AuthBase | None:
        """What `requests` logs in with."""
        return HTTPDigestAuth(self.user, self.password) if self.user else None

    def secure_address(self) -> str:
        """The address of the device service by HTTPS, at the port that GetNetworkProtocols tells."""
        protocols = self.ask(make("tds:GetNetworkProtocols")).all("tds:NetworkProtocols")
        ports = {each.findtext(qualified("tt:Name")): each.findtext(qualified("tt:Port")) for each in protocols}
        place = urlsplit(self.endpoint.address)
        host = f"[{place.hostname}]" if ":" in (place.hostname or "") else place.hostname
        return f"https://{host}:{ports['HTTPS']}{place.path}"

    def reboot(self) -> None:
        self.ask(make("tds:SystemReboot"))
        self.wait_until_back()

    def wait_until_back(self, longer_s: float = 0.0) -> None:
        """Wait while a device restarts, until it answers. Raises BadReply where that takes too long."""
        self.pause(REBOOT_BEGINS_S)
        deadline_s = time.monotonic() + self.timing.reboot_s + longer_s
        while True:
            try:
                self.client.clock_offset = self.now() - datetime.now(UTC)
                return
            except (BadReply, SoapFault, OSError) as error:
                if time.monotonic() > deadline_s:
                    raise BadReply(f"no answer after a restart: {error}") from error
            self.pause(1)

    def pause(self, seconds: float) -> None:
        """Wait, as a procedure says."""
        time.sleep(seconds)


def _service(body: etree._Element) -> str:
    namespace = etree.QName(body).namespace
    if namespace == "http://docs.oasis-open.org/wsn/b-2":
        return "tev"
    return next(prefix for prefix, service in SERVICES.items() if service.namespace == namespace)


def _operation(body: etree._Element) -> OperationDescription:
    return _operations(_service(body))[str(body.tag)]


_KNOWN: dict[str, dict[str, OperationDescription]] = {}


def _operations(prefix: str) -> dict[str, OperationDescription]:
    if prefix not in _KNOWN:
        described = read_operations(wsdl_folder() / SERVICES[prefix].wsdl)
        _KNOWN[prefix] = {each.request: each for each in reversed(described)}
    return _KNOWN[prefix]
