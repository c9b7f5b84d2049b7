"""What a device asks of the process it runs in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from manycast.hub.hub import Hub
from manycast.onvif.log_memory import LogMemory
from manycast.onvif.state.network import Protocols

if TYPE_CHECKING:
    from manycast.onvif.machine_network.machine_network import MachineNetwork
    from manycast.onvif.security.used_tokens import UsedTokens


async def _nothing() -> None:
    return None


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """The process, as one device sees it. Whoever runs the device fills it in."""

    rtsp_port: int | None = None  # None: no RTSP
    hub: Hub | None = None  # whose streams it tells events of
    shows: Callable[[str], bool] = lambda path: True  # which paths of the hub are the device's
    https: bool = False  # whether there is a certificate to serve HTTPS with
    system_log: LogMemory = field(default_factory=LogMemory)
    restart: Callable[[], Awaitable[None]] = _nothing  # of this device, as its reboot
    move_rtsp: Callable[[int | None], None] | None = None  # to another port, None: off; raises OSError
    listen: Callable[[Protocols], Awaitable[None]] | None = None  # on other ports; raises OSError
    network: MachineNetwork | None = None  # the machine's, where clients may change it
    used_tokens: UsedTokens | None = None  # of all devices, where there are several
    certificates_changed: Callable[[], None] = lambda: None
