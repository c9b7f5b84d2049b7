"""Files in codecs that no protocol carries: seen and heard by RTSP and HTTP, from the start and from the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from support.hearing import loudest_hz
from support.pictures import looks_of
from support.programs import ffmpeg, make
from support.rtsp import RawRtsp
from support.server import ServerProcess

SECONDS, RATE, TONE_HZ = 4, 25, 440
PATTERN = ("-f", "lavfi", "-i", f"testsrc2=size=320x240:rate={RATE}")
SOUND = ("-f", "lavfi", "-i", f"sine={TONE_HZ}:r=44100")
ALIKE = 8.0  # of 255, on the average
FILES = {  # how each is made, and the kinds that it has
    "prores.mov": ("-c:v prores -c:a pcm_s16le", "va"),
    "msmpeg4.avi": ("-c:v msmpeg4v3 -q:v 4 -g 25 -c:a mp3", "va"),
    "windows.wmv": ("-c:v wmv2 -q:v 4 -g 25 -c:a wmav2", "va"),
    "ffv1.mkv": ("-c:v ffv1 -g 1 -c:a flac", "va"),
    "flash.flv": ("-c:v flv -q:v 4 -g 25 -c:a nellymoser", "va"),
    "video.dv": ("-c:v dvvideo -s 720x576 -pix_fmt yuv420p -c:a pcm_s16le -ar 48000 -ac 2", "va"),
    "dts.mkv": ("-c:v libx264 -pix_fmt yuv420p -bf 2 -g 25 -c:a dca -strict -2 -ac 2", "va"),
    "tone.flac": ("-vn -c:a flac", "a"),
    "alac.m4a": ("-vn -c:a alac", "a"),
    "tone.wma": ("-vn -c:a wmav2", "a"),
}
OFF = "convert: {video: 0, audio: 0}\n"
CONFIG = """
applications:
  - name: app
  - name: asked
    outputs: [{video: {codec: H264, width: 160}, audio: {codec: G711U}}]
"""


def make_files(folder: Path, *names: str) -> Path:
    for name in names:
        coded, kinds = FILES[name]
        sources = [*PATTERN, *SOUND] if "v" in kinds else [*SOUND]
        make(folder / name, *sources, "-t", str(SECONDS), *coded.split())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = make_files(tmp_path_factory.mktemp("any_codec"), *FILES)
    with ServerProcess(folder, config=CONFIG, http=True, rtmp=True, srt=True) as server:
        yield server


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """The looks of all pictures, as they were before any coding."""
    path = make(tmp_path_factory.mktemp("drawn") / "film.mkv", *PATTERN, "-t", str(SECONDS), "-c:v", "ffv1")
    with av.open(str(path), "r") as container:
        return [looks_of(picture) for picture in container.decode(video=0)]


@dataclass
class Played:
    codecs: list[str]
    pictures: list[VideoFrame] = field(default_factory=list)
    sounds: list[AudioFrame] = field(default_factory=list)

    @property
    def sound_s(self) -> float:
        return sum(sound.samples / sound.sample_rate for sound in self.sounds)


def played(url: str, *, seek_s: int = 0, seconds: float = SECONDS) -> Played:
    options = {"analyzeduration": "500000"} | ({"rtsp_transport": "tcp"} if url.startswith("rtsp") else {})
    with av.open(url, "r", options=options, timeout=60) as container:
        found = Played([stream.codec_context.name for stream in container.streams])
        if seek_s:
            container.seek(seek_s * 1_000_000)
        for frame in container.decode():
            if isinstance(frame, VideoFrame):
                found.pictures.append(frame)
            elif isinstance(frame, AudioFrame):
                found.sounds.append(frame)
            if len(found.pictures) >= seconds * RATE and found.sound_s >= seconds:
                break
    return found


def check_pictures(found: Played, drawn: list[np.ndarray], first: int = 0) -> None:
    """They are those of the film in their order, the first of them one of the first few from a place on."""
    looks = [looks_of(picture) for picture in found.pictures]
    begin = min(range(max(first - RATE, 0), first + 3), key=lambda place: float(np.abs(drawn[place] - looks[0]).mean()))
    assert max(float(np.abs(drawn[begin + i] - look).mean()) for i, look in enumerate(looks)) < ALIKE
    times = [picture.time for picture in found.pictures if picture.time is not None]
    assert times == sorted(set(times))


def check_tone(found: Played) -> None:
    assert loudest_hz(found.sounds) == pytest.approx(TONE_HZ, abs=12)


@pytest.mark.parametrize("name", FILES)
def test_rtsp_players_see_and_hear_all_of_it(server: ServerProcess, name: str, drawn: list[np.ndarray]) -> None:
    found = played(server.url(f"app/{name}"))
    check_tone(found)
    assert found.sound_s == pytest.approx(SECONDS, abs=0.3)
    if "v" in FILES[name][1]:
        assert len(found.pictures) == pytest.approx(SECONDS * RATE, abs=1)
        assert "h264" in found.codecs
        check_pictures(found, drawn)


@pytest.mark.parametrize("name", FILES)
def test_it_can_be_sought(server: ServerProcess, name: str, drawn: list[np.ndarray]) -> None:
    found = played(server.url(f"app/{name}"), seek_s=2)
    check_tone(found)
    assert 1.7 < found.sound_s < 3.3
    if "v" in FILES[name][1]:
        assert SECONDS * RATE / 2 - 3 <= len(found.pictures) <= SECONDS * RATE * 3 / 4 + 3
        check_pictures(found, drawn, 2 * RATE)


@pytest.mark.parametrize("name", FILES)
def test_http_players_see_and_hear_it(server: ServerProcess, name: str, drawn: list[np.ndarray]) -> None:
    found = played(f"http://{server.host}:{server.http_port}/app/{name}.flv", seconds=1)
    check_tone(found)
    if "v" in FILES[name][1]:
        assert "h264" in found.codecs
        check_pictures(found, drawn)


@pytest.mark.parametrize("protocol", ["rtmp", "mp4", "srt"])
def test_players_of_other_protocols_do(
    server: ServerProcess, protocol: str, drawn: list[np.ndarray], tmp_path: Path
) -> None:
    url = {
        "rtmp": f"rtmp://{server.host}:{server.rtmp_port}/app/windows.wmv",
        "mp4": f"http://{server.host}:{server.http_port}/app/windows.wmv.mp4",
        "srt": f"srt://{server.host}:{server.srt_port}?streamid=app/windows.wmv",
    }[protocol]
    copy = tmp_path / "copy.mkv"
    ffmpeg("-i", url, "-t", "2", "-c", "copy", str(copy))
    found = played(str(copy))
    assert sorted(found.codecs) == ["aac", "h264"]
    assert len(found.pictures) >= RATE
    check_tone(found)
    check_pictures(found, drawn)


@pytest.mark.parametrize("name", ["prores.mov", "flash.flv", "alac.m4a"])
def test_an_output_is_what_it_asks_for(server: ServerProcess, name: str, drawn: list[np.ndarray]) -> None:
    found = played(server.url(f"asked/{name}"), seconds=1)
    check_tone(found)
    if "v" not in FILES[name][1]:
        assert found.codecs == ["pcm_mulaw"]
        return
    assert found.codecs == ["h264", "pcm_mulaw"]
    assert {(picture.width, picture.height) for picture in found.pictures} == {(160, 120)}
    check_pictures(found, drawn)


def test_it_plays_faster_and_backwards(server: ServerProcess) -> None:
    with RawRtsp.connect(server.host, server.port) as client:
        client.set_up("app/windows.wmv")
        for scale in ("4", "-2"):
            answer = client.ask("PLAY", "app/windows.wmv", {"Scale": scale, "Range": "npt=2-"})
            assert answer.status == 200
            assert float(answer.headers["scale"]) == float(scale)


def test_without_conversions_it_is_left_out_with_a_word(tmp_path: Path) -> None:
    make_files(tmp_path, "prores.mov", "alac.m4a")
    with ServerProcess(tmp_path, config=CONFIG + OFF, http=True) as server:
        with RawRtsp.connect(server.host, server.port) as client:
            assert client.ask("DESCRIBE", "app/alac.m4a").status == 404
            answer = client.ask("DESCRIBE", "app/prores.mov")
        assert answer.status == 200
        assert b"m=audio" in answer.body
        assert b"m=video" not in answer.body
        assert played(server.url("app/prores.mov"), seconds=1).codecs == ["pcm_s16be"]
        assert "RTP cannot carry alac; it is converted where `convert` is not switched off" in server.log
        assert (
            "RTP cannot carry prores; it is converted where `convert` is not switched off; it is left out" in server.log
        )
        assert played(server.url("asked/prores.mov"), seconds=1).codecs == ["h264", "pcm_mulaw"]
