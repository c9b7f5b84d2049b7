"""Cameras, by Video4Linux2."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from manycast.hub.source import SourceError
from manycast.sources.capture.arrival_clock import ArrivalClock
from manycast.sources.capture.inbox import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SYSTEM = Path("/sys/class/video4linux")
DEVICES = Path("/dev")
DEFAULT_RATE = 25

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP, struct v4l2_capability of 104 bytes
_CAPABILITY_BYTES = 104
_VIDEO_CAPTURE, _DEVICE_CAPS = 0x1, 0x8000_0000
_MPLANE_CAPTURE = 0x1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera; `address` is its device's file."""

    index: int
    name: str
    address: str


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


def find_camera(index: int, name: str | None, cameras: list[Camera]) -> Camera:
    """By its name or its device's file, or by its number. Raises SourceError."""
    if name is None:
        if index < len(cameras):
            return cameras[index]
        raise SourceError(f"there is no video device {index}, only {len(cameras)}, counted from 0")
    for camera in cameras:
        if name in (camera.name, camera.address):
            return camera
    raise SourceError(f"there is no video device {name!r}")


class CameraReader:
    """One opened camera."""

    def __init__(
        self,
        address: str,
        *,
        frame_rate: float = DEFAULT_RATE,
        size: tuple[int, int] | None = None,
        input_format: str = "v4l2",
    ) -> None:
        """The camera's own size and rate where it refuses those asked for. `input_format` is FFmpeg's name of what
        opens it. Raises SourceError."""
        import av
        from av.container.input import InputContainer
        from av.error import FFmpegError

        self._errors = (FFmpegError, OSError)
        wishes: dict[str, str] = {"framerate": f"{frame_rate:g}"} if input_format == "v4l2" else {}
        if size is not None and input_format == "v4l2":
            wishes["video_size"] = f"{size[0]}x{size[1]}"
        try:
            container = av.open(address, format=input_format, options=wishes)
        except self._errors:
            try:
                container = av.open(address, format=input_format)
            except self._errors as error:
                raise SourceError(f"the camera {address} cannot be opened: {error}") from error
        assert isinstance(container, InputContainer)
        self._container = container
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        self._rate = float(stream.average_rate or stream.base_rate or frame_rate)
        self._packets: Iterator[Packet[VideoStream]] = container.demux(stream)
        self._decoded: list[VideoFrame] = []
        self._clock = ArrivalClock()

    def read(self) -> Picture | None:
        try:
            while not self._decoded:
                self._decoded = next(self._packets).decode()
        except StopIteration as error:
            raise SourceError("the camera has ended") from error
        except self._errors as error:
            if self._is_damage(error):
                return None
            raise SourceError(f"the camera is gone: {error}") from error
        image = self._decoded.pop(0)
        return Picture(image, self._clock.time(time.monotonic(), 1 / self._rate))

    def close(self) -> None:
        self._container.close()

    @staticmethod
    def _is_damage(error: Exception) -> bool:
        """A picture that did not come over the cable whole."""
        from av.error import InvalidDataError

        return isinstance(error, InvalidDataError)


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
