"""RTP multicast through a network, seen by real players: two hosts, each a network namespace, and a cable."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.media import FRAMES
from support.multicast import set_up_multicast
from support.network import CLIENT_IPV4, SERVER_IPV4, SERVER_IPV6, Host, cabled_hosts
from support.programs import ffmpeg, frame_digests, from_server, gst
from support.publishing import publishing
from support.rtsp import RawRtsp
from support.server import CONFIG, ServerProcess

from manycast.wire.rtp.packet import RtpPacket

MULTICAST_ON = f"{CONFIG}  multicast: 1\n  serverip: [127.0.0.1, {SERVER_IPV4}, '{SERVER_IPV6}']\n"


@dataclass(frozen=True, slots=True)
class Network:
    server: ServerProcess
    server_host: Host
    client_host: Host

    def url(self, name: str, address: str = SERVER_IPV4) -> str:
        host = f"[{address}]" if ":" in address else address
        return f"rtsp://{host}:{self.server.port}/{name}"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[Network]:
    with cabled_hosts() as (server_host, client_host):
        with server_host.entered():
            server = ServerProcess(tmp_path_factory.mktemp("multicast"), config=MULTICAST_ON, host=None, media=media)
        with server:
            yield Network(server, server_host, client_host)


def originals(media: Path, name: str) -> list[str]:
    return [frame.md5 for frame in frame_digests("-i", str(media / name))]


@pytest.mark.parametrize("name", ["plain.mp4", "h265.mp4"])
def test_ffmpeg_gets_every_frame_by_multicast(network: Network, media: Path, name: str) -> None:
    with network.client_host.entered():
        frames = frame_digests(*from_server(network.url(name), "udp_multicast"))
    assert [frame.md5 for frame in frames] == originals(media, name)
    assert f"plays {name} over multicast to 232." in network.server.log


def test_ffmpeg_gets_every_frame_by_multicast_over_ipv6(network: Network, media: Path) -> None:
    with network.client_host.entered():
        frames = frame_digests(*from_server(network.url("plain.mp4", SERVER_IPV6), "udp_multicast"))
    assert [frame.md5 for frame in frames] == originals(media, "plain.mp4")
    assert "over multicast to ff38::" in network.server.log


def test_players_of_a_live_stream_share_it(network: Network, media: Path) -> None:
    """The second comes in somewhere in a group of pictures, and a third takes it by unicast."""
    with network.server_host.entered(), publishing(network.server) as publisher:
        publisher.wait_for_frames(10)
        with network.client_host.entered(), RawRtsp.connect(SERVER_IPV4, network.server.port) as first:
            group = set_up_multicast(first).parameters["destination"]
            assert first.ask("PLAY", "live").status == 200
            shared = frame_digests(*from_server(network.url("live"), "udp_multicast"), "-frames:v", "20")
            alone = frame_digests(*from_server(network.url("live"), "udp"), "-frames:v", "20")
        assert network.server.log.count(f"plays live over multicast to {group}") == 2
        known = {frame.md5 for frame in alone} | {frame.md5 for frame in shared}
        assert len(known) <= len(publisher.clip.pictures)
        assert len(shared) == len(alone) == 20


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_what_the_description_says_of_multicast_disturbs_no_unicast_player(
    network: Network, media: Path, transport: str
) -> None:
    with network.client_host.entered():
        body = ffmpeg(*from_server(network.url("plain.mp4"), transport), "-f", "framemd5", "-map", "0:v:0", "-")
        gst(
            f"rtspsrc location={network.url('plain.mp4')} protocols={transport} latency=100 name=s",
            "s. ! application/x-rtp,media=video ! rtph264depay ! h264parse ! avdec_h264 ! identity eos-after=25",
            "! fakesink",
        )
    assert body.count(b"\n0,") >= FRAMES


def test_who_joins_the_source_alone_gets_it(network: Network) -> None:
    """Source-specific multicast (RFC 4607): what 232/8 is for."""
    with network.client_host.entered(), RawRtsp.connect(SERVER_IPV4, network.server.port) as client:
        reply = set_up_multicast(client, "plain.mp4")
        group, source = reply.parameters["destination"], reply.parameters["source"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.bind((group, reply.pair("port")[0]))
            addresses = (group, CLIENT_IPV4, source)
            membership = b"".join(map(socket.inet_aton, addresses))
            sock.setsockopt(socket.IPPROTO_IP, 39, membership)  # IP_ADD_SOURCE_MEMBERSHIP of linux/in.h
            assert client.ask("PLAY", "plain.mp4").status == 200
            data, sender = sock.recvfrom(2048)
        RtpPacket.parse(data)
        assert sender == (SERVER_IPV4, reply.pair("port")[0])
        assert client.ask("TEARDOWN", "plain.mp4").status == 200
