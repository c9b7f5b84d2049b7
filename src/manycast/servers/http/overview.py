"""What can be watched, for the page at /."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from manycast import __version__
from manycast.hub.catalogue import Catalogue
from manycast.hub.stream import Stream

MAX_FILES = 200
MAX_STREAMS = 1000

FileLister = Callable[[int], Awaitable[Sequence[str]]]  # at most so many names


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A protocol by which streams can be had, and how its addresses are made of a host and a path."""

    label: str
    scheme: str
    port: int
    before: str = "/"  # what stands between host and path
    suffix: str = ""
    files: bool = True  # whether files can be had by it, too


class Overview:
    """Live streams, what can be started, and files, as the page asks for them."""

    def __init__(self, catalogue: Catalogue, list_files: FileLister, offers: Sequence[Offer], *, player: bool) -> None:
        """`player` says whether there are streams in the form the page's player takes."""
        self._catalogue = catalogue
        self._list_files = list_files
        self._offers = [asdict(offer) for offer in offers]
        self._player = player

    async def as_json(self) -> dict[str, object]:
        streams, files, more = await self._listed()
        return {
            "version": __version__,
            "offers": self._offers,
            "player": self._player,
            "streams": [{"path": path, "about": about} for path, about in streams],
            "files": [{"path": path} for path in files],
            "more": more,
        }

    async def as_text(self) -> str:
        """For terminals."""
        streams, files, more = await self._listed()
        lines = ["", "Streams:", *(f"  {_shown(path):38} {about}" for path, about in streams)]
        lines += ["", "Files:", *(f"  {_shown(path)}" for path in files)]
        return "\n".join([*lines, *(["", "There are more."] if more else []), ""])

    async def _listed(self) -> tuple[list[tuple[str, str]], list[str], bool]:
        """Paths of streams and what is known about them, paths of files, and whether there are more of them."""
        hub = self._catalogue.hub
        live = {stream.path: _about(stream) for stream in hub}
        started = dict.fromkeys(hub.offered, "starts when it is watched") | live
        names = list(await self._list_files(MAX_FILES + 1))
        files = [self._catalogue.path_of(name) for name in names[:MAX_FILES]]
        return sorted(started.items())[:MAX_STREAMS], files, len(names) > MAX_FILES or len(started) > MAX_STREAMS


def _shown(path: str) -> str:
    return path if path.isprintable() else repr(path)  # no name tells a terminal what to do


def _about(stream: Stream) -> str:
    codecs = " + ".join(track.codec_name for track in stream.tracks)
    rate = f", {stream.bytes_per_s * 8e-6:.1f} Mbit/s" if stream.bytes_per_s else ""
    return f"{codecs}{rate}, watched by {stream.watchers}"
