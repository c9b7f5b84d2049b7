"""The ONVIF devices that the settings ask for, each with all that holds for it."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator
from typing import Any, TypeVar

from manycast.config.schema.base import Group
from manycast.config.schema.onvif.device import DEFAULT_RUNTIME_FILE, OnvifDevice, OnvifSettings

GroupT = TypeVar("GroupT", bound=Group)

_MULTICAST_BIT = 1 << 40  # in what getnode() makes up when it finds no hardware address
_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def devices_of(settings: OnvifSettings) -> Iterator[tuple[int | None, OnvifDevice]]:
    """Every device, on or off, with its index among `devices`; None: it is the only one."""
    if not settings.devices:
        yield None, settings
    yield from enumerate(settings.devices)


def completed(settings: OnvifSettings) -> OnvifSettings:
    """The settings with every device whole: with what stands beside it, and with what makes it differ."""
    devices = tuple(_completed(own, settings, number) for number, own in enumerate(settings.devices, 1))
    return settings.model_copy(update={"devices": devices})


def serial_number_of(device: OnvifDevice) -> str:
    return device.information.SerialNumber or machine_mac().replace(":", "") or "1"


def machine_mac() -> str:
    """The machine's hardware address; empty when there is none."""
    node = uuid.getnode()
    return "" if node & _MULTICAST_BIT else _written(node)


def _completed(own: OnvifDevice, common: OnvifSettings, number: int) -> OnvifDevice:
    device = _filled(own, common).model_copy(
        update={name: _filled(getattr(own, name), getattr(common, name)) for name in ("information", "event")}
    )
    if not _says(own.information, "SerialNumber"):
        information = device.information.model_copy(update={"SerialNumber": f"{serial_number_of(common)}-{number}"})
        device = device.model_copy(update={"information": information})
    serial_number = serial_number_of(device)
    changes: dict[str, Any] = {"mac": own.mac or _made_mac(serial_number)}
    if not _says(own, "runtime_file"):
        kept = _NOT_IN_FILE_NAMES.sub("_", serial_number)
        name = f"{DEFAULT_RUNTIME_FILE.stem}-{kept}{DEFAULT_RUNTIME_FILE.suffix}"
        changes["runtime_file"] = common.runtime_file.with_name(name)
    return device.model_copy(update=changes)


def _filled(own: GroupT, common: Group) -> GroupT:
    """A group with the values of another where it says nothing; no item and no value say nothing."""
    values = {name: getattr(common, name) for name in type(own).model_fields if not _says(own, name)}
    return own.model_copy(update=values)


def _says(group: Group, name: str) -> bool:
    return name in group.model_fields_set and getattr(group, name) not in ((), None)


def _made_mac(serial_number: str) -> str:
    """A locally administered address, the same at each start."""
    digest = hashlib.sha256(f"{machine_mac()}\n{serial_number}".encode()).digest()
    return _written(int.from_bytes(b"\x02" + digest[:5]))


def _written(node: int) -> str:
    return node.to_bytes(6).hex(":")
