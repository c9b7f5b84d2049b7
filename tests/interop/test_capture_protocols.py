"""A screen with sound in every protocol, and what each of them says of a device that is not there."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from support.desktop import Desktop, pattern_time_ms
from support.hearing import loudest_hz
from support.programs import ffmpeg, frame_digests
from support.rtmp import RawRtmp
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.sound_source import SoundSource
from support.srt import Refused, SrtCaller
from support.waiting import wait_until

CONFIG = """
srt: {enable: 1}
hls: {enable: 1, fragment: 1}
capture: {linger: 60}
applications:
  - name: app
    outputs:
      - {url: screenlive, video: {codec: H264, framerate: 15}, audio: {codec: AAC, samplerate: 8000, channels: 2}}
"""
JOINED = "screenlive+audiodevice"
MISSING = ["screenlive7", "videodevice=Cam%20%2B%201", "audiodevice=nobody", "window=nothing%20here"]
NOT_FOUND = 1404  # SRT's own number for it


@pytest.fixture(scope="module")
def desktop() -> Iterator[Desktop]:
    with Desktop() as desktop:
        desktop.show("Clock")
        desktop.show("C++ notes+audiodevice", place="+320+0", size="300x200")
        yield desktop


@pytest.fixture(scope="module")
def server(desktop: Desktop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("captures")
    environment = {**desktop.environment, **SoundSource(folder).environment}
    with ServerProcess(folder, config=CONFIG, environment=environment, rtmp=True, http=True, srt=True) as server:
        yield server


def addresses(server: ServerProcess, name: str) -> dict[str, list[str]]:
    """ffmpeg's options to play it, by protocol."""
    http = f"http://127.0.0.1:{server.http_port}/app/{name}"
    return {
        "RTSP": ["-rtsp_transport", "tcp", "-i", f"rtsp://127.0.0.1:{server.port}/app/{name}"],
        "RTMP": ["-i", f"rtmp://127.0.0.1:{server.rtmp_port}/app/{name}"],
        "SRT": ["-i", f"srt://127.0.0.1:{server.srt_port}?streamid=app/{name}"],
        "HTTP-FLV": ["-i", http],
        "HLS": ["-i", f"{http}.m3u8"],
    }


@pytest.mark.parametrize("protocol", ["RTSP", "RTMP", "SRT", "HTTP-FLV", "HLS"])
def test_a_screen_with_sound_is_seen_and_heard(server: ServerProcess, tmp_path: Path, protocol: str) -> None:
    source = addresses(server, JOINED)[protocol]
    ffmpeg(*source, "-t", "3", "-c", "copy", str(tmp_path / "seen.mkv"))
    with av.open(str(tmp_path / "seen.mkv")) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        shown = [pattern_time_ms(picture) for picture in container.decode(video=0)]
        container.seek(0)
        sounds = list(container.decode(audio=0))
    times = [time_ms for time_ms in shown if time_ms is not None]
    assert len(times) > 5
    assert len(set(times)) > 5
    assert loudest_hz(sounds) == pytest.approx(440, abs=12)
    assert server.log.count("capture of screenlive at 15 pictures a second opened") == 1
    assert server.log.count("capture of default opened") == 1


@pytest.mark.parametrize("protocol", ["RTSP", "RTMP", "SRT", "HTTP-FLV", "HLS"])
def test_a_title_is_written_with_percent_signs(server: ServerProcess, protocol: str) -> None:
    """A whole title with a plus sign and the name of a capture behind it is that window, and joins nothing."""
    source = addresses(server, "window=c%2B%2B%20notes%2Baudiodevice")[protocol]
    digests = frame_digests(*source, "-frames:v", "3")
    assert len(digests) == 3


@pytest.mark.parametrize("name", MISSING)
def test_a_device_that_is_not_there_is_not_found_in_the_protocols_own_words(server: ServerProcess, name: str) -> None:
    with RawRtsp.connect(server.host, server.port) as client:
        assert client.ask("DESCRIBE", f"app/{name}").status == 404
    with RawRtmp.connect(server.host, server.rtmp_port) as rtmp:
        assert rtmp.play("app", name)[1] == "NetStream.Play.StreamNotFound"
    for suffix in ("", ".flv", ".m3u8"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/app/{name}{suffix}", timeout=60)
        assert refused.value.code == 404
        refused.value.close()
    with pytest.raises(Refused) as rejected:
        SrtCaller.connect(server.srt_port, f"app/{name}")
    assert rejected.value.reason == NOT_FOUND


def test_the_log_says_what_is_not_there(server: ServerProcess) -> None:
    with RawRtsp.connect(server.host, server.port) as client:
        assert client.ask("DESCRIBE", "app/screenlive7").status == 404
    wait_until(lambda: "there is no monitor 7: the only one is number 0" in server.log, "the reason is in the log")
