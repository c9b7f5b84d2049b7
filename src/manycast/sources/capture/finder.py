"""Finds the capture that a name asks for, and makes its source."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from manycast.hub.catalogue import FoundCapture
from manycast.hub.on_demand import LINGER_S
from manycast.hub.output import Output, OutputRules
from manycast.hub.source import SourceError, SourceMissing
from manycast.sources.capture.demand import CAMERA_RATE, SOUND_RATE_HZ, form_of_camera, form_of_microphone
from manycast.sources.capture.devices import (
    Camera,
    Microphone,
    System,
    Window,
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

SCREEN_RATE = 15
MAX_SCREEN_RATE = 120


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The devices that are meant, as they are called now."""

    parts: tuple[Part, ...]
    camera: Camera | None = None
    microphone: Microphone | None = None
    window: Window | None = None


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
        camera = microphone = window = None
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
                    window = find_window(self._system.windows(), part.name or "")
        return _Resolved(parts, camera, microphone, window)

    def _make(self, name: str, resolved: _Resolved, output: Output) -> CaptureSource:
        picture = sound = None
        frame_rate, video = 0.0, output.video
        for part in resolved.parts:
            if part.kind in (PartKind.SCREEN, PartKind.WINDOW):
                frame_rate = min(video.frame_rate or SCREEN_RATE, MAX_SCREEN_RATE)
                picture = self._screen(part, resolved.window, int(frame_rate))
            elif part.kind is PartKind.CAMERA:
                assert resolved.camera is not None
                picture, frame_rate = self._camera(resolved.camera)
                if frame_rate > CAMERA_RATE:
                    video = replace(video, frame_rate=video.frame_rate or CAMERA_RATE)
            else:
                assert resolved.microphone is not None
                sound = self._microphone(resolved.microphone)
        return CaptureSource(
            name,
            self._pool,
            picture,
            sound,
            video,
            output.audio,
            frame_rate=frame_rate,
            sound_rate_hz=SOUND_RATE_HZ,
            engines=self._engines,
        )

    def _screen(self, part: Part, window: Window | None, rate: int) -> Device:
        system = self._system
        if window is not None:  # known by its number: its title may be written in many ways, and change
            key = f"window {window.id:#x} at {rate} pictures a second"  # which the log shows
            return Device(key=key, make_reader=lambda: system.open_window(window.title, rate))
        key = f"{part} at {rate} pictures a second"
        return Device(key=key, make_reader=lambda: system.open_screen(part.index, rate))

    def _camera(self, camera: Camera) -> tuple[Device, float]:
        """And the rate it is asked for."""
        system, form = self._system, form_of_camera(self._rules, camera)
        device = Device(
            key=camera.address, make_reader=lambda: system.open_camera(camera, form.rate, form.size, form.codec)
        )
        return device, form.rate

    def _microphone(self, microphone: Microphone) -> Device:
        system, form = self._system, form_of_microphone(self._rules, microphone)
        return Device(
            key=microphone.address,
            make_reader=lambda: system.open_microphone(microphone, form.sample_rate_hz, form.channels),
        )
