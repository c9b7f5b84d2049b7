"""The accounts that the configuration has fixed, where another state takes the place of the one there is."""

from __future__ import annotations

from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.limits import MAX_USERS


def keep_fixed_users(state: DeviceState, known: DeviceState) -> None:
    """Give a state the fixed users of `known` as they are, first; nobody else in it is fixed.

    Raises ValueError when there are too many users then.
    """
    fixed = [user.model_copy(deep=True) for user in known.users if user.fixed]
    names = {user.username for user in fixed}
    others = [user.model_copy(update={"fixed": False}) for user in state.users if user.username not in names]
    if len(fixed) + len(others) > MAX_USERS:
        raise ValueError(f"at most {MAX_USERS} users")
    state.users = [*fixed, *others]
