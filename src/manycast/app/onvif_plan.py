"""Which ONVIF devices are to run, by the configuration and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from manycast.config import LoadedConfiguration
from manycast.config.onvif_state import ConfiguredDevice, configured_devices


@dataclass(frozen=True, slots=True, kw_only=True)
class OnvifPlan:
    """Which devices are to run, and what the command line says of them."""

    devices: tuple[ConfiguredDevice, ...]
    host: str | None = None
    port: int | None = None  # of the first device by HTTP; the others have those after it
    https_port: int | None = None  # likewise by HTTPS; 0: none has HTTPS
    origins: Mapping[str, str]  # who says what the ports of a protocol are
    required: bool  # whether the server does not start without them
    https_required: bool  # likewise, without those of HTTPS


def onvif_plan(
    loaded: LoadedConfiguration, *, host: str | None, port: int | None, https_port: int | None = None
) -> OnvifPlan | None:
    """None: there is no ONVIF. The ports are the command line's; `port` 0 switches ONVIF off."""
    devices = configured_devices(loaded)
    if not devices or port == 0:
        return None
    return OnvifPlan(
        devices=devices,
        host=host,
        port=port,
        https_port=https_port,
        origins={
            "HTTP": loaded.origin("onvif", "http_port") if port is None else "the command line",
            "HTTPS": loaded.origin("onvif", "https_port") if https_port is None else "the command line",
        },
        required=port is not None or loaded.written("onvif"),
        https_required=bool(https_port) or loaded.written("onvif"),
    )
