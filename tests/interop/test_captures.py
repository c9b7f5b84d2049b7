"""Screens, windows and sound, captured by the real server and seen by real players."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from av.container.input import InputContainer
from support.desktop import Desktop, pattern_time_ms
from support.hearing import loudest_hz
from support.server import ServerProcess
from support.sound_source import SoundSource
from support.waiting import wait_until

LINGER_S = 2
CONFIG = """
capture: {linger: 2}
applications:
  - name: app
    outputs:
      - {url: screenlive1, video: {codec: JPEG, framerate: 10}}
      - {url: audiodevice1, audio: {codec: OPUS, samplerate: 48000, channels: 1}}
      - {url: screenlive, video: {codec: H264, framerate: 30}, audio: {codec: G711U, samplerate: 8000, channels: 1}}
"""


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    with Desktop() as desktop:
        yield desktop


@pytest.fixture
def server(desktop: Desktop, tmp_path: Path) -> Iterator[ServerProcess]:
    sound = SoundSource(tmp_path)
    environment = {**desktop.environment, **sound.environment}
    with ServerProcess(tmp_path, config=CONFIG, environment=environment, rtmp=True) as server:
        yield server


def opened(url: str) -> InputContainer:
    options = (
        {"rtsp_transport": "tcp", "fflags": "nobuffer", "analyzeduration": "500000"} if url.startswith("rtsp") else {}
    )
    container = av.open(url, options=options, timeout=60)
    assert isinstance(container, InputContainer)
    return container


def rtsp(server: ServerProcess, name: str) -> InputContainer:
    return opened(f"rtsp://127.0.0.1:{server.port}/app/{name}")


@pytest.mark.alone
def test_a_screen_is_seen_live_by_viewers_of_all_protocols_from_one_capture(
    server: ServerProcess, desktop: Desktop
) -> None:
    desktop.show("Clock")
    with rtsp(server, "screenlive+audiodevice") as container:
        codecs = [stream.codec_context.name for stream in container.streams]
        assert codecs == ["h264", "pcm_mulaw"]
        late_ms, shown, times = [], [], []
        began_s = time.monotonic()
        for picture in container.decode(video=0):
            seen = pattern_time_ms(picture)
            assert seen is not None
            assert (picture.width, picture.height) == (640, 360)
            late_ms.append((time.monotonic_ns() // 1_000_000 - seen) % 65536)
            shown.append(seen)
            assert picture.time is not None
            times.append(picture.time)
            if time.monotonic() - began_s > 4:
                break
        with opened(f"rtmp://127.0.0.1:{server.rtmp_port}/app/screenlive+audiodevice") as other:
            assert [stream.codec_context.name for stream in other.streams] == ["h264", "pcm_mulaw"]
            assert pattern_time_ms(next(iter(other.decode(video=0)))) is not None
    assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(30, abs=2)
    elapsed_s = (shown[-1] - shown[0]) % 65536 / 1000
    assert times[-1] - times[0] == pytest.approx(elapsed_s, abs=0.15)
    assert sorted(late_ms)[len(late_ms) // 2] < 400
    assert server.log.count("capture of screenlive at 30 pictures a second opened") == 1


def test_every_monitor_has_its_number_and_its_rule(server: ServerProcess, desktop: Desktop) -> None:
    desktop.set_monitors("320x360+0+0", "320x360+320+0")
    desktop.show("Clock")
    desktop.show("Red", place="+320+0", size="320x360", colour="ff0000")
    with rtsp(server, "screenlive1") as container:
        assert [stream.codec_context.name for stream in container.streams] == ["mjpeg"]
        picture = next(iter(container.decode(video=0)))
        assert (picture.width, picture.height) == (320, 360)
        red, green, blue = picture.to_ndarray(format="rgb24").mean(axis=(0, 1))
        assert red > 230
        assert green < 25
        assert blue < 25
    with pytest.raises(av.FFmpegError):
        rtsp(server, "screenlive2")
    assert "there is no monitor 2: they have the numbers 0 to 1" in server.log


def test_a_window_is_followed_until_it_is_closed(server: ServerProcess, desktop: Desktop) -> None:
    window = desktop.show("user manual.doc - Office", place="+100+50", size="300x200")
    with rtsp(server, "window=USER%20manual.DOC") as container:
        pictures = container.decode(video=0)
        picture = next(pictures)
        assert (picture.width, picture.height) == (300, 200)
        assert pattern_time_ms(picture) is not None
        window.do("move 300 120")
        assert sum(pattern_time_ms(next(pictures)) is not None for _ in range(15)) >= 14
        window.do("move 20 10")
        window.do("resize 560 200")
        shown = [picture for picture, _ in zip(pictures, range(40), strict=False)]
        assert {(picture.width, picture.height) for picture in shown} == {(300, 200)}
        assert shown[-1].to_ndarray(format="gray")[:30].max() < 40  # 560x200, with bars above and below
        window.do("hide")
        assert sum(1 for _ in zip(pictures, range(20), strict=False)) == 20  # the last picture, again and again
        window.do("close")
        assert sum(1 for _ in pictures) < 60
    wait_until(lambda: "the window was closed" in server.log, "the reason is said")
    with pytest.raises(av.FFmpegError):
        rtsp(server, "window=user%20manual.doc")
    desktop.show("Another user manual.doc")
    with rtsp(server, "window=user%20manual.doc") as container:  # it comes back with the window
        next(iter(container.decode(video=0)))


@pytest.mark.parametrize(
    ("name", "codec", "hz"),
    [
        ("audiodevice", "aac", 440),
        ("audiodevice=The%20tone", "aac", 440),
        ("systemsound", "aac", 880),
        ("audiodevice2", "aac", 880),
        ("audiodevice1", "opus", None),
    ],
)
def test_sound_comes_out_as_it_goes_in(server: ServerProcess, name: str, codec: str, hz: int | None) -> None:
    with rtsp(server, name) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == codec
        began_s = time.monotonic()
        count = 12 if codec == "aac" else 50
        blocks = [block for block, _ in zip(container.decode(audio=0), range(count), strict=False)]
        assert time.monotonic() - began_s > 0.3  # in real time, though a file is read
    assert loudest_hz(blocks) == (hz if hz is None else pytest.approx(hz, abs=15))


def test_a_device_is_closed_some_time_after_its_last_viewer(server: ServerProcess, desktop: Desktop) -> None:
    desktop.show("Clock")
    with rtsp(server, "screenlive") as container:
        next(iter(container.decode(video=0)))
    left_s = time.monotonic()
    with rtsp(server, "screenlive") as container:  # in time: nothing is opened anew
        next(iter(container.decode(video=0)))
    if time.monotonic() - left_s < LINGER_S:
        assert server.log.count("capture of screenlive at 30 pictures a second opened") == 1
    left_s = time.monotonic()
    wait_until(lambda: "capture of screenlive at 30 pictures a second closed" in server.log, "the screen is closed")
    assert time.monotonic() - left_s > LINGER_S - 0.5
    assert "stream app/screenlive ended: nobody watches" in server.log
    wait_until(lambda: "capture of default closed" in server.log, "the microphone is closed")


def test_a_lost_x_server_ends_the_stream_until_it_is_back(server: ServerProcess, desktop: Desktop) -> None:
    desktop.show("Clock")
    with rtsp(server, "window=clock") as container:
        pictures = container.decode(video=0)
        assert pattern_time_ms(next(pictures)) is not None
        desktop.close()
        assert sum(1 for _ in pictures) < 60
    wait_until(lambda: "the X server is lost" in server.log, "the reason is said")
    with pytest.raises(av.FFmpegError):
        rtsp(server, "screenlive")
    wait_until(lambda: f"the X server {desktop.display} does not let us in" in server.log, "and that it is not there")
    with Desktop(display=desktop.display) as again:
        again.show("Clock")
        with rtsp(server, "window=clock") as container:
            assert pattern_time_ms(next(iter(container.decode(video=0)))) is not None
