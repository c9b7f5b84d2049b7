"""What viewers say to a proxy reaches the camera behind it; the camera is another server of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.programs import tone_level
from support.publishing import publishing
from support.server import ServerProcess
from support.sound_card import SoundCard
from support.speech import TONE_HZ, read_wav, spoken_tone
from support.talking import TAG, open_talker, speaking
from support.waiting import until, wait_until

from manycast.hub.backchannel import audio_track
from manycast.hub.source import SourceDenied
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.sources.dialling import DialOptions
from manycast.sources.path_log import PathLog
from manycast.sources.rtsp.talk import CameraEar, choose
from manycast.sources.transcoding.service import TranscodingService
from manycast.wire.address import SourceAddress
from manycast.wire.rtp.formats import format_for_codec, track_from_rtpmap
from manycast.wire.rtp.payload import RtpMap
from manycast.wire.rtsp.described import CarriedMedia

PCMU, OPUS = audio_track(Codec.G711U), audio_track(Codec.OPUS)
HOST = "127.0.0.1"


def configuration(**more: Any) -> str:
    return json.dumps({"rtsp": {"udp_base_port": "UDP_BASE"}, **more}).replace('"UDP_BASE"', "UDP_BASE")


@contextmanager
def server(folder: Path, **more: Any) -> Iterator[ServerProcess]:
    folder.mkdir()
    card = SoundCard(folder)
    with ServerProcess(folder, config=configuration(**more), environment=card.environment, rtsps=True) as running:
        yield running


def recorded(folder: Path) -> list[int]:
    """The samples of the one recording there."""
    (file,) = folder.glob("*.wav")
    rate_hz, channels, samples = read_wav(file)
    assert (rate_hz, channels) == (8000, 1)
    return list(samples)


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])  # and with it, SRTP
@pytest.mark.parametrize("transfer", ["TCP", "UDP"])
def test_a_talk_goes_through(tmp_path: Path, transfer: str, scheme: str) -> None:
    talks = {"backchannel": {"record": "talks", "output": "none"}}
    with server(tmp_path / "camera", rtsps={"srtp": 1}, **talks) as camera, publishing(camera, "door"):
        port = camera.port if scheme == "rtsp" else camera.rtsps_port
        proxy = {"suffix": "copy", "url": f"{scheme}://{HOST}:{port}/door", "transfer": transfer, "tls_verify": 0}
        edge = server(tmp_path / "edge", backchannel={"output": "none"}, applications=[{"proxies": [proxy]}])
        with edge as server_of_the_edge:
            talk_through(server_of_the_edge, camera, tmp_path / "camera" / "talks")
    samples = recorded(tmp_path / "camera" / "talks")
    assert tone_level(samples[4000:12_000], TONE_HZ) > 0.9


def talk_through(edge: ServerProcess, camera: ServerProcess, talks: Path) -> None:
    """Say a tone to the proxy until the camera has heard enough of it."""
    wait_until(lambda: "stream copy" in edge.log, "the proxy is connected")
    talker = open_talker(edge, "copy")
    talker.play()
    with speaking(talker, spoken_tone(PCMU, 2.0)):
        wait_until(lambda: "speaks to the camera in G711U" in edge.log, "the camera is connected")
        wait_until(lambda: "stream door/backchannel" in camera.log, "the camera hears it")
        wait_until(lambda: list(talks.glob("*.wav")) and len(recorded(talks)) > 12_000, "a second and a half of it")
    talker.teardown()
    talker.close()
    wait_until(lambda: "spoke to door" in camera.log, "the camera's session ends with the talk")
    assert "thrown away" not in edge.log + camera.log


def test_a_camera_without_a_back_channel(tmp_path: Path) -> None:
    with (
        server(tmp_path / "camera") as camera,
        publishing(camera, "door"),
        server(
            tmp_path / "edge",
            backchannel={"output": "none"},
            applications=[{"proxies": [{"suffix": "copy", "url": camera.url("door")}]}],
        ) as edge,
    ):
        wait_until(lambda: "stream copy" in edge.log, "the proxy is connected")
        talker = open_talker(edge, "copy")
        wait_until(lambda: "it has no back channel" in edge.log, "it is told")
        assert talker.rtsp.ask("DESCRIBE", "copy", TAG).status == 200
        talker.teardown()
        talker.close()


SDP = (
    "v=0\r\ns=-\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=recvonly\r\na=control:video\r\n"
    "m=audio 0 RTP/AVP {types}\r\n{maps}a=sendonly\r\na=control:speech\r\n"
)


class Camera:
    """Takes speech on a connection, by what it is told to offer."""

    def __init__(self, types: str, maps: str = "", *, refuses: tuple[str, ...] = ()) -> None:
        self.sdp = SDP.format(types=types, maps=maps)
        self.refuses = refuses  # transports
        self.heads: list[str] = []
        self.packets: list[bytes] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        listening = await asyncio.start_server(self._serve, HOST, 0)
        async with listening:
            yield listening.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"$":
                    channel, size = (await reader.readexactly(1))[0], int.from_bytes(await reader.readexactly(2))
                    data = await reader.readexactly(size)
                    if channel == 0:
                        self.packets.append(data)
                    continue
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                writer.write(self._answer(head).encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, head: str) -> str:
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        answer = f"RTSP/1.0 200 OK\r\nCSeq: {fields['CSeq']}\r\n"
        if head.startswith("DESCRIBE"):
            return f"{answer}Content-Length: {len(self.sdp)}\r\n\r\n{self.sdp}"
        if head.startswith("SETUP"):
            if any(word in fields["Transport"] for word in self.refuses):
                return f"RTSP/1.0 461 No\r\nCSeq: {fields['CSeq']}\r\n\r\n"
            return f"{answer}Session: 7\r\nTransport: {fields['Transport']}\r\n\r\n"
        return f"{answer}\r\n"


def ear_for(port: int, *, udp: bool = False) -> CameraEar:
    import logging

    return CameraEar(
        SourceAddress.parse(f"rtsp://{HOST}:{port}/x"),
        udp=udp,
        options=DialOptions(),
        transcoding=TranscodingService(),
        talker="somebody",
        log=PathLog(logging.getLogger("test"), "proxy", "copy"),
    )


async def say(ear: CameraEar, track: Track, until_true: Any) -> None:
    """A tone over and over, in real time."""
    ticks = track.clock_rate_hz // 50
    number = 0

    async def talk() -> None:
        nonlocal number
        while True:
            for data in spoken_tone(track, 1.0):
                at = number * ticks
                frame = Frame(track_index=3, dts_ticks=at, pts_ticks=at, keyframe=True, units=[data])
                ear.hear(track, frame)
                number += 1
                await asyncio.sleep(0.02)

    task = asyncio.create_task(talk())
    try:
        await until(until_true, "it is heard")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def types_of(camera: Camera) -> set[int]:
    return {packet[1] & 0x7F for packet in camera.packets}


@pytest.mark.parametrize(
    ("track", "types", "maps", "expected"),
    [
        (PCMU, "0 8", "", 0),
        (audio_track(Codec.G711A), "0 8", "", 8),
        (OPUS, "8", "", 8),  # converted
        (PCMU, "97", "a=rtpmap:97 opus/48000/2\r\n", 97),
        (PCMU, "98", "a=rtpmap:98 G726-16/8000\r\n", 98),
    ],
)
async def test_a_codec_of_the_cameras(track: Track, types: str, maps: str, expected: int) -> None:
    camera = Camera(types, maps)
    async with camera.serving() as port:
        ear = ear_for(port)
        await say(ear, track, lambda: len(camera.packets) > 20)
        assert types_of(camera) == {expected}
        ear.end()
        await asyncio.wait_for(ear.task, 10)
        await until(lambda: camera.heads[-1].startswith("TEARDOWN"), "it says goodbye")
    asked = [head for head in camera.heads if head.startswith(("DESCRIBE", "SETUP", "PLAY"))]
    assert all(f"Require: {TAG['Require']}" in head for head in asked)
    assert [head.split()[1] for head in asked if head.startswith("SETUP")] == [f"rtsp://{HOST}:{port}/x/speech"]


async def test_the_codec_may_change_in_mid_talk() -> None:
    camera = Camera("0 8")
    async with camera.serving() as port:
        ear = ear_for(port)
        await say(ear, PCMU, lambda: types_of(camera) == {0})
        await say(ear, audio_track(Codec.G711A), lambda: types_of(camera) == {0, 8})
        ear.end()
        await asyncio.wait_for(ear.task, 10)


async def test_a_camera_that_takes_one_transport_only() -> None:
    camera = Camera("0", refuses=("client_port",))
    async with camera.serving() as port:
        ear = ear_for(port, udp=True)
        await say(ear, PCMU, lambda: len(camera.packets) > 5)
        ear.end()
        await asyncio.wait_for(ear.task, 10)


async def test_a_camera_that_hangs_up_is_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.proxy.FIRST_PAUSE_S", 0.05)
    camera = Camera("0")
    async with camera.serving() as port:
        ear = ear_for(port)
        await say(ear, PCMU, lambda: len(camera.packets) > 5)
    camera.packets.clear()
    listening = await asyncio.start_server(camera._serve, HOST, port)
    async with listening:
        await say(ear, PCMU, lambda: len(camera.packets) > 5)
        ear.end()
        await asyncio.wait_for(ear.task, 10)


@pytest.mark.parametrize(
    ("types", "maps", "says"),
    [
        ("99", "a=rtpmap:99 nonsense/8000\r\n", "of codecs that nobody here knows"),
        ("99", "a=rtpmap:99 AMR/8000\r\na=fmtp:99 octet-align=1\r\n", "AMR, which G711U cannot be made into"),
    ],
)
async def test_a_camera_that_wants_what_nobody_can_make(
    types: str, maps: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Camera(types, maps).serving() as port:
        ear = ear_for(port)
        ear.hear(PCMU, Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[bytes(160)]))
        await asyncio.wait_for(ear.task, 10)
    assert says in caplog.text


def offer(track: Track, payload_type: int) -> CarriedMedia:
    rtpmap: RtpMap = format_for_codec(track.codec).describe(track, payload_type)
    return CarriedMedia(track, payload_type, track_from_rtpmap(rtpmap)[1])


def test_what_is_chosen() -> None:
    pcma, pcmu = offer(audio_track(Codec.G711A), 8), offer(PCMU, 0)
    assert choose([pcma, pcmu], PCMU) is pcmu
    assert choose([pcma, pcmu], OPUS) is pcma
    with pytest.raises(SourceDenied):
        choose([], PCMU)
