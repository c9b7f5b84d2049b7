"""Users: the rules of ONVIF Core, section Security."""

from __future__ import annotations

from typing import Any

import pytest
from support.soap import AskedDevice, SoapFault, asked_device

from manycast.onvif.device.users import MAX_NAME_CHARS, MAX_PASSWORD_CHARS
from manycast.onvif.state.limits import MAX_USERS


def user(name: str = "new", password: str | None = "secret", level: str = "User") -> dict[str, Any]:
    return {"Username": name, "Password": password, "UserLevel": level}


async def names(device: AskedDevice) -> list[str]:
    return [each.Username for each in (await device.ask("tds:GetUsers")).User]


async def test_a_user_is_made_changed_and_deleted() -> None:
    device = await asked_device()
    await device.ask("tds:CreateUsers", User=[user(), user("other", level="Operator")])
    listed = (await device.ask("tds:GetUsers")).User
    assert {(each.Username, each.UserLevel) for each in listed} >= {("new", "User"), ("other", "Operator")}
    assert all(each.Password is None for each in listed)

    await device.ask("tds:SetUser", User=[user("new", "another", "Administrator")])
    changed = next(each for each in device.state.users if each.username == "new")
    assert (changed.password, changed.level) == ("another", "Administrator")

    await device.ask("tds:DeleteUsers", Username=["new", "other"])
    assert await names(device) == ["admin", "operator", "user"]


@pytest.mark.parametrize(
    ("wanted", "subcodes"),
    [
        (user("admin"), "ter:OperationProhibited/ter:UsernameClash"),
        (user("n" * (MAX_NAME_CHARS + 1)), "ter:OperationProhibited/ter:UsernameTooLong"),
        (user(" "), "ter:OperationProhibited/ter:UsernameTooShort"),
        (user(password="p" * (MAX_PASSWORD_CHARS + 1)), "ter:OperationProhibited/ter:PasswordTooLong"),
        (user(password=""), "ter:OperationProhibited/ter:PasswordTooWeak"),
        (user(password=None), "ter:OperationProhibited/ter:PasswordTooWeak"),
        (user(level="Anonymous"), "ter:OperationProhibited/ter:AnonymousNotAllowed"),
        (user(level="Extended"), "ter:InvalidArgVal"),
        (user(level="King"), "ter:InvalidArgs"),
    ],
)
async def test_a_user_who_cannot_be_is_refused_and_with_it_all_others(wanted: dict[str, Any], subcodes: str) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault) as caught:
        await device.ask("tds:CreateUsers", User=[user("first"), wanted])
    assert (caught.value.code, caught.value.subcodes, caught.value.status) == ("Sender", subcodes, 400)
    assert await names(device) == ["admin", "operator", "user"]


async def test_the_same_name_twice_in_a_request_is_a_clash() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="UsernameClash"):
        await device.ask("tds:CreateUsers", User=[user(), user()])


async def test_the_last_of_two_changes_of_a_user_holds() -> None:
    device = await asked_device()
    await device.ask("tds:SetUser", User=[user("user", "first"), user("user", "second", "Operator")])
    assert (device.state.users[2].password, device.state.users[2].level) == ("second", "Operator")


async def test_names_and_passwords_may_have_their_full_lengths() -> None:
    device = await asked_device()
    await device.ask("tds:CreateUsers", User=[user("n" * MAX_NAME_CHARS, "p" * MAX_PASSWORD_CHARS)])
    assert "n" * MAX_NAME_CHARS in await names(device)


async def test_far_too_many_users_are_refused_before_they_are_compared() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="TooManyUsers"):
        await device.ask("tds:CreateUsers", User=[user("admin")] * (MAX_USERS + 1))


async def test_there_are_as_many_users_as_announced_and_no_more() -> None:
    device = await asked_device()
    await device.ask("tds:CreateUsers", User=[user(f"user {number}") for number in range(MAX_USERS - 3)])
    with pytest.raises(SoapFault) as caught:
        await device.ask("tds:CreateUsers", User=[user()])
    assert (caught.value.code, caught.value.subcodes) == ("Receiver", "ter:Action/ter:TooManyUsers")


async def test_nobody_is_deleted_when_one_of_them_is_not_known() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="UsernameMissing"):
        await device.ask("tds:DeleteUsers", Username=["user", "nobody"])
    assert "user" in await names(device)


async def test_a_fixed_user_stays_as_it_is_and_with_it_all_others_of_the_request() -> None:
    device = await asked_device()
    device.state.users[2].fixed = True
    before = [each.model_copy() for each in device.state.users]
    with pytest.raises(SoapFault) as caught:
        await device.ask("tds:DeleteUsers", Username=["operator", "user"])
    assert (caught.value.code, caught.value.subcodes) == ("Sender", "ter:InvalidArgVal/ter:FixedUser")
    for wanted in (user("user", "changed", "Operator"), user("user", "changed"), user("user", None, "User")):
        with pytest.raises(SoapFault) as caught:
            await device.ask("tds:SetUser", User=[user("operator", "changed"), wanted])
        assert caught.value.subcodes == "ter:InvalidArgVal/ter:FixedUser"
    assert device.state.users == before
    with pytest.raises(SoapFault, match="UsernameClash"):
        await device.ask("tds:CreateUsers", User=[user("user")])


async def test_the_answer_of_a_fixed_user_does_not_tell_the_password() -> None:
    device = await asked_device()
    device.state.users[2].fixed = True
    for guess in ("user's", "another"):
        with pytest.raises(SoapFault, match="ter:FixedUser: 'user' keeps password and level"):
            await device.ask("tds:SetUser", User=[user("user", guess)])


async def test_a_fixed_user_cannot_change_the_own_password() -> None:
    device = await asked_device(login=True)
    device.state.users[2].fixed = True
    with pytest.raises(SoapFault, match="FixedUser"):
        await device.by("user", "user's").ask("tds:SetUser", User=[user("user", "mine")])
    assert device.state.users[2].password == "user's"


async def test_an_administrator_remains_where_a_login_is_asked_for() -> None:
    device = await asked_device(login=True)
    with pytest.raises(SoapFault, match="FixedUser"):
        await device.ask("tds:DeleteUsers", Username=["admin"])
    with pytest.raises(SoapFault, match="FixedUser"):
        await device.ask("tds:SetUser", User=[user("admin", "changed", "User")])
    assert device.state.users[0].password == "admin's"
    device.state.server.need_auth = False
    await device.ask("tds:DeleteUsers", Username=["admin"])


async def test_users_change_their_own_passwords_and_no_others() -> None:
    device = await asked_device(login=True)
    await device.by("user", "user's").ask("tds:SetUser", User=[user("user", "mine", "Administrator")])
    assert (device.state.users[2].password, device.state.users[2].level) == ("mine", "User")
    with pytest.raises(SoapFault, match="NotAuthorized"):
        await device.by("operator", "operator's").ask("tds:SetUser", User=[user("user", "theirs")])


async def test_the_remote_user_is_kept_and_its_password_is_not_told() -> None:
    device = await asked_device()
    assert (await device.ask("tds:GetRemoteUser")).RemoteUser is None
    wanted = {"Username": "far", "Password": "away", "UseDerivedPassword": False}
    await device.ask("tds:SetRemoteUser", RemoteUser=wanted)
    kept = (await device.ask("tds:GetRemoteUser")).RemoteUser
    assert (kept.Username, kept.Password) == ("far", None)
    assert device.state.remote_user is not None
    assert device.state.remote_user.password == "away"
    await device.ask("tds:SetRemoteUser")
    assert (await device.ask("tds:GetRemoteUser")).RemoteUser is None
