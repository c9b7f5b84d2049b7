"""A client that speaks to a stream, just as a test tells it to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from manycast.wire.rtp.packet import RtpPacket
from support.ports import udp_pair
from support.rtsp import RawRtsp, Reply
from support.server import ServerProcess
from support.speech import PACKET_S

TAG = {"Require": "www.onvif.org/ver20/backchannel"}
CHANNEL = 6
TICKS = 160  # of 20 ms, in all codecs but Opus


@dataclass
class Talker:
    """Its session has the back channel set up, and nothing else unless a test does that."""

    rtsp: RawRtsp
    name: str
    set_up: Reply
    udp: tuple[socket.socket, socket.socket] | None = None
    sequence: int = 65_530
    timestamp: int = 0xFFFF_FF00

    def play(self) -> Reply:
        reply = self.rtsp.ask("PLAY", self.name, TAG)
        assert reply.status == 200, reply
        return reply

    def teardown(self) -> None:
        assert self.rtsp.ask("TEARDOWN", self.name, TAG).status == 200

    def say(self, packets: Sequence[bytes], *, payload_type: int = 0, ticks: int = TICKS) -> None:
        """All at once; the server takes two seconds in advance."""
        for data in packets:
            self.say_packet(data, payload_type=payload_type, ticks=ticks)

    def say_packet(self, data: bytes, *, payload_type: int = 0, ticks: int = TICKS) -> None:
        packet = RtpPacket(
            payload_type=payload_type,
            sequence=self.sequence & 0xFFFF,
            timestamp=self.timestamp & 0xFFFF_FFFF,
            ssrc=0x5EA4,
            marker=False,
            payload=data,
        )
        self.sequence += 1
        self.timestamp += ticks
        self.send(packet.serialize())

    def send(self, packet: bytes) -> None:
        if self.udp is not None:
            self.udp[0].send(packet)
        else:
            self.rtsp.send_interleaved(CHANNEL, packet)

    def close(self) -> None:
        self.rtsp.close()


def open_talker(server: ServerProcess, name: str, *, udp: bool = False) -> Talker:
    """SETUP of the back channel alone."""
    rtsp = RawRtsp.connect(server.host, server.port)
    sockets = udp_pair(server.host) if udp else None
    reply = set_up_speech(rtsp, name, sockets)
    assert reply.status == 200, reply
    rtsp.session = reply.session
    if sockets is not None:
        for sock, port in zip(sockets, reply.pair("server_port"), strict=True):
            sock.connect((server.host, port))
    return Talker(rtsp, name, reply, sockets)


def set_up_speech(rtsp: RawRtsp, name: str, sockets: tuple[socket.socket, socket.socket] | None = None) -> Reply:
    if sockets is None:
        transport = f"RTP/AVP/TCP;unicast;interleaved={CHANNEL}-{CHANNEL + 1}"
    else:
        port = sockets[0].getsockname()[1]
        transport = f"RTP/AVP;unicast;client_port={port}-{port + 1}"
    return rtsp.ask("SETUP", f"{name}/audioback", {"Transport": transport, **TAG})


@contextmanager
def speaking(talker: Talker, packets: Sequence[bytes], **how: int) -> Iterator[None]:
    """The packets over and over, in real time, while the block runs."""
    stop = threading.Event()

    def run() -> None:
        due_s = time.monotonic()
        while not stop.is_set():
            for data in packets:
                talker.say_packet(data, **how)
                due_s += PACKET_S
                if stop.wait(max(0.0, due_s - time.monotonic())):
                    return

    thread = threading.Thread(target=run, name="talker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
