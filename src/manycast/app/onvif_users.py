"""Who may watch streams: the server's own users, and those of its ONVIF devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from manycast.onvif.state.store import StateStore
from manycast.onvif.state.users import UserLevel


class OnvifUsers(Mapping[str, str]):
    """Names and passwords, as they are at the moment. Where both have a name, the own password is the one that holds.

    Only devices that ask for a login themselves are believed: on others, everybody can make users.
    """

    def __init__(self, own: Mapping[str, str], stores: Sequence[StateStore]) -> None:
        self._own = own
        self._stores = stores

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, str]:
        states = [store.state for store in self._stores if store.state.server.need_auth]
        users = [user for state in states for user in state.users]
        named = {user.username: user.password for user in users if user.level is not UserLevel.ANONYMOUS}
        return {**named, **self._own}
