"""One ONVIF device: what it is set to, what happens on it, and its services."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from lxml import etree

from manycast.onvif.device.clock import DateAndTime
from manycast.onvif.device.device_clock import DeviceClock
from manycast.onvif.device.information import Information
from manycast.onvif.events.broker import EventBroker
from manycast.onvif.security.access import Access, allows
from manycast.onvif.security.login import Attempt, Login, LoginFailed
from manycast.onvif.soap.contract import Contract, contract
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
from manycast.onvif.soap.service import Caller, Handler, Service, snake_case
from manycast.onvif.soap.wsdl import OperationDescription
from manycast.onvif.state.store import StateStore
from manycast.onvif.state.users import UserLevel
from manycast.wire.digest import Algorithm

NO_ADDRESSING = Addressing()

_ONVIF = "http://www.onvif.org/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a message came."""

    method: str
    target: str  # path and query
    base_url: str  # as the client reached us
    authorization: str | None
    address: str
    port: int
    secure: bool
    connection: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back: HTTP's status, the message, and the challenges of a 401."""

    status: int
    body: bytes
    challenges: tuple[str, ...] = ()


class NeedsLogin(Exception):
    """Nobody who may do it is named: HTTP's 401."""


@dataclass(frozen=True, slots=True)
class _Operation:
    contract: Contract
    description: OperationDescription
    access: Access
    handler: Handler


class OnvifDevice:
    """State, events and services of one device. Several run in one process."""

    def __init__(self, store: StateStore, *, name: str = "onvif") -> None:
        """`name` is what it is called in the log."""
        self.name = name
        self.store = store
        self.clock = DeviceClock(lambda: store.state.clock)
        self.broker = EventBroker(self.clock.now)
        self.login = Login(
            lambda: store.state.users,
            self.clock.now,
            lambda: [Algorithm(each.value) for each in store.state.hashing_algorithms],
            self._on_login_failure,
        )
        self.log = logging.getLogger(__name__)
        self.services: list[Service] = []
        self._operations: dict[str, _Operation] = {}
        for service in (Information(self), DateAndTime(self)):
            self.add(service)

    def add(self, service: Service) -> None:
        """Have operations answered by this object, from `load` on."""
        self.services.append(service)

    async def load(self) -> None:
        """Read the WSDLs of the services, in a thread. The device answers from then on."""
        await asyncio.to_thread(self._load)

    def _load(self) -> None:
        operations: dict[str, _Operation] = {}
        for service in self.services:
            read = contract(service.description.prefix)
            handlers = service.handlers()
            for described in read.operations.values():
                if found := handlers.get(snake_case(described.name)):
                    operations[described.request] = _Operation(read, described, *found)
        self._operations = operations

    def operation_names(self) -> set[str]:
        """The request elements of the operations that are implemented."""
        return set(self._operations)

    async def answer(self, data: bytes, delivery: Delivery) -> Answer:
        """Do what a message asks for. Never raises for what a client sends."""
        addressing = NO_ADDRESSING
        try:
            request = parse_request(data)
            addressing = request.addressing
            return Answer(status=200, body=await self._perform(request, delivery))
        except NeedsLogin:
            return self.challenge(addressing)
        except LoginFailed as failure:
            self.log.info("%s: login of %s refused: %s", self.name, delivery.address, failure)
            fault = Fault.sender("ter:NotAuthorized")
            challenges = tuple(self.login.challenges(stale=not failure.guess)) if failure.http else ()
            return Answer(
                status=401 if failure.http else 400, body=fault_reply(fault, addressing), challenges=challenges
            )
        except Fault as fault:
            self.log.debug("%s: %s for %s", self.name, fault, delivery.address)
            if fault.code == "VersionMismatch" and speaks_soap_11(data):
                return Answer(status=fault.status, body=fault_reply_11(fault))
            return Answer(status=fault.status, body=fault_reply(fault, addressing))

    def challenge(self, addressing: Addressing = NO_ADDRESSING) -> Answer:
        """What is said to somebody who has to say who they are."""
        body = fault_reply(Fault.sender("ter:NotAuthorized"), addressing)
        return Answer(status=401, body=body, challenges=tuple(self.login.challenges()))

    def failed(self) -> Answer:
        """What is said when something went wrong that is our own mistake: nothing of the reason."""
        fault = Fault.receiver("ter:Action")
        return Answer(status=fault.status, body=fault_reply(fault, NO_ADDRESSING))

    async def _perform(self, request: Request, delivery: Delivery) -> bytes:
        operation = self._find(request.body)
        caller = await self._caller(operation.access, request, delivery)
        values = operation.contract.parse(request.body)
        description = operation.description
        self.log.debug("%s: %s for %s", self.name, description.name, delivery.address)
        result = await operation.handler(values, caller)
        response = description.response
        assert response is not None
        action = operation.contract.response_actions.get(request.addressing.action or "", description.response_action)
        return reply(lambda body: operation.contract.render(body, response, result), request.addressing, action)

    def _find(self, body: etree._Element) -> _Operation:
        operation = self._operations.get(str(body.tag))
        if operation is not None:
            return operation
        name = etree.QName(body)
        if (name.namespace or "").startswith(_ONVIF) or self._knows(str(body.tag)):
            raise Fault.receiver("ter:ActionNotSupported")
        raise Fault.sender("ter:UnknownAction", reason=f"Unknown Action: {name.localname[:100]}")

    def _knows(self, request: str) -> bool:
        prefixes = {service.description.prefix for service in self.services}
        return any(request in contract(prefix).operations for prefix in prefixes)

    async def _caller(self, access: Access, request: Request, delivery: Delivery) -> Caller:
        """Raises NeedsLogin, LoginFailed, TooManyAttempts, and Fault for one whose level is too low."""
        user, level = None, UserLevel.ANONYMOUS
        if not self.store.state.server.need_auth:
            level = UserLevel.ADMINISTRATOR
        elif access is not Access.PRE_AUTH:
            found = await self.login.identify(
                Attempt(
                    method=delivery.method,
                    target=delivery.target,
                    authorization=delivery.authorization,
                    security=request.security,
                    address=delivery.address,
                    secure=delivery.secure,
                    connection=delivery.connection,
                )
            )
            if found is None:
                raise NeedsLogin
            user, level = found.username, found.level
            if not allows(level, access):
                raise Fault.sender("ter:NotAuthorized")
        return Caller(
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

    def _on_login_failure(self, user: str, address: str) -> None:
        self.log.warning("%s: wrong password for %r, from %s", self.name, user[:64], address)
