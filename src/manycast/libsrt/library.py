"""libsrt, loaded while the server runs: what of its interface is used, and names for its numbers."""

from __future__ import annotations

import ctypes.util
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from cffi import FFI

from manycast.errors import ManycastError

HOW_TO_INSTALL = {
    "linux": "install libsrt1.5-openssl (Debian, Ubuntu) or libsrt (others)",
    "darwin": "install it with: brew install srt",
    "win32": "put srt.dll of libsrt 1.5 into a folder of the PATH",
}
MIN_VERSION = 0x010402  # from which on callers can be told why they are refused

_NAMES = {
    "linux": (
        "libsrt.so.1.5",
        "libsrt-openssl.so.1.5",
        "libsrt-gnutls.so.1.5",
        "libsrt.so.1.4",
        "libsrt-gnutls.so.1.4",
    ),
    "darwin": ("libsrt.1.5.dylib", "/opt/homebrew/lib/libsrt.dylib", "/usr/local/lib/libsrt.dylib"),
    "win32": ("srt.dll", "libsrt.dll"),
}

# From srt.h of 1.5; a library of 1.4 knows less of the statistics, and leaves the rest as it is.
_DEFINITIONS = """
typedef int SRTSOCKET;
typedef int srt_listen_callback_fn(void* opaque, SRTSOCKET ns, int hsversion, const void* peer, const char* streamid);
typedef struct { int flags, msgttl, inorder, boundary; int64_t srctime; int32_t pktseq, msgno; void* grpdata;
    size_t grpdata_size; } SRT_MSGCTRL;
typedef struct { SRTSOCKET fd; int events; } SRT_EPOLL_EVENT;
typedef struct {
    int64_t msTimeStamp, pktSentTotal, pktRecvTotal;
    int pktSndLossTotal, pktRcvLossTotal, pktRetransTotal;
    int pktSentACKTotal, pktRecvACKTotal, pktSentNAKTotal, pktRecvNAKTotal;
    int64_t usSndDurationTotal;
    int pktSndDropTotal, pktRcvDropTotal, pktRcvUndecryptTotal;
    uint64_t byteSentTotal, byteRecvTotal, byteRcvLossTotal, byteRetransTotal, byteSndDropTotal, byteRcvDropTotal,
        byteRcvUndecryptTotal;
    int64_t pktSent, pktRecv;
    int pktSndLoss, pktRcvLoss, pktRetrans, pktRcvRetrans, pktSentACK, pktRecvACK, pktSentNAK, pktRecvNAK;
    double mbpsSendRate, mbpsRecvRate;
    int64_t usSndDuration;
    int pktReorderDistance;
    double pktRcvAvgBelatedTime;
    int64_t pktRcvBelated;
    int pktSndDrop, pktRcvDrop, pktRcvUndecrypt;
    uint64_t byteSent, byteRecv, byteRcvLoss, byteRetrans, byteSndDrop, byteRcvDrop, byteRcvUndecrypt;
    double usPktSndPeriod;
    int pktFlowWindow, pktCongestionWindow, pktFlightSize;
    double msRTT, mbpsBandwidth;
    char later[512];
} SRT_TRACEBSTATS;

int srt_startup(void);
int srt_cleanup(void);
uint32_t srt_getversion(void);
void srt_setloglevel(int level);
SRTSOCKET srt_create_socket(void);
int srt_bind_acquire(SRTSOCKET u, int udp_socket);
int srt_listen(SRTSOCKET u, int backlog);
int srt_listen_callback(SRTSOCKET listener, srt_listen_callback_fn* hook, void* opaque);
SRTSOCKET srt_accept(SRTSOCKET u, void* address, int* length);
int srt_connect(SRTSOCKET u, const void* name, int namelen);
int srt_close(SRTSOCKET u);
int srt_getsockflag(SRTSOCKET u, int option, void* value, int* length);
int srt_setsockflag(SRTSOCKET u, int option, const void* value, int length);
int srt_sendmsg2(SRTSOCKET u, const char* data, int length, SRT_MSGCTRL* control);
int srt_recvmsg2(SRTSOCKET u, char* data, int length, SRT_MSGCTRL* control);
int srt_getlasterror(int* system_error);
const char* srt_getlasterror_str(void);
int srt_bistats(SRTSOCKET u, SRT_TRACEBSTATS* statistics, int clear, int instantaneous);
int srt_getsockstate(SRTSOCKET u);
int srt_getsndbuffer(SRTSOCKET u, size_t* blocks, size_t* bytes);
int srt_getrejectreason(SRTSOCKET u);
int srt_setrejectreason(SRTSOCKET u, int value);
const char* srt_rejectreason_str(int id);
int srt_epoll_create(void);
int srt_epoll_add_usock(int eid, SRTSOCKET u, const int* events);
int srt_epoll_remove_usock(int eid, SRTSOCKET u);
int srt_epoll_uwait(int eid, SRT_EPOLL_EVENT* events, int size, int64_t timeout_ms);
int32_t srt_epoll_set(int eid, int32_t flags);
int srt_epoll_release(int eid);
"""


class SrtMissing(ManycastError):
    """There is no libsrt here, or none that is new enough; the message says what to install."""


class SrtError(ManycastError):
    """A call of the library failed."""

    def __init__(self, doing: str, text: str, code: int) -> None:
        super().__init__(f"{doing}: {text}")
        self.code = code


class Option(IntEnum):
    """Socket options (SRT_SOCKOPT)."""

    SNDSYN = 1
    RCVSYN = 2
    RCVBUF = 6
    UDP_SNDBUF = 8
    UDP_RCVBUF = 9
    MAXBW = 16
    OHEADBW = 25
    PASSPHRASE = 26
    PBKEYLEN = 27
    CONNTIMEO = 36
    RCVLATENCY = 43
    PEERLATENCY = 44
    STREAMID = 46
    PAYLOADSIZE = 49
    IPV6ONLY = 54


class Events(IntEnum):
    """SRT_EPOLL_OPT; EDGE tells each change once."""

    IN = 0x1
    OUT = 0x4
    ERR = 0x8
    EDGE = -0x8000_0000


class State(IntEnum):
    """SRT_SOCKSTATUS, as far as it is asked for."""

    CONNECTED = 5


NO_ROOM = 6001  # SRT_EASYNCSND
NOTHING_THERE = 6002  # SRT_EASYNCRCV
EPOLL_ENABLE_EMPTY = 1
LOG_CRITICAL = 2  # quieter than by default: what matters is logged by us
ERROR = -1
MAX_PAYLOAD_BYTES = 1456
MAX_ADDRESS_BYTES = 128
WIDE_OPTIONS = frozenset({Option.MAXBW})  # of 64 bits


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one connection, since it began."""

    rtt_ms: float = 0.0
    sent_packets: int = 0  # with those sent again
    sent_bytes: int = 0
    received_packets: int = 0
    received_bytes: int = 0
    lost_packets: int = 0  # found missing at either end; most come when they are sent again
    retransmitted_packets: int = 0
    dropped_packets: int = 0  # given up: too late to be of use
    undecrypted_packets: int = 0

    def __str__(self) -> str:
        text = f"RTT {self.rtt_ms:.1f} ms, {self.lost_packets} lost, {self.retransmitted_packets} sent again"
        text += f", {self.dropped_packets} dropped"
        return text + (f", {self.undecrypted_packets} not decrypted" if self.undecrypted_packets else "")


class SrtLibrary:
    """The loaded library. Functions are called through `lib`; they let go of the interpreter meanwhile."""

    def __init__(self) -> None:
        """Load and start it. Raises SrtMissing."""
        self.ffi, self.lib = _load()
        version = self.lib.srt_getversion()
        self.version = f"{version >> 16}.{version >> 8 & 0xFF}.{version & 0xFF}"
        if version < MIN_VERSION:
            raise SrtMissing(f"libsrt {self.version} is too old: {_advice()}")
        self.lib.srt_startup()
        self.lib.srt_setloglevel(LOG_CRITICAL)
        self.message = self.ffi.new("char[]", MAX_PAYLOAD_BYTES)  # to receive into, on the loop's thread
        self.control = self.ffi.new("SRT_MSGCTRL*")  # and what is told of it
        self._statistics = self.ffi.new("SRT_TRACEBSTATS*")

    def close(self) -> None:
        """End the library's threads, and all sockets with them, where nobody else in this process uses it.

        Takes some milliseconds.
        """
        self.lib.srt_cleanup()

    def check(self, result: int, doing: str) -> int:
        """Raise SrtError for the result of a call that failed."""
        if result == ERROR:
            code = self.lib.srt_getlasterror(self.ffi.NULL)
            raise SrtError(doing, self.ffi.string(self.lib.srt_getlasterror_str()).decode(errors="replace"), code)
        return result

    def set_option(self, sock: int, option: Option, value: int | bytes) -> None:
        """Raises SrtError."""
        data = value if isinstance(value, bytes) else struct.pack("=q" if option in WIDE_OPTIONS else "=i", value)
        self.check(self.lib.srt_setsockflag(sock, option, data, len(data)), f"setting {option.name}")

    def option(self, sock: int, option: Option) -> int:
        """A number. Raises SrtError."""
        value = self.ffi.new("int*")
        length = self.ffi.new("int*", 4)
        self.check(self.lib.srt_getsockflag(sock, option, value, length), f"asking for {option.name}")
        return int(value[0])

    def unacknowledged(self, sock: int) -> int:
        """How many of the datagrams that were sent the other end has not confirmed yet."""
        blocks = self.ffi.new("size_t*")
        self.lib.srt_getsndbuffer(sock, blocks, self.ffi.NULL)
        return int(blocks[0])

    def statistics(self, sock: int) -> Statistics | None:
        """None where the connection is gone."""
        found = self._statistics
        if self.lib.srt_bistats(sock, found, 0, 1) == ERROR:
            return None
        return Statistics(
            rtt_ms=found.msRTT,
            sent_packets=found.pktSentTotal,
            sent_bytes=found.byteSentTotal,
            received_packets=found.pktRecvTotal,
            received_bytes=found.byteRecvTotal,
            lost_packets=found.pktSndLossTotal + found.pktRcvLossTotal,
            retransmitted_packets=found.pktRetransTotal,
            dropped_packets=found.pktSndDropTotal + found.pktRcvDropTotal,
            undecrypted_packets=found.pktRcvUndecryptTotal,
        )

    def connect(self, sock: int, host: str, port: int) -> None:
        """Call a numeric address; for a socket that does not wait, the epoll tells how it went. Raises SrtError."""
        name = _sockaddr(host, port)
        self.check(self.lib.srt_connect(sock, name, len(name)), f"calling {host} port {port}")

    def address_of(self, peer: Any) -> tuple[str, int]:
        """Read a `struct sockaddr`."""
        data = bytes(self.ffi.buffer(self.ffi.cast("char*", peer), 28))
        family = data[1] if sys.platform == "darwin" else int.from_bytes(data[:2], sys.byteorder)
        port = int.from_bytes(data[2:4])
        if family == socket.AF_INET6:
            address = ipaddress.IPv6Address(data[8:24])
            return str(address.ipv4_mapped or address), port
        return str(ipaddress.IPv4Address(data[4:8])), port


def _sockaddr(host: str, port: int) -> bytes:
    """A `struct sockaddr` of a numeric address, with its scope behind a `%`."""
    address = ipaddress.ip_address(host)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    size = 16 if address.version == 4 else 28
    head = bytes((size, family)) if sys.platform == "darwin" else struct.pack("=H", family)
    if isinstance(address, ipaddress.IPv4Address):
        return head + struct.pack("!H4s8x", port, address.packed)
    scope = address.scope_id or "0"
    number = int(scope) if scope.isdecimal() else socket.if_nametoindex(scope)
    return head + struct.pack("!HI16s", port, 0, address.packed) + struct.pack("=I", number)


@cache
def _load() -> tuple[Any, Any]:
    """The interface and the library, which stays: its threads would not survive its unloading. Raises SrtMissing."""
    ffi = FFI()
    ffi.cdef(_DEFINITIONS)
    found = ctypes.util.find_library("srt")
    for name in (*_NAMES.get(sys.platform, _NAMES["linux"]), *((found,) if found else ())):
        try:
            return ffi, ffi.dlopen(name)
        except OSError:
            continue
    raise SrtMissing(f"libsrt is missing: {_advice()}")


def _advice() -> str:
    return HOW_TO_INSTALL.get(sys.platform, HOW_TO_INSTALL["linux"])
