"""Finds the capture that a name asks for, and makes its source."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from manycast.hub.catalogue import FoundCapture
from manycast.hub.on_demand import LINGER_S
from manycast.hub.output import Output, OutputRules
from manycast.hub.source import SourceError, SourceMissing
from manycast.media.track import Codec
from manycast.sources.capture.devices import (
    Camera,
    Microphone,
    System,
    find_camera,
    find_microphone,
    find_monitor,
    find_system_sound,
    find_window,
)
from manycast.sources.capture.names import Part, PartKind, parse_capture, parse_whole
from manycast.sources.capture.pool import DevicePool
from manycast.sources.capture.source import CaptureSource, Device
from manycast.sources.capture.system import this_system
from manycast.sources.encoding.engines import SOFTWARE, Engines

CAMERA_RATE = 25
SCREEN_RATE = 15
MAX_SCREEN_RATE = 120
SOUND_RATE_HZ = 8000
SOUND_CHANNELS = 2


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The devices that are meant, as they are called now."""

    parts: tuple[Part, ...]
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
        system: System | None = None,
    ) -> None:
        """A device stays open for `linger_s` after its last viewer."""
        self._rules = rules
        self._engines = engines
        self._linger_s = linger_s
        self._system = system or this_system()
        self._pool = DevicePool()

    async def find(self, application: str, name: str) -> FoundCapture | None:
        """None for a name that only begins like a capture's. Raises SourceMissing when there is no such device."""
        output = self._output(application, name)
        if output is None:
            return None
        resolved = await asyncio.to_thread(self._resolve, name, output)
        parts = resolved.parts
        asked = parts[:1] if self._adds_sound(parts[:1], output) else parts
        name_of_all = "+".join(map(str, asked))
        return FoundCapture(name_of_all, lambda: self._make(name_of_all, resolved, output), "capture", self._linger_s)

    def holds(self, application: str, name: str) -> bool:
        """Whether `find` would find something, at once and in any thread. Raises SourceMissing with the reason why a
        device is not there."""
        output = self._output(application, name)
        if output is None:
            return False
        self._resolve(name, output)
        return True

    def _output(self, application: str, name: str) -> Output | None:
        """What is asked of a capture; None where a name only begins like one."""
        parts = parse_capture(name)
        return None if parts is None else self._rules.find(application, "+".join(map(str, parts)))

    def _resolve(self, name: str, output: Output) -> _Resolved:
        """Ask whether it is all there. Raises SourceMissing."""
        try:
            whole = parse_whole(name)
            if whole is not None and self._is_there(whole):
                parts: tuple[Part, ...] = (whole,)
            else:
                parts = parse_capture(name) or ()
            if self._adds_sound(parts, output):
                parts = (*parts, Part(PartKind.MICROPHONE))
            return self._look_for(parts)
        except SourceMissing:
            raise
        except SourceError as error:
            raise SourceMissing(str(error)) from error

    @staticmethod
    def _adds_sound(parts: tuple[Part, ...], output: Output) -> bool:
        """Whether a picture alone is to have the sound of the first microphone: an output that is for everything opens
        none."""
        return len(parts) == 1 and not parts[0].kind.is_sound and output.pattern is not None and output.sound_asked

    def _is_there(self, part: Part) -> bool:
        """Whether a device has just this name, and a window this title."""
        name = (part.name or "").casefold()
        match part.kind:
            case PartKind.WINDOW:
                return any(window.title.casefold() == name for window in self._system.windows())
            case PartKind.CAMERA:
                return any(camera.name == part.name for camera in self._system.cameras())
            case _:
                return any(microphone.name == part.name for microphone in self._system.microphones())

    def _look_for(self, parts: tuple[Part, ...]) -> _Resolved:
        """Raises SourceError."""
        camera = microphone = None
        for part in parts:
            match part.kind:
                case PartKind.CAMERA:
                    camera = find_camera(part.index, part.name, self._system.cameras())
                case PartKind.MICROPHONE:
                    microphone = find_microphone(part.index, part.name, self._system.microphones())
                case PartKind.SYSTEM_SOUND:
                    microphone = find_system_sound(self._system)
                case PartKind.SCREEN:
                    find_monitor(part.index, self._system.monitors())
                case PartKind.WINDOW:
                    find_window(self._system.windows(), part.name or "")
        return _Resolved(parts, camera, microphone)

    def _make(self, name: str, resolved: _Resolved, output: Output) -> CaptureSource:
        picture = sound = None
        frame_rate = float(output.video.frame_rate or CAMERA_RATE)
        for part in resolved.parts:
            if part.kind in (PartKind.SCREEN, PartKind.WINDOW):
                frame_rate = min(output.video.frame_rate or SCREEN_RATE, MAX_SCREEN_RATE)
                picture = self._screen(part, int(frame_rate))
            elif part.kind is PartKind.CAMERA:
                assert resolved.camera is not None
                picture = self._camera(resolved.camera, output)
            else:
                assert resolved.microphone is not None
                sound = self._microphone(resolved.microphone, output)
        return CaptureSource(
            name,
            self._pool,
            picture,
            sound,
            output.video,
            output.audio,
            frame_rate=frame_rate,
            engines=self._engines,
        )

    def _screen(self, part: Part, rate: int) -> Device:
        system, title = self._system, part.name or ""
        key = f"{part} at {rate} pictures a second"  # which the log shows
        if part.kind is PartKind.WINDOW:
            return Device(key=key, make_reader=lambda: system.open_window(title, rate))
        return Device(key=key, make_reader=lambda: system.open_screen(part.index, rate))

    def _camera(self, camera: Camera, output: Output) -> Device:
        """Asked for the rate and size that are wanted; who comes later gets what there is."""
        video, system = output.video, self._system
        size = (video.width, video.height) if video.width and video.height else None
        rate = float(video.frame_rate or CAMERA_RATE)
        codec = video.codec or Codec.H264
        return Device(key=camera.address, make_reader=lambda: system.open_camera(camera, rate, size, codec))

    def _microphone(self, microphone: Microphone, output: Output) -> Device:
        system = self._system
        rate_hz = output.audio.sample_rate_hz or SOUND_RATE_HZ
        channels = output.audio.channels or SOUND_CHANNELS
        return Device(key=microphone.address, make_reader=lambda: system.open_microphone(microphone, rate_hz, channels))
