"""Two hosts with a cable between them, made of network namespaces."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.waiting import wait_until

SERVER_IPV4, CLIENT_IPV4 = "198.51.100.1", "198.51.100.2"  # for documentation (RFC 5737)
SERVER_IPV6, CLIENT_IPV6 = "2001:db8::1", "2001:db8::2"  # the same (RFC 3849)
CLONE_NEWNET = 0x40000000  # linux/sched.h

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace, which lives while its descriptor is open."""

    descriptor: int

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets opened, and programs started, by this thread in the block are on this host."""
        with _own_namespace() as own:
            _enter(self.descriptor)
            try:
                yield
            finally:
                _enter(own)


@contextmanager
def cabled_hosts() -> Iterator[tuple[Host, Host]]:
    """A server's and a client's host. Where this process may not make namespaces, the test is skipped, saying so."""
    with ExitStack() as stack:
        hosts = [_new_host(stack) for _ in range(2)]
        server, client = hosts
        with server.entered():
            _ip(
                "link",
                "add",
                "cable",
                "type",
                "veth",
                "peer",
                "name",
                "cable",
                "netns",
                f"/proc/{os.getpid()}/fd/{client.descriptor}",
            )
        for host, addresses in ((server, (SERVER_IPV4, SERVER_IPV6)), (client, (CLIENT_IPV4, CLIENT_IPV6))):
            with host.entered():
                _ip("address", "add", f"{addresses[0]}/24", "dev", "cable")
                _ip("address", "add", f"{addresses[1]}/64", "dev", "cable", "nodad")
                _ip("link", "set", "cable", "up")
                _ip("link", "set", "lo", "up")
        for host, other in ((server, CLIENT_IPV4), (client, SERVER_IPV4)):
            with host.entered():
                _ip("route", "add", "default", "via", other)
                wait_until(_multicast_is_routed, "the cable carries multicast")
        yield server, client


def _multicast_is_routed() -> bool:
    """By IPv6, too: the kernel adds that route by itself, some time after the cable is plugged in."""
    shown = subprocess.run(
        ["ip", "-6", "route", "show", "table", "local", "dev", "cable"], capture_output=True, text=True, check=False
    )
    return "ff00::/8" in shown.stdout


def _new_host(stack: ExitStack) -> Host:
    with _own_namespace() as own:
        if _libc.unshare(CLONE_NEWNET):
            number = ctypes.get_errno()
            if number == errno.EPERM:
                pytest.skip("network namespaces need CAP_SYS_ADMIN, which this process has not: run it as root")
            raise OSError(number, os.strerror(number))
        descriptor = os.open(_namespace(), os.O_RDONLY)
        stack.callback(os.close, descriptor)
        _enter(own)
    return Host(descriptor)


def _namespace() -> Path:
    return Path("/proc/thread-self/ns/net")


@contextmanager
def _own_namespace() -> Iterator[int]:
    descriptor = os.open(_namespace(), os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*arguments: str) -> None:
    if shutil.which("ip") is None:
        pytest.fail("ip is missing: apt install iproute2")
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
