"""Who may do what: the default access policy (ONVIF Core, section Access classes for service requests), or another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum

from manycast.errors import ManycastError
from manycast.onvif.state.users import UserLevel

MAX_POLICY_BYTES = 16 * 1024


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


Policy = Mapping[UserLevel, frozenset[Access]]

_USER = frozenset({Access.PRE_AUTH, Access.READ_SYSTEM, Access.READ_MEDIA})
_OPERATOR = _USER | {Access.READ_SYSTEM_SENSITIVE, Access.ACTUATE}

DEFAULT_POLICY: Policy = {
    UserLevel.ADMINISTRATOR: frozenset(Access),
    UserLevel.OPERATOR: _OPERATOR,
    UserLevel.USER: _USER,
    UserLevel.ANONYMOUS: frozenset({Access.PRE_AUTH}),
}


class PolicyError(ManycastError):
    """A policy file that cannot be used."""


def parse_policy(data: bytes) -> Policy:
    """Read a policy file: a JSON object with a list of access classes for each user level.

    What is not said of a level is as by default. Administrators may do everything, so that nobody is locked out, and
    what needs no login can be forbidden to nobody. Raises PolicyError.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"{len(data)} bytes, at most {MAX_POLICY_BYTES}")
    try:
        written = json.loads(data)
        levels = {UserLevel(level): frozenset(map(Access, classes)) for level, classes in written.items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise PolicyError("no JSON object of user levels with lists of access classes") from error
    policy = {**DEFAULT_POLICY, **levels}
    policy[UserLevel.ADMINISTRATOR] = frozenset(Access)
    return {level: classes | {Access.PRE_AUTH} for level, classes in policy.items()}


def serialize_policy(policy: Policy) -> bytes:
    """The file that says this."""
    written = {
        level.value: [access.value for access in Access if access in classes] for level, classes in policy.items()
    }
    return json.dumps(written, indent=2).encode()
