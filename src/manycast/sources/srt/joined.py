"""libsrt as sources share it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from manycast.hub.source import SourceError
from manycast.libsrt.library import SrtLibrary, SrtMissing
from manycast.libsrt.poller import Poller


@dataclass(slots=True)
class Joined:
    """The library and the thread that waits in it."""

    library: SrtLibrary
    poller: Poller
    users: int = 0


class SharedSrt:
    """One of each for all sources, while there are sources."""

    def __init__(self) -> None:
        self._joined: Joined | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Joined]:
        """Raises SourceError where there is no libsrt."""
        if self._joined is None:
            try:
                library = SrtLibrary()
            except SrtMissing as error:
                raise SourceError(str(error)) from None
            self._joined = Joined(library, Poller(library))
        joined = self._joined
        joined.users += 1
        try:
            yield joined
        finally:
            joined.users -= 1
            if not joined.users:
                self._joined = None
                await joined.poller.close()
                await asyncio.to_thread(joined.library.close)
