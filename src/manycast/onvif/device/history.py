"""When the device was started, reset, set to another time, and saved: told as events (ONVIF Core, Operating Time)."""

from __future__ import annotations

from datetime import UTC, datetime

from manycast.onvif.device.device_clock import DeviceClock
from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.message import EventDescription
from manycast.onvif.state.store import StateStore

LAST_REBOOT = "tns1:Monitoring/OperatingTime/LastReboot"
LAST_RESET = "tns1:Monitoring/OperatingTime/LastReset"
LAST_CLOCK_SYNCHRONIZATION = "tns1:Monitoring/OperatingTime/LastClockSynchronization"
LAST_BACKUP = "tns1:Monitoring/Backup/Last"

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # as Core has it for what never occurred


class OperatingHistory:
    def __init__(self, store: StateStore, broker: EventBroker, clock: DeviceClock) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        for topic in (LAST_REBOOT, LAST_RESET, LAST_CLOCK_SYNCHRONIZATION, LAST_BACKUP):
            broker.declare(EventDescription(topic=topic, is_property=True, data={"Status": "xs:dateTime"}))

    def start(self, started: datetime) -> None:
        """Tell of the past; the device was started at this moment."""
        history = self._store.state.history
        self._tell(LAST_REBOOT, started)
        self._tell(LAST_RESET, history.last_reset)
        self._tell(LAST_CLOCK_SYNCHRONIZATION, history.last_clock_synchronization)
        self._tell(LAST_BACKUP, history.last_backup)

    def was_reset(self) -> None:
        self._store.state.history.last_reset = self._clock.now()
        self._store.save()

    def clock_was_set(self) -> None:
        self._store.state.history.last_clock_synchronization = now = self._clock.now()
        self._tell(LAST_CLOCK_SYNCHRONIZATION, now)
        self._store.save()

    def was_saved(self) -> None:
        self._store.state.history.last_backup = now = self._clock.now()
        self._tell(LAST_BACKUP, now)
        self._store.save()

    def _tell(self, topic: str, moment: datetime | None) -> None:
        written = (moment or _NEVER).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._broker.publish(topic, data={"Status": written})
