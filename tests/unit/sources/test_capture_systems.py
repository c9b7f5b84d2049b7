"""What FFmpeg is asked for on each operating system, and that its devices are read whatever they give."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from support.hearing import loudest_hz

from manycast.hub.source import SourceError, SourceMissing
from manycast.media.track import Codec
from manycast.sources.capture import windows_desktop
from manycast.sources.capture.devices import Monitor, Window, find_system_sound
from manycast.sources.capture.inbox import Captured, Picture, Sound
from manycast.sources.capture.linux import LinuxSystem
from manycast.sources.capture.macos import MacSystem
from manycast.sources.capture.pool import Reader
from manycast.sources.capture.readers import PictureReader, SoundReader
from manycast.sources.capture.windows import WindowsSystem

PICTURES = "testsrc2=size=320x240:rate=25:duration=0.2"
TONE = "sine=440:sample_rate=16000:duration=0.5:samples_per_frame=320,aformat=sample_fmts=fltp:channel_layouts=5.1"


class Opened:
    """Stands for FFmpeg's devices: remembers what it is asked for, and shows a test pattern."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, refuses: str = "") -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self._refuses = refuses
        self._open = av.open
        monkeypatch.setattr(av, "open", self)

    def __call__(self, address: str, *, format: str, options: dict[str, str]) -> Any:
        assert options.pop("fpsprobesize") == "0"
        self.asked.append((address, format, options))
        if self._refuses in options:
            raise av.error.ArgumentError(22, "no such mode")
        sound = "audio" in address or address.startswith("none:")
        return self._open(TONE if sound else PICTURES, format="lavfi")


def device(name: str, description: str, kind: str) -> av.device.DeviceInfo:
    return av.device.DeviceInfo(name, description, False, [kind])


DSHOW = [
    device("@device_pnp_1", "Integrated Camera", "video"),
    device("@device_cm_1", "Microphone (Realtek)", "audio"),
    device("@device_cm_2", "Stereo Mix (Realtek)", "audio"),
    device("@device_pnp_2", "Integrated Camera", "video"),
]
AVFOUNDATION = [
    device("0", "FaceTime HD Camera", "video"),
    device("1", "Capture screen 0", "video"),
    device("2", "Capture screen 1", "video"),
    device("0", "MacBook Pro Microphone", "audio"),
]


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"dshow": DSHOW, "avfoundation": AVFOUNDATION}
    monkeypatch.setattr(av, "enumerate_input_devices", listed.__getitem__)
    monkeypatch.setattr(
        windows_desktop,
        "list_monitors",
        lambda: [
            Monitor(index=0, name="one", x=0, y=0, width=1920, height=1080),
            Monitor(index=1, name="two", x=-1280, y=56, width=1280, height=1024),
        ],
    )
    monkeypatch.setattr(windows_desktop, "list_windows", lambda: [Window(id=0x3F2, title="Notes", width=9, height=9)])


def first_item(reader: Reader) -> Captured:
    item = reader.read()
    reader.close()
    assert item is not None
    return item


def test_windows_devices_are_opened_through_directshow(monkeypatch: pytest.MonkeyPatch) -> None:
    system, opened = WindowsSystem(), Opened(monkeypatch)
    cameras, microphones = system.cameras(), system.microphones()
    assert [camera.name for camera in cameras] == ["Integrated Camera", "Integrated Camera"]
    assert [microphone.name for microphone in microphones] == [
        "Microphone (Realtek)",
        "Stereo Mix (Realtek)",
        "System sound",
    ]
    assert find_system_sound(system).address == "audio=@device_cm_2"
    assert isinstance(first_item(system.open_camera(cameras[1], 30, (640, 480), None)), Picture)
    assert isinstance(first_item(system.open_microphone(microphones[0], 16_000, 1)), Sound)
    assert opened.asked == [
        ("video=@device_pnp_2", "dshow", {"framerate": "30", "video_size": "640x480"}),
        ("audio=@device_cm_1", "dshow", {"sample_rate": "16000", "channels": "1", "audio_buffer_size": "20"}),
    ]


def test_windows_screens_and_windows_are_opened_through_gdi(monkeypatch: pytest.MonkeyPatch) -> None:
    system, opened = WindowsSystem(), Opened(monkeypatch)
    first_item(system.open_screen(1, 15))
    first_item(system.open_window("notes", 15))
    place = {"offset_x": "-1280", "offset_y": "56", "video_size": "1280x1024"}
    assert opened.asked == [
        ("desktop", "gdigrab", {"framerate": "15", "draw_mouse": "1", **place}),
        ("hwnd=1010", "gdigrab", {"framerate": "15", "draw_mouse": "1"}),
    ]
    with pytest.raises(SourceMissing, match="no monitor 2: they have the numbers 0 to 1"):
        system.open_screen(2, 15)


def test_a_mac_has_cameras_microphones_and_screens(monkeypatch: pytest.MonkeyPatch) -> None:
    system, opened = MacSystem(), Opened(monkeypatch)
    (camera,), (microphone,) = system.cameras(), system.microphones()
    assert (camera.name, microphone.name) == ("FaceTime HD Camera", "MacBook Pro Microphone")
    assert len(system.monitors()) == 2
    first_item(system.open_camera(camera, 25, None, Codec.H264))
    first_item(system.open_microphone(microphone, 8000, 2))
    first_item(system.open_screen(1, 15))
    assert opened.asked == [
        ("0:none", "avfoundation", {"framerate": "25"}),
        ("none:0", "avfoundation", {}),
        ("Capture screen 1:none", "avfoundation", {"framerate": "15", "capture_cursor": "1", "pixel_format": "nv12"}),
    ]
    with pytest.raises(SourceMissing, match="windows cannot be captured on macOS"):
        system.windows()
    with pytest.raises(SourceMissing, match="cannot be recorded on macOS"):
        find_system_sound(system)


def test_a_linux_camera_is_opened_with_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch, refuses="video_size")
    system = LinuxSystem()
    camera = WindowsSystem().cameras()[0]
    first_item(system.open_camera(camera, 30, (9999, 9999), Codec.H264))
    assert [(format, options) for _, format, options in opened.asked] == [
        ("v4l2", {"framerate": "30", "video_size": "9999x9999"}),
        ("v4l2", {}),
    ]


def test_a_device_that_cannot_be_opened_is_named() -> None:
    with pytest.raises(SourceError, match="the camera Cam cannot be opened"):
        PictureReader("the camera Cam", "/nowhere/video0", "v4l2", 25)


def test_sound_of_any_samples_becomes_16_bits_in_two_channels() -> None:
    reader = SoundReader("a microphone", TONE, "lavfi")
    sounds: list[Sound] = []
    with pytest.raises(SourceError, match="a microphone has ended"):
        while True:
            sound = reader.read()
            if sound is not None:
                sounds.append(sound)
    reader.close()
    assert {(sound.sample_rate_hz, sound.channels) for sound in sounds} == {(16_000, 2)}
    assert sum(sound.duration_s for sound in sounds) == pytest.approx(0.5, abs=0.05)
    samples = np.frombuffer(b"".join(sound.samples for sound in sounds), dtype=np.int16)
    heard = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
    heard.sample_rate = 16_000
    assert loudest_hz([heard]) == pytest.approx(440, abs=10)


def test_pictures_come_until_the_camera_ends() -> None:
    reader = PictureReader("the camera", PICTURES, "lavfi", 25)
    for _ in range(5):
        picture = reader.read()
        assert picture is not None
        assert (picture.image.width, picture.image.height) == (320, 240)
    with pytest.raises(SourceError, match="the camera has ended"):
        reader.read()
    reader.close()
