"""Files of the media folder, played by real players: every frame, in real time, in step."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from support.media import AUDIO_FILES, FRAME_RATE, FRAMES, SECONDS, TONE_HZ, VIDEO_FILES
from support.programs import ffmpeg, frame_digests, from_server, mono_samples, probe, tone_level
from support.rtsp import Interleaved, RawRtsp
from support.server import CONFIG, ServerFactory, ServerProcess

from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import Goodbye, SenderReport, parse_compound

TRANSPORTS = ("tcp", "udp")
FRAME_TICKS = 90_000 // FRAME_RATE


@pytest.mark.parametrize("name", VIDEO_FILES)
def test_every_frame_of_a_file_arrives_in_real_time(media_server: ServerProcess, media: Path, name: str) -> None:
    original = [frame.md5 for frame in frame_digests("-i", str(media / name))]
    assert len(original) == FRAMES
    started_s = time.monotonic()
    frames = frame_digests(*from_server(media_server.url(name), "tcp"))
    took_s = time.monotonic() - started_s
    assert [frame.md5 for frame in frames] == original
    assert SECONDS - 0.5 < took_s < SECONDS + 30


@pytest.mark.parametrize("name", ["h265.mp4"])
def test_every_frame_arrives_over_udp(media_server: ServerProcess, media: Path, name: str) -> None:
    original = [frame.md5 for frame in frame_digests("-i", str(media / name))]
    frames = frame_digests(*from_server(media_server.url(name), "udp"))
    assert [frame.md5 for frame in frames] == original


@pytest.mark.parametrize("name", [*AUDIO_FILES, "plain.mp4", "b-frames.ts", "alaw.mkv", "opus.mkv", "clip.avi"])
def test_the_sound_of_a_file_arrives(media_server: ServerProcess, name: str) -> None:
    samples = mono_samples(*from_server(media_server.url(name), "tcp"), seconds=2)
    assert len(samples) > 1.8 * 8000
    assert tone_level(samples[2000:], TONE_HZ) > 0.9


@pytest.mark.parametrize("name", ["plain.mp4", "b-frames.mp4", "b-frames.ts", "b-frames.mkv", "clip.flv", "h265.mkv"])
def test_picture_and_sound_start_together(media_server: ServerProcess, name: str) -> None:
    found = probe("-rtsp_transport", "tcp", "-show_packets", "-read_intervals", "%+1", media_server.url(name))
    starts = {}
    for kind in ("video", "audio"):
        times = [packet.get("pts_time") for packet in found["packets"] if packet["codec_type"] == kind]
        starts[kind] = min(float(pts) for pts in times if pts is not None)
        # ffprobe leaves the first picture's time open, which then is the one before the others'.
        starts[kind] -= times.count(None) / FRAME_RATE
    assert abs(starts["video"] - starts["audio"]) < 0.05, starts


@pytest.mark.parametrize("start_s", [0.0, 1.0, 2.0])
def test_ffmpeg_seeks(media_server: ServerProcess, media: Path, start_s: float) -> None:
    original = [frame.md5 for frame in frame_digests("-i", str(media / "b-frames.mp4"))]
    frames = frame_digests("-ss", str(start_s), *from_server(media_server.url("b-frames.mp4"), "tcp"))
    positions = [original.index(frame.md5) for frame in frames]
    # ffmpeg knows no time for the first picture after a seek and so shows it, wherever it stands: it is a keyframe.
    assert positions[0] % FRAME_RATE == 0
    assert positions[1:] == list(range(positions[1], FRAMES))
    assert positions[1] == pytest.approx(start_s * FRAME_RATE, abs=1)


def test_a_range_is_answered_and_kept(media_server: ServerProcess) -> None:
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        reply = client.play("plain.mp4", headers={"Range": "npt=1.0-2.0"})
        assert reply["Range"] == "npt=1.000-2.000"
        info = dict(part.split("=", 1) for part in reply["RTP-Info"].split(";"))
        items = _to_goodbye(client)
        times = [int.from_bytes(item.payload[4:8]) for item in items if item.channel == 0]
        assert times[0] == int(info["rtptime"])
        assert len(set(times)) == FRAME_RATE


def test_describe_tells_the_duration(media_server: ServerProcess) -> None:
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        body = client.ask("DESCRIBE", "plain.mp4").body.decode()
        assert re.search(rf"a=range:npt=0(\.0+)?-{SECONDS}\.\d+\r\n", body)


@pytest.mark.parametrize("wanted", ["npt=1000-", "npt=2-1", "clock=20200101T000000Z-"])
def test_a_range_a_file_has_not_is_457(media_server: ServerProcess, wanted: str) -> None:
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        client.set_up("plain.mp4")
        assert client.ask("PLAY", "plain.mp4", {"Range": wanted}).status == 457
        assert client.ask("PLAY", "plain.mp4").status == 200


def test_a_file_pauses_and_goes_on_where_it_was(media_server: ServerProcess) -> None:
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        client.play("plain.mp4")
        packets = client.rtp(30)
        reply = client.ask("PAUSE", "plain.mp4")
        assert reply.status == 200
        position_s = float(reply["Range"].removeprefix("npt=").rstrip("-"))
        packets += _drain(client)
        time.sleep(0.5)  # what this is about: time passes and nothing comes
        assert client.ask("GET_PARAMETER", "plain.mp4").status == 200
        assert not [packet for packet in client.packets if packet.is_rtp]
        reply = client.ask("PLAY", "plain.mp4")
        assert float(reply["Range"].removeprefix("npt=").split("-")[0]) == pytest.approx(position_s, abs=0.1)
        packets += client.rtp(30)
        assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
        times = [packet.timestamp for packet in packets]
        assert all((b - a) & 0xFFFFFFFF <= FRAME_TICKS for a, b in pairwise(times))


def test_each_viewer_of_a_file_has_a_position_of_its_own(media_server: ServerProcess) -> None:
    with (
        RawRtsp.connect(media_server.host, media_server.port) as first,
        RawRtsp.connect(media_server.host, media_server.port) as second,
    ):
        first.play("plain.mp4")
        first.rtp(60)
        reply = second.play("plain.mp4")
        assert reply["Range"].startswith("npt=0.000-")
        third = first.ask("PLAY", "plain.mp4", {"Range": "npt=0-"})
        assert third["Range"].startswith("npt=0.000-")
        second.rtp(30)


def test_sender_reports_keep_picture_and_sound_in_step(media_server: ServerProcess) -> None:
    """Both tracks' RTP times, put on the reports' wall clock, tell the same start."""
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        client.set_up("b-frames.mp4", tracks=(0, 1))
        assert client.ask("PLAY", "b-frames.mp4").status == 200
        reports: dict[int, SenderReport] = {}
        firsts: dict[int, int] = {}
        while len(reports) < 2 or len(firsts) < 2:
            packet = client.packet()
            if packet.is_rtp:
                firsts.setdefault(packet.channel // 2, int.from_bytes(packet.payload[4:8]))
            else:
                for report in parse_compound(packet.payload):
                    if isinstance(report, SenderReport):
                        reports[packet.channel // 2] = report

    def wall(track: int, rate_hz: int) -> float:
        ticks = (firsts[track] - reports[track].rtp_timestamp + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
        return reports[track].ntp / 2**32 + ticks / rate_hz

    assert abs(wall(0, 90_000) - wall(1, 48_000)) < 0.05


def test_the_end_of_a_file_is_said_and_it_can_be_played_again(media_server: ServerProcess) -> None:
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        client.play("plain.mp4", headers={"Range": "npt=2-"})
        assert _to_goodbye(client)
        reply = client.ask("PLAY", "plain.mp4")
        assert reply.status == 200
        assert reply["Range"].startswith("npt=0.000-")
        client.rtp(5)


def test_a_file_is_played_twice_with_times_that_only_grow(start_server: ServerFactory, media: Path) -> None:
    server = start_server(config=f"loop_nums: 2\n{CONFIG}", media=media)
    original = [frame.md5 for frame in frame_digests("-i", str(media / "plain.mp4"))]
    frames = frame_digests(*from_server(server.url("plain.mp4"), "tcp"))
    assert [frame.md5 for frame in frames] == original * 2
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))


def test_an_endless_file_goes_on_with_times_that_only_grow(start_server: ServerFactory, media: Path) -> None:
    server = start_server(config=f"loop_nums: -1\n{CONFIG}", media=media)
    with RawRtsp.connect(server.host, server.port) as client:
        client.set_up("plain.mp4", tracks=(0, 1))
        reply = client.ask("PLAY", "plain.mp4", {"Range": "npt=2-"})
        assert reply.status == 200
        last: dict[int, tuple[int, int]] = {}
        starts: dict[int, int] = {}
        while len(starts) < 2 or any((last[c][1] - starts[c]) & 0xFFFFFFFF < (5 * rate) for c, rate in RATES.items()):
            packet = client.packet()
            if not packet.is_rtp:
                assert not any(isinstance(report, Goodbye) for report in parse_compound(packet.payload))
                continue
            sequence, timestamp = int.from_bytes(packet.payload[2:4]), int.from_bytes(packet.payload[4:8])
            starts.setdefault(packet.channel, timestamp)
            if packet.channel in last:
                before = last[packet.channel]
                assert (sequence - before[0]) & 0xFFFF == 1
                assert (timestamp - before[1]) & 0xFFFFFFFF <= RATES[packet.channel] // 5
            last[packet.channel] = sequence, timestamp


RATES = {0: 90_000, 2: 48_000}


@pytest.mark.parametrize(
    "name",
    [
        "../secret.mp4",
        "%2e%2e/secret.mp4",
        "..%2fsecret.mp4",
        "link.mp4",
        "linked/secret.mp4",
        "/secret.mp4",
        ".secret.mp4",
    ],
)
def test_nothing_outside_the_folder_can_be_played(
    start_server: ServerFactory, media: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    secret = tmp_path / "secret.mp4"
    secret.write_bytes((media / "silent.mp4").read_bytes())
    (folder / ".secret.mp4").write_bytes(secret.read_bytes())
    (folder / "link.mp4").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    (folder / "good.mp4").write_bytes(secret.read_bytes())
    server = start_server(config=CONFIG, media=folder)
    with RawRtsp.connect(server.host, server.port) as client:
        assert client.ask("DESCRIBE", "good.mp4").status == 200
        assert client.ask("DESCRIBE", name).status in (400, 404)


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"\x00\x00\x00\x18ftypmp42" + bytes(100)])
def test_a_file_that_is_no_media_is_404(start_server: ServerFactory, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "broken.mp4").write_bytes(content)
    server = start_server(config=CONFIG, media=folder)
    with RawRtsp.connect(server.host, server.port) as client:
        assert client.ask("DESCRIBE", "broken.mp4").status == 404
        assert client.ask("OPTIONS", "*").status == 200


def test_there_is_always_a_test_clip(start_server: ServerFactory) -> None:
    server = start_server(config=CONFIG)
    assert len(ffmpeg(*from_server(server.url("test.mp4"), "tcp"), "-frames:v", "5", "-f", "framemd5", "-")) > 0


def _to_goodbye(client: RawRtsp) -> list[Interleaved]:
    """All packets up to the goodbye."""
    items: list[Interleaved] = []
    while True:
        packet = client.packet()
        if packet.is_rtp:
            items.append(packet)
        elif any(isinstance(report, Goodbye) for report in parse_compound(packet.payload)):
            return items


def _drain(client: RawRtsp) -> list[RtpPacket]:
    kept, client.packets = client.packets, []
    return [RtpPacket.parse(packet.payload) for packet in kept if packet.is_rtp]
