"""Raw RTP to ports of its own."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.clips import Clip, make_clip, slices
from support.ports import free_tcp_port, free_udp_base
from support.publishing import publishing, sender_of
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.sockets import kept
from support.waiting import wait_until

from manycast.media.track import H264Parameters
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.framed import frame
from manycast.wire.rtp.receiver import RtpSessionReceiver

HOST = "127.0.0.1"
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "push_rtp_over_tcp.py"


@contextmanager
def pushed(folder: Path, mode: str, **more: Any) -> Iterator[tuple[ServerProcess, int]]:
    """A server with one pusher of H.264, and its port."""
    port = free_udp_base() if mode == "UDP" else free_tcp_port()
    pusher = {"suffix": "pushed", "video": {"codec": "H264"}, "transfer": {"mode": mode, "ip": HOST, "vport": port}}
    pusher |= {"transfer": {**pusher["transfer"], "aport": port + 1}, **more}  # type: ignore[dict-item]
    with ServerProcess(folder, config=json.dumps({"applications": [{"pushers": [pusher]}]})) as server:
        yield server, port


def listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port)).close()
    except OSError:
        return False
    return True


class Sender:
    """Sends the clip in real time as long as it is asked to."""

    def __init__(self, mode: str, port: int, clip: Clip | None = None, **sender: int) -> None:
        self.tcp = mode == "TCP"
        self.to = (HOST, port)
        if self.tcp:
            wait_until(lambda: listens(port), "the pusher's port is open")
            self.sock = socket.create_connection(self.to)
        else:
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.clip = clip or make_clip()
        self.sender = sender_of(self.clip, **sender)
        self.number = 0

    def send(self, frames: int) -> None:
        for _ in range(frames):
            for packet in self.sender.packets(self.clip.frame(self.number)):
                if self.tcp:
                    self.sock.sendall(frame(packet))
                else:
                    self.sock.sendto(packet, self.to)
            self.number += 1
            time.sleep(0.01)

    def send_until(self, condition: Callable[[], bool]) -> None:
        """By UDP what comes before the port is open is lost; a keyframe, of which there is one in ten, is behind it."""
        deadline_s = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline_s
            self.send(10)
        self.send(10)

    def close(self) -> None:
        self.sock.close()


@pytest.mark.parametrize("mode", ["UDP", "TCP"])
def test_what_is_pushed_is_played(tmp_path: Path, mode: str) -> None:
    with pushed(tmp_path, mode) as (server, port), closing(Sender(mode, port, payload_type=111)) as sender:
        sender.send_until(lambda: "stream pushed" in server.log)
        with RawRtsp.connect(HOST, server.port) as viewer:
            viewer.play("pushed")
            sender.send(20)
            assert viewer.rtp(30)


@pytest.mark.parametrize("mode", ["UDP", "TCP"])
def test_a_sender_that_starts_anew(tmp_path: Path, mode: str) -> None:
    with pushed(tmp_path, mode) as (server, port):
        first = Sender(mode, port)
        kept(first.sock)
        first.send_until(lambda: "stream pushed" in server.log)
        second = Sender(mode, port, ssrc=0x9999)
        kept(second.sock)
        if mode == "UDP":

            def both_send() -> bool:
                first.send(1)
                second.send(1)
                return "its packets are left out" in server.log

            wait_until(both_send, "the second sender is told of")
        else:
            wait_until(lambda: "refused" in server.log, "the second sender is refused")
        first.close()
        with RawRtsp.connect(HOST, server.port) as viewer:
            if mode == "UDP":
                viewer.play("pushed")
                viewer.rtp(1)
                time.sleep(1.1)
            else:
                wait_until(lambda: "stream pushed ended" in server.log, "the end of the connection ends the stream")
                second.close()
                second = Sender(mode, port, ssrc=0x9999)
                second.send(5)
                viewer.play("pushed")
            second.send(30)
            packets = viewer.rtp(20)
            times = [packet.timestamp for packet in packets]
            assert all((b - a) & 0xFFFFFFFF < 90_000 * 20 for a, b in zip(times, times[1:], strict=False))  # noqa: RUF007
            second.close()


def test_pictures_of_another_sender_come_from_its_keyframe_on(tmp_path: Path) -> None:
    smaller = make_clip(width=160, height=120)
    assert isinstance(smaller.track.parameters, H264Parameters)
    sps = base64.b64encode(smaller.track.parameters.sps[0])
    with pushed(tmp_path, "UDP") as (server, port), RawRtsp.connect(HOST, server.port) as viewer:
        with closing(Sender("UDP", port)) as first:
            first.send_until(lambda: "stream pushed" in server.log)
            viewer.play("pushed")
            viewer.rtp(1)
        time.sleep(1.2)
        with closing(Sender("UDP", port, smaller, ssrc=0x9999)) as second:
            second.number = 3  # the clip's next keyframe is its eleventh picture
            second.send(10)
        receiver = RtpSessionReceiver([smaller.track], ssrc=1, cname="viewer")
        receiver.add_track(0, None, format_for_codec(smaller.track.codec), ordered=True)
        seen: list[tuple[bytes, ...]] = []
        while slices(smaller.pictures[11]) not in seen:
            (packet,) = viewer.rtp(1)
            seen += [slices(frame.units) for frame in receiver.receive_rtp(0, packet.serialize(), now_s=0.0)]
        new = [slices(picture) for picture in smaller.pictures]
        assert [picture for picture in seen if picture in new] == new[10:12]
        with RawRtsp.connect(HOST, server.port) as latecomer:
            described = latecomer.ask("DESCRIBE", "pushed", {"Accept": "application/sdp"})
            assert sps.decode() in str(described.body)


def test_garbage_between_packets_and_a_silent_one(tmp_path: Path) -> None:
    with pushed(tmp_path, "TCP") as (server, port), closing(Sender("TCP", port)) as sender:
        sender.sock.sendall(b"\x00garbage" * 100)
        sender.send(10)
        wait_until(lambda: "stream pushed" in server.log, "the stream is there")


def test_a_port_of_another_codec_is_told(tmp_path: Path) -> None:
    with pushed(tmp_path, "UDP", video={"codec": "JPEG"}) as (server, port), closing(Sender("UDP", port)) as sender:
        deadline_s = time.monotonic() + 20
        while "make no frames" not in server.log and time.monotonic() < deadline_s:
            sender.send(20)
        assert "packets come, but they make no frames of the codecs configured" in server.log


def test_nobody_publishes_there_and_nobody_sends(tmp_path: Path) -> None:
    with pushed(tmp_path, "UDP") as (server, _), pytest.raises(AssertionError), publishing(server, "pushed"):
        pass


def test_the_example(tmp_path: Path) -> None:
    with pushed(tmp_path, "TCP") as (server, port):
        between = free_udp_base()
        command = [sys.executable, str(EXAMPLE), "--listen", str(between), "--to", f"{HOST}:{port}"]
        process = subprocess.Popen(command)
        try:
            wait_until(lambda: "is connected" in server.log, "the example is connected")
            with closing(Sender("UDP", between)) as sender:
                sender.send(10)
                wait_until(lambda: "stream pushed" in server.log, "the stream is there")
        finally:
            process.kill()
            process.wait()
