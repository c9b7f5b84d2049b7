"""How soon a viewer who joins a live stream has the first packet of a keyframe, or all of it."""

from __future__ import annotations

import argparse
import random
import socket
import time
from dataclasses import dataclass

from clip import GOP_S, load_clip
from figures import percentile, row, spread, verdict
from publisher import publishing
from rtsp import CHANNELS, RtspClient
from server import STREAMS, Server, add_server_option
from streams import open_stream

PATH = "bench"
TARGET_MS = 50.0
_IDR, _SPS, _STAP_A, _FU_A = 5, 7, 24, 28
_VIDEO_CHANNEL = CHANNELS[0][0]


@dataclass(frozen=True, slots=True)
class Join:
    from_connect_ms: float
    from_play_ms: float


def main() -> None:
    options = _options()
    clip = load_clip()
    print(f"{options.joins} joins, one after another, to a live stream with a keyframe every {GOP_S} s")
    with Server(options.server) as server, publishing(clip, server.address(PATH)):
        time.sleep(GOP_S)
        joins = []
        for _ in range(options.joins):
            joins.append(join_by(options.transport, server.address(PATH, options.transport)))
            time.sleep(random.uniform(0, 0.1))  # anywhere in the group of pictures
    from_play = [each.from_play_ms for each in joins]
    print("result: time until the first packet of a keyframe")
    row("from PLAY", spread(from_play, "ms"))
    row("from connecting", spread([each.from_connect_ms for each in joins], "ms"))
    verdict("from PLAY, 95th percentile", percentile(from_play, 0.95), TARGET_MS, " ms")


def join_by(transport: str, address: str) -> Join:
    if transport not in STREAMS:
        return join(address)
    connected_s = time.monotonic()
    place, _, path = address.partition("://")[2].partition("/")
    host, _, port = place.partition(":")
    viewer = open_stream(transport, host, int(port), path)
    viewer.wait_for_picture()
    took_ms = 1000 * (time.monotonic() - connected_s)
    viewer.close()
    return Join(took_ms, took_ms)


def join(address: str) -> Join:
    connected_s = time.monotonic()
    client = RtspClient(address)
    client.describe()
    client.set_up_interleaved()
    request = client.serialize("PLAY", Range="npt=0.000-")
    play_s = time.monotonic()
    client.sock.sendall(request)
    _wait_for_keyframe(client.sock)
    now_s = time.monotonic()
    client.sock.close()
    return Join(1000 * (now_s - connected_s), 1000 * (now_s - play_s))


def _wait_for_keyframe(sock: socket.socket) -> None:
    """Read the reply to PLAY and packets up to one that begins a keyframe."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(sock)
    head, _, data = data.partition(b"\r\n\r\n")
    if not head.startswith(b"RTSP/1.0 200"):
        raise SystemExit(f"PLAY was answered with {head!r}")
    while True:
        while len(data) < 4 or len(data) < (end := 4 + int.from_bytes(data[2:4])):
            data += _received(sock)
        if data[1] == _VIDEO_CHANNEL and begins_keyframe(data[16:end]):
            return
        data = data[end:]


def begins_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload (RFC 6184) has an SPS, an IDR slice or the first fragment of one."""
    packet_type = payload[0] & 0x1F
    if packet_type == _STAP_A:
        return payload[3] & 0x1F in (_IDR, _SPS)
    if packet_type == _FU_A:
        return bool(payload[1] & 0x80) and payload[1] & 0x1F == _IDR
    return packet_type in (_IDR, _SPS)


def _received(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise SystemExit("the server hung up")
    return data


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--joins", type=int, default=200)
    parser.add_argument(
        "--transport", choices=("tcp", *STREAMS), default="tcp", help="others than RTSP: all of the keyframe"
    )
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
