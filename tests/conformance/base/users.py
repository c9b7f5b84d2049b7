"""Security: users and the remote user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from conformance.base.features import REMOTE_USER, SPECIFICATION, USERS, capability
from conformance.base.requests import ask, boolean, refused, value
from conformance.client import NAMESPACES, SoapFault
from conformance.device import Device
from conformance.frame import require

ONE, TWO, THREE, FOUR, FIVE = (f"OnvifTest{number}" for number in range(1, 6))
PASSWORD, OTHER_PASSWORD = "OnvifTest123", "OnvifTest321"

Account = tuple[str, str]  # name and level


class TooManyUsers(Exception):
    """The device has no room for one more, which passes."""


def _users(device: Device) -> dict[str, str]:
    reply = ask(device, "<tds:GetUsers/>")
    return {value(each, "tt:Username") or "": value(each, "tt:UserLevel") or "" for each in reply.all("tds:User")}


def _written(accounts: tuple[Account, ...], passwords: str = PASSWORD) -> str:
    return "".join(
        f"<tds:User><tt:Username>{name}</tt:Username><tt:Password>{passwords}</tt:Password>"
        f"<tt:UserLevel>{level}</tt:UserLevel></tds:User>"
        for name, level in accounts
    )


def _create(*accounts: Account) -> str:
    return f"<tds:CreateUsers>{_written(accounts)}</tds:CreateUsers>"


def _set(*accounts: Account, password: str = PASSWORD) -> str:
    return f"<tds:SetUser>{_written(accounts, password)}</tds:SetUser>"


def _delete(*names: str) -> str:
    listed = "".join(f"<tds:Username>{name}</tds:Username>" for name in names)
    return f"<tds:DeleteUsers>{listed}</tds:DeleteUsers>"


def _created(device: Device, *accounts: Account) -> None:
    """Create accounts, and require that they are told. Raises TooManyUsers where the capabilities allow that."""
    count = len(_users(device))
    try:
        ask(device, _create(*accounts))
    except SoapFault as fault:
        if not fault.says("TooManyUsers"):
            raise
        most = capability(device, "Security", "MaxUsers")
        require(most is None or int(most) < count + len(accounts), f"TooManyUsers at {count}, MaxUsers is {most}")
        raise TooManyUsers from fault
    _require(device, *accounts)


def _require(device: Device, *accounts: Account) -> None:
    found = _users(device)
    for name, level in accounts:
        require(found.get(name) == level, f"{name} is {found.get(name)}, not {level}")


@contextmanager
def _cleaning(device: Device) -> Iterator[None]:
    """Delete what is left of a case."""
    try:
        yield
    except TooManyUsers:
        pass
    finally:
        left = [name for name in _users(device) if name in (ONE, TWO, THREE, FOUR, FIVE)]
        if left:
            ask(device, _delete(*left))


@SPECIFICATION.case("DEVICE-4-1-1", "SECURITY COMMAND GETUSERS", USERS)
def get_users(device: Device) -> None:
    _users(device)


@SPECIFICATION.case("DEVICE-4-1-3", "SECURITY COMMAND CREATEUSERS ERROR CASE", USERS)
def create_user_twice(device: Device) -> None:
    with _cleaning(device):
        _created(device, (ONE, "Operator"))
        refused(device, _create((ONE, "User")), "OperationProhibited", "UsernameClash")
        refused(device, _create((FOUR, "Operator"), (ONE, "User")), "OperationProhibited", "UsernameClash")
        _require(device, (ONE, "Operator"))
        require(FOUR not in _users(device), f"{FOUR} was created, beside one that was refused")


@SPECIFICATION.case("DEVICE-4-1-4", "SECURITY COMMAND DELETEUSERS", USERS)
def delete_users(device: Device) -> None:
    with _cleaning(device):
        _created(device, (ONE, "Operator"), (TWO, "Operator"), (THREE, "User"))
        ask(device, _delete(ONE))
        _require(device, (TWO, "Operator"), (THREE, "User"))
        require(ONE not in _users(device), f"{ONE} was deleted, and is there")
        ask(device, _delete(TWO, THREE))
        require(not {TWO, THREE} & _users(device).keys(), "users that were deleted are there")


@SPECIFICATION.case("DEVICE-4-1-5", "SECURITY COMMAND DELETEUSERS ERROR CASE", USERS)
def delete_nobody(device: Device) -> None:
    with _cleaning(device):
        _created(device, (ONE, "Operator"))
        refused(device, _delete(ONE, TWO), "InvalidArgVal", "UsernameMissing")
        _require(device, (ONE, "Operator"))
        ask(device, _delete(ONE))
        require(ONE not in _users(device), f"{ONE} was deleted, and is there")


@SPECIFICATION.case("DEVICE-4-1-6", "SECURITY COMMAND DELETEUSERS DELETE ALL USERS", USERS)
def delete_everybody(device: Device) -> None:
    """Who asks is left out: nobody could put that one back."""
    names = [name for name in _users(device) if name != device.user]
    for name in names:
        try:
            ask(device, _delete(name))
        except SoapFault as fault:
            require(fault.subcodes == ["InvalidArgVal", "FixedUser"], f"{fault}, not InvalidArgVal/FixedUser")
    if device.user:
        try:
            ask(device, _delete(device.user))
        except SoapFault as fault:
            require(fault.subcodes == ["InvalidArgVal", "FixedUser"], f"{fault}, not InvalidArgVal/FixedUser")
        else:
            ask(device, _create((device.user, "Administrator")).replace(PASSWORD, device.password))


@SPECIFICATION.case("DEVICE-4-1-7", "SECURITY COMMAND SETUSER", USERS)
def set_users(device: Device) -> None:
    with _cleaning(device):
        _created(device, (ONE, "Operator"), (TWO, "Operator"))
        ask(device, _set((ONE, "Operator"), password=OTHER_PASSWORD))
        _require(device, (ONE, "Operator"), (TWO, "Operator"))
        ask(device, _set((ONE, "Operator"), (TWO, "User")))
        _require(device, (ONE, "Operator"), (TWO, "User"))


@SPECIFICATION.case("DEVICE-4-1-8", "SECURITY COMMAND USER MANAGEMENT ERROR CASE", USERS)
def set_nobody(device: Device) -> None:
    with _cleaning(device):
        _created(device, (ONE, "Operator"))
        refused(device, _set((ONE, "User"), (FIVE, "User")), "InvalidArgVal", "UsernameMissing")
        _require(device, (ONE, "Operator"))


@SPECIFICATION.case("DEVICE-4-1-9", "SECURITY COMMAND CREATEUSERS", USERS)
def create_users(device: Device) -> None:
    with _cleaning(device):
        _created(device, (ONE, "Operator"))
        _created(device, (TWO, "User"))
        _require(device, (ONE, "Operator"), (TWO, "User"))
        ask(device, _delete(ONE, TWO))
        _created(device, (ONE, "Administrator"))


@SPECIFICATION.case("DEVICE-4-1-10", "GET REMOTE USER", REMOTE_USER)
def get_remote_user(device: Device) -> None:
    _remote_user(device)


def _remote_user(device: Device) -> tuple[str, bool] | None:
    """Name and whether the password is derived; it is never told."""
    found = ask(device, "<tds:GetRemoteUser/>").body.find("tds:RemoteUser", NAMESPACES)
    if found is None:
        return None
    require(value(found, "tt:Password") is None, "the remote user's password is told")
    return value(found, "tt:Username") or "", boolean(value(found, "tt:UseDerivedPassword"))


@SPECIFICATION.case("DEVICE-4-1-11", "SET REMOTE USER", REMOTE_USER)
def set_remote_user(device: Device) -> None:
    name = "ONVIFRemoteUser"
    for derived in (True, False):
        content = (
            f"<tt:Username>{name}</tt:Username><tt:Password>ONVIFRemotePassword</tt:Password>"
            f"<tt:UseDerivedPassword>{str(derived).lower()}</tt:UseDerivedPassword>"
        )
        ask(device, f"<tds:SetRemoteUser><tds:RemoteUser>{content}</tds:RemoteUser></tds:SetRemoteUser>")
        require(_remote_user(device) == (name, derived), f"{_remote_user(device)} is told, not {name}, {derived}")
    ask(device, "<tds:SetRemoteUser/>")
    require(_remote_user(device) is None, "the remote user was removed, and is told")
