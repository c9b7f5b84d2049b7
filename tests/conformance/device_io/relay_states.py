"""Relay outputs: states, and the events that tell of them."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.base.requests import ask, xml
from conformance.device import Device
from conformance.device_io.features import PROFILE_T, RELAY_OPTIONS, RELAYS, SERVICE, SPECIFICATION
from conformance.device_io.relay_outputs import RELAY_TOPIC, delay_of, modes, options, put_back, relays, set_relay
from conformance.events.subscriptions import Message, pull_point, pulled
from conformance.frame import Failed, require

NEEDS = (SERVICE, RELAYS, PROFILE_T, RELAY_OPTIONS)
OTHER = {"active": "inactive", "inactive": "active"}
DELAY_S = 5.0


def _set_state(device: Device, token: str, state: str) -> None:
    content = f"<tds:RelayOutputToken>{token}</tds:RelayOutputToken><tds:LogicalState>{state}</tds:LogicalState>"
    device.ask(xml(f"<tds:SetRelayOutputState>{content}</tds:SetRelayOutputState>"), to=device.services["tmd"])


def _next_state(messages: Iterator[Message], token: str, operation: str) -> str:
    """Annex "Retrieve Relay Output Trigger Event by PullPoint"."""
    for message in messages:
        if message.items("Source").get("RelayToken") == token:
            require(message.operation == operation, f"{message.operation} is told, {operation} was to come")
            state = message.items("Data").get("LogicalState", "")
            require(state in OTHER, f"{state!r} is no state of a relay")
            return state
    raise Failed(f"{operation} was not told")


def _first_with(device: Device, mode: str) -> str:
    for token in relays(device):
        if mode in modes(options(device, token)):
            return token
    raise Failed(f"no relay output can be {mode}")


def _bistable(device: Device, idle: str) -> None:
    token = _first_with(device, "Bistable")
    old = relays(device)[token]
    try:
        with pull_point(device, RELAY_TOPIC) as made:
            messages = pulled(device, made)
            first = _next_state(messages, token, "Initialized")
            ask(device, set_relay(token, "Bistable", "PT1S", idle))
            for wanted in (OTHER[first], first):
                _set_state(device, token, wanted)
                found = _next_state(messages, token, "Changed")
                require(found == wanted, f"{wanted} was set, {found} is told")
    finally:
        put_back(device, old)


def _monostable(device: Device, idle: str) -> None:
    token = _first_with(device, "Monostable")
    old = relays(device)[token]
    delay = delay_of(options(device, token), DELAY_S)
    try:
        ask(device, set_relay(token, "Monostable", delay, idle))
        _set_state(device, token, "inactive")
        with pull_point(device, RELAY_TOPIC) as made:
            messages = pulled(device, made)
            found = _next_state(messages, token, "Initialized")
            require(found == "inactive", f"{found} is told of a relay that was set inactive")
            _set_state(device, token, "active")
            found = _next_state(messages, token, "Changed")
            require(found == "active", f"active was set, {found} is told")
            device.pause(float(delay[2:-1]))
            found = _next_state(messages, token, "Changed")
            require(found == "inactive", f"{found} is told, when its time was over")
    finally:
        put_back(device, old)


@SPECIFICATION.case("DEVICEIO-1-2-1", "IO SETRELAYOUTPUTSTATE - BISTABLE MODE (OPENED IDLE STATE)", *NEEDS)
def bistable_open(device: Device) -> None:
    _bistable(device, "open")


@SPECIFICATION.case("DEVICEIO-1-2-2", "IO SETRELAYOUTPUTSTATE - BISTABLE MODE (CLOSED IDLE STATE)", *NEEDS)
def bistable_closed(device: Device) -> None:
    _bistable(device, "closed")


@SPECIFICATION.case("DEVICEIO-1-2-3", "IO SETRELAYOUTPUTSTATE - MONOSTABLE MODE (OPENED IDLE STATE)", *NEEDS)
def monostable_open(device: Device) -> None:
    _monostable(device, "open")


@SPECIFICATION.case("DEVICEIO-1-2-4", "IO SETRELAYOUTPUTSTATE - MONOSTABLE MODE (CLOSED IDLE STATE)", *NEEDS)
def monostable_closed(device: Device) -> None:
    _monostable(device, "closed")
