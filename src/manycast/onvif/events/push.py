"""Notifications to consumers, by HTTP: WS-BaseNotification's Notify."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from lxml import etree

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
        if sum(len(etree.tostring(each)) for each in self.parameters) > MAX_PARAMETERS_BYTES:
            raise ValueError(f"reference parameters of more than {MAX_PARAMETERS_BYTES} bytes")


class Consumers:
    """The HTTP client that all subscriptions of a device push with; made when the first one does."""

    def __init__(self) -> None:
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

    def __init__(self, subscription: Subscription, consumer: ConsumerReference, consumers: Consumers) -> None:
        self._subscription = subscription
        self._consumer = consumer
        self._consumers = consumers
        self._due = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"push to {consumer.address}")

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
        headers = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{NOTIFY_ACTION}"'}
        address = self._consumer.address
        try:
            session = self._consumers.session()
            async with session.post(address, data=data, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no name that can be looked up
            log.debug("notifications to %s: %s", address, error or type(error).__name__)
            return False
        if status >= 500:
            log.debug("notifications to %s: HTTP %d", address, status)
            return False
        if status >= 300:
            log.warning("notifications to %s are refused: HTTP %d", address, status)
        return True
