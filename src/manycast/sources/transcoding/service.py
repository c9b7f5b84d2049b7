"""All transcoding of a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

from manycast.hub.output import Output
from manycast.hub.source import Source
from manycast.hub.stored import StoredMedia
from manycast.media.track import Track
from manycast.sources.encoding.engines import SOFTWARE, Engines
from manycast.sources.transcoding.live import TranscodedSource
from manycast.sources.transcoding.plan import Wanted, compromises, needed
from manycast.sources.transcoding.stored import TranscodedMedia, open_transcoded

FILE_THREADS = 2  # files that are transcoded at the same time; a group of each in turn
LINGER_S = 10.0  # for a player that describes, closes and comes back

log = logging.getLogger(__name__)


class TranscodingService:
    """Belongs to an event loop; the work is done in threads."""

    def __init__(self, engines: Engines = SOFTWARE) -> None:
        self._engines = engines
        self._executor = ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="transcode-file")
        self._media: WeakValueDictionary[tuple[StoredMedia, Output], TranscodedMedia] = WeakValueDictionary()
        self._opening: dict[tuple[StoredMedia, Output], asyncio.Task[TranscodedMedia]] = {}

    async def media(self, media: StoredMedia, output: Output) -> StoredMedia:
        wanted = needed(media.tracks, output)
        if not any(wanted):
            return media
        key = (media, output)
        found = self._media.get(key)
        if found is None:
            task = self._opening.get(key)
            if task is None:
                task = self._opening[key] = asyncio.create_task(self._open(media, wanted))
                task.add_done_callback(lambda _task: self._opening.pop(key, None))
            await asyncio.wait([task])  # which, unlike awaiting the task, does not cancel it with its viewer
            found = self._media[key] = task.result()
        asyncio.get_running_loop().call_later(LINGER_S, _hold, found)
        return found

    async def _open(self, media: StoredMedia, wanted: Sequence[Wanted]) -> TranscodedMedia:
        found = await open_transcoded(media, wanted, self._executor, self._engines)
        log.info("%s: transcoded to %s", media.name, "+".join(track.codec_name for track in found.tracks))
        for said in compromises(media.tracks, wanted):
            log.info("%s: %s", media.name, said)
        return found

    def source(self, source: Source, output: Output, name: str) -> Source:
        return TranscodedSource(source, output, name, self._engines)

    def changes(self, tracks: Sequence[Track], output: Output) -> bool:
        return any(needed(tracks, output))

    def close(self) -> None:
        """Let nothing more be begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _hold(_media: TranscodedMedia) -> None:
    """Called late: what is to be held is held until then."""
