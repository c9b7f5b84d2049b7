"""A caller over SRT, made of the same library as the server, and a network that loses packets."""

from __future__ import annotations

import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from manycast.libsrt.library import ERROR, MAX_PAYLOAD_BYTES, Option, SrtLibrary
from manycast.media.frame import Frame
from manycast.wire.mpegts.demux import TsDemuxer
from manycast.wire.mpegts.mux import TsMuxer
from support.clips import Clip

HOST = "127.0.0.1"
PAYLOAD_BYTES = 1316
BAD_SECRET, UNSECURE = 10, 11  # libsrt's own reasons (SRT_REJECT_REASON)
SNDTIMEO, RCVTIMEO = 13, 14
RCVKMSTATE, SECURED = 41, 2


class Refused(Exception):
    """The server has refused the caller, with this number."""

    def __init__(self, reason: int) -> None:
        super().__init__(reason)
        self.reason = reason


class SrtCaller:
    """A blocking SRT connection, for threads."""

    def __init__(self, library: SrtLibrary, sock: int) -> None:
        self.library = library
        self.sock = sock

    @classmethod
    def connect(
        cls,
        port: int,
        stream_id: bytes | str,
        *,
        passphrase: str | None = None,
        key_bits: int = 0,
        latency_ms: int = 0,
        receive_bytes: int = 0,
    ) -> Self:
        """Raises Refused."""
        library = SrtLibrary()
        caller = cls(library, library.check(library.lib.srt_create_socket(), "making a socket"))
        data = stream_id.encode() if isinstance(stream_id, str) else stream_id
        caller.set(Option.STREAMID, data)
        caller._set_number(RCVTIMEO, 15_000)
        caller._set_number(SNDTIMEO, 15_000)
        if passphrase is not None:
            caller.set(Option.PASSPHRASE, passphrase.encode())
        if key_bits:
            caller.set(Option.PBKEYLEN, key_bits // 8)
        if receive_bytes:
            caller.set(Option.RCVBUF, receive_bytes)
        if latency_ms:
            caller.set(Option.RCVLATENCY, latency_ms)
            caller.set(Option.PEERLATENCY, latency_ms)
        address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(HOST))
        if library.lib.srt_connect(caller.sock, address, len(address)) == ERROR:
            reason = library.lib.srt_getrejectreason(caller.sock)
            caller.close()
            raise Refused(reason)
        return caller

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.library.lib.srt_close(self.sock)
        self.library.close()

    def set(self, option: Option, value: int | bytes) -> None:
        self.library.set_option(self.sock, option, value)

    def option(self, option: Option) -> int:
        return self.library.option(self.sock, option)

    @property
    def encrypted(self) -> bool:
        value, length = self.library.ffi.new("int*"), self.library.ffi.new("int*", 4)
        self.library.check(self.library.lib.srt_getsockflag(self.sock, RCVKMSTATE, value, length), "asking")
        return bool(value[0] == SECURED)

    def send(self, data: bytes, *, payload_bytes: int = PAYLOAD_BYTES) -> None:
        for start in range(0, len(data), payload_bytes):
            part = data[start : start + payload_bytes]
            sent = self.library.lib.srt_sendmsg2(self.sock, part, len(part), self.library.ffi.NULL)
            self.library.check(sent, "sending")

    def receive(self) -> bytes:
        """One datagram's content; empty where the server has hung up."""
        message = self.library.ffi.new("char[]", MAX_PAYLOAD_BYTES)
        size = self.library.lib.srt_recvmsg2(self.sock, message, MAX_PAYLOAD_BYTES, self.library.ffi.NULL)
        return b"" if size == ERROR else bytes(self.library.ffi.buffer(message, size))

    def frames(self, count: int) -> tuple[TsDemuxer, list[Frame]]:
        """So many frames, or those that came before the server hung up."""
        demuxer, frames = TsDemuxer(), list[Frame]()
        while len(frames) < count and (data := self.receive()):
            frames += demuxer.receive(data)
        return demuxer, frames

    def send_clip(self, clip: Clip, count: int, *, muxer: TsMuxer | None = None, first: int = 0) -> None:
        """Frames in real time."""
        muxer = muxer or TsMuxer([clip.track])
        started_s = time.monotonic()
        for number in range(count):
            self.send(muxer.frame(clip.frame(first + number)))
            time.sleep(max(0.0, started_s + (number + 1) / clip.frame_rate - time.monotonic()))

    def _set_number(self, option: int, value: int) -> None:
        data = struct.pack("=i", value)
        self.library.check(self.library.lib.srt_setsockflag(self.sock, option, data, len(data)), "setting")


class SrtListener:
    """Waits for callers, and sends each of them a clip over and over: what a proxy fetches from."""

    def __init__(self, clip: Clip, *, passphrase: str | None = None, instead: bytes | None = None) -> None:
        """`instead` is what is sent instead of each frame."""
        self.stream_ids: list[bytes] = []  # of those who have called
        self.latencies_ms: list[int] = []
        self._clip = clip
        self._instead = instead
        self._library = SrtLibrary()
        library, lib = self._library, self._library.lib
        self._sock = library.check(lib.srt_create_socket(), "making a socket")
        if passphrase is not None:
            library.set_option(self._sock, Option.PASSPHRASE, passphrase.encode())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((HOST, 0))
            self.port = int(udp.getsockname()[1])
            library.check(lib.srt_bind_acquire(self._sock, udp.detach()), "taking over a UDP socket")
        library.check(lib.srt_listen(self._sock, 10), "listening")
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="SRT listener", daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._library.lib.srt_close(self._sock)
        for thread in self._threads:
            thread.join()
        self._library.close()

    def _accept(self) -> None:
        library, lib = self._library, self._library.lib
        address, length = library.ffi.new("char[]", 128), library.ffi.new("int*", 128)
        while (sock := lib.srt_accept(self._sock, address, length)) != ERROR:
            stream_id, size = library.ffi.new("char[]", 513), library.ffi.new("int*", 513)
            library.check(lib.srt_getsockflag(sock, Option.STREAMID, stream_id, size), "asking")
            self.latencies_ms.append(library.option(sock, Option.PEERLATENCY))
            self.stream_ids.append(bytes(library.ffi.buffer(stream_id, size[0])))
            thread = threading.Thread(target=self._send, args=(sock,), name="SRT listener", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _send(self, sock: int) -> None:
        """In real time, until the caller has gone."""
        muxer, started_s, number = TsMuxer([self._clip.track]), time.monotonic(), 0
        connected = True
        while connected and not self._closing.wait(
            max(0.0, started_s + number / self._clip.frame_rate - time.monotonic())
        ):
            data = muxer.frame(self._clip.frame(number)) if self._instead is None else self._instead
            number += 1
            for start in range(0, len(data), PAYLOAD_BYTES):
                part = data[start : start + PAYLOAD_BYTES]
                if self._library.lib.srt_sendmsg2(sock, part, len(part), self._library.ffi.NULL) == ERROR:
                    connected = False
        self._library.lib.srt_close(sock)


class LossyRelay:
    """Passes the datagrams of callers on to a port, but loses some and lets others wait; the same each time."""

    def __init__(self, target_port: int, *, loss: float, late: float, seed: int) -> None:
        """`loss` and `late` are shares of the datagrams; a late one comes behind some that follow it."""
        self.passed = self.lost = self.reordered = 0
        self.dead = False  # nothing passes any more
        self._target = (HOST, target_port)
        self._loss, self._late = loss, late
        self._random = random.Random(seed)
        self._callers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._callers.bind((HOST, 0))
        self.port = int(self._callers.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._callers, selectors.EVENT_READ)
        self._upstream: dict[tuple[str, int], socket.socket] = {}
        self._held: list[tuple[float, socket.socket, bytes, tuple[str, int]]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._thread.join()
        self._selector.close()
        for sock in (self._callers, *self._upstream.values()):
            sock.close()

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(0.005):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                data, peer = sock.recvfrom(2048)
                if sock is self._callers:
                    self._pass(self._upstream_of(peer), data, self._target)
                else:
                    caller = next(address for address, other in self._upstream.items() if other is sock)
                    self._pass(self._callers, data, caller)
            now_s = time.monotonic()
            due, self._held = [h for h in self._held if h[0] <= now_s], [h for h in self._held if h[0] > now_s]
            for _, sock, data, peer in due:
                self._send(sock, data, peer)

    def _pass(self, sock: socket.socket, data: bytes, peer: tuple[str, int]) -> None:
        chance = self._random.random()
        if self.dead or chance < self._loss:
            self.lost += 1
        elif chance < self._loss + self._late:
            self.reordered += 1
            self._held.append((time.monotonic() + 0.015, sock, data, peer))
        else:
            self._send(sock, data, peer)

    def _send(self, sock: socket.socket, data: bytes, peer: tuple[str, int]) -> None:
        self.passed += 1
        sock.sendto(data, peer)

    def _upstream_of(self, caller: tuple[str, int]) -> socket.socket:
        sock = self._upstream.get(caller)
        if sock is None:
            sock = self._upstream[caller] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((HOST, 0))
            self._selector.register(sock, selectors.EVENT_READ)
        return sock


@contextmanager
def hanging_up(callers: Sequence[SrtCaller]) -> Iterator[None]:
    try:
        yield
    finally:
        for caller in callers:
            caller.close()
