"""Relay outputs and digital inputs."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from manycast.onvif.state.base import Part, Token


class RelayMode(StrEnum):
    """tt:RelayMode."""

    MONOSTABLE = "Monostable"
    BISTABLE = "Bistable"


class IdleState(StrEnum):
    """tt:RelayIdleState and tt:DigitalIdleState."""

    OPEN = "open"
    CLOSED = "closed"


class RelayOutput(Part):
    token: Token
    mode: RelayMode = RelayMode.BISTABLE
    delay_s: float = Field(1.0, ge=0, le=3600)  # after which a monostable one falls back
    idle_state: IdleState = IdleState.OPEN
    active: bool = False


class DigitalInput(Part):
    token: Token
    idle_state: IdleState = IdleState.OPEN
    active: bool = False


class Switched(StrEnum):
    """What an auxiliary command sets."""

    ON = "On"
    OFF = "Off"
    AUTO = "Auto"


class Auxiliaries(Part):
    """Lamp, wiper and washer."""

    wiper: Switched = Switched.OFF
    washer: Switched = Switched.OFF
    washing_procedure: Switched = Switched.OFF
    ir_lamp: Switched = Switched.AUTO
