"""What RTMP cannot carry is converted for its viewers, once for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from av.container.input import InputContainer
from support.hearing import loudest_hz
from support.programs import make, publishing_with_ffmpeg
from support.server import ServerProcess
from support.waiting import wait_until

CONFIG = "applications: [{name: app}]"
OFF = CONFIG + "\nconvert: {video: 0, audio: 0}"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make(
        tmp_path / "film.mkv",
        *("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=440:r=48000", "-t", "20"),
        *("-c:v", "mpeg4", "-q:v", "4", "-g", "25", "-c:a", "libopus"),
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, config=CONFIG, rtmp=True) as server:
        yield server


def played(server: ServerProcess, name: str) -> InputContainer:
    container = av.open(f"rtmp://127.0.0.1:{server.rtmp_port}/app/{name}", timeout=15)
    assert isinstance(container, InputContainer)
    return container


def check(container: InputContainer) -> None:
    assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
    pictures: list[av.VideoFrame] = []
    sounds: list[av.AudioFrame] = []
    for frame in container.decode():
        if isinstance(frame, av.VideoFrame):
            pictures.append(frame)
        elif isinstance(frame, av.AudioFrame):
            sounds.append(frame)
        if len(pictures) >= 20 and len(sounds) >= 20:
            break
    assert (pictures[0].width, pictures[0].height) == (320, 240)
    assert loudest_hz(sounds) == pytest.approx(440, abs=15)
    assert pictures[0].time == pytest.approx(sounds[0].time, abs=0.6)


def test_a_live_stream_is_converted_once_for_all_viewers(server: ServerProcess, film: Path) -> None:
    url = f"rtsp://127.0.0.1:{server.port}/app/live"
    with publishing_with_ffmpeg(film, url, "tcp", "-c", "copy"):
        wait_until(lambda: "stream app/live" in server.log, "it is published", deadline_s=10)
        with played(server, "live") as first, played(server, "live") as second:
            check(first)
            check(second)
        with av.open(url, options={"rtsp_transport": "tcp"}) as original:  # RTSP carries all
            assert [stream.codec_context.name for stream in original.streams] == ["mpeg4", "opus"]
    assert server.log.count("transcoding MPEG4 to H264") == 1
    assert server.log.count("transcoding OPUS to AAC") == 1


def test_a_file_is_converted_where_it_is_played(server: ServerProcess, film: Path) -> None:
    with played(server, "film.mkv") as container:
        check(container)


def test_conversions_can_be_switched_off(tmp_path: Path, film: Path) -> None:
    with ServerProcess(tmp_path, config=OFF, rtmp=True) as server:
        try:
            with played(server, "film.mkv") as container:
                names = {stream.codec_context.name for stream in container.streams if stream.codec_context is not None}
        except av.FFmpegError:
            names = set()
        assert not names & {"h264", "aac"}
        assert "FLV and RTMP cannot carry MPEG4" in server.log
