"""What turns streams and files into what is asked of them, seen from the hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from manycast.hub.output import Output
from manycast.hub.source import Source
from manycast.hub.stored import StoredMedia
from manycast.media.track import Track


class Transcoding(Protocol):
    async def media(self, media: StoredMedia, output: Output) -> StoredMedia:
        """A file as an output asks for it, shared by all its viewers: the file itself where it is so already.

        Raises SourceError.
        """

    def source(self, source: Source, output: Output, name: str) -> Source:
        """A live source in the same way; what already is as the output asks passes untouched."""

    def changes(self, tracks: Sequence[Track], output: Output) -> bool:
        """Whether an output asks for anything that the tracks are not."""
