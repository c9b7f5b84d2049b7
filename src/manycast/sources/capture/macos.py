"""Captures of macOS: AVFoundation, as FFmpeg's documentation of the device has it. Not tested there."""

from __future__ import annotations

from collections.abc import Iterator

from manycast.hub.source import SourceMissing
from manycast.media.track import Codec
from manycast.sources.capture.devices import Camera, Microphone, Monitor, Window, find_monitor
from manycast.sources.capture.pool import Reader

_SCREEN = "Capture screen"  # what screens are called among the video devices


class MacSystem:
    """Without permission the system shows nothing or black: System Settings, Privacy & Security."""

    def cameras(self) -> list[Camera]:
        found = [device for device in _devices("video") if not device[0].startswith(_SCREEN)]
        return [Camera(index=index, name=name, address=f"{number}:none") for index, (name, number) in enumerate(found)]

    def microphones(self) -> list[Microphone]:
        return [
            Microphone(index=index, name=name, address=f"none:{number}")
            for index, (name, number) in enumerate(_devices("audio"))
        ]

    def no_system_sound(self) -> str:
        return "the system's own sound cannot be recorded on macOS"

    def monitors(self) -> list[Monitor]:
        """Their sizes are not known before they are opened."""
        found = [name for name, _ in _devices("video") if name.startswith(_SCREEN)]
        return [Monitor(index=index, name=name, x=0, y=0, width=0, height=0) for index, name in enumerate(found)]

    def windows(self) -> list[Window]:
        raise SourceMissing("windows cannot be captured on macOS, only whole screens")

    def capabilities(self, camera: Camera) -> Iterator[str]:
        return iter(())

    def open_camera(self, camera: Camera, rate: float, size: tuple[int, int] | None, codec: Codec | None) -> Reader:
        from manycast.sources.capture.readers import PictureReader

        options = {"framerate": f"{rate:g}"}
        if size is not None:
            options["video_size"] = f"{size[0]}x{size[1]}"
        return PictureReader(f"the camera {camera.name}", camera.address, "avfoundation", rate, options)

    def open_microphone(self, microphone: Microphone, rate_hz: int, channels: int) -> Reader:
        """The device's own rate and channels: FFmpeg cannot ask for others here."""
        from manycast.sources.capture.readers import SoundReader

        return SoundReader(f"the audio device {microphone.name}", microphone.address, "avfoundation")

    def open_screen(self, index: int, rate: int) -> Reader:
        from manycast.sources.capture.readers import PictureReader

        monitor = find_monitor(index, self.monitors())
        options = {"framerate": str(rate), "capture_cursor": "1", "pixel_format": "nv12"}
        return PictureReader(f"monitor {index}", f"{monitor.name}:none", "avfoundation", rate, options)

    def open_window(self, title: str, rate: int) -> Reader:
        raise SourceMissing("windows cannot be captured on macOS, only whole screens")


def _devices(kind: str) -> list[tuple[str, str]]:
    """Names and numbers."""
    import av

    return [
        (device.description, device.name)
        for device in av.enumerate_input_devices("avfoundation")
        if kind in device.media_types
    ]
