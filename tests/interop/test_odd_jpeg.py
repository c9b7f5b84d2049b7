"""JPEG that RTP cannot carry, from a camera by HTTP and in files: RTSP players see it all the same."""

from __future__ import annotations

import io
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from support.pictures import looks_of
from support.programs import ffmpeg, make
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

KINDS = ("huge", "optimised", "full", "grey", "progressive")
SIZES = {"huge": (2592, 1944)}  # the others' is 320x240
SHRUNK = {"huge": (2040, 1528)}
OFF = "convert: {video: 0, audio: 0}\n"
PICTURES = 4
ALIKE = 6.0  # of 255, on the average
CHANGED = threading.Event()  # what the camera "changing" sends
VECTORS = Path(__file__).parent.parent / "vectors" / "jpeg"


@cache
def encoded(kind: str) -> bytes:
    """A picture of a kind that RFC 2435 does not have."""
    if kind != "huge":
        return (VECTORS / f"{kind}.jpg").read_bytes()
    size = ["-vf", "scale=2592:1944", "-pix_fmt", "yuvj420p", "-huffman", "default", "-q:v", "4"]
    return ffmpeg("-i", str(VECTORS / "plain.jpg"), *size, "-f", "mjpeg", "-")


@cache
def original(kind: str) -> np.ndarray:
    with av.open(io.BytesIO(encoded(kind)), "r") as container:
        return looks_of(next(container.decode(video=0)))


class _Camera(socketserver.StreamRequestHandler):
    """Sends one picture over and over, ten times a second."""

    def handle(self) -> None:
        kind = self.rfile.readline().decode().split()[1].strip("/")
        never = threading.Event()
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=b\r\n\r\n")
            while not never.wait(0.1):
                image = encoded(kind if kind != "changing" else "full" if CHANGED.is_set() else "plain")
                self.wfile.write(
                    b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(image), image)
                )
        except OSError:
            return


class _Cameras(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def cameras() -> Iterator[int]:
    with _Cameras(("127.0.0.1", 0), _Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@contextmanager
def serving(folder: Path, more: str = "") -> Iterator[ServerProcess]:
    with cameras() as port:
        proxies = ", ".join(
            f'{{suffix: {kind}, url: "http://127.0.0.1:{port}/{kind}", ondemand: 1}}' for kind in (*KINDS, "changing")
        )
        outputs = '{url: "*.mkv", video: {codec: H264}}, {url: "*.mov", video: {codec: JPEG, width: 160}}'
        config = f"applications: [{{name: app, proxies: [{proxies}], outputs: [{outputs}]}}]\n{more}"
        with ServerProcess(folder, config=config, http=True) as server:
            yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """With each kind by HTTP, and in a film of four seconds with a tone."""
    folder = tmp_path_factory.mktemp("odd_jpeg")
    for kind in KINDS:
        make_film(folder, kind)
    with serving(folder) as server:
        yield server


def make_film(folder: Path, kind: str) -> None:
    """As AVI, mkv and mov."""
    image = folder / f"{kind}.jpg"
    image.write_bytes(encoded(kind))
    pictures = ["-loop", "1", "-framerate", "5", "-i", str(image)]
    for ending in ("avi", "mkv", "mov"):
        sound = ["-f", "lavfi", "-i", "sine=440:r=8000"]
        make(folder / f"{kind}.{ending}", *pictures, *sound, "-t", "4", "-c:v", "copy", "-c:a", "pcm_s16le")


def watched(url: str, count: int = PICTURES) -> tuple[str, list[VideoFrame]]:
    """The codec, and some pictures."""
    options = {"analyzeduration": "500000"} | ({"rtsp_transport": "tcp"} if url.startswith("rtsp") else {})
    with av.open(url, "r", options=options, timeout=60) as container:
        codec = container.streams.video[0].codec_context.name
        return codec, [picture for picture, _ in zip(container.decode(video=0), range(count), strict=False)]


def check(pictures: list[VideoFrame], kind: str, size: tuple[int, int]) -> None:
    assert len(pictures) == PICTURES
    for picture in pictures:
        assert (picture.width, picture.height) == size
        assert np.abs(looks_of(picture) - original(kind)).mean() < ALIKE


@pytest.mark.parametrize("name", ["{}", "{}.avi"], ids=["camera", "file"])
@pytest.mark.parametrize("kind", KINDS)
def test_rtsp_players_get_jpeg_that_rtp_carries(server: ServerProcess, kind: str, name: str) -> None:
    codec, pictures = watched(server.url(f"app/{name.format(kind)}"))
    assert codec == "mjpeg"
    check(pictures, kind, SHRUNK.get(kind, (320, 240)))
    if kind == "huge":
        assert "2592x1944 is too large for JPEG in RTP, made smaller" in server.log


@pytest.mark.parametrize("kind", ["huge", "progressive"])
def test_everybody_else_gets_all_of_the_picture(server: ServerProcess, kind: str) -> None:
    for name in (kind, f"{kind}.avi"):
        codec, pictures = watched(f"http://{server.host}:{server.http_port}/app/{name}.flv")
        assert codec == "h264"
        check(pictures, kind, SIZES.get(kind, (320, 240)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_is_what_it_asks_for(server: ServerProcess, kind: str) -> None:
    codec, pictures = watched(server.url(f"app/{kind}.mkv"))
    assert codec == "h264"
    check(pictures, kind, SIZES.get(kind, (320, 240)))
    codec, pictures = watched(server.url(f"app/{kind}.mov"))
    assert codec == "mjpeg"
    check(pictures, kind, (160, 120))


def test_all_rtsp_viewers_share_one_conversion(server: ServerProcess) -> None:
    url = server.url("app/full")
    with av.open(url, "r", options={"rtsp_transport": "tcp"}, timeout=60) as first:
        next(iter(first.decode(video=0)))
        before = server.log.count("app/full, converted: transcoding MJPEG")
        for _ in range(2):
            watched(url)
        assert server.log.count("app/full, converted: transcoding MJPEG") == before


def test_a_camera_that_begins_to_send_another_kind_ends_who_cannot_have_it(server: ServerProcess) -> None:
    CHANGED.clear()
    url = server.url("app/changing")
    with av.open(url, "r", options={"rtsp_transport": "tcp"}, timeout=60) as container:
        pictures = container.decode(video=0)
        check([next(pictures) for _ in range(PICTURES)], "plain", (320, 240))
        assert "app/changing, converted" not in server.log
        CHANGED.set()
        for _ in pictures:
            continue
    wait_until(lambda: "its pictures have become such that RTP cannot carry" in server.log, "the reason is said")
    codec, again = watched(url)
    assert codec == "mjpeg"
    check(again, "full", (320, 240))


def test_without_conversions_the_reason_is_said(tmp_path: Path) -> None:
    make_film(tmp_path, "full")
    make(tmp_path / "mute.avi", "-i", str(tmp_path / "full.avi"), "-an", "-c", "copy")
    with serving(tmp_path, OFF) as server:
        with RawRtsp.connect(server.host, server.port) as client:
            for name in ("app/full", "app/mute.avi"):
                assert client.ask("DESCRIBE", name).status == 404
            answer = client.ask("DESCRIBE", "app/full.avi")  # its sound can be had
        assert answer.status == 200
        assert b"m=audio" in answer.body
        assert b"m=video" not in answer.body
        with av.open(server.url("app/full.avi"), "r", options={"rtsp_transport": "tcp"}, timeout=60) as container:
            assert sum(sound.samples for sound in container.decode(audio=0)) > 3 * 8000
        assert server.log.count("sampling 1x1,1x1,1x1, wanted 2x1,1x1,1x1 (4:2:2) or 2x2,1x1,1x1 (4:2:0)") >= 3
