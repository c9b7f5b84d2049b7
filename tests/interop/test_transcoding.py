"""Files come out as the configuration asks, checked by decoding them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from av.audio.frame import AudioFrame
from av.container.input import InputContainer
from av.video.frame import VideoFrame
from support.hearing import loudest_hz
from support.programs import make
from support.server import ServerProcess

CONFIG = """
applications:
  - name: app
    outputs:
      - {url: small.mp4, video: {codec: H264, width: 160, height: 0, framerate: 10}, audio: {codec: AAC}}
      - {url: sound.mp4, audio: {codec: OPUS, samplerate: 48000, channels: 1}}
      - {url: "*.mkv", video: {codec: JPEG}, audio: {codec: G711U, samplerate: 8000, channels: 1}}
      - {url: "*.avi", video: {codec: H265}, audio: {codec: G722}}
      - {url: "*.mov", video: {codec: MP4, width: 320, height: 320}, audio: {codec: G726}}
  - name: plain
"""
"""Files of 4 s: H.264 with B-frames at 25 pictures/s, a keyframe every 2 s, and a tone of 440 Hz in AAC at 44.1 kHz."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("films")
    pattern = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=440:r=44100", "-t", "4")
    video = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "50", "-pix_fmt", "yuv420p")
    film = make(folder / "small.mp4", *pattern, *video, "-c:a", "aac", "-ac", "2")
    for name in ("sound.mp4", "film.mkv", "film.avi", "film.mov"):
        make(folder / name, "-i", str(film), "-c", "copy")
    with ServerProcess(folder, config=CONFIG, rtmp=True) as server:
        yield server


def opened(server: ServerProcess, name: str, *, rtmp: bool = False) -> InputContainer:
    url = f"rtmp://127.0.0.1:{server.rtmp_port}/{name}" if rtmp else f"rtsp://127.0.0.1:{server.port}/{name}"
    options = {} if rtmp else {"rtsp_transport": "tcp", "analyzeduration": "500000"}
    container = av.open(url, options=options, timeout=60)
    assert isinstance(container, InputContainer)
    return container


def played(container: InputContainer) -> tuple[list[VideoFrame], list[AudioFrame]]:
    pictures: list[VideoFrame] = []
    sounds: list[AudioFrame] = []
    for frame in container.decode():
        if isinstance(frame, VideoFrame):
            pictures.append(frame)
        elif isinstance(frame, AudioFrame):
            sounds.append(frame)
    return pictures, sounds


@pytest.mark.parametrize(
    ("name", "codecs", "size", "rate"),
    [
        ("app/small.mp4", ["h264", "aac"], (160, 120), 10),
        ("app/sound.mp4", ["h264", "libopus"], (320, 240), 25),
        ("app/film.mkv", ["mjpeg", "pcm_mulaw"], (320, 240), 25),
        ("app/film.avi", ["hevc", "g722"], (320, 240), 25),
        ("app/film.mov", ["mpeg4", "g726le"], (320, 320), 25),
    ],
)
def test_a_file_comes_out_as_its_rule_says(
    server: ServerProcess, name: str, codecs: list[str], size: tuple[int, int], rate: int
) -> None:
    with opened(server, name) as container:
        found = [
            stream.codec_context.name.replace("opus", "libopus").replace("liblib", "lib")
            for stream in container.streams
        ]
        assert found == codecs
        pictures, sounds = played(container)
    assert {(picture.width, picture.height) for picture in pictures} == {size}
    times = [picture.time for picture in pictures if picture.time is not None]
    assert len(times) == pytest.approx(4 * rate, abs=3)
    # The client's times follow the server's clock, and with it every stall of a busy machine.
    assert 4 - 1 / rate - 0.9 < times[-1] - times[0] < 4 - 1 / rate + 10
    assert times == sorted(times)
    assert loudest_hz(sounds) == pytest.approx(440, abs=12)
    first_s, last = sounds[0].time, sounds[-1]
    assert first_s is not None
    assert last.time is not None
    assert abs(first_s - times[0]) < 1 / rate + 0.05
    assert last.time + last.samples / last.sample_rate == pytest.approx(times[-1], abs=2.0)


def test_only_what_differs_is_transcoded(server: ServerProcess) -> None:
    def packets(name: str) -> list[bytes]:
        with opened(server, name) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    assert packets("app/sound.mp4") == packets("plain/sound.mp4")


def test_a_transcoded_file_can_be_sought_and_is_shared(server: ServerProcess) -> None:
    before = server.log.count("small.mp4: transcoded to")
    with opened(server, "app/small.mp4") as first, opened(server, "app/small.mp4", rtmp=True) as second:
        first.seek(2_000_000)
        times = [picture.time for picture, _ in zip(first.decode(video=0), range(5), strict=False)]
        times = [time_s for time_s in times if time_s is not None]
        assert times[0] == pytest.approx(2, abs=0.25)
        assert [stream.codec_context.name for stream in second.streams] == ["h264", "aac"]
        assert next(iter(second.decode(video=0))).width == 160
    assert server.log.count("small.mp4: transcoded to") <= before + 1


def test_hardware_that_is_asked_for_and_not_there_is_replaced(tmp_path: Path) -> None:
    """Seen on a machine without a graphics card, or with one that is hidden."""
    source = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-t", "2")
    make(tmp_path / "film.mp4", *source, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
    config = """
transcode: {encoder: NVIDIA, decoder: NVIDIA}
applications: [{name: app, outputs: [{video: {codec: H264, width: 160}}]}]
"""
    with ServerProcess(tmp_path, config=config, environment={"CUDA_VISIBLE_DEVICES": "-1"}) as server:
        for _ in range(2):
            with opened(server, "app/film.mp4") as container:
                pictures, _ = played(container)
                assert {(picture.width, picture.height) for picture in pictures} == {(160, 120)}
        assert server.log.count("the hardware encoder h264_nvenc does not work here") == 1
        assert server.log.count("the hardware decoder h264 (cuda) does not work here") == 1
