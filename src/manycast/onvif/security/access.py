"""Who may do what: the default access policy (ONVIF Core, section Access classes for service requests)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from manycast.onvif.state.users import UserLevel


class Access(Enum):
    """The access class of an operation."""

    PRE_AUTH = "PRE_AUTH"
    READ_SYSTEM = "READ_SYSTEM"
    READ_SYSTEM_SENSITIVE = "READ_SYSTEM_SENSITIVE"
    READ_SYSTEM_SECRET = "READ_SYSTEM_SECRET"
    WRITE_SYSTEM = "WRITE_SYSTEM"
    UNRECOVERABLE = "UNRECOVERABLE"
    READ_MEDIA = "READ_MEDIA"
    ACTUATE = "ACTUATE"


_USER = frozenset({Access.PRE_AUTH, Access.READ_SYSTEM, Access.READ_MEDIA})
_OPERATOR = _USER | {Access.READ_SYSTEM_SENSITIVE, Access.ACTUATE}

POLICY: Mapping[UserLevel, frozenset[Access]] = {
    UserLevel.ADMINISTRATOR: frozenset(Access),
    UserLevel.OPERATOR: _OPERATOR,
    UserLevel.USER: _USER,
    UserLevel.ANONYMOUS: frozenset({Access.PRE_AUTH}),
}


def allows(level: UserLevel, access: Access) -> bool:
    return access in POLICY[level]
