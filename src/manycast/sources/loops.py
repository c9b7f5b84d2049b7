"""Streams that would come from themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection

from manycast.hub.hops import Hops
from manycast.hub.source import SourceDenied
from manycast.wire.address import SourceAddress
from manycast.wire.rtsp.errors import RtspError
from manycast.wire.rtsp.url import RtspUrl
from manycast.wire.srt.call import SrtCall

_SUFFIXES = (".flv", ".m3u8", "/index.m3u8", ".mp4", ".ts")  # that protocols put behind a stream's name


class OwnStreams:
    """Which of the streams fetched come from this very server, and from which other stream of it."""

    def __init__(self, path_of: Callable[[str], str], hops: Hops | None = None) -> None:
        """`path_of` gives the path in the hub of the name in an address; `hops` knows who asks for them."""
        self.hops = hops or Hops()
        self.ports: Collection[int] = ()  # on which the server listens, by TCP
        self.srt_ports: Collection[int] = ()
        self._path_of = path_of
        self._from: dict[str, str] = {}

    def guard(self, path: str) -> LoopGuard:
        """For the source that fills a path."""
        return LoopGuard(self, path)

    def note(self, path: str, origin: str) -> None:
        """Raises SourceDenied where a path would come from itself, by whatever way round."""
        chain = [path]
        while origin not in chain:
            chain.append(origin)
            following = self._from.get(origin)
            if following is None:
                self._from[path] = chain[1]
                return
            origin = following
        way = " from ".join([*chain, origin])
        raise SourceDenied(f"a loop: {way}, all on this server; take another url")

    def forget(self, path: str) -> None:
        self._from.pop(path, None)

    def path_in(self, address: SourceAddress) -> str | None:
        """The path in the hub that an address of this server means; None for what is no path."""
        if address.scheme == "srt":
            called = SrtCall.of(address).name
            return None if called is None else self._path_of(called)
        try:
            name = RtspUrl.parse(address.path or "/").path
        except RtspError:
            return None
        for suffix in _SUFFIXES:
            name = name.removesuffix(suffix)
        return self._path_of(name)


class LoopGuard:
    """Asked whenever a source has connected."""

    def __init__(self, streams: OwnStreams, path: str) -> None:
        self._streams = streams
        self._path = path

    def marks(self) -> tuple[bytes, ...]:
        """What other servers are to be told, so that they find loops through them."""
        return self._streams.hops.marks_for(self._path)

    def check(self, address: SourceAddress, local: tuple[str, int], peer: tuple[str, int]) -> None:
        """Raises SourceDenied for a loop. Both ends of a connection to this machine have the same address."""
        self._streams.forget(self._path)
        ports = self._streams.srt_ports if address.scheme == "srt" else self._streams.ports
        if local[0] != peer[0] or peer[1] not in ports:
            return
        origin = self._streams.path_in(address)
        if origin is not None:
            self._streams.note(self._path, origin)
