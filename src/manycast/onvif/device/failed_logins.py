"""Tells of failed logins (ONVIF Core, section Security Policies)."""

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
QUIET_S = 10.0  # between two events, so that who guesses does not push all else out of the queues


class FailedLogins:
    """Where the warning is enabled, tells when more logins fail in its period than it allows; else of any."""

    def __init__(self, store: StateStore, broker: EventBroker) -> None:
        self._store = store
        self._broker = broker
        self._moments_s: deque[float] = deque(maxlen=MAX_REMEMBERED)
        self._told_s = float("-inf")
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
        count = sum(now_s - moment_s <= settings.monitor_period_s for moment_s in self._moments_s)
        if settings.enabled and count <= settings.max_auth_failures:
            return
        if now_s - self._told_s >= QUIET_S:
            self._told_s = now_s
            version = ip_address(address.partition("%")[0]).version
            interface = machine.interfaces()[0].name
            self._broker.publish(AUTH_FAILED, {"NetworkInterface": interface}, {f"SourceIPv{version}": address})
