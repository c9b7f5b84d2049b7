"""Notifications to consumers, by HTTP: WS-BaseNotification's Notify."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from lxml import etree
from yarl import URL

from manycast.onvif.events.destinations import Destinations, ForbiddenDestination, is_address
from manycast.onvif.events.lookup import Lookup
from manycast.onvif.events.message import EventMessage
from manycast.onvif.events.notification import NOTIFY_ACTION, notification, notify_message
from manycast.onvif.events.subscription import Subscription

MAX_BATCH = 50  # messages in one Notify
TIMEOUT_S = 10.0  # for a consumer to take a Notify
FIRST_RETRY_S = 1.0  # doubling
LAST_RETRY_S = 30.0
MAX_ADDRESS = 2048  # characters
MAX_PARAMETERS_BYTES = 8 * 1024  # they are kept, and sent with each Notify

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConsumerReference:
    """A wsa:EndpointReference: where notifications go."""

    address: str
    parameters: tuple[etree._Element, ...] = ()

    def check(self) -> None:
        """Raise ValueError unless it is an address that HTTP can send to, with parameters of a bearable size."""
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname or len(self.address) > MAX_ADDRESS:
            raise ValueError(f"notifications cannot be sent to {self.address[:200]!r}")
        if parts.port == 0:
            raise ValueError("port 0")
        URL(self.address)
        if sum(len(etree.tostring(each)) for each in self.parameters) > MAX_PARAMETERS_BYTES:
            raise ValueError(f"reference parameters of more than {MAX_PARAMETERS_BYTES} bytes")


class Consumers:
    """The HTTP client that all subscriptions of a device push with; made when the first one does."""

    def __init__(self) -> None:
        self.lookup = Lookup()
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                connector=aiohttp.TCPConnector(limit_per_host=8),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class Pusher:
    """The outlet of a subscription whose messages are sent to a consumer.

    A consumer that cannot be reached, or that is at fault itself (5xx), is tried again for as long as the subscription
    lives. What it refuses (4xx) is not sent again.
    """

    def __init__(
        self,
        subscription: Subscription,
        consumer: ConsumerReference,
        consumers: Consumers,
        destinations: Destinations,
    ) -> None:
        self._subscription = subscription
        self._consumer = consumer
        self._consumers = consumers
        self._destinations = destinations
        self._told = ""  # what was said last of it
        self._name = _without_secrets(consumer.address)
        self._due = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"push to {self._name}")

    def wake(self) -> None:
        self._due.set()

    def close(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while messages := self._subscription.take(MAX_BATCH):
                await self._deliver(messages)

    async def _deliver(self, messages: Sequence[EventMessage]) -> None:
        consumer = self._consumer
        identifier = f"urn:uuid:{uuid.uuid4()}"  # the same when it is sent again
        data = notify_message(consumer.address, consumer.parameters, identifier, map(notification, messages))
        pause_s = FIRST_RETRY_S
        while not await self._sent(data):
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LAST_RETRY_S)

    async def _sent(self, data: bytes) -> bool:
        """Whether that is done with, taken or refused."""
        name = self._name
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._status(data)
        except ForbiddenDestination as error:
            self._tell(f"notifications to {name} are not sent (push_to): {error}")
            return False
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no name that can be looked up
            log.debug("notifications to %s: %s", name, error or type(error).__name__)
            return False
        if status >= 500:
            log.debug("notifications to %s: HTTP %d", name, status)
            return False
        if status >= 300:
            self._tell(f"notifications to {name} are refused: HTTP {status}")
        return True

    def _tell(self, text: str) -> None:
        """Once, until something else is to be told."""
        if text != self._told:
            self._told = text
            log.warning("%s", text)

    async def _status(self, data: bytes) -> int:
        """What the consumer answers: the first of its addresses that takes a connection.

        Raises ForbiddenDestination when all of them are, OSError, aiohttp.ClientError.
        """
        found = await self._addresses()
        for number, address in enumerate(found, 1):
            try:
                return await self._post(address, data)
            except aiohttp.ClientConnectionError:
                if number == len(found):
                    raise
        raise OSError("the name has no address")

    async def _addresses(self) -> list[str]:
        """Looked up and checked each time: a name may stand for another address by now. Raises as `_status`."""
        host = urlsplit(self._consumer.address).hostname or ""
        known = [host] if is_address(host) else await self._consumers.lookup.find(host, self._subscription.owner)
        allowed, refusals = [], []
        for address in known:
            try:
                self._destinations.check(address)
                allowed.append(address)
            except ForbiddenDestination as error:
                refusals.append(error)
        if refusals and not allowed:
            raise refusals[0]
        return allowed

    async def _post(self, address: str, data: bytes) -> int:
        """To the address that was checked, whatever its name stands for a moment later."""
        url = URL(self._consumer.address)
        headers = {
            "Content-Type": f'application/soap+xml; charset=utf-8; action="{NOTIFY_ACTION}"',
            "Host": url.authority.rpartition("@")[2],
        }
        by_name = url.host if url.scheme == "https" and not is_address(url.host or "") else None
        session = self._consumers.session()
        async with session.post(
            url.with_host(address), data=data, headers=headers, allow_redirects=False, server_hostname=by_name
        ) as response:
            return response.status


def _without_secrets(address: str) -> str:
    """Where a consumer is, for the log: neither its login nor its query, in which there may be anything."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
