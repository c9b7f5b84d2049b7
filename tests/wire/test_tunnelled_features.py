"""What RTSP can do, through every tunnel: speaking, logins, UDP; and floods of what is wrong, on the real server."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.inprocess import blocking
from support.inprocess_http import serving_http
from support.ports import udp_pair
from support.programs import tone_level
from support.publishing import publishing
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.speech import TONE_HZ, read_wav, spoken_tone
from support.talking import Talker, set_up_speech
from support.tunnels import get_request, new_cookie, plain_connection, post_request, tunnel, websocket
from support.waiting import wait_until
from support.watching import undisturbed

from manycast.hub.backchannel import audio_track
from manycast.media.track import Codec
from manycast.wire.challenges import parse_challenges, respond
from manycast.wire.digest import DigestChallenge
from manycast.wire.rtp.packet import RtpPacket

CONFIG = """
rtsp:
  udp_base_port: UDP_BASE
backchannel:
  record: talks
"""

OPENERS: dict[str, Callable[[ServerProcess], RawRtsp]] = {
    "http": lambda server: tunnel(server.host, server.http_port)[0],
    "https": lambda server: tunnel(server.host, server.https_port, secure=True)[0],
    "websocket": lambda server: websocket(server.host, server.http_port)[0],
    "secure websocket": lambda server: websocket(server.host, server.https_port, secure=True)[0],
    "rtsps": lambda server: RawRtsp(plain_connection(server.host, server.rtsps_port, secure=True), server.base),
}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with every port open, that can be spoken to."""
    folder = tmp_path_factory.mktemp("doors")
    with ServerProcess(folder, config=CONFIG, http=True, https=True, rtsps=True) as server:
        yield server
        server.check_log()


@pytest.mark.parametrize("transport", OPENERS)
def test_what_is_said_through_a_tunnel_is_recorded(doors: ServerProcess, transport: str) -> None:
    name = f"door-{transport.replace(' ', '-')}"
    with publishing(doors, name):
        client = OPENERS[transport](doors)
        reply = set_up_speech(client, name)
        assert reply.status == 200, reply
        client.session = reply.session
        talker = Talker(client, name, reply)
        talker.play()
        talker.say(spoken_tone(audio_track(Codec.G711U), 1.0))
        talker.teardown()
        talker.close()
        wait_until(lambda: recorded(doors, name), "it is recorded")
    rate_hz, _, samples = read_wav(recorded(doors, name)[0])
    assert len(samples) > 7600
    assert tone_level(samples, TONE_HZ, rate_hz) > 0.5


def recorded(doors: ServerProcess, name: str) -> list[Path]:
    """Those that are whole."""
    files = (doors.folder / "talks").glob(f"{name}_*.wav")
    return [file for file in files if f"{file} recorded" in doors.log]


@pytest.mark.parametrize("transport", ["http", "websocket"])
def test_the_media_may_go_by_udp_all_the_same(doors: ServerProcess, transport: str) -> None:
    name = f"udp-{transport.replace(' ', '-')}"  # of its own: one that was just left is taken for a moment more
    with publishing(doors, name):
        client = OPENERS[transport](doors)
        rtp, _ = udp_pair()
        port = rtp.getsockname()[1]
        reply = client.ask(
            "SETUP", f"{name}/trackID=0", {"Transport": f"RTP/AVP;unicast;client_port={port}-{port + 1}"}
        )
        assert reply.status == 200, reply
        client.session = reply.session
        assert client.ask("PLAY", name).status == 200
        packets = [RtpPacket.parse(rtp.recv(65536)) for _ in range(20)]
        assert (packets[-1].sequence - packets[0].sequence) & 0xFFFF == 19
        assert client.ask("TEARDOWN", name).status == 200


@pytest.mark.parametrize("transport", ["https", "secure websocket", "rtsps"])
def test_what_is_asked_for_in_tls_does_not_go_by_udp_in_clear(doors: ServerProcess, transport: str) -> None:
    name = f"udp-{transport.replace(' ', '-')}"  # of its own: one that was just left is taken for a moment more
    with publishing(doors, name):
        client = OPENERS[transport](doors)
        reply = client.ask("SETUP", f"{name}/trackID=0", {"Transport": "RTP/AVP;unicast;client_port=40000-40001"})
        assert reply.status == 461


@pytest.mark.parametrize("way", ["tunnel", "websocket"])
async def test_a_login_is_asked_for_and_taken_inside(way: str) -> None:
    async with serving_http(users={"me": "secret"}) as server:
        client = (await server.tunnel())[0] if way == "tunnel" else (await server.websocket())[0]
        refused = await blocking(client.ask, "DESCRIBE", "nothing")
        assert refused.status == 401
        challenge = next(c for c in parse_challenges(refused.challenges) if isinstance(c, DigestChallenge))
        for password, status in (("wrong", 401), ("secret", 404)):
            authorization = respond(
                challenge,
                username="me",
                password=password,
                method="DESCRIBE",
                uri=client.url("nothing"),
                cnonce="0123456789abcdef",
            )
            assert (
                await blocking(client.ask, "DESCRIBE", "nothing", {"Authorization": authorization})
            ).status == status


def test_floods_of_what_is_wrong_disturb_nobody(doors: ServerProcess) -> None:
    chance = random.Random(1)
    ports = (doors.http_port, doors.https_port, doors.rtsps_port)
    with publishing(doors, "calm"), undisturbed(doors, "calm"):
        before = doors.descriptors
        clients = [plain_connection(doors.host, port) for port in ports for _ in range(120)]
        for _ in range(120):
            half = plain_connection(doors.host, doors.http_port)
            half.sendall(chance.choice((get_request, post_request))(new_cookie()))
            clients.append(half)
        for _ in range(120):
            client = plain_connection(doors.host, chance.choice(ports))
            try_to_send(client, chance.choice((b"\x16\x03\x01", b"GET / HTTP", b"")) + chance.randbytes(900))
            clients.append(client)
        for number in range(60):
            rtsp = OPENERS[chance.choice(list(OPENERS))](doors)
            if number % 2:
                rtsp.play("calm")
            try_to_send(rtsp.sock, chance.randbytes(500))
            clients.append(rtsp.sock)
        for client in clients:
            client.close()
        # POSTs that wait for their GET are not looked at for half a minute.
        wait_until(lambda: doors.descriptors <= before + 110, "the connections are closed")
    assert doors.memory_bytes < 200 * 1024 * 1024


def try_to_send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        pass  # it had enough
