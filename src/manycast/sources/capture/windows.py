"""Captures of Windows: DirectShow and GDI, as FFmpeg's documentation of its devices has them. Not tested there."""

from __future__ import annotations

from collections.abc import Iterator

from manycast.media.track import Codec
from manycast.sources.capture import windows_desktop
from manycast.sources.capture.devices import (
    SYSTEM_SOUND_NAME,
    Camera,
    Microphone,
    Monitor,
    Window,
    find_monitor,
    find_window,
)
from manycast.sources.capture.pool import Reader

# What sound cards and programs call a device that records what is played.
_LOOPBACKS = ("stereo mix", "what u hear", "wave out mix", "virtual-audio-capturer")
_AUDIO_BUFFER_MS = 20  # DirectShow's own is half a second


class WindowsSystem:
    def cameras(self) -> list[Camera]:
        return [
            Camera(index=index, name=name, address=f"video={device}")
            for index, (name, device) in enumerate(_devices("video"))
        ]

    def microphones(self) -> list[Microphone]:
        found = _devices("audio")
        own = [device for name, device in found if any(word in name.lower() for word in _LOOPBACKS)]
        found += [(SYSTEM_SOUND_NAME, device) for device in own[:1]]
        return [
            Microphone(index=index, name=name, address=f"audio={device}") for index, (name, device) in enumerate(found)
        ]

    def no_system_sound(self) -> str:
        return (
            "the system's own sound cannot be recorded: switch on the sound card's device \"Stereo Mix\" in the sound "
            "settings, or install virtual-audio-capturer"
        )

    def monitors(self) -> list[Monitor]:
        return windows_desktop.list_monitors()

    def windows(self) -> list[Window]:
        return windows_desktop.list_windows()

    def capabilities(self, camera: Camera) -> Iterator[str]:
        return iter(())

    def open_camera(self, camera: Camera, rate: float, size: tuple[int, int] | None, codec: Codec | None) -> Reader:
        from manycast.sources.capture.readers import PictureReader

        options = {"framerate": f"{rate:g}"}
        if size is not None:
            options["video_size"] = f"{size[0]}x{size[1]}"
        return PictureReader(f"the camera {camera.name}", camera.address, "dshow", rate, options)

    def open_microphone(self, microphone: Microphone, rate_hz: int, channels: int) -> Reader:
        from manycast.sources.capture.readers import SoundReader

        options = {
            "sample_rate": str(rate_hz),
            "channels": str(channels),
            "audio_buffer_size": str(_AUDIO_BUFFER_MS),
        }
        return SoundReader(f"the audio device {microphone.name}", microphone.address, "dshow", options)

    def open_screen(self, index: int, rate: int) -> Reader:
        from manycast.sources.capture.readers import PictureReader

        monitor = find_monitor(index, self.monitors())
        options = {
            "framerate": str(rate),
            "draw_mouse": "1",
            "offset_x": str(monitor.x),
            "offset_y": str(monitor.y),
            "video_size": f"{monitor.width}x{monitor.height}",
        }
        return PictureReader(f"monitor {index}", "desktop", "gdigrab", rate, options)

    def open_window(self, title: str, rate: int) -> Reader:
        from manycast.sources.capture.readers import PictureReader

        window = find_window(self.windows(), title)
        options = {"framerate": str(rate), "draw_mouse": "1"}
        return PictureReader(f"the window {window.title!r}", f"hwnd={window.id}", "gdigrab", rate, options)


def _devices(kind: str) -> list[tuple[str, str]]:
    """Names, and what DirectShow calls them: two devices may have the same name."""
    import av

    return [
        (device.description or device.name, device.name)
        for device in av.enumerate_input_devices("dshow")
        if kind in device.media_types
    ]
