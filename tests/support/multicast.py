"""Listening to multicast groups on loopback."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import Goodbye, parse_compound
from support.rtsp import RawRtsp, Reply
from support.sockets import kept

HOST = "127.0.0.1"
IP_PKTINFO, IP_RECVTTL = 8, 12  # linux/in.h
MULTICAST = {"Transport": "RTP/AVP;multicast"}


@dataclass(frozen=True, slots=True)
class Heard:
    """One datagram, and how it came."""

    data: bytes
    sender: tuple[str, int]
    ttl: int
    interface: int  # the index of the one it came in by


@dataclass
class Listener:
    """One track of a group."""

    rtp: socket.socket
    rtcp: socket.socket
    group: str
    ports: tuple[int, int]

    def packets(self, count: int) -> list[RtpPacket]:
        return [RtpPacket.parse(self.rtp.recv(65536)) for _ in range(count)]

    def hear(self) -> Heard:
        """The next RTP datagram."""
        data, ancillary, _flags, sender = self.rtp.recvmsg(65536, 256)
        found = {kind: value for _level, kind, value in ancillary}
        interface = struct.unpack_from("@i", found[IP_PKTINFO])[0]
        return Heard(data, sender, struct.unpack("@i", found[socket.IP_TTL])[0], interface)

    def drain(self) -> int:
        """Throw away what has come; how many RTP packets that were."""
        count = 0
        self.rtp.setblocking(False)
        try:
            while self.rtp.recv(65536):
                count += 1
        except BlockingIOError:
            pass
        self.rtp.settimeout(20)
        return count

    def falls_silent(self, silence_s: float = 0.4) -> None:
        """Wait until nothing has come for a while; a stream that goes on fails."""
        self.rtp.settimeout(silence_s)
        try:
            for _ in range(10_000):
                self.rtp.recv(65536)
        except TimeoutError:
            self.rtp.settimeout(20)
            return
        raise AssertionError("it does not fall silent")

    def goodbye(self) -> Goodbye:
        """The next BYE; reports before it are passed over."""
        while True:
            for packet in parse_compound(self.rtcp.recv(65536)):
                if isinstance(packet, Goodbye):
                    return packet

    def report(self, data: bytes, *, to: str) -> None:
        """Send RTCP to the group, or to one address."""
        self.rtcp.sendto(data, (to, self.ports[1]))


def listen(reply: Reply) -> Listener:
    """Join what a reply to SETUP names."""
    group, ports = reply.parameters["destination"], reply.pair("port")
    pair = []
    for port in ports:
        sock = kept(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST))
        sock.bind((group, port))
        membership = socket.inet_aton(group) + socket.inet_aton(HOST)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        sock.settimeout(20)
        pair.append(sock)
    return Listener(pair[0], pair[1], group, ports)


def set_up_multicast(client: RawRtsp, name: str = "live", track: int | str = 0) -> Reply:
    """SETUP of one track, in the client's session."""
    reply = client.ask("SETUP", f"{name}/trackID={track}", MULTICAST)
    assert reply.status == 200, reply
    client.session = reply.session
    return reply
