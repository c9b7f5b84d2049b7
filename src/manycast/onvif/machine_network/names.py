"""The machine's host name, and its resolver's file."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from manycast.onvif import machine
from manycast.onvif.machine_network.errors import CannotApply, MissingRight

HOST_NAME_MAX = 64  # characters, limits.h
MAX_NAME_SERVERS = 3  # those after are not asked (resolv.h, MAXNS)
_REPLACED = ("nameserver", "search", "domain")


def set_host_name(name: str) -> None:
    """Raises CannotApply."""
    if len(name) > HOST_NAME_MAX:
        raise CannotApply(f"the system takes {HOST_NAME_MAX} characters", "ter:InvalidHostname")
    if name == socket.gethostname():
        return
    try:
        socket.sethostname(name)
    except PermissionError as error:
        reason = (
            "setting the machine's host name needs CAP_SYS_ADMIN: start the server as root, or give it the capability, "
            "with AmbientCapabilities and CapabilityBoundingSet, and without ProtectHostname, in the service of systemd"
        )
        raise MissingRight(reason) from error
    except OSError as error:
        raise CannotApply(f"the system refuses the name: {error.strerror}") from error


def set_dns(servers: Sequence[IPv4Address | IPv6Address], domains: Sequence[str], path: Path | None = None) -> None:
    """Write the resolver's file; what else is in it stays. Raises CannotApply, also for a file of another program's."""
    path = path or machine.RESOLVER
    if len(servers) > MAX_NAME_SERVERS:
        raise CannotApply(f"the system's resolver asks {MAX_NAME_SERVERS} servers at most")
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise CannotApply(f"{path} belongs to another program, such as systemd-resolved: set the servers there")
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise CannotApply(f"there is no {path}") from error
    except OSError as error:
        raise _refusal(path, error) from error
    with open(descriptor, "r+b", buffering=0) as file:
        before = file.readall()
        try:
            _overwrite(file.fileno(), _written(before, servers, domains), len(before))
        except OSError as error:
            _overwrite(file.fileno(), before, 0)
            raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> CannotApply:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MissingRight(f"{path} cannot be written ({error.strerror}): start the server as a user who may")
    return CannotApply(f"{path} cannot be written: {error.strerror}")


def _overwrite(descriptor: int, data: bytes, length: int) -> None:
    """In place, and never empty meanwhile: in a container the file is mounted, and cannot be replaced."""
    # Who reads it between the two calls finds empty lines at its end, and not the rest of an old one.
    padded = data.ljust(length, b"\n")
    if os.pwrite(descriptor, padded, 0) != len(padded):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(descriptor, len(data))


def _written(before: bytes, servers: Sequence[IPv4Address | IPv6Address], domains: Sequence[str]) -> bytes:
    kept = [line for line in before.splitlines() if line.split()[:1] not in [[word.encode()] for word in _REPLACED]]
    lines = [f"nameserver {server}".encode() for server in servers]
    if domains:
        lines.append(f"search {' '.join(domains)}".encode())
    return b"".join(line + b"\n" for line in (*kept, *lines))
