"""A publisher that sends a clip in real time, from a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.sender import MAX_PAYLOAD_BYTES, RtpTrackSender
from manycast.wire.sdp import MediaDescription, Origin, SessionDescription
from support.clips import Clip, make_clip
from support.ports import udp_pair
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

PAYLOAD_TYPE = 96
CONTROL = "streamid=0"


def sdp_of(clip: Clip, *, control: str = CONTROL, payload_type: int = PAYLOAD_TYPE) -> bytes:
    rtpmap = format_for_codec(clip.track.codec).describe(clip.track, payload_type)
    media = MediaDescription(
        kind="video",
        port=0,
        protocol="RTP/AVP",
        payload_types=(payload_type,),
        rtpmaps={payload_type: rtpmap},
        control=control,
    )
    origin = Origin(session_id="1", session_version="1", address="127.0.0.1")
    return SessionDescription(origin=origin, name="test", media=(media,)).serialize()


def sender_of(
    clip: Clip, *, ssrc: int = 0x1234, first_sequence: int = 65_000, payload_type: int = 96
) -> RtpTrackSender:
    """Starts near the wrap of sequence numbers and timestamps, so that every test crosses both."""
    return RtpTrackSender(
        format_for_codec(clip.track.codec).packetiser(clip.track, MAX_PAYLOAD_BYTES),
        clock_rate_hz=clip.track.clock_rate_hz,
        payload_type=payload_type,
        ssrc=ssrc,
        first_sequence=first_sequence,
        timestamp_offset=0xFFFF_0000,
        cname="publisher",
    )


@dataclass
class Publisher:
    """Publishes from its own thread until told to stop."""

    rtsp: RawRtsp
    clip: Clip
    name: str
    sender: RtpTrackSender
    rtp_socket: socket.socket | None = None  # UDP, connected; None: interleaved
    sent_frames: int = 0
    speed: float = 1.0
    failure: Exception | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Send, or go on sending."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=f"publisher of {self.name}", daemon=True)
        self._thread.start()

    def send_frame(self) -> None:
        packets = self.sender.packets(self.clip.frame(self.sent_frames))
        if self.rtp_socket is not None:
            for packet in packets:
                self.rtp_socket.send(packet)
        else:
            self.rtsp.sock.sendall(b"".join(b"$\x00" + len(packet).to_bytes(2) + packet for packet in packets))
        self.sent_frames += 1

    def stop(self) -> None:
        """Stop sending; the session stays as it is."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait_for_frames(self, count: int) -> None:
        """Wait until that many frames have been sent in all."""
        wait_until(lambda: self.sent_frames >= count, f"{count} frames published")

    def teardown(self) -> None:
        self.stop()
        assert self.rtsp.ask("TEARDOWN", self.name).status == 200

    def _run(self) -> None:
        started_s = time.monotonic()
        first = self.sent_frames
        try:
            while not self._stop.is_set():
                self.send_frame()
                due_s = started_s + (self.sent_frames - first) / (self.clip.frame_rate * self.speed)
                self._stop.wait(max(0.0, due_s - time.monotonic()))
        except OSError as error:  # the server hung up: the test will see it in what it checks
            self.failure = error


def open_publisher(
    host: str, port: int, name: str = "live", *, clip: Clip | None = None, udp: bool = False, **sender: int
) -> Publisher:
    """ANNOUNCE, SETUP and RECORD; nothing is sent yet."""
    clip = clip or make_clip()
    rtsp = RawRtsp.connect(host, port)
    rtp_socket = None
    if udp:
        rtp_socket, rtcp_socket = udp_pair(host)
        rtcp_socket.close()
        client_port = int(rtp_socket.getsockname()[1])
        assert rtsp.ask("ANNOUNCE", name, {"Content-Type": "application/sdp"}, sdp_of(clip)).status == 200
        transport = f"RTP/AVP/UDP;unicast;client_port={client_port}-{client_port + 1};mode=record"
        reply = rtsp.ask("SETUP", f"{name}/{CONTROL}", {"Transport": transport})
        assert reply.status == 200, reply
        rtsp.session = reply.session
        rtp_socket.connect((host, reply.pair("server_port")[0]))
        reply = rtsp.ask("RECORD", name)
    else:
        reply = rtsp.publish(name, sdp_of(clip), controls=[CONTROL])
    assert reply.status == 200, reply
    return Publisher(rtsp, clip, name, sender_of(clip, **sender), rtp_socket)


@contextmanager
def publishing(
    server: ServerProcess, name: str = "live", *, clip: Clip | None = None, udp: bool = False, **sender: int
) -> Iterator[Publisher]:
    """A clip published in real time while the block runs."""
    publisher = open_publisher(server.host, server.port, name, clip=clip, udp=udp, **sender)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()
        publisher.rtsp.close()
        if publisher.rtp_socket is not None:
            publisher.rtp_socket.close()
