"""Which device a name means, how it is opened for all who want it, and that this is done once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from support.pictures import pictures
from support.waiting import until

from manycast.hub.output import AudioOutput, Output, OutputRules, VideoOutput
from manycast.hub.source import SourceMissing
from manycast.media.track import Codec, Track
from manycast.sources.capture.demand import form_of_camera, form_of_microphone
from manycast.sources.capture.devices import (
    SYSTEM_SOUND_NAME,
    Camera,
    Microphone,
    Monitor,
    System,
    Window,
    find_system_sound,
)
from manycast.sources.capture.finder import CaptureFinder
from manycast.sources.capture.inbox import Picture, Sound
from manycast.sources.capture.linux import LinuxSystem
from manycast.sources.capture.pool import Reader

from .test_capture import HD, SMALL, Sink, Webcam, window


class Machine(LinuxSystem):
    """A machine with a camera, two microphones, two monitors and some windows."""

    def __init__(self, *titles: str) -> None:
        self.titles = list(titles)
        self.cameras_there = [Camera(index=0, name="Cam", address="/dev/video0")]

    def cameras(self) -> list[Camera]:
        return self.cameras_there

    def microphones(self) -> list[Microphone]:
        return [Microphone(index=index, name=name, address=name.lower()) for index, name in enumerate(("Mic", "A+B"))]

    def monitors(self) -> list[Monitor]:
        return [Monitor(index=index, name=str(index), x=0, y=0, width=640, height=360) for index in range(2)]

    def windows(self) -> list[Window]:
        return [window(title, number) for number, title in enumerate(self.titles)]


def finder(system: System, *outputs: Output) -> CaptureFinder:
    return CaptureFinder(OutputRules({"app": outputs}), system=system)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("screenlive0", "screenlive"),
        ("screenlive1+audiodevice0", "screenlive1+audiodevice"),
        ("audiodevice1+videodevice=Cam", "videodevice=Cam+audiodevice1"),
        ("audiodevice=A+B", "audiodevice=A+B"),
        ("videodevice+audiodevice=A+B", "videodevice+audiodevice=A+B"),
        ("window=film+AUDIOdevice", "window=film+AUDIOdevice"),
        ("window=film+audiodevice", "window=film+audiodevice"),
        ("window=Notes+audiodevice1", "window=Notes+audiodevice1"),
    ],
)
async def test_names_that_mean_the_same_have_one_name(name: str, found: str) -> None:
    machine = finder(Machine("Film+audiodevice", "Film", "Notes"))
    capture = await machine.find("app", name)
    assert capture is not None
    assert capture.name == found
    assert machine.holds("app", name)


async def test_a_plus_in_a_whole_title_joins_nothing() -> None:
    """Which of the two was found shows in what is missing: the second machine has no window of the whole title."""
    whole = finder(Machine("a+audiodevice7"))
    assert await whole.find("app", "window=A+audiodevice7") is not None
    with pytest.raises(SourceMissing, match="no audio device 7: they have the numbers 0 to 1"):
        await finder(Machine("a")).find("app", "window=A+audiodevice7")


async def test_a_device_that_comes_back_is_found_again() -> None:
    machine = Machine()
    cameras, machine.cameras_there = machine.cameras_there, []
    found = finder(machine)
    with pytest.raises(SourceMissing, match="no video device 'Cam'"):
        await found.find("app", "videodevice=Cam")
    with pytest.raises(SourceMissing, match="no video device 'Cam'"):
        found.holds("app", "videodevice=Cam")
    machine.cameras_there = cameras
    assert await found.find("app", "videodevice=Cam") is not None
    assert found.holds("app", "videodevice=Cam")
    assert not found.holds("app", "videodevice.mp4")


async def test_a_picture_has_sound_where_a_rule_of_its_own_says_so() -> None:
    """And the microphone has to be there; the rule for everything opens none."""

    class Deaf(Machine):
        def microphones(self) -> list[Microphone]:
            return []

    of_screens = Output(pattern="screenlive", sound_asked=True)
    with pytest.raises(SourceMissing, match=r"there is no audio device$"):
        await finder(Deaf(), of_screens).find("app", "screenlive")
    found = await finder(Machine(), of_screens).find("app", "screenlive1")
    assert found is not None
    assert found.name == "screenlive1"
    assert await finder(Deaf(), Output(sound_asked=True)).find("app", "screenlive") is not None


class Recorded(Machine):
    """Notes what its devices are opened with."""

    def __init__(self, *titles: str) -> None:
        super().__init__(*titles)
        self.opened: list[object] = []

    def open_camera(self, camera: Camera, rate: float, size: tuple[int, int] | None, codec: Codec | None) -> Reader:
        self.opened.append((camera.name, rate, size, codec))
        return Webcam(codec or Codec.H264)

    def open_microphone(self, microphone: Microphone, rate_hz: int, channels: int) -> Reader:
        self.opened.append((microphone.name, rate_hz, channels))
        return Hum(rate_hz, channels)

    def open_window(self, title: str, rate: int) -> Reader:
        self.opened.append((title, rate))
        return Still()


class Hum:
    """A microphone that is silent, in the form it is asked for."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.form = rate_hz, channels
        self.began_s = time.monotonic()

    def read(self) -> Sound:
        time.sleep(0.02)
        rate_hz, channels = self.form
        return Sound(bytes(2 * channels * (rate_hz // 50)), rate_hz, channels, time.monotonic() - self.began_s)

    def close(self) -> None:
        pass


class Still:
    """A window in which nothing moves."""

    def __init__(self) -> None:
        (self.image,) = pictures(1)
        self.began_s = time.monotonic()

    def read(self) -> Picture:
        time.sleep(0.02)
        return Picture(self.image, time.monotonic() - self.began_s)

    def close(self) -> None:
        pass


async def watched(captures: CaptureFinder, *wanted: tuple[str, str]) -> list[tuple[Track, ...]]:
    """The tracks of captures, each an application and a name, that are watched at once, begun in this order."""
    tasks, sinks = [], []
    for application, name in wanted:
        found = await captures.find(application, name)
        assert found is not None
        sinks.append(sink := Sink())
        tasks.append(asyncio.create_task(found.make_source().run(sink.publish)))
        await until(lambda sink=sink: sink.frames, "frames come")  # type: ignore[misc]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [tuple(sink.tracks) for sink in sinks]


@pytest.mark.parametrize("order", [("app", "odd"), ("odd", "app")])
async def test_who_comes_first_does_not_decide_how_a_microphone_is_opened(order: tuple[str, str]) -> None:
    high = Output(pattern="audiodevice", audio=AudioOutput(codec=Codec.OPUS, sample_rate_hz=48_000, channels=2))
    of_the_other = Output(pattern="audiodevice1", audio=AudioOutput(sample_rate_hz=96_000))
    machine = Recorded()
    captures = CaptureFinder(OutputRules({"app": [], "odd": [of_the_other, high]}), system=machine)
    tracks = await watched(captures, *((application, "audiodevice") for application in order))
    found = dict(zip(order, tracks, strict=True))
    assert [track.clock_rate_hz for track in (*found["app"], *found["odd"])] == [8000, 48_000]
    assert machine.opened == [("Mic", 48_000, 2)]


@pytest.mark.parametrize(
    ("outputs", "form"),
    [
        ([], (8000, 2)),
        ([Output(audio=AudioOutput(sample_rate_hz=44_100, channels=1))], (44_100, 1)),
        ([Output(pattern="audiodevice", audio=AudioOutput(codec=Codec.G722))], (16_000, 2)),
        ([Output(pattern="screenlive", audio=AudioOutput(sample_rate_hz=32_000))], (32_000, 2)),
        ([Output(pattern="window=x", audio=AudioOutput(sample_rate_hz=32_000))], (32_000, 2)),
        ([Output(pattern="screenlive+audiodevice=Mic", audio=AudioOutput(sample_rate_hz=32_000))], (32_000, 2)),
        ([Output(pattern="screenlive+audiodevice1", audio=AudioOutput(sample_rate_hz=32_000))], (8000, 2)),
        ([Output(pattern="systemsound", audio=AudioOutput(sample_rate_hz=32_000))], (8000, 2)),
        ([Output(pattern="*.mp4", audio=AudioOutput(sample_rate_hz=32_000))], (8000, 2)),
        ([Output(), Output(pattern="audiodevice", audio=AudioOutput(sample_rate_hz=32_000))], (8000, 2)),
    ],
)
def test_what_all_outputs_ask_of_a_microphone(outputs: list[Output], form: tuple[int, int]) -> None:
    found = form_of_microphone(OutputRules({"app": outputs}), Machine().microphones()[0])
    assert (found.sample_rate_hz, found.channels) == form


@pytest.mark.parametrize(
    ("outputs", "form"),
    [
        ([], (25, None, Codec.H264)),
        (
            [Output(pattern="videodevice", video=VideoOutput(width=640, height=480, frame_rate=30))],
            (30, SMALL, Codec.H264),
        ),
        (
            [
                Output(pattern="videodevice+audiodevice", video=VideoOutput(width=1280, height=720, frame_rate=10)),
                Output(pattern="videodevice=Cam", video=VideoOutput(width=640, height=480, frame_rate=60)),
                Output(pattern="videodevice1", video=VideoOutput(width=4000, height=3000, frame_rate=99)),
            ],
            (60, HD, Codec.H264),
        ),
        ([Output(video=VideoOutput(codec=Codec.MJPEG, frame_rate=5))], (5, None, Codec.MJPEG)),
        ([Output(pattern="screenlive", video=VideoOutput(frame_rate=50))], (25, None, Codec.H264)),
    ],
)
def test_what_all_outputs_ask_of_a_camera(outputs: list[Output], form: tuple[float, object, Codec]) -> None:
    found = form_of_camera(OutputRules({"app": outputs}), Machine().cameras()[0])
    assert (found.rate, found.size, found.codec) == form


def test_what_outputs_ask_of_the_system_sound_is_asked_of_it_alone() -> None:
    rules = OutputRules({"app": [Output(pattern="systemsound", audio=AudioOutput(sample_rate_hz=32_000))]})
    own = Microphone(index=2, name=SYSTEM_SOUND_NAME, address="pulse")
    assert form_of_microphone(rules, own).sample_rate_hz == 32_000
    named = OutputRules({"app": [Output(pattern="screenlive+systemsound", audio=AudioOutput(sample_rate_hz=48_000))]})
    assert form_of_microphone(named, own).sample_rate_hz == 48_000
    assert form_of_microphone(named, Machine().microphones()[0]).sample_rate_hz == 8000


async def test_a_window_is_captured_once_however_its_title_is_written() -> None:
    machine = Recorded("A Big Window", "other")
    await watched(finder(machine), ("app", "window=Big"), ("app", "window=a big window"), ("app", "window=big w"))
    assert machine.opened == [("A Big Window", 15)]


def test_without_a_sound_server_the_system_has_no_sound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")
    system = LinuxSystem()
    assert all(microphone.name != SYSTEM_SOUND_NAME for microphone in system.microphones())
    with pytest.raises(SourceMissing, match=r"the system's own sound cannot be recorded: .*(PULSE_SERVER|plug-in)"):
        find_system_sound(system)
    assert not capfd.readouterr().err, "ALSA and its plug-ins keep quiet"
