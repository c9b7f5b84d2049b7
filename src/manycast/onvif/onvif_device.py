"""One ONVIF device: what it is set to, what happens on it, and its services."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta

from lxml import etree

from manycast.onvif.device.access_policy import AccessPolicy
from manycast.onvif.device.auxiliary import AuxiliaryCommands
from manycast.onvif.device.capabilities import Capabilities
from manycast.onvif.device.certificates import Certificates
from manycast.onvif.device.clock import DateAndTime
from manycast.onvif.device.device_clock import DeviceClock
from manycast.onvif.device.failed_logins import FailedLogins
from manycast.onvif.device.geo_location import GeoLocations
from manycast.onvif.device.hashing import Hashing
from manycast.onvif.device.history import OperatingHistory
from manycast.onvif.device.information import Information
from manycast.onvif.device.interfaces import Interfaces
from manycast.onvif.device.ip_filter import IpFilters
from manycast.onvif.device.maintenance import Maintenance
from manycast.onvif.device.naming import Naming
from manycast.onvif.device.password_policy import PasswordPolicies
from manycast.onvif.device.protocols import NetworkProtocols
from manycast.onvif.device.relay_outputs import RelayOutputs
from manycast.onvif.device.relays import InputsAndOutputs
from manycast.onvif.device.scopes import Scopes
from manycast.onvif.device.storage import StorageConfigurations
from manycast.onvif.device.users import Users
from manycast.onvif.device_io import DeviceIo
from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.event_service import EventService
from manycast.onvif.events.sources import EventSources
from manycast.onvif.log_memory import AccessLog
from manycast.onvif.security.access import DEFAULT_POLICY, Access, Policy, parse_policy
from manycast.onvif.security.login import Attempt, Login, LoginFailed
from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.envelope import (
    Addressing,
    Request,
    fault_reply,
    fault_reply_11,
    parse_request,
    reply,
    speaks_soap_11,
)
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.operations import Operation, Operations
from manycast.onvif.soap.service import Caller, Reply, Service
from manycast.onvif.state.store import StateStore
from manycast.onvif.state.users import UserLevel
from manycast.onvif.surroundings import Surroundings
from manycast.onvif.transfers import Transfers
from manycast.wire.digest import Algorithm

SOAP_TYPE = "application/soap+xml; charset=utf-8"  # of SOAP 1.2 (RFC 3902)
SOAP_11_TYPE = "text/xml; charset=utf-8"
NO_ADDRESSING = Addressing()
AT_ONCE_BYTES = 8 * 1024  # these take two milliseconds at most, most messages a tenth of that

_PARTS = (
    Capabilities,
    Information,
    DateAndTime,
    Users,
    PasswordPolicies,
    AccessPolicy,
    Hashing,
    Certificates,
    Scopes,
    Naming,
    Interfaces,
    NetworkProtocols,
    IpFilters,
    Maintenance,
    RelayOutputs,
    AuxiliaryCommands,
    GeoLocations,
    StorageConfigurations,
    DeviceIo,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a request came."""

    method: str
    target: str  # path and query
    base_url: str  # as the client reached us
    authorization: str | None
    address: str
    port: int
    secure: bool
    connection: object
    proven: set[str] = field(default_factory=set)  # the names of right logins on this connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back: HTTP's status, the message, and the challenges of a 401."""

    status: int
    body: bytes
    challenges: tuple[str, ...] = ()
    media_type: str = SOAP_TYPE


class NeedsLogin(Exception):
    """Nobody who may do it is named: HTTP's 401."""


class OnvifDevice:
    """State, events and services of one device. Several run in one process."""

    def __init__(self, store: StateStore, surroundings: Surroundings | None = None, *, name: str = "onvif") -> None:
        """`name` is what it is called in the log."""
        self.name = name
        self.store = store
        self.surroundings = surroundings or Surroundings()
        self.log = logging.getLogger(__name__)
        self.access_log = AccessLog()
        self.transfers = Transfers()
        self.answered = 0  # requests
        self.clock = DeviceClock(lambda: store.state.clock)
        self.started = self.clock.now()
        self.broker = EventBroker(self.clock.now)
        self.io = InputsAndOutputs(store, self.broker)
        self.history = OperatingHistory(store, self.broker, self.clock)
        self.failed_logins = FailedLogins(store, self.broker)
        self.login = Login(
            lambda: store.state.users,
            self.clock.now,
            lambda: [Algorithm(each.value) for each in store.state.hashing_algorithms],
            self._on_login_failure,
            self.surroundings.used_tokens,
        )
        if self.surroundings.used_tokens is not None:
            self.surroundings.used_tokens.join(self.clock.now)
        self.services: list[Service] = [part(self) for part in _PARTS]
        self.events = EventService(
            self.broker, lambda: store.state.events, self.clock.now, lambda: store.state.server.push_to, name
        )
        self.services += [self.events, self.events.manager]
        self._event_sources: EventSources | None = None
        self._operations: Operations | None = None
        self._policy: tuple[bytes | None, Policy] = (None, DEFAULT_POLICY)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def operations(self) -> Operations:
        """Those that are implemented, once they are loaded."""
        assert self._operations is not None
        return self._operations

    @property
    def policy(self) -> Policy:
        """What each level may do."""
        data = self.store.state.access_policy
        if self._policy[0] != data:
            self._policy = (data, DEFAULT_POLICY if data is None else parse_policy(data))
        return self._policy[1]

    def add(self, service: Service) -> None:
        """Have operations answered by this object. Before `load`."""
        self.services.append(service)

    async def load(self) -> None:
        """Read what the services can be asked, in a thread. The device answers from then on."""
        self._operations = await asyncio.to_thread(Operations, self.services)
        await contract("tds").prepare()

    async def prepare(self) -> None:
        """Read the types of all services, so that nobody has to wait for them later."""
        for prefix in self.prefixes():
            await contract(prefix).prepare()

    def start(self, ago_s: float = 0.0) -> None:
        """Begin to run: timers, events. For its clients it has been there for some time already."""
        self.started = self.clock.now() - timedelta(seconds=ago_s)
        self.io.start()
        self.history.start(self.started)
        for service in self.services:
            service.start()
        self._event_sources = EventSources(
            self.broker,
            self.store.state.events,
            self.clock.now,
            hub=self.surroundings.hub,
            shows=self.surroundings.shows,
            simulated=self.io.simulations(),
        )
        self._event_sources.start()

    async def close(self) -> None:
        """End what runs; `start` may follow."""
        self.io.stop()
        if self._event_sources is not None:
            self._event_sources.close()
        for service in self.services:
            await service.close()

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside the requests."""
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name} work")
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("%s: %s failed", self.name, task.get_name(), exc_info=error)

    def allows(self, level: UserLevel, access: Access) -> bool:
        return access in self.policy[level]

    def prefixes(self) -> list[str]:
        """Of the services there are, in the order of the catalogue."""
        there = {service.description.prefix for service in self.services}
        return [prefix for prefix in SERVICES if prefix in there]

    async def capabilities(self, prefix: str, caller: Caller) -> etree._Element | None:
        """A service's capabilities, as GetServices shows them."""
        for service in self.services:
            if service.description.prefix == prefix:
                values = await service.capabilities(caller)
                if isinstance(values, etree._Element):
                    return values
                if values is not None:
                    await contract(prefix).prepare()
                    return contract(prefix).rendered(f"{{{service.description.namespace}}}Capabilities", values)
        return None

    def legacy_capabilities(self, prefix: str, caller: Caller) -> Reply | None:
        """A service's capabilities, as GetCapabilities shows them."""
        for service in self.services:
            if service.description.prefix == prefix:
                values = service.legacy_capabilities(caller)
                if values is not None:
                    return values
        return None

    async def answer(self, data: bytes, delivery: Delivery) -> Answer:
        """Do what a message asks for. Raises TooManyAttempts, and nothing else for what a client sends."""
        addressing = NO_ADDRESSING
        self.answered += 1
        try:
            request = await _parsed(data)
            addressing = request.addressing
            large = len(data) > AT_ONCE_BYTES
            return Answer(status=200, body=await self._perform(request, delivery, large=large))
        except NeedsLogin:
            return self.challenge(addressing)
        except LoginFailed as failure:
            self._note(delivery, f"refused: {failure}")
            return self._refusal(failure, addressing)
        except Fault as fault:
            self._note(delivery, str(fault))
            if fault.code == "VersionMismatch" and speaks_soap_11(data):
                return Answer(status=fault.status, body=fault_reply_11(fault), media_type=SOAP_11_TYPE)
            return Answer(status=fault.status, body=fault_reply(fault, addressing))

    def challenge(self, addressing: Addressing = NO_ADDRESSING) -> Answer:
        """What is said to somebody who has to say who they are."""
        body = fault_reply(Fault.sender("ter:NotAuthorized"), addressing)
        return Answer(status=401, body=body, challenges=tuple(self.login.challenges()))

    def failed(self) -> Answer:
        """What is said when something went wrong that is our own mistake: nothing of the reason."""
        fault = Fault.receiver("ter:Action")
        return Answer(status=fault.status, body=fault_reply(fault, NO_ADDRESSING))

    async def authorize(
        self, access: Access, delivery: Delivery, security: etree._Element | None = None
    ) -> tuple[str | None, UserLevel]:
        """Who asks, if they may: name and level.

        Raises NeedsLogin, LoginFailed, TooManyAttempts, and Fault for one whose level is too low.
        """
        if not self.store.state.server.need_auth:
            return None, UserLevel.ADMINISTRATOR
        if access is Access.PRE_AUTH:
            return None, UserLevel.ANONYMOUS
        user = await self.login.identify(
            Attempt(
                method=delivery.method,
                target=delivery.target,
                authorization=delivery.authorization,
                security=security,
                address=delivery.address,
                secure=delivery.secure,
                connection=delivery.connection,
                proven=delivery.proven,
            )
        )
        if user is None:
            if self.allows(UserLevel.ANONYMOUS, access):
                return None, UserLevel.ANONYMOUS
            raise NeedsLogin
        if not self.allows(user.level, access):
            raise Fault.sender("ter:NotAuthorized")
        return user.username, user.level

    async def _perform(self, request: Request, delivery: Delivery, *, large: bool) -> bytes:
        operation = self.operations.find(request.body)
        user, level = await self.authorize(operation.access, delivery, request.security)
        caller = Caller(
            user=user,
            level=level,
            base_url=delivery.base_url,
            path=delivery.target,
            address=delivery.address,
            port=delivery.port,
            received=self.clock.now(),
            headers=request.headers,
            body=request.body,
            secure=delivery.secure,
        )
        await operation.contract.prepare()
        values = await operation.contract.parse_soon(request.body, large=large)
        result = await operation.handler(values, caller)
        self._note(delivery, f"{user or '-'} {operation.description.name}")
        return _written(operation, result, request.addressing)

    def _refusal(self, failure: LoginFailed, addressing: Addressing) -> Answer:
        body = fault_reply(Fault.sender("ter:NotAuthorized"), addressing)
        if not failure.http:
            return Answer(status=400, body=body)
        return Answer(status=401, body=body, challenges=tuple(self.login.challenges(stale=not failure.guess)))

    def _note(self, delivery: Delivery, what: str) -> None:
        self.access_log.note(f"{self.clock.now():%Y-%m-%dT%H:%M:%SZ} {delivery.address} {what}")
        self.log.debug("%s: %s %s", self.name, delivery.address, what)

    def _on_login_failure(self, user: str, address: str) -> None:
        self.log.warning("%s: wrong password for %r, from %s", self.name, user[:64], address)
        self.failed_logins.note(address)


async def _parsed(data: bytes) -> Request:
    """A large message is read in a thread, so that streams do not wait for it. Raises Fault."""
    return parse_request(data) if len(data) <= AT_ONCE_BYTES else await asyncio.to_thread(parse_request, data)


def _written(operation: Operation, result: Reply, addressing: Addressing) -> bytes:
    """The reply, as the WSDL has it."""
    description = operation.description
    response = description.response
    assert response is not None

    def append(body: etree._Element) -> None:
        if isinstance(result, etree._Element):
            body.append(result)
        else:
            operation.contract.render(body, response, result)

    action = operation.contract.response_actions.get(addressing.action or "", description.response_action)
    return reply(append, addressing, action)
