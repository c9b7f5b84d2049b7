"""The test pattern, seen and heard by real players."""

from __future__ import annotations

import pytest
from support.hearing import check_tone
from support.programs import frame_digests, from_server, mono_samples, probe, rgb_picture
from support.server import ServerProcess
from support.waiting import wait_until

TRANSPORTS = ("tcp", "udp")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ffmpeg_decodes_the_moving_picture(media_server: ServerProcess, transport: str) -> None:
    frames = frame_digests(*from_server(media_server.url("demo"), transport), "-frames:v", "45")
    assert len(frames) == 45
    assert len({frame.md5 for frame in frames}) > 0.9 * len(frames), "every picture is another one"


def test_ffprobe_sees_picture_and_sound(media_server: ServerProcess) -> None:
    found = probe("-rtsp_transport", "tcp", "-show_streams", media_server.url("demo"))
    video, audio = found["streams"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 1280, 720)
    assert video["r_frame_rate"] == "25/1"
    assert (audio["codec_name"], audio["channels"]) == ("aac", 2)


def test_the_picture_is_the_test_pattern(media_server: ServerProcess) -> None:
    """testsrc2 begins with a row of bars in full colours."""
    width, height = 160, 90
    picture = rgb_picture(*from_server(media_server.url("demo"), "tcp"), width=width, height=height)
    pixels = {tuple(round(value / 255) for value in picture[at : at + 3]) for at in range(0, len(picture), 3)}
    assert {(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)} <= pixels


def test_the_tone_is_heard(media_server: ServerProcess) -> None:
    samples = mono_samples(*from_server(media_server.url("demo"), "tcp"), seconds=2)
    check_tone(samples, 440, seconds=0.8)


def test_it_stops_some_time_after_the_last_viewer_and_starts_again(media_server: ServerProcess) -> None:
    two = [*from_server(media_server.url("demo"), "tcp"), "-frames:v", "2"]
    assert len(frame_digests(*two)) == 2
    wait_until(lambda: "stream demo ended: nobody watches" in media_server.log, "the pattern stops", deadline_s=60)
    assert len(frame_digests(*two)) == 2


def test_the_addresses_are_printed_ready_to_paste(media_server: ServerProcess) -> None:
    assert media_server.url("demo") in media_server.output
