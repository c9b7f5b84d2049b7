from __future__ import annotations

import asyncio
import struct
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import decoded, pictures
from support.waiting import until, wait_until

from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub
from manycast.hub.output import AudioOutput, OutputRules, VideoOutput
from manycast.hub.source import SourceError
from manycast.media.frame import Frame
from manycast.media.nal import join_annex_b
from manycast.media.track import Codec, Track
from manycast.sources.capture.arrival_clock import ArrivalClock, SoundClock
from manycast.sources.capture.cameras import list_cameras
from manycast.sources.capture.capabilities import Mode, coded_form, modes
from manycast.sources.capture.devices import (
    Window,
    find_camera,
    find_window,
)
from manycast.sources.capture.finder import CaptureFinder
from manycast.sources.capture.inbox import MAX_CODED, MAX_PICTURES, Coded, Inbox, Picture, Sound
from manycast.sources.capture.names import Part, PartKind, address_name, parse_capture, parse_whole
from manycast.sources.capture.pool import DevicePool
from manycast.sources.capture.readers import CodedReader, PictureReader
from manycast.sources.capture.source import CaptureSource, Device

from .test_transcoding import video_of

TEST_PICTURES = "testsrc2=size=320x240:rate=25,realtime"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("screenlive", [Part(PartKind.SCREEN)]),
        ("screenlive0", [Part(PartKind.SCREEN)]),
        ("screenlive12", [Part(PartKind.SCREEN, 12)]),
        ("videodevice1", [Part(PartKind.CAMERA, 1)]),
        ("videodevice=FaceTime HD Camera (Built-in)", [Part(PartKind.CAMERA, name="FaceTime HD Camera (Built-in)")]),
        ("audiodevice+screenlive1", [Part(PartKind.SCREEN, 1), Part(PartKind.MICROPHONE)]),
        ("window=C++ t+audiodevice=M+2", [Part(PartKind.WINDOW, name="C++ t"), Part(PartKind.MICROPHONE, name="M+2")]),
        ("videodevice=Cam+systemsound", [Part(PartKind.CAMERA, name="Cam"), Part(PartKind.SYSTEM_SOUND)]),
        ("screenlive1 audiodevice", [Part(PartKind.SCREEN, 1), Part(PartKind.MICROPHONE)]),
        ("window=my audiodevice", [Part(PartKind.WINDOW, name="my audiodevice")]),
        ("window=a/b", [Part(PartKind.WINDOW, name="a/b")]),
    ],
)  # fmt: skip
def test_names_say_which_devices_are_meant(name: str, parts: list[Part]) -> None:
    assert parse_capture(name) == tuple(parts)


@pytest.mark.parametrize(
    "name",
    ["screenlive.mp4", "screenlivex", "videodevice=", "window", "window=", "screenlive+screenlive1", "systemsound2",
     "audiodevice+audiodevice1", "videodevice-1", "screenlive1234", "", "screenlive+"],
)  # fmt: skip
def test_what_only_begins_like_a_capture_is_none(name: str) -> None:
    assert parse_capture(name) is None


@given(st.text(max_size=40), st.sampled_from(["window=", "videodevice=", "screenlive", "audiodevice", ""]))
def test_any_name_is_read_or_refused(text: str, start: str) -> None:
    parts = parse_capture(start + text)
    if parts is not None:
        assert parse_capture("+".join(map(str, parts))) == parts


@given(st.sampled_from([PartKind.CAMERA, PartKind.MICROPHONE, PartKind.WINDOW]), st.text(min_size=1, max_size=40))
def test_every_listed_name_can_stand_in_an_address(kind: PartKind, name: str) -> None:
    address = address_name(kind, name)
    assert address.isascii()
    assert " " not in address
    decoded_name = unquote(address)
    assert Part(kind, name=name) in (parse_whole(decoded_name), *(parse_capture(decoded_name) or ()))


def window(title: str, number: int = 1) -> Window:
    return Window(id=number, title=title, width=1, height=1)


def test_a_whole_title_wins_over_one_that_contains_it() -> None:
    windows = [window("MediaServer.exe -l window"), window("RtspServer"), window("rtspserver log")]
    assert find_window(windows, "rtspserver").title == "RtspServer"
    assert find_window(windows, "mediaserver").title == "MediaServer.exe -l window"
    with pytest.raises(SourceError, match="2 windows"):
        find_window(windows, "rtsp")
    with pytest.raises(SourceError, match="no window"):
        find_window(windows, "nothing")


def cameras_in(folder: Path) -> Path:
    """As Linux has it: a camera of two nodes, of which the second is for metadata, and another camera."""
    for name, index, text in (
        ("video10", "0", "Late Cam"),
        ("video0", "0", "USB Cam: USB Cam"),
        ("video1", "1", "USB Cam"),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "index").write_text(index + "\n")
        (folder / name / "name").write_text(text + "\n")
    return folder


def test_cameras_are_listed_by_their_numbers_without_their_metadata(tmp_path: Path) -> None:
    found = list_cameras(cameras_in(tmp_path / "sys"), tmp_path / "dev")
    assert [(camera.index, camera.name, Path(camera.address).name) for camera in found] == [
        (0, "USB Cam: USB Cam", "video0"),
        (1, "Late Cam", "video10"),
    ]
    assert find_camera(1, None, found).name == "Late Cam"
    assert find_camera(0, "Late Cam", found).index == 1
    with pytest.raises(SourceError, match="no video device 2: they have the numbers 0 to 1"):
        find_camera(2, None, found)
    with pytest.raises(SourceError, match="no video device 'late cam'"):
        find_camera(0, "late cam", found)
    assert list_cameras(tmp_path / "nothing", tmp_path) == []


def test_what_a_driver_tells_of_its_pictures_is_listed() -> None:
    def driver(request: int, structure: bytes) -> bytes:
        (index,) = struct.unpack_from("=I", structure)
        if request & 0xFF == 2 and index < 1:
            return struct.pack("=III32s4sI12x", index, 1, 0, b"Motion-JPEG\0junk", b"MJPG", 0)
        if request & 0xFF == 0x4A and index < 2:
            assert structure[4:8] == b"MJPG"
            return struct.pack("=I4sIII20x", index, b"MJPG", 1, 640 * (index + 1), 360 * (index + 1))
        if request & 0xFF == 0x4B and index < 2:
            return struct.pack("=I4sIIIII16x8x", index, b"MJPG", 640, 360, 1, 1, 30 // (index + 1))
        raise OSError

    assert list(map(str, modes(driver))) == [
        "Motion-JPEG, 640x360, 30, 15 pictures/s",
        "Motion-JPEG, 1280x720, 30, 15 pictures/s",
    ]


SMALL, HD = (640, 480), (1280, 720)
CAMERA = [
    Mode(name="YUYV", codec=None, size=SMALL, rates=(30, 15)),
    Mode(name="YUYV", codec=None, size=HD, rates=(10,)),
    Mode(name="MJPG", codec=Codec.MJPEG, size=SMALL, rates=(30,)),
    Mode(name="MJPG", codec=Codec.MJPEG, size=HD, rates=(29.97,)),
    Mode(name="H264", codec=Codec.H264, size=HD, rates=(30, 25)),
]


@pytest.mark.parametrize(
    ("codec", "rate", "size", "form"),
    [
        (Codec.H264, 25, None, Codec.H264),  # as it is
        (Codec.H264, 25, HD, Codec.H264),
        (Codec.H264, 25, SMALL, None),  # raw
        (Codec.MJPEG, 30, HD, Codec.MJPEG),
        (Codec.H265, 30, HD, Codec.MJPEG),  # raw pictures would be too few
        (Codec.H265, 10, HD, None),
        (Codec.H265, 60, HD, None),  # what nobody can do is left to the driver
        (None, 25, (320, 240), None),
    ],
)
def test_a_camera_is_asked_for_what_it_can_do(
    codec: Codec | None, rate: float, size: tuple[int, int] | None, form: Codec | None
) -> None:
    assert coded_form(CAMERA, codec, rate, size) is form
    assert coded_form([], codec, rate, size) is None


def test_who_is_late_loses_the_oldest_pictures_and_no_sound() -> None:
    inbox = Inbox()
    images = list(pictures(9))
    for index, image in enumerate(images):
        inbox.put(Picture(image, index))
        inbox.put(Sound(bytes(4), 8000, 2, index / 50))
    assert inbox.dropped == 9 - MAX_PICTURES
    taken = [inbox.take(0) for _ in range(MAX_PICTURES + 9)]
    assert [item.time_s for item in taken if isinstance(item, Picture)] == [5, 6, 7, 8]
    assert sum(isinstance(item, Sound) for item in taken) == 9
    assert inbox.take(0) is None
    inbox.fail(SourceError("gone"))
    with pytest.raises(SourceError, match="gone"):
        inbox.take(0)


@given(st.lists(st.floats(-0.01, 0.01), min_size=200, max_size=200))
def test_jitter_of_arrival_is_not_in_the_times(jitter: list[float]) -> None:
    clock = ArrivalClock()
    times = [clock.time(index * 0.04 + late, 0.04) for index, late in enumerate(jitter)]
    steps = [after - before for before, after in pairwise(times)]
    assert max(abs(step - 0.04) for step in steps) < 0.0015
    assert abs(times[-1] - 199 * 0.04) < 0.02


BLOCK_S = 0.02


@given(st.lists(st.floats(0, 0.05), min_size=150, max_size=150))
def test_jitter_of_arrival_is_not_in_the_times_of_sound(late: list[float]) -> None:
    clock = SoundClock()
    times = [clock.time(index * BLOCK_S + late_s, BLOCK_S) for index, late_s in enumerate(late)]
    steps = [after - before for before, after in pairwise(times)]
    assert max(abs(step - BLOCK_S) for step in steps) < 0.006
    assert sum(abs(step - BLOCK_S) > 1e-6 for step in steps) <= 3


def test_sound_that_was_noticed_late_has_its_place() -> None:
    """As when the machine was busy for 0.4 s: the device has kept it."""
    clock = SoundClock()
    times = [clock.time(max(index * BLOCK_S, 1.4 if 50 <= index < 70 else 0.0), BLOCK_S) for index in range(150)]
    assert times == [pytest.approx(index * BLOCK_S, abs=1e-6) for index in range(150)]


def test_lost_sound_and_a_slow_device_are_followed() -> None:
    clock = SoundClock()
    times = [clock.time(index * BLOCK_S + (0.5 if index >= 100 else 0.0), BLOCK_S) for index in range(300)]
    assert times[99] == pytest.approx(99 * BLOCK_S)
    assert times[-1] == pytest.approx(299 * BLOCK_S + 0.5)
    clock = SoundClock()
    behind = [index * BLOCK_S * 1.001 - clock.time(index * BLOCK_S * 1.001, BLOCK_S) for index in range(6000)]
    assert max(map(abs, behind)) < 0.02


class Sink:
    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.frames: list[Frame] = []

    def publish(self, tracks: Sequence[Track]) -> Sink:
        self.tracks += tracks
        return self

    def push(self, frame: Frame) -> None:
        self.frames.append(frame)


class Beeps:
    """A microphone that gives 20 ms at a time, until it is unplugged."""

    opened = 0

    def __init__(self, unplug_after: int = 1 << 30) -> None:
        Beeps.opened += 1
        self._left = unplug_after
        self.closed = False

    def read(self) -> Sound:
        self._left -= 1
        if self._left < 0:
            raise SourceError("unplugged")
        time.sleep(0.02)
        return Sound(bytes(640), 8000, 2, time.monotonic())

    def close(self) -> None:
        self.closed = True


async def test_a_camera_is_opened_once_for_two_outputs_and_closed_after_them() -> None:
    opened: list[PictureReader] = []

    def make_reader() -> PictureReader:
        opened.append(PictureReader("the camera", TEST_PICTURES, "lavfi", 25))
        return opened[-1]

    pool = DevicePool()
    camera, microphone = Device(key="camera", make_reader=make_reader), Device(key="mic", make_reader=Beeps)
    wanted = [
        (VideoOutput(codec=Codec.H264), AudioOutput(codec=Codec.OPUS)),
        (VideoOutput(codec=Codec.MJPEG, width=160), AudioOutput()),
    ]
    sinks = [Sink(), Sink()]
    tasks = [
        asyncio.create_task(
            CaptureSource("camera", pool, camera, microphone, video, audio, frame_rate=25).run(sink.publish)
        )
        for (video, audio), sink in zip(wanted, sinks, strict=True)
    ]
    await asyncio.sleep(2.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [[track.codec for track in sink.tracks] for sink in sinks] == [
        [Codec.H264, Codec.OPUS],
        [Codec.MJPEG, Codec.AAC],
    ]
    assert len(opened) == 1
    for sink in sinks:
        video = [frame.pts_ticks / 90_000 for frame in sink.frames if frame.track_index == 0]
        rate = (len(video) - 1) / (video[-1] - video[0])
        assert 12 < rate < 27.5  # a busy machine leaves some out
    wait_until(lambda: not any(thread.name.startswith("capture") for thread in threading.enumerate()), "closed")


async def test_a_capture_makes_a_keyframe_when_it_is_asked_for() -> None:
    sink, device = Sink(), Device(key="cam", make_reader=lambda: PictureReader("cam", TEST_PICTURES, "lavfi", 25))
    source = CaptureSource("cam", DevicePool(), device, None, VideoOutput(), AudioOutput(), frame_rate=25)
    source.request_keyframe()  # which does no harm before it runs
    task = asyncio.create_task(source.run(sink.publish))
    await until(lambda: len(sink.frames) >= 3, "it runs")
    source.request_keyframe()
    await until(lambda: sum(frame.keyframe for frame in sink.frames) >= 2, "a second keyframe")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    keys = [frame.pts_ticks for frame in sink.frames if frame.keyframe]
    assert keys[1] < 1.9 * 90_000, "before its time"


class Webcam:
    """A camera that codes its pictures itself; whoever comes first sees it in the middle of a group."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        _, frames = video_of(codec, 75)
        self._frames = frames[10:]

    def read(self) -> Coded | None:
        time.sleep(0.02)
        if not self._frames:
            return None
        frame = self._frames.pop(0)
        data = frame.units[0] if self._codec is Codec.MJPEG else join_annex_b(frame.units)
        return Coded(
            codec=self._codec, data=data, keyframe=frame.keyframe, size=(320, 240), rate=25, time_s=time.monotonic()
        )

    def close(self) -> None:
        pass


async def seen_of(codec: Codec, video: VideoOutput) -> list[Frame]:
    sink, device = Sink(), Device(key="webcam", make_reader=lambda: Webcam(codec))
    source = CaptureSource("videodevice", DevicePool(), device, None, video, AudioOutput(), frame_rate=25)
    task = asyncio.create_task(source.run(sink.publish))
    await until(lambda: len(sink.frames) >= 10, "pictures come")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [track.codec for track in sink.tracks] == [video.codec or Codec.H264]
    assert sink.tracks[0].parameters.complete
    assert sink.frames[0].keyframe
    return sink.frames


@pytest.mark.parametrize("codec", [Codec.H264, Codec.MJPEG])
async def test_what_a_camera_codes_as_it_is_wanted_passes(codec: Codec) -> None:
    _, frames = video_of(codec, 75)
    first = 50 if codec is Codec.H264 else 10
    seen = await seen_of(codec, VideoOutput(codec=codec, frame_rate=25))
    assert [frame.units for frame in seen[:10]] == [frame.units for frame in frames[first : first + 10]]


@pytest.mark.parametrize(
    ("codec", "video"),
    [
        (Codec.MJPEG, VideoOutput(codec=Codec.H264)),
        (Codec.H264, VideoOutput(codec=Codec.MJPEG)),
        (Codec.H264, VideoOutput(codec=Codec.H264, width=160)),
    ],
)
async def test_what_a_camera_codes_otherwise_is_transcoded(codec: Codec, video: VideoOutput) -> None:
    assert video.codec is not None
    shown = decoded(video.codec, await seen_of(codec, video))
    assert {picture.width for picture in shown} == {video.width or 320}


def test_who_is_late_loses_coded_pictures_up_to_a_keyframe() -> None:
    inbox = Inbox()
    for index in range(MAX_CODED + 31):
        key = index % 30 == 0
        inbox.put(Coded(codec=Codec.H264, data=b"", keyframe=key, size=(2, 2), rate=25, time_s=index))
    assert inbox.dropped == MAX_CODED
    first = inbox.take(0)
    assert isinstance(first, Coded)
    assert first.keyframe
    inbox = Inbox()
    for index in range(MAX_CODED + 31):
        inbox.put(Coded(codec=Codec.H264, data=b"", keyframe=index == MAX_CODED + 30, size=(2, 2), rate=25, time_s=0))
    assert inbox.dropped == MAX_CODED + 30


def test_a_camera_that_codes_is_read_as_it_comes(tmp_path: Path) -> None:
    _, frames = video_of(Codec.H264, 20)
    (tmp_path / "camera").write_bytes(b"".join(join_annex_b(frame.units) for frame in frames))
    reader = CodedReader("the camera", str(tmp_path / "camera"), "h264", Codec.H264, {"framerate": "25"})
    seen: list[Coded] = []
    with pytest.raises(SourceError, match="the camera has ended"):
        while True:
            item = reader.read()
            if item is not None:
                seen.append(item)
    reader.close()
    assert [item.data for item in seen] == [join_annex_b(frame.units) for frame in frames]
    assert [item.keyframe for item in seen] == [True] + [False] * 19
    assert (seen[0].size, seen[0].rate) == ((320, 240), 25)


async def test_an_unplugged_device_ends_the_stream_with_its_reason() -> None:
    device = Device(key="mic", make_reader=lambda: Beeps(5))
    source = CaptureSource("audiodevice", DevicePool(), None, device, VideoOutput(), AudioOutput(), frame_rate=25)
    sink = Sink()
    with pytest.raises(SourceError, match="unplugged"):
        await source.run(sink.publish)
    assert [track.codec for track in sink.tracks] == [Codec.AAC]


@pytest.fixture
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


async def test_without_an_x_server_it_is_said_what_to_do(no_desktop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue(Hub(), None, ("app",), captures=CaptureFinder(OutputRules()))
    with pytest.raises(SourceError, match="DISPLAY is not set"):
        await catalogue.find("app/screenlive")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with pytest.raises(SourceError, match="Wayland does not let other programs see"):
        await catalogue.find("app/window=x")
    assert await catalogue.find("app/screenlive.mp4") is None
