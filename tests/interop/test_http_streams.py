"""HTTP-FLV, MP4 over HTTP, and both in TLS, with the clients of others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from support.media import FRAME_RATE, FRAMES, HEIGHT, WIDTH
from support.programs import frame_digests, gst, probe, publishing_with_ffmpeg
from support.server import ServerProcess
from support.waiting import wait_until

USERS = """
user: [{username: anna, password: s3cret}]
rtsp: {need_auth: true, udp_base_port: UDP_BASE}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("http"), media=media, http=True, https=True) as running:
        yield running
        running.check_log()


def url(server: ServerProcess, name: str, scheme: str = "http") -> str:
    port = server.https_port if scheme == "https" else server.http_port
    return f"{scheme}://{server.host}:{port}/{name}"


@pytest.mark.parametrize(
    ("name", "file", "scheme"),
    [
        ("b-frames.mp4", "b-frames.mp4", "http"),  # the file's own name: FLV
        ("b-frames.mkv.flv", "b-frames.mkv", "https"),
        ("b-frames.mkv.mp4", "b-frames.mkv", "https"),
        ("h265.mkv.mp4", "h265.mkv", "http"),
        ("opus.mkv.mp4", "opus.mkv", "http"),
    ],
)
def test_ffmpeg_gets_every_picture_of_a_file(
    server: ServerProcess, media: Path, name: str, file: str, scheme: str
) -> None:
    got = frame_digests("-i", url(server, name, scheme))
    wanted = frame_digests("-i", str(media / file))
    assert [frame.md5 for frame in got] == [frame.md5 for frame in wanted]
    assert len(got) == FRAMES


def test_the_times_of_mp4_are_exact(server: ServerProcess) -> None:
    with av.open(url(server, "b-frames.mp4.mp4"), "r") as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        packets = [packet for packet in container.demux(stream) if packet.size]
        dts = [(packet.dts or 0) * stream.time_base for packet in packets]
        pts = sorted((packet.pts or 0) * stream.time_base for packet in packets)
    for times in (dts, pts):
        assert {after - before for before, after in pairwise(times)} == {Fraction(1, FRAME_RATE)}
    assert len(packets) == FRAMES


def test_pictures_and_sound_keep_together(server: ServerProcess, media: Path) -> None:
    """The first times of both tracks are as far from each other as in the file."""

    def distance(source: str) -> float:
        found = probe("-show_entries", "stream=start_time", source)
        video, audio = (float(stream["start_time"]) for stream in found["streams"])
        return video - audio

    wanted = distance(str(media / "plain.mp4"))
    assert distance(url(server, "plain.mp4")) == pytest.approx(wanted, abs=0.03)
    assert distance(url(server, "plain.mp4.mp4")) == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize("form", ["flv", "mp4"])
def test_a_published_stream(server: ServerProcess, media: Path, form: str) -> None:
    with publishing_with_ffmpeg(media / "b-frames.mp4", server.url(f"of-{form}"), "tcp"):
        wait_until(lambda: f"of-{form} (H264" in server.log, "it is published")
        found = probe("-show_streams", url(server, f"of-{form}.{form}"))
        assert [stream["codec_name"] for stream in found["streams"]] == ["h264", "aac"]
        assert (found["streams"][0]["width"], found["streams"][0]["height"]) == (WIDTH, HEIGHT)
        pictures = frame_digests("-i", url(server, f"of-{form}.{form}"), "-frames:v", "45")
        assert len(pictures) == 45
        assert [picture.pts for picture in pictures] == sorted({picture.pts for picture in pictures})


def test_new_players_know_h265_in_flv(server: ServerProcess) -> None:
    """FFmpeg since 6.1, which PyAV brings along; what Debian has does not."""
    with av.open(url(server, "h265.mp4"), "r", format="flv") as container:
        assert container.streams.video[0].codec_context.name == "hevc"
        assert len(list(container.decode(video=0))) == FRAMES


@pytest.mark.parametrize(
    ("name", "demuxer"),
    [
        ("b-frames.mp4", "flvdemux name=d d.video"),
        ("b-frames.mp4.mp4", "qtdemux name=d d.video_0"),
    ],
)
def test_gstreamer_plays(server: ServerProcess, name: str, demuxer: str) -> None:
    output = gst(
        f"souphttpsrc location={url(server, name)} ! {demuxer} ! queue ! h264parse ! avdec_h264",
        "! fpsdisplaysink text-overlay=false video-sink=fakesink sync=false name=sink -v",
    )
    rendered = re.findall(r"rendered: (\d+), dropped: 0", output)
    assert rendered
    assert int(rendered[-1]) >= FRAMES - FRAME_RATE  # the sink tells now and then only
    assert f"width=(int){WIDTH}" in output


def test_ffmpeg_logs_in(tmp_path: Path, media: Path) -> None:
    with ServerProcess(tmp_path, media=media, http=True, config=USERS) as server:
        place = f"{server.host}:{server.http_port}"
        for name in ("plain.mp4", "plain.mp4.mp4"):
            for source in (f"http://anna:s3cret@{place}/{name}", f"http://{place}/{name}?user=anna&pass=s3cret"):
                found = probe("-show_entries", "stream=codec_name", source)
                assert [stream["codec_name"] for stream in found["streams"]] == ["h264", "aac"]
        with pytest.raises(AssertionError, match="401"):
            probe("-show_streams", f"http://anna:guess@{place}/plain.mp4")
        server.check_log()
