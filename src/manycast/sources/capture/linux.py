"""Captures of Linux: Video4Linux2, ALSA, X11."""

from __future__ import annotations

from collections.abc import Iterator

from manycast.media.track import Codec
from manycast.sources.capture.cameras import list_cameras
from manycast.sources.capture.capabilities import camera_modes, coded_form
from manycast.sources.capture.devices import Camera, Microphone, Monitor, Window
from manycast.sources.capture.microphones import MicrophoneReader, list_microphones, no_system_sound
from manycast.sources.capture.pool import Reader
from manycast.sources.capture.x11 import Desktop

_INPUT_FORMATS = {Codec.MJPEG: "mjpeg", Codec.H264: "h264", Codec.H265: "hevc"}


class LinuxSystem:
    def cameras(self) -> list[Camera]:
        return list_cameras()

    def microphones(self) -> list[Microphone]:
        return list_microphones()

    def no_system_sound(self) -> str:
        return no_system_sound()

    def monitors(self) -> list[Monitor]:
        with Desktop() as desktop:
            return desktop.monitors()

    def windows(self) -> list[Window]:
        with Desktop() as desktop:
            return desktop.windows()

    def capabilities(self, camera: Camera) -> Iterator[str]:
        return map(str, camera_modes(camera.address))

    def open_camera(self, camera: Camera, rate: float, size: tuple[int, int] | None, codec: Codec | None) -> Reader:
        from manycast.sources.capture.readers import CodedReader, PictureReader

        options = {"framerate": f"{rate:g}"}
        if size is not None:
            options["video_size"] = f"{size[0]}x{size[1]}"
        coded = coded_form(camera_modes(camera.address), codec, rate, size)
        if coded is not None:
            options["input_format"] = _INPUT_FORMATS[coded]
            return CodedReader(f"the camera {camera.address}", camera.address, "v4l2", coded, options)
        return PictureReader(f"the camera {camera.address}", camera.address, "v4l2", rate, options)

    def open_microphone(self, microphone: Microphone, rate_hz: int, channels: int) -> Reader:
        return MicrophoneReader(microphone.address, rate_hz, channels)

    def open_screen(self, index: int, rate: int) -> Reader:
        from manycast.sources.capture.x11_reader import ScreenReader

        return ScreenReader(index, rate)

    def open_window(self, title: str, rate: int) -> Reader:
        from manycast.sources.capture.x11_reader import WindowReader

        return WindowReader(title, rate)
