"""Relay outputs and digital inputs, as both the device service and DeviceIO show them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from manycast.onvif.device.arguments import invalid
from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.message import EventDescription
from manycast.onvif.state.io import DigitalInput, IdleState, RelayMode, RelayOutput
from manycast.onvif.state.store import StateStore

RELAY = "tns1:Device/Trigger/Relay"
DIGITAL_INPUT = "tns1:Device/Trigger/DigitalInput"
MIN_DELAY_S, MAX_DELAY_S = 0.1, 3600.0


class InputsAndOutputs:
    """The state of relays and inputs: kept, told as events, and let fall back where a relay is monostable."""

    def __init__(self, store: StateStore, broker: EventBroker) -> None:
        self._store = store
        self._broker = broker
        self._timers: dict[str, asyncio.TimerHandle] = {}
        broker.declare(
            EventDescription(
                topic=RELAY,
                is_property=True,
                source={"RelayToken": "tt:ReferenceToken"},
                data={"LogicalState": "tt:RelayLogicalState"},
            )
        )
        broker.declare(
            EventDescription(
                topic=DIGITAL_INPUT,
                is_property=True,
                source={"InputToken": "tt:ReferenceToken"},
                data={"LogicalState": "xs:boolean"},
            )
        )

    def start(self) -> None:
        """Tell the states. A monostable relay that was active when the device stopped has fallen back meanwhile."""
        for relay in self._store.state.relays:
            if relay.mode is RelayMode.MONOSTABLE:
                relay.active = False
            self._tell_relay(relay)
        for digital_input in self._store.state.digital_inputs:
            self._tell_input(digital_input)

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def relay(self, token: str) -> RelayOutput:
        """Raises Fault for an unknown one."""
        for relay in self._store.state.relays:
            if relay.token == token:
                return relay
        raise invalid("ter:RelayToken", f"no relay {token[:64]!r}")

    def configure(self, token: str, mode: RelayMode, delay_s: float | None, idle_state: IdleState) -> None:
        """Raises Fault. What the delay is does not matter to a bistable relay."""
        relay = self.relay(token)
        if mode is RelayMode.MONOSTABLE:
            if delay_s is None or not MIN_DELAY_S <= delay_s <= MAX_DELAY_S:
                raise invalid("ter:ModeError", f"a delay of {MIN_DELAY_S} to {MAX_DELAY_S} s is wanted")
            relay.delay_s = delay_s
        relay.mode = mode
        relay.idle_state = idle_state
        self._time(relay)
        self._store.save()

    def switch(self, token: str, active: bool) -> None:
        """Raises Fault for an unknown relay."""
        relay = self.relay(token)
        relay.active = active
        self._time(relay)
        self._tell_relay(relay)
        self._store.save()

    def sense(self, token: str, active: bool) -> None:
        """What a digital input reads. Raises KeyError for an unknown one."""
        for digital_input in self._store.state.digital_inputs:
            if digital_input.token == token:
                digital_input.active = active
                self._tell_input(digital_input)
                return
        raise KeyError(token)

    def simulations(self) -> list[Callable[[], None]]:
        """For each digital input, what makes it change."""

        def simulation(digital_input: DigitalInput) -> Callable[[], None]:
            return lambda: self.sense(digital_input.token, not digital_input.active)

        return [simulation(each) for each in self._store.state.digital_inputs]

    def _time(self, relay: RelayOutput) -> None:
        """Let it fall back when its time is over; each trigger begins anew."""
        timer = self._timers.pop(relay.token, None)
        if timer is not None:
            timer.cancel()
        if relay.active and relay.mode is RelayMode.MONOSTABLE:
            loop = asyncio.get_running_loop()
            self._timers[relay.token] = loop.call_later(relay.delay_s, self._fall_back, relay.token)

    def _fall_back(self, token: str) -> None:
        self._timers.pop(token, None)
        self.switch(token, False)

    def _tell_relay(self, relay: RelayOutput) -> None:
        state = "active" if relay.active else "inactive"
        self._broker.publish(RELAY, {"RelayToken": relay.token}, {"LogicalState": state})

    def _tell_input(self, digital_input: DigitalInput) -> None:
        self._broker.publish(DIGITAL_INPUT, {"InputToken": digital_input.token}, {"LogicalState": digital_input.active})
