#!/usr/bin/env python3
"""Push RTP packets to a pusher in mode TCP.

The packets come from any program that sends RTP by UDP to this one, such as ffmpeg:

    python3 push_rtp_over_tcp.py --listen 40000 --to localhost:50001
    ffmpeg -re -i film.mp4 -an -c:v copy -bsf:v h264_mp4toannexb -f rtp rtp://127.0.0.1:40000

Before each packet stand four bytes: 0x24, channel 0, and the packet's length in 16 bits, the high byte first.
It needs nothing but Python.
"""

import argparse
import socket
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", type=int, default=40000, help="UDP port that packets are sent to")
    parser.add_argument("--to", default="localhost:50001", help="host and vport or aport of the pusher")
    arguments = parser.parse_args()
    host, _, port = arguments.to.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
        packets.bind(("127.0.0.1", arguments.listen))
        with socket.create_connection((host, int(port))) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                packet = packets.recv(65535)
                connection.sendall(b"\x24\x00" + len(packet).to_bytes(2, "big") + packet)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"cannot push: {error.strerror or error}")
