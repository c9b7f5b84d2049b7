"""Manycast inside another program: start it, give it streams, ask what is there.

Everything is for one asyncio event loop, whose thread must not block. See docs/embedding.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from manycast.app.app import App
from manycast.app.listening import StartError
from manycast.app.plan import Overrides, make_plan
from manycast.config import ConfigurationError, load
from manycast.hub.hub import PathTaken
from manycast.hub.source import FrameSink, Source, SourceError
from manycast.hub.stored import StoredMedia
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Track

__all__ = [
    "ConfigurationError",
    "Frame",
    "FrameSink",
    "Overrides",
    "PathTaken",
    "Server",
    "Source",
    "SourceError",
    "StartError",
    "StoredMedia",
    "Stream",
    "Track",
]


class Server:
    """A server that runs while its `async with` block does."""

    def __init__(self, *config: Path, overrides: Overrides | None = None) -> None:
        """Without `config`, defaults for an ordinary user. Raises ConfigurationError."""
        self._app = App(make_plan(load(list(config)), overrides or Overrides()))

    async def __aenter__(self) -> Self:
        """Open all ports. Raises StartError."""
        await self._app.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._app.stop("the program that runs the server ends it")

    @property
    def addresses(self) -> Sequence[tuple[str, str, str]]:
        """Protocol, what for, and the address, for people to paste."""
        return self._app.addresses().rows()

    def publish(self, name: str, tracks: Sequence[Track], source: str = "this program") -> Stream:
        """Make a live stream; push frames into it, and end it by `unpublish`. Raises PathTaken."""
        return self._app.hub.publish(self._app.catalogue.path_of(name), tracks, source)

    def unpublish(self, stream: Stream, reason: str = "it was ended") -> None:
        self._app.hub.unpublish(stream, reason)

    def add(self, name: str, make_source: Callable[[], Source], description: str = "this program") -> None:
        """Offer a stream whose source is made and run while somebody watches it. Raises PathTaken."""
        self._app.hub.offer(self._app.catalogue.path_of(name), make_source, description)

    async def lookup(self, name: str) -> Stream | StoredMedia | None:
        """What an address stands for: a stream, started if need be, or a file. Raises SourceError."""
        return await self._app.catalogue.find(name)

    async def remove(self, name: str) -> None:
        """Take back what `add` has offered; viewers are told that it has ended."""
        await self._app.hub.withdraw(self._app.catalogue.path_of(name))

    def put_metadata(self, name: str, document: bytes) -> None:
        """Tell those who watch a stream's metadata track something: one well-formed `tt:MetadataStream`."""
        self._app.hub.metadata.put(self._app.catalogue.path_of(name), document)
