"""How long a picture takes through the server: from a publisher's last byte of it to an RTSP viewer's."""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from clip import FRAME_RATE, SECONDS, VIDEO, Clip, describe, load_clip, sent_frames
from figures import percentile, row, spread, verdict
from rtsp import RtspClient
from server import HOST, Server, add_server_option

from manycast.wire.flv.mux import FlvMuxer
from manycast.wire.rtmp.chunk import RtmpMessage, serialize_message
from manycast.wire.rtmp.commands import Command, set_chunk_size

PATH = "live"
TARGET_FRAMES = 2
KEY_BYTES = 48  # of a picture's end: enough to know it by
SETTLE_S = 2.0
CHUNK_BYTES = 60_000
HANDSHAKE_BYTES = 1536

_fork = multiprocessing.get_context("fork")


class Unit(NamedTuple):
    """What a publisher sends in one go."""

    time_s: float
    data: bytes
    key: bytes  # the end of a picture; empty for anything else


def main() -> None:
    options = _options()
    clip = load_clip()
    for protocol in ("rtsp", "rtmp"):
        with Server(options.server) as server, _publishing(clip, protocol, server) as publisher:
            time.sleep(SETTLE_S)
            arrivals = _watch(server.address(PATH), options.seconds)
            publisher.send("enough")
            sent: dict[bytes, float] = publisher.recv()
        took_ms = [1000 * (at_s - sent[key]) for key, at_s in arrivals.items() if key in sent]
        print(f"{protocol.upper()} to RTSP, {len(took_ms)} pictures")
        row("last byte in to last byte out", spread(took_ms, "ms"))
        verdict("95th percentile", percentile(took_ms, 0.95), 1000 * TARGET_FRAMES / FRAME_RATE, " ms")


@contextmanager
def _publishing(clip: Clip, protocol: str, server: Server) -> Iterator[Connection]:
    """A process that publishes in real time; told to stop, it sends when the last byte of each picture went."""
    ours, theirs = _fork.Pipe()
    process = _fork.Process(
        target=_publish, args=(clip, protocol, server.port, server.ports["rtmp"], theirs), daemon=True
    )
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()


def _publish(clip: Clip, protocol: str, rtsp_port: int, rtmp_port: int, control: Connection) -> None:
    if protocol == "rtsp":
        client = RtspClient(f"rtsp://{HOST}:{rtsp_port}/{PATH}")
        client.announce(describe(clip))
        sock, units = client.sock, _rtp(clip)
    else:
        sock, units = _start_rtmp(rtmp_port), _rtmp(clip)
    sent: dict[bytes, float] = {}
    started_s = time.monotonic()
    for unit in units:
        while (pause_s := started_s + unit.time_s - time.monotonic()) > 0:
            if control.poll(pause_s):
                control.send(sent)
                return
        sock.sendall(unit.data)
        if unit.key:
            sent[unit.key] = time.monotonic()


def _rtp(clip: Clip) -> Iterator[Unit]:
    for frame in sent_frames(clip):
        picture = frame.track_index == VIDEO and not frame.is_report
        yield Unit(frame.time_s, frame.interleaved(), frame.packets[-1][-KEY_BYTES:] if picture else b"")


def _rtmp(clip: Clip) -> Iterator[Unit]:
    muxer = FlvMuxer(clip.tracks)
    opening = muxer.start(0)
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        messages = [*opening, *muxer.messages(frame)]
        opening = []
        data = b"".join(
            serialize_message(
                RtmpMessage(message.kind, 1, message.timestamp_ms, message.body),
                chunk_stream_id=6,
                chunk_bytes=CHUNK_BYTES,
            )
            for message in messages
        )
        yield Unit(time_s, data, frame.units[-1][-KEY_BYTES:] if frame.track_index == VIDEO else b"")


def _start_rtmp(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port), timeout=20.0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"\x03" + bytes(HANDSHAKE_BYTES))
    answer = b""
    while len(answer) < 1 + 2 * HANDSHAKE_BYTES:
        answer += sock.recv(1 + 2 * HANDSHAKE_BYTES - len(answer))
    sock.sendall(answer[1 : 1 + HANDSHAKE_BYTES])
    connecting = Command("connect", 1.0, {"app": "", "tcUrl": f"rtmp://{HOST}/"}, ())
    messages = [
        *(command.message(0) for command in (connecting, Command("createStream", 2.0, None, ()))),
        Command("publish", 0.0, None, (PATH, "live")).message(1),
        set_chunk_size(CHUNK_BYTES),
    ]
    sock.sendall(b"".join(serialize_message(message, chunk_stream_id=3, chunk_bytes=128) for message in messages))
    answers = b""
    while b"NetStream.Publish.Start" not in answers:
        answers += sock.recv(65536)
    return sock


def _watch(address: str, seconds: float) -> dict[bytes, float]:
    """When the last byte of each picture came; those of the beginning, of which a group comes at once, are left out."""
    client = RtspClient(address)
    client.describe()
    client.set_up_interleaved()
    client.request("PLAY", Range="npt=0.000-")
    arrivals: dict[bytes, float] = {}
    held = client.rest
    started_s = now_s = time.monotonic()
    while now_s < started_s + SETTLE_S + seconds:
        held += client.sock.recv(1 << 20)
        now_s = time.monotonic()
        position = 0
        while position + 4 <= len(held):
            end = position + 4 + int.from_bytes(held[position + 2 : position + 4])
            if end > len(held):
                break
            whole_picture = held[position + 1] == 0 and held[position + 5] & 0x80  # RTP of the video, with its marker
            if whole_picture and now_s > started_s + SETTLE_S:
                arrivals[held[end - KEY_BYTES : end]] = now_s
            position = end
        held = held[position:]
    return arrivals


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help=f"of measuring, at most {SECONDS // 2}")
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
