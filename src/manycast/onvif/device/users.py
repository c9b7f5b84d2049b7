"""The users, and the one as whom the device logs in elsewhere."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.arguments import invalid
from manycast.onvif.device.part import DevicePart
from manycast.onvif.device.password_rules import check_password
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.limits import MAX_PASSWORD_HISTORY, MAX_USERS
from manycast.onvif.state.users import RemoteUser, User, UserLevel

MAX_NAME_CHARS = 64
MAX_PASSWORD_CHARS = 64


class Users(DevicePart):
    @operation(Access.READ_SYSTEM_SECRET)
    async def get_users(self, request: Any, caller: Caller) -> Reply:
        return {"User": [{"Username": user.username, "UserLevel": user.level.value} for user in self.state.users]}

    @operation(Access.WRITE_SYSTEM)
    async def create_users(self, request: Any, caller: Caller) -> Reply:
        """All or none."""
        users = list(self.state.users)
        if len(users) + len(request.User) > MAX_USERS:  # before each is compared with all
            raise Fault.receiver("ter:Action", "ter:TooManyUsers", reason=f"at most {MAX_USERS} users")
        for wanted in request.User:
            _check_name(wanted.Username)
            if any(user.username == wanted.Username for user in users):
                raise prohibited("ter:UsernameClash", f"there is a user {wanted.Username!r} already")
            level = _level(wanted.UserLevel)
            self._check_password(wanted.Username, wanted.Password)
            users.append(User(username=wanted.Username, password=wanted.Password, level=level))
        self.state.users = users
        self.save()
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def delete_users(self, request: Any, caller: Caller) -> Reply:
        """All or none."""
        names = set(request.Username)
        for name in names:
            if _find(self.state.users, name).fixed:
                raise invalid("ter:FixedUser", f"{name!r} cannot be deleted")
        users = [user for user in self.state.users if user.username not in names]
        self._keep_an_administrator(users)
        self.state.users = users
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def set_user(self, request: Any, caller: Caller) -> Reply:
        """All or none. Who may not do it to others may change their own password (the policy ModifyPassword)."""
        everything = self.device.allows(caller.level, Access.WRITE_SYSTEM)
        users = list(self.state.users)
        for wanted in request.User:
            if not everything and wanted.Username != caller.user:
                raise Fault.sender("ter:NotAuthorized")
            known = _find(users, wanted.Username)
            if known.fixed:  # even where nothing would change: the answer would tell whether a password is the one
                raise invalid("ter:FixedUser", f"{known.username!r} keeps password and level")
            level = _level(wanted.UserLevel) if everything else known.level
            self._check_password(known.username, wanted.Password, known)
            place = users.index(known)
            users[place] = known.model_copy(
                update={
                    "level": level,
                    "password": wanted.Password,
                    "earlier_passwords": [known.password, *known.earlier_passwords][:MAX_PASSWORD_HISTORY],
                }
            )
        self._keep_an_administrator(users)
        self.state.users = users
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_remote_user(self, request: Any, caller: Caller) -> Reply:
        """Without the password, as with all users."""
        user = self.state.remote_user
        if user is None:
            return NOTHING
        return {"RemoteUser": {"Username": user.username, "UseDerivedPassword": user.use_derived_password}}

    @operation(Access.WRITE_SYSTEM)
    async def set_remote_user(self, request: Any, caller: Caller) -> Reply:
        wanted = request.RemoteUser
        if wanted is None:
            self.state.remote_user = None
        else:
            _check_name(wanted.Username)
            self.state.remote_user = RemoteUser(
                username=wanted.Username, password=wanted.Password, use_derived_password=wanted.UseDerivedPassword
            )
        self.save()
        return NOTHING

    def _keep_an_administrator(self, users: list[User]) -> None:
        """Where a login is asked for, nobody could set anything any more without one."""
        if (
            self.state.server.need_auth
            and any(map(_administers, self.state.users))
            and not any(map(_administers, users))
        ):
            raise invalid("ter:FixedUser", "the last administrator remains one")

    def _check_password(self, name: str, password: str | None, known: User | None = None) -> None:
        if len(password or "") > MAX_PASSWORD_CHARS:
            raise prohibited("ter:PasswordTooLong", f"at most {MAX_PASSWORD_CHARS} characters")
        weakness = check_password(self.state.password_policy, name, password or "", known)
        if weakness:
            raise prohibited("ter:PasswordTooWeak", weakness)


def prohibited(subcode: str, reason: str) -> Fault:
    return Fault.sender("ter:OperationProhibited", subcode, reason=reason)


def _find(users: list[User], name: str) -> User:
    for user in users:
        if user.username == name:
            return user
    raise invalid("ter:UsernameMissing", f"no user {name[:MAX_NAME_CHARS]!r}")


def _check_name(name: str) -> None:
    if not name.strip():
        raise prohibited("ter:UsernameTooShort", "a user without a name")
    if len(name) > MAX_NAME_CHARS:
        raise prohibited("ter:UsernameTooLong", f"at most {MAX_NAME_CHARS} characters")


def _level(name: str) -> UserLevel:
    """A level that clients may give."""
    if name == UserLevel.ANONYMOUS:
        raise prohibited("ter:AnonymousNotAllowed", "nobody is given the level of those who do not log in")
    try:
        return UserLevel(name)
    except ValueError:  # Extended, which comes with roles
        raise Fault.sender("ter:InvalidArgVal", reason=f"no users of the level {name}") from None


def _administers(user: User) -> bool:
    return user.level is UserLevel.ADMINISTRATOR
