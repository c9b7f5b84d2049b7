"""Relays, digital inputs and auxiliary commands."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from support.soap import AskedDevice, SoapFault, asked_device
from support.waiting import until

from manycast.onvif.device.auxiliary import COMMANDS
from manycast.onvif.device.relays import DIGITAL_INPUT, RELAY
from manycast.onvif.events.message import EventMessage
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.io import RelayMode, RelayOutput


def states(device: AskedDevice, topic: str = RELAY) -> list[str]:
    """What is told of a topic from now on."""
    heard: list[str] = []

    def hear(message: EventMessage) -> None:
        if message.topic == topic:
            heard.append(message.data["LogicalState"])

    device.device.broker.listen(hear)
    return heard


def settings(mode: str, delay: timedelta = timedelta(seconds=1), idle_state: str = "open") -> dict[str, Any]:
    return {"Mode": mode, "DelayTime": delay, "IdleState": idle_state}


async def test_a_bistable_relay_stays_as_it_is_put() -> None:
    device = await asked_device()
    heard = states(device)
    for state in ("active", "active", "inactive"):
        await device.ask("tds:SetRelayOutputState", RelayOutputToken="Relay1", LogicalState=state)
    assert heard == ["active", "inactive"]  # the same once more is no news
    assert device.state.relays[0].active is False


@pytest.mark.parametrize("by", ["tds", "tmd"])
async def test_a_monostable_relay_falls_back(by: str) -> None:
    device = await asked_device()
    heard = states(device)
    wanted = settings("Monostable", timedelta(seconds=0.2), "closed")
    if by == "tds":
        await device.ask("tds:SetRelayOutputSettings", RelayOutputToken="Relay1", Properties=wanted)
    else:
        await device.ask("tmd:SetRelayOutputSettings", RelayOutput={"token": "Relay1", "Properties": wanted})
    told = (await device.ask("tds:GetRelayOutputs")).RelayOutputs[0]
    assert {name: told.Properties[name] for name in wanted} == wanted
    await device.ask("tds:SetRelayOutputState", RelayOutputToken="Relay1", LogicalState="active")
    assert heard == ["active"]
    await until(lambda: heard == ["active", "inactive"], "the relay falls back")
    assert device.state.relays[0].active is False


async def test_a_trigger_begins_the_time_anew_and_switching_off_ends_it() -> None:
    device = await asked_device()
    device.device.io.configure("Relay1", RelayMode.MONOSTABLE, 60.0, device.state.relays[0].idle_state)
    device.device.io.switch("Relay1", True)
    device.device.io.switch("Relay1", True)
    timers = device.device.io._timers
    assert len(timers) == 1
    device.device.io.switch("Relay1", False)
    assert not timers


async def test_a_relay_that_was_active_when_the_device_stopped_has_fallen_back() -> None:
    relays = [
        RelayOutput(token="Relay1", mode=RelayMode.MONOSTABLE, active=True),
        RelayOutput(token="Relay2", active=True),
    ]
    device = await asked_device(DeviceState(relays=relays))
    assert [relay.active for relay in device.state.relays] == [False, True]
    told = {
        message.source["RelayToken"]: message.data["LogicalState"]
        for message in device.device.broker.properties()
        if message.topic == RELAY
    }
    assert told == {"Relay1": "inactive", "Relay2": "active"}


@pytest.mark.parametrize("delay", [timedelta(), timedelta(seconds=-1), timedelta(hours=2)])
async def test_a_monostable_relay_needs_a_delay(delay: timedelta) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:ModeError"):
        await device.ask(
            "tds:SetRelayOutputSettings", RelayOutputToken="Relay1", Properties=settings("Monostable", delay)
        )
    assert device.state.relays[0].mode is RelayMode.BISTABLE


async def test_the_delay_of_a_bistable_relay_does_not_matter() -> None:
    device = await asked_device()
    wanted = settings("Bistable", timedelta(seconds=-1))
    before = device.state.relays[0].delay_s
    await device.ask("tds:SetRelayOutputSettings", RelayOutputToken="Relay1", Properties=wanted)
    relay = device.state.relays[0]
    assert relay.mode is RelayMode.BISTABLE
    assert relay.delay_s == before


@pytest.mark.parametrize("token", ["", "Relay9"])
async def test_unknown_relays_are_refused(token: str) -> None:
    device = await asked_device()
    for name, values in (
        ("tds:SetRelayOutputState", {"RelayOutputToken": token, "LogicalState": "active"}),
        ("tds:SetRelayOutputSettings", {"RelayOutputToken": token, "Properties": settings("Bistable")}),
        ("tmd:GetRelayOutputOptions", {"RelayOutputToken": token}),
    ):
        with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:RelayToken"):
            await device.ask(name, **values)


async def test_options_of_relays_are_those_that_hold() -> None:
    device = await asked_device()
    options = (await device.ask("tmd:GetRelayOutputOptions")).RelayOutputOptions
    assert [each.token for each in options] == ["Relay1", "Relay2"]
    assert options[0].Mode == ["Monostable", "Bistable"]
    least, most = options[0].DelayTimes
    for delay in (least, most):
        wanted = settings("Monostable", timedelta(seconds=delay))
        await device.ask("tds:SetRelayOutputSettings", RelayOutputToken="Relay1", Properties=wanted)


async def test_digital_inputs_are_told_and_configured() -> None:
    device = await asked_device()
    heard = states(device, DIGITAL_INPUT)
    device.device.io.sense("Input1", True)
    assert heard == ["true"]
    await device.ask("tmd:SetDigitalInputConfigurations", DigitalInputs=[{"token": "Input1", "IdleState": "closed"}])
    told = (await device.ask("tmd:GetDigitalInputs")).DigitalInputs
    assert [(each.token, each.IdleState) for each in told] == [("Input1", "closed")]
    options = await device.ask("tmd:GetDigitalInputConfigurationOptions", Token="Input1")
    assert set(options.DigitalInputOptions.IdleState) == {"open", "closed"}
    with pytest.raises(SoapFault, match="ter:InvalidArgVal"):
        await device.ask("tmd:SetDigitalInputConfigurations", DigitalInputs=[{"token": "Input9"}])


async def test_what_deviceio_announces_is_there() -> None:
    device = await asked_device()
    capabilities = (await device.ask("tmd:GetServiceCapabilities")).Capabilities
    assert (capabilities.RelayOutputs, capabilities.DigitalInputs) == (2, 1)


@pytest.mark.parametrize("command", COMMANDS)
async def test_auxiliary_commands_are_done(command: str) -> None:
    device = await asked_device()
    reply = await device.ask("tds:SendAuxiliaryCommand", AuxiliaryCommand=command)
    assert reply.AuxiliaryCommandResponse == command
    kept = device.state.auxiliaries.model_dump().values()
    assert command.partition("|")[2] in kept


async def test_an_unknown_auxiliary_command_is_refused() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:AuxiliaryDataNotSupported"):
        await device.ask("tds:SendAuxiliaryCommand", AuxiliaryCommand="tt:Wiper|Auto")


async def test_timers_end_with_the_device() -> None:
    device = await asked_device()
    device.device.io.configure("Relay1", RelayMode.MONOSTABLE, 0.1, device.state.relays[0].idle_state)
    heard = states(device)
    device.device.io.switch("Relay1", True)
    await device.device.close()
    await asyncio.sleep(0.2)
    assert heard == ["active"]
