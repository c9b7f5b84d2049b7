"""Finds the capture that a name asks for, and makes its source."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass

from manycast.hub.catalogue import FoundCapture
from manycast.hub.on_demand import LINGER_S
from manycast.hub.output import Output, OutputRules
from manycast.hub.source import SourceError
from manycast.sources.capture import cameras, microphones
from manycast.sources.capture.cameras import Camera, CameraReader, find_camera
from manycast.sources.capture.microphones import Microphone, MicrophoneReader
from manycast.sources.capture.names import Part, PartKind, parse_capture
from manycast.sources.capture.pool import DevicePool
from manycast.sources.capture.source import CaptureSource, Device
from manycast.sources.capture.x11 import Desktop, find_window
from manycast.sources.encoding.engines import SOFTWARE, Engines

SCREEN_RATE = 15
MAX_SCREEN_RATE = 120


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The devices that are meant, as they are called now."""

    camera: Camera | None = None
    microphone: Microphone | None = None


class CaptureFinder:
    """All captures of this machine. Belongs to an event loop; asking the system is done in threads."""

    def __init__(
        self,
        rules: OutputRules,
        *,
        engines: Engines = SOFTWARE,
        linger_s: float = LINGER_S,
        list_cameras: Callable[[], list[Camera]] = cameras.list_cameras,
    ) -> None:
        """A device stays open for `linger_s` after its last viewer."""
        self._rules = rules
        self._engines = engines
        self._linger_s = linger_s
        self._list_cameras = list_cameras
        self._pool = DevicePool()

    async def find(self, application: str, name: str) -> FoundCapture | None:
        """None for a name that only begins like a capture's. Raises SourceError when there is no such device."""
        parts = parse_capture(name)
        if parts is None:
            return None
        output = self._rules.find(application, name)
        if len(parts) == 1 and not parts[0].kind.is_sound and output.pattern is not None and output.sound_asked:
            parts = (*parts, Part(PartKind.MICROPHONE))
            name_of_all = str(parts[0])
        else:
            name_of_all = "+".join(map(str, parts))
        resolved = await asyncio.to_thread(self._resolve, parts)
        return FoundCapture(
            name_of_all,
            lambda: self._make(name_of_all, parts, resolved, output),
            "capture",
            self._linger_s,
        )

    def _resolve(self, parts: tuple[Part, ...]) -> _Resolved:
        """Ask whether it is all there. Raises SourceError."""
        if sys.platform != "linux":
            raise SourceError(f"captures are not available on {sys.platform} yet")
        camera = microphone = None
        for part in parts:
            match part.kind:
                case PartKind.CAMERA:
                    camera = find_camera(part.index, part.name, self._list_cameras())
                case PartKind.MICROPHONE:
                    microphone = microphones.find_microphone(part.index, part.name)
                case PartKind.SYSTEM_SOUND:
                    microphone = microphones.find_system_sound()
                case PartKind.SCREEN:
                    with Desktop() as desktop:
                        monitors = desktop.monitors()
                    if part.index >= len(monitors):
                        raise SourceError(f"there is no monitor {part.index}, only {len(monitors)}, counted from 0")
                case PartKind.WINDOW:
                    with Desktop() as desktop:
                        find_window(desktop.windows(), part.name or "")
        return _Resolved(camera, microphone)

    def _make(self, name: str, parts: tuple[Part, ...], resolved: _Resolved, output: Output) -> CaptureSource:
        picture = sound = None
        frame_rate = float(output.video.frame_rate or cameras.DEFAULT_RATE)
        for part in parts:
            if part.kind in (PartKind.SCREEN, PartKind.WINDOW):
                frame_rate = min(output.video.frame_rate or SCREEN_RATE, MAX_SCREEN_RATE)
                picture = _screen(part, int(frame_rate))
            elif part.kind is PartKind.CAMERA:
                assert resolved.camera is not None
                picture = _camera(resolved.camera, output)
            else:
                assert resolved.microphone is not None
                sound = _microphone(resolved.microphone, output)
        return CaptureSource(
            name, self._pool, picture, sound, output.video, output.audio, frame_rate=frame_rate, engines=self._engines
        )


def _screen(part: Part, rate: int) -> Device:
    def make_reader() -> ScreenReader | WindowReader:
        if part.kind is PartKind.SCREEN:
            return ScreenReader(part.index, rate)
        return WindowReader(part.name or "", rate)

    from manycast.sources.capture.x11_reader import ScreenReader, WindowReader

    return Device(key=(str(part), rate), make_reader=make_reader)


def _camera(camera: Camera, output: Output) -> Device:
    """Asked for the rate and size that are wanted; who comes later gets what there is."""
    video = output.video
    size = (video.width, video.height) if video.width and video.height else None
    rate = float(video.frame_rate or cameras.DEFAULT_RATE)
    return Device(key=camera.address, make_reader=lambda: CameraReader(camera.address, frame_rate=rate, size=size))


def _microphone(microphone: Microphone, output: Output) -> Device:
    rate_hz = output.audio.sample_rate_hz or microphones.DEFAULT_RATE_HZ
    channels = output.audio.channels or microphones.DEFAULT_CHANNELS
    return Device(key=microphone.pcm, make_reader=lambda: MicrophoneReader(microphone.pcm, rate_hz, channels))
