"""Ports nobody else has."""

from __future__ import annotations

import os
import random
import socket
from itertools import cycle, islice
from pathlib import Path

from support.sockets import kept

UDP_BLOCK = 32
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))  # each process has ports of its own
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_MIN_PORTS = 8192


def _servers_ports() -> list[int]:
    """Those the system does not give to clients, so that none comes in between; all, where it leaves too few."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [port for port in range(10_000, 65_536) if not first <= port <= last]
    return ports if len(ports) >= _MIN_PORTS else list(range(10_000, 65_536))


_PORTS = _servers_ports()
_UDP_PORTS, _TCP_PORTS = _PORTS[: 3 * len(_PORTS) // 4], _PORTS[3 * len(_PORTS) // 4 :][_WORKER::_WORKERS]
_UDP_BASES = [port for port in _UDP_PORTS[:: UDP_BLOCK * 2] if port % 2 == 0][_WORKER::_WORKERS]
_udp_bases = cycle(random.sample(_UDP_BASES, len(_UDP_BASES)))
_tcp_ports = cycle(random.sample(_TCP_PORTS, len(_TCP_PORTS)))


def free_tcp_port(host: str = "127.0.0.1") -> int:
    """A port that is free, and is given out again only when all the others have been."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in islice(_tcp_ports, len(_TCP_PORTS)):
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            try:
                sock.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("no free TCP port")


def free_udp_port(host: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def free_udp_base() -> int:
    """An even port from which on a row of UDP ports is free."""
    for base in islice(_udp_bases, len(_UDP_BASES)):
        if all(udp_port_is_free(base + offset) for offset in range(UDP_BLOCK)):
            return base
    raise AssertionError("no row of free UDP ports")


def udp_port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True


def udp_pair(host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    """A client's RTP and RTCP socket, on an even port and the next one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        rtp = kept(socket.socket(family, socket.SOCK_DGRAM))
        rtcp = kept(socket.socket(family, socket.SOCK_DGRAM))
        rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        rtp.bind((host, 0))
        port = int(rtp.getsockname()[1])
        try:
            if port % 2:
                raise OSError("odd")
            rtcp.bind((host, port + 1))
        except OSError:
            rtp.close()
            rtcp.close()
            continue
        for sock in (rtp, rtcp):
            sock.settimeout(20)
        return rtp, rtcp
    raise AssertionError("no pair of UDP ports")
