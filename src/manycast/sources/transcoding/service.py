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
from manycast.sources.transcoding.live import TranscodedSource
from manycast.sources.transcoding.plan import needed
from manycast.sources.transcoding.stored import TranscodedMedia, open_transcoded

FILE_THREADS = 2  # files that are transcoded at the same time; a group of each in turn
LINGER_S = 10.0  # for a player that describes, closes and comes back

log = logging.getLogger(__name__)


class TranscodingService:
    """Belongs to an event loop; the work is done in threads."""

    def __init__(self) -> None:
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
                task = self._opening[key] = asyncio.create_task(open_transcoded(media, wanted, self._executor))
                task.add_done_callback(lambda _task: self._opening.pop(key, None))
            await asyncio.wait([task])  # which, unlike awaiting the task, does not cancel it with its viewer
            found = self._media[key] = task.result()
            codecs = "+".join(track.codec.value for track in found.tracks)
            log.info("%s: transcoded to %s", media.name, codecs)
        asyncio.get_running_loop().call_later(LINGER_S, _hold, found)
        return found

    def source(self, source: Source, output: Output, name: str) -> Source:
        return TranscodedSource(source, output, name)

    def changes(self, tracks: Sequence[Track], output: Output) -> bool:
        return any(needed(tracks, output))

    def close(self) -> None:
        """Let nothing more be begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _hold(_media: TranscodedMedia) -> None:
    """Called late: what is to be held is held until then."""
