"""Rules for passwords, their history, and the warning of failed logins."""

from __future__ import annotations

from typing import Any

import pytest
from support.soap import AskedDevice, SoapFault, asked_device

from manycast.onvif.device.failed_logins import AUTH_FAILED
from manycast.onvif.device.users import MAX_PASSWORD_CHARS
from manycast.onvif.events.message import EventMessage
from manycast.onvif.state.limits import MAX_PASSWORD_HISTORY


async def set_password(device: AskedDevice, password: str) -> None:
    wanted = {"Username": "user", "Password": password, "UserLevel": "User"}
    await device.ask("tds:SetUser", User=[wanted])


@pytest.mark.parametrize(
    ("rule", "too_weak", "strong_enough"),
    [
        ({"MinLen": 8}, "1234567", "12345678"),
        ({"Uppercase": 2}, "Abc", "ABc"),
        ({"Number": 1}, "abc", "abc1"),
        ({"SpecialChars": 1}, "abc1", "abc1!"),
        ({"BlockUsernameOccurrence": True}, "myUSERname", "password"),
    ],
)
async def test_a_rule_holds_from_then_on(rule: dict[str, Any], too_weak: str, strong_enough: str) -> None:
    device = await asked_device()
    await device.ask("tds:SetPasswordComplexityConfiguration", **rule)
    kept = await device.ask("tds:GetPasswordComplexityConfiguration")
    assert {name: kept[name] for name in rule} == rule
    with pytest.raises(SoapFault, match="PasswordTooWeak"):
        await set_password(device, too_weak)
    await set_password(device, strong_enough)
    assert device.state.users[2].password == strong_enough


@pytest.mark.parametrize(
    "rule",
    [
        {"MinLen": 0},
        {"MinLen": MAX_PASSWORD_CHARS + 1},
        {"Number": -1},
        {"Uppercase": MAX_PASSWORD_CHARS, "Number": 1},
    ],
)
async def test_a_rule_that_no_password_could_meet_is_refused(rule: dict[str, int]) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="InvalidArgVal"):
        await device.ask("tds:SetPasswordComplexityConfiguration", **rule)


async def test_locked_policies_stay_until_a_factory_default() -> None:
    device = await asked_device()
    await device.ask("tds:SetPasswordComplexityConfiguration", MinLen=4, PolicyConfigurationLocked=True)
    with pytest.raises(SoapFault, match="OperationProhibited"):
        await device.ask("tds:SetPasswordComplexityConfiguration", MinLen=1)
    with pytest.raises(SoapFault, match="OperationProhibited"):
        await device.ask("tds:SetPasswordHistoryConfiguration", Enabled=True, Length=1)
    device.device.store.reset(hard=True)
    await device.ask("tds:SetPasswordComplexityConfiguration", MinLen=1)


async def test_latest_passwords_are_not_taken_again() -> None:
    device = await asked_device()
    await device.ask("tds:SetPasswordHistoryConfiguration", Enabled=True, Length=2)
    history = await device.ask("tds:GetPasswordHistoryConfiguration")
    assert (history.Enabled, history.Length) == (True, 2)
    await set_password(device, "first")
    await set_password(device, "second")
    for used in ("first", "second"):
        with pytest.raises(SoapFault, match="PasswordTooWeak"):
            await set_password(device, used)
    await set_password(device, "user's")


@pytest.mark.parametrize("length", [0, MAX_PASSWORD_HISTORY + 1])
async def test_a_history_has_a_length(length: int) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="InvalidArgVal"):
        await device.ask("tds:SetPasswordHistoryConfiguration", Enabled=True, Length=length)


async def test_more_failed_logins_than_allowed_are_told() -> None:
    device = await asked_device(login=True)
    await device.ask("tds:SetAuthFailureWarningConfiguration", Enabled=True, MonitorPeriod=3600, MaxAuthFailures=2)
    heard: list[EventMessage] = []
    device.device.broker.listen(lambda message: heard.append(message) if message.topic == AUTH_FAILED else None)
    guessing = device.by("admin", "guess")
    for _ in range(2):
        with pytest.raises(SoapFault, match="NotAuthorized"):
            await guessing.ask("tds:GetUsers")
    assert heard == []
    with pytest.raises(SoapFault, match="NotAuthorized"):
        await guessing.ask("tds:GetUsers")
    assert [message.data for message in heard] == [{"SourceIPv4": "192.0.2.1"}]


@pytest.mark.parametrize(("period", "failures"), [(0, 5), (3601, 5), (60, 0), (60, 1001)])
async def test_the_warning_has_bounds(period: int, failures: int) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="InvalidArgVal"):
        await device.ask(
            "tds:SetAuthFailureWarningConfiguration", Enabled=True, MonitorPeriod=period, MaxAuthFailures=failures
        )
    options = await device.ask("tds:GetAuthFailureWarningOptions")
    assert (options.MonitorPeriodRange.Max, options.AuthFailureRange.Max) == (3600, 1000)
