"""Publishing through tunnels, and RTSP on the HTTP port; who watches through tunnels: test_transport_matrix.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.media import FRAMES
from support.programs import frame_digests, from_server, publishing_with_ffmpeg, running
from support.server import ServerProcess
from support.waiting import wait_until

CLIP = "plain.mp4"


@pytest.fixture(scope="module")
def tunnels(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServerProcess]:
    """A server with all ports open."""
    folder = tmp_path_factory.mktemp("tunnels")
    with ServerProcess(folder, media=media, http=True, https=True, rtsps=True) as server:
        yield server
        server.check_log()


def test_ffmpeg_speaks_rtsp_as_it_is_on_the_http_port(tunnels: ServerProcess, media: Path) -> None:
    got = frame_digests(*from_server(f"rtsp://{tunnels.host}:{tunnels.http_port}/{CLIP}", "tcp"))
    assert [frame.md5 for frame in got] == [frame.md5 for frame in frame_digests("-i", str(media / CLIP))]
    assert len(got) == FRAMES


def test_ffmpeg_publishes_over_tls(tunnels: ServerProcess, media: Path) -> None:
    address = f"rtsps://{tunnels.host}:{tunnels.rtsps_port}/pushed-tls"
    with publishing_with_ffmpeg(media / CLIP, address, "tcp"):
        wait_until(lambda: "stream pushed-tls" in tunnels.log, "the stream is there")
        frames = frame_digests(
            *from_server(f"rtsp://{tunnels.host}:{tunnels.http_port}/pushed-tls", "http"), "-frames:v", "25"
        )
    assert len(frames) == 25


def test_gstreamer_publishes_through_a_tunnel(tunnels: ServerProcess, media: Path) -> None:
    address = f"rtsph://{tunnels.host}:{tunnels.http_port}/pushed-http"
    pipeline = ["-q", "filesrc", f"location={media / CLIP}", "!", "qtdemux", "!", "h264parse", "config-interval=-1"]
    pipeline += ["!", "identity", "sync=true", "!", "rtspclientsink", f"location={address}", "protocols=tcp"]
    with running("gst-launch-1.0", *pipeline):
        wait_until(lambda: "stream pushed-http" in tunnels.log, "the stream is there")
        frames = frame_digests(
            *from_server(f"rtsp://{tunnels.host}:{tunnels.https_port}/pushed-http", "https"), "-frames:v", "20"
        )
    assert len(frames) == 20
