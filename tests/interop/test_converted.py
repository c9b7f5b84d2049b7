"""What a protocol cannot carry is converted for its viewers: seen and heard with real players, by every protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.container.input import InputContainer
from av.video.frame import VideoFrame
from support.desktop import Desktop, pattern_time_ms
from support.hearing import loudest_hz
from support.listening import listen
from support.programs import ffmpeg, gst, make, publishing_with_ffmpeg, running
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

CONFIG = "applications: [{name: app}]\nhls: {fragment: 1}\nrtsp: {udp_base_port: UDP_BASE}\n"
OFF = CONFIG + "convert: {video: 0, audio: 0}\n"
WIDTH, HEIGHT, TONE_HZ = 320, 240, 440
PICTURES = ("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25")
SOUND = ("-f", "lavfi", "-i", f"sine={TONE_HZ}:r=48000")
ALIKE = 0.7  # so much all pictures of the pattern have in common
FILM_S = 20
PLAYED_S = 2.0
PLAYERS = ("rtmp", "srt", "http-flv", "http-mp4", "hls", "ws-flv", "ws-mp4")
BROWSER = ("-user_agent", "Mozilla/5.0")
JPEG = ("-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p", "-huffman", "default")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("converted")
    with ServerProcess(folder, config=CONFIG, http=True, rtmp=True, srt=True) as server:
        yield server


@dataclass
class Recording:
    """What a player took down without decoding it, and what there is to see and hear in it."""

    codecs: list[str]
    pictures: list[VideoFrame]
    sounds: list[AudioFrame]


def source_of(server: ServerProcess, name: str, player: str, folder: Path) -> list[str]:
    """ffmpeg's options to play a name of the application by a protocol, as a browser where that matters."""
    http = f"{server.host}:{server.http_port}/app/{name}"
    if player.startswith("ws-"):
        form = player.removeprefix("ws-")
        file = folder / f"heard.{form}"
        file.write_bytes(asyncio.run(listen(f"ws://{http}.{form}", PLAYED_S + 1)))
        return ["-i", str(file)]
    return {
        "rtmp": ["-i", f"rtmp://{server.host}:{server.rtmp_port}/app/{name}"],
        "srt": ["-i", f"srt://{server.host}:{server.srt_port}?streamid=app/{name}"],
        "http-flv": [*BROWSER, "-i", f"http://{http}.flv"],
        "http-mp4": [*BROWSER, "-i", f"http://{http}.mp4"],
        "hls": ["-i", f"http://{http}.m3u8"],
    }[player]


def recorded(server: ServerProcess, name: str, player: str, folder: Path) -> Recording:
    file = folder / "recording.mkv"
    ffmpeg(*source_of(server, name, player, folder), "-t", str(PLAYED_S), "-map", "0", "-c", "copy", "-y", str(file))
    found = Recording([], [], [])
    with av.open(str(file), "r") as container:
        found.codecs = [stream.codec_context.name for stream in container.streams]
        for frame in container.decode():
            if isinstance(frame, VideoFrame):
                found.pictures.append(frame)
            elif isinstance(frame, AudioFrame):
                found.sounds.append(frame)
    return found


def likeness(picture: VideoFrame, other: VideoFrame) -> float:
    """How two pictures go together, from -1 to 1."""
    first, second = (frame.reformat(format="gray").to_ndarray().astype(float).ravel() for frame in (picture, other))
    return float(np.corrcoef(first, second)[0, 1])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> VideoFrame:
    """A picture as it was drawn."""
    path = make(tmp_path_factory.mktemp("original") / "one.png", *PICTURES, "-frames:v", "1")
    with av.open(str(path), "r") as container:
        return next(container.decode(video=0))


def check(found: Recording, original: VideoFrame) -> None:
    assert sorted(found.codecs) == ["aac", "h264"]
    assert len(found.pictures) >= 25
    assert {(picture.width, picture.height) for picture in found.pictures} == {(WIDTH, HEIGHT)}
    assert min(likeness(picture, original) for picture in found.pictures) > ALIKE
    assert loudest_hz(found.sounds) == pytest.approx(TONE_HZ, abs=12)
    assert found.pictures[0].time == pytest.approx(found.sounds[0].time, abs=0.6)


@contextmanager
def publishing(
    server: ServerProcess, folder: Path, name: str, *coded: str, sent: Sequence[str] = ("-c", "copy")
) -> Iterator[None]:
    film = make(folder / "film.mkv", *PICTURES, *SOUND, "-t", str(FILM_S), *coded)
    with publishing_with_ffmpeg(film, server.url(f"app/{name}"), "tcp", *sent):
        wait_for(server, f"app/{name}")
        yield


def wait_for(server: ServerProcess, name: str) -> None:
    with RawRtsp.connect(server.host, server.port) as client:
        wait_until(lambda: client.ask("DESCRIBE", name).status == 200, f"{name} is published")


@pytest.fixture(scope="module")
def camera(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a stream that no protocol but RTSP can carry, and somebody watches all the time."""
    folder = tmp_path_factory.mktemp("camera")
    with publishing(server, folder, "camera", *JPEG, "-c:a", "g722", "-ar", "16000", "-ac", "1"):
        watching = [*source_of(server, "camera", "http-flv", folder), "-c", "copy", "-f", "null", "-"]
        with running("ffmpeg", "-nostdin", "-loglevel", "error", *watching):
            yield "camera"


@pytest.mark.parametrize("player", PLAYERS)
def test_every_player_sees_and_hears_an_old_camera(
    server: ServerProcess, camera: str, player: str, original: VideoFrame, tmp_path: Path
) -> None:
    check(recorded(server, camera, player, tmp_path), original)
    for changed in ("transcoding MJPEG to H264", "transcoding G722 to AAC"):  # for all of them together
        assert server.log.count(f"app/camera, converted: {changed}") == 1


MPEG_2 = ("-c:v", "mpeg2video", "-q:v", "4", "-g", "12", "-bf", "2", "-flags", "+cgop", "-sc_threshold", "1000000000")
MPEG_4 = ("-c:v", "mpeg4", "-q:v", "4", "-g", "25")
VP8 = ("-c:v", "libvpx", "-b:v", "600k", "-g", "25", "-deadline", "realtime")
THEORA = ("-c:v", "libtheora", "-b:v", "600k", "-g", "25")
TELEPHONE = ("-ar", "8000", "-ac", "1")
OTHERS = {  # pictures and sound, and some of those who have them
    "mpeg4-opus": ((*MPEG_4, "-c:a", "libopus"), ("hls",)),
    "vp8-vorbis": ((*VP8, "-c:a", "libvorbis"), ("http-mp4", "hls")),
    "mpeg2-l16": ((*MPEG_2, "-c:a", "pcm_s16be", "-ar", "44100", "-ac", "1"), ("http-flv",)),
    "theora-g711u": ((*THEORA, "-c:a", "pcm_mulaw", *TELEPHONE), ("http-mp4",)),
    "jpeg-g711a": ((*JPEG, "-c:a", "pcm_alaw", *TELEPHONE), ("http-flv", "hls")),
}


@pytest.mark.parametrize("codecs", OTHERS)
def test_what_browsers_get_of_other_codecs(
    server: ServerProcess, codecs: str, original: VideoFrame, tmp_path: Path
) -> None:
    coded, players = OTHERS[codecs]
    with publishing(server, tmp_path, codecs, *coded):
        for player in players:
            check(recorded(server, codecs, player, tmp_path), original)


def test_what_browsers_get_of_g726(server: ServerProcess, original: VideoFrame, tmp_path: Path) -> None:
    """Which no file holds that ffmpeg could publish as it is."""
    sent = ("-c:v", "copy", "-c:a", "g726le", "-b:a", "32k", *TELEPHONE)
    with publishing(server, tmp_path, "g726", *MPEG_4, sent=sent):
        for player in ("http-flv", "hls"):
            check(recorded(server, "g726", player, tmp_path), original)


@pytest.mark.parametrize(
    ("name", "magic", "rate_hz", "encoder"),
    [("amr", b"#!AMR\n", 8000, "amrnbenc"), ("amr-wb", b"#!AMR-WB\n", 16_000, "voamrwbenc band-mode=8")],
    ids=["amr", "amr-wb"],
)
def test_speech_is_heard_everywhere(
    server: ServerProcess, tmp_path: Path, name: str, magic: bytes, rate_hz: int, encoder: str
) -> None:
    body, file = tmp_path / "body", tmp_path / "speech.amr"
    source = f"audiotestsrc freq={TONE_HZ} num-buffers=1000 samplesperbuffer={rate_hz // 50}"
    gst(f"{source} ! audio/x-raw,rate={rate_hz} ! {encoder} ! filesink location={body}")
    file.write_bytes(magic + body.read_bytes())
    with publishing_with_ffmpeg(file, server.url(f"app/{name}"), "tcp"):
        wait_for(server, f"app/{name}")
        for player in ("http-flv", "hls"):
            found = recorded(server, name, player, tmp_path)
            assert found.codecs == ["aac"]
            assert loudest_hz(found.sounds) == pytest.approx(TONE_HZ, abs=15)


@pytest.fixture(scope="module")
def film(server: ServerProcess) -> str:
    """The name of a file of MPEG-4 and G.711."""
    coded = (*MPEG_4, "-c:a", "pcm_alaw", *TELEPHONE)
    return make(server.media / "film.mkv", *PICTURES, *SOUND, "-t", "6", *coded).name


@pytest.mark.parametrize("player", [player for player in PLAYERS if player not in ("hls", "srt", "rtmp")])
def test_a_file_is_converted_where_it_is_played(
    server: ServerProcess, film: str, player: str, original: VideoFrame, tmp_path: Path
) -> None:
    check(recorded(server, film, player, tmp_path), original)


def test_of_a_file_only_what_must_be_is_converted(server: ServerProcess, film: str, tmp_path: Path) -> None:
    """RTMP carries G.711, a transport stream MPEG-4."""
    assert sorted(recorded(server, film, "rtmp", tmp_path).codecs) == ["h264", "pcm_alaw"]
    assert sorted(recorded(server, film, "srt", tmp_path).codecs) == ["aac", "mpeg4"]


def test_rtsp_and_players_of_everything_have_it_as_it_is(server: ServerProcess, tmp_path: Path) -> None:
    with publishing(server, tmp_path, "as-it-is", *MPEG_4, "-c:a", "libopus"):
        with av.open(server.url("app/as-it-is"), options={"rtsp_transport": "tcp"}) as container:
            assert [stream.codec_context.name for stream in container.streams] == ["mpeg4", "opus"]
        assert sorted(recorded(server, "as-it-is", "srt", tmp_path).codecs) == ["mpeg4", "opus"]
    assert "app/as-it-is, converted" not in server.log


def test_what_a_proxy_fetches_is_converted_too(
    server: ServerProcess, camera: str, original: VideoFrame, tmp_path: Path
) -> None:
    proxy = f"{{suffix: copy, url: '{server.url(f'app/{camera}')}', ondemand: 1}}"
    config = CONFIG.replace("{name: app}", f"{{name: app, proxies: [{proxy}]}}")
    with ServerProcess(tmp_path, config=config, http=True) as edge:
        for player in ("http-flv", "hls"):
            check(recorded(edge, "copy", player, tmp_path), original)
        assert edge.log.count("transcoding MJPEG to H264") == 1


def test_a_capture_in_jpeg_is_converted_too(tmp_path: Path) -> None:
    config = CONFIG.replace("{name: app}", "{name: app, outputs: [{video: {codec: JPEG, framerate: 15}}]}")
    with Desktop() as desktop:
        desktop.show("Clock")
        with ServerProcess(tmp_path, config=config, environment=desktop.environment, http=True) as server:
            for player in ("http-flv", "hls"):
                found = recorded(server, "screenlive", player, tmp_path)
                assert found.codecs == ["h264"]
                assert len({pattern_time_ms(picture) for picture in found.pictures}) > 5
            assert server.log.count("transcoding MJPEG to H264") == 1


@pytest.mark.parametrize("player", ["rtmp", "http-flv", "http-mp4"])
def test_it_can_be_switched_off(server: ServerProcess, film: str, player: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, config=OFF, media=server.media, http=True, rtmp=True) as plain:
        try:
            with av.open(source_of(plain, film, player, tmp_path)[-1], timeout=60) as container:
                assert isinstance(container, InputContainer)
                names = {stream.codec_context.name for stream in container.streams if stream.codec_context is not None}
        except av.FFmpegError:
            names = set()
        assert not names & {"h264", "aac"}
        assert "cannot carry MPEG4" in plain.log
