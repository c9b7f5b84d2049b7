"""What no single block can know: how the blocks fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from manycast.config.checks.logins import open_logins
from manycast.config.checks.names import doubled_applications, doubled_users, shadowed_streams
from manycast.config.checks.onvif import (
    crowded_devices,
    curious_devices,
    differing_logins,
    doubled_devices,
    doubled_onvif_users,
    open_networks,
    open_onvif_logins,
    shared_networks,
)
from manycast.config.checks.ports import doubled_ports
from manycast.config.checks.values import curious_values, impossible_values
from manycast.config.problems import Problem
from manycast.config.subject import Subject

Check = Callable[[Subject], Iterator[Problem]]

MISTAKES: tuple[Check, ...] = (
    doubled_ports,
    doubled_applications,
    doubled_users,
    impossible_values,
    doubled_devices,
    doubled_onvif_users,
    crowded_devices,
    shared_networks,
)
WARNINGS: tuple[Check, ...] = (
    shadowed_streams,
    open_logins,
    curious_values,
    open_onvif_logins,
    open_networks,
    curious_devices,
    differing_logins,
)
