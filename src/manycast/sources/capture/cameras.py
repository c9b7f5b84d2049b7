"""Lists cameras, by Video4Linux2."""

from __future__ import annotations

import ctypes
from pathlib import Path

from manycast.sources.capture.devices import Camera

SYSTEM = Path("/sys/class/video4linux")
DEVICES = Path("/dev")

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP, struct v4l2_capability of 104 bytes
_CAPABILITY_BYTES = 104
_VIDEO_CAPTURE, _DEVICE_CAPS = 0x1, 0x8000_0000
_MPLANE_CAPTURE = 0x1000


def list_cameras(system: Path = SYSTEM, devices: Path = DEVICES) -> list[Camera]:
    """All cameras, in the order of their numbers; the nodes of their metadata are left out."""
    if not system.is_dir():
        return []
    found = []
    for entry in sorted(system.glob("video*"), key=lambda entry: _number(entry.name)):
        name = _read(entry / "name")
        address = devices / entry.name
        if name and _read(entry / "index") in ("", "0") and _captures(address):
            found.append((name, str(address)))
    return [Camera(index=index, name=name, address=address) for index, (name, address) in enumerate(found)]


def _number(name: str) -> int:
    digits = name.removeprefix("video")
    return int(digits) if digits.isdigit() else 1 << 30


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _captures(address: Path) -> bool:
    """Whether the device takes pictures; True where it cannot be asked."""
    try:
        import fcntl

        with address.open("rb", buffering=0) as device:
            reply = fcntl.ioctl(device, _QUERYCAP, bytes(_CAPABILITY_BYTES))
    except (ImportError, OSError):
        return True
    everything, own = (ctypes.c_uint32.from_buffer_copy(reply, offset).value for offset in (84, 88))
    capabilities = own if everything & _DEVICE_CAPS else everything
    return bool(capabilities & (_VIDEO_CAPTURE | _MPLANE_CAPTURE))
