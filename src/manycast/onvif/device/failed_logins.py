"""Warns of many failed logins, if it is told to (ONVIF Core, section Security Policies)."""

from __future__ import annotations

import time
from collections import deque
from ipaddress import ip_address

from manycast.onvif import machine
from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.message import EventDescription
from manycast.onvif.state.store import StateStore

AUTH_FAILED = "tns1:Device/SecurityPolicy/AuthFailed"
MAX_REMEMBERED = 1001  # one more than the largest number that can be set


class FailedLogins:
    def __init__(self, store: StateStore, broker: EventBroker) -> None:
        self._store = store
        self._broker = broker
        self._moments_s: deque[float] = deque(maxlen=MAX_REMEMBERED)
        broker.declare(
            EventDescription(
                topic=AUTH_FAILED,
                source={"NetworkInterface": "tt:ReferenceToken"},
                data={"SourceIPv4": "tt:IPv4Address", "SourceIPv6": "tt:IPv6Address"},
            )
        )

    def note(self, address: str) -> None:
        """A login from this address has failed."""
        settings = self._store.state.password_policy.failure_warning
        now_s = time.monotonic()
        self._moments_s.append(now_s)
        if not settings.enabled:
            return
        count = sum(now_s - moment_s <= settings.monitor_period_s for moment_s in self._moments_s)
        if count > settings.max_auth_failures:
            version = ip_address(address.partition("%")[0]).version
            interface = machine.interfaces()[0].name
            self._broker.publish(AUTH_FAILED, {"NetworkInterface": interface}, {f"SourceIPv{version}": address})
