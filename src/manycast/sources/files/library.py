"""The media folder: files by the names viewers ask for."""

from __future__ import annotations

import asyncio
import importlib.resources
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from manycast.sources.files.cache import DEFAULT_CACHE_BYTES, GroupCache
from manycast.sources.files.media_file import MediaFile, open_media_file
from manycast.sources.files.paths import FileStamp, find_inside, walk_files

READING_THREADS = 4  # they wait for disks most of the time; FFmpeg and the disk do the work
MAX_OPEN_FILES = 256  # remembered as opened; what is left of one without viewers is small
MAX_LISTED_FILES = 1000
CLIP_NAME = "test.mp4"  # there is always one of this name


class FileLibrary:
    """The files below one folder. Nothing outside of it can be reached, whatever the name.

    Belongs to the event loop it was made in; reading has threads of its own.
    """

    def __init__(self, media_folder: Path, *, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self.media_folder = media_folder
        self.cache = GroupCache(cache_bytes)
        self._executor = ThreadPoolExecutor(READING_THREADS, thread_name_prefix="media-file")
        self._files: OrderedDict[Path, MediaFile] = OrderedDict()  # the one used last at the end
        self._replaced: list[MediaFile] = []  # may still have viewers, and demuxers that have to be closed
        self._opening: dict[tuple[Path, FileStamp], asyncio.Task[MediaFile]] = {}
        self._resources = ExitStack()
        self._clip: Path | None = None

    async def find(self, names: Sequence[str]) -> MediaFile | None:
        """The file of the first name that there is; None when there is none.

        Names are relative to the media folder, with "/" between folders. Raises SourceError when the file cannot
        be played; the message is for the log.
        """
        loop = asyncio.get_running_loop()
        for name in names:
            found = await loop.run_in_executor(self._executor, find_inside, self.media_folder, name)
            if found is not None:
                return await self._opened(name, *found)
            self._forget(name)
        if CLIP_NAME in names:
            return await self._opened(CLIP_NAME, *self._find_clip())
        return None

    async def list_files(self, limit: int = MAX_LISTED_FILES) -> list[str]:
        """The names of at most `limit` files in the folder, sorted; not all of them need be media."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: sorted(walk_files(self.media_folder, limit)))

    def tidy(self, now_s: float) -> None:
        """Close what has been idle for a while; to be called every few seconds with the event loop's `time()`."""
        for file in (*self._files.values(), *self._replaced):
            file.tidy(now_s)
        self.cache.tidy()
        self._replaced = [file for file in self._replaced if file.demuxers]

    async def close(self) -> None:
        """Close all files and stop the threads."""
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await asyncio.gather(*(file.close() for file in (*self._files.values(), *self._replaced)))
        self._files.clear()
        await asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)
        self._resources.close()

    async def _opened(self, name: str, path: Path, stamp: FileStamp) -> MediaFile:
        """The open file at a path, opened anew if it is not the one that was opened before."""
        known = self._files.get(path)
        if known is not None and known.stamp == stamp:
            self._files.move_to_end(path)
            return known
        key = (path, stamp)
        task = self._opening.get(key)
        if task is None:
            task = self._opening[key] = asyncio.create_task(self._open(name, path, stamp))
            task.add_done_callback(lambda task: self._opening_done(key, task))
        await asyncio.wait([task])  # which, unlike awaiting the task, does not cancel it with its viewer
        return task.result()

    async def _open(self, name: str, path: Path, stamp: FileStamp) -> MediaFile:
        file = await open_media_file(name, path, stamp, self.cache, self._executor)
        self._retire(path)
        self._files[path] = file
        if len(self._files) > MAX_OPEN_FILES:
            self._retire(next(iter(self._files)))
        return file

    def _opening_done(self, key: tuple[Path, FileStamp], task: asyncio.Task[MediaFile]) -> None:
        del self._opening[key]
        if not task.cancelled():
            task.exception()  # seen, even if nobody waits for it any more

    def _forget(self, name: str) -> None:
        """There is no file of this name any more."""
        for path, file in list(self._files.items()):
            if file.name == name and path != self._clip:
                self._retire(path)

    def _retire(self, path: Path) -> None:
        """Give a file to no new viewers; those it has go on."""
        file = self._files.pop(path, None)
        if file is not None:
            self._replaced.append(file)

    def _find_clip(self) -> tuple[Path, FileStamp]:
        """The clip that is installed with the package."""
        if self._clip is None:
            resource = importlib.resources.files("manycast.sources") / "clips" / CLIP_NAME
            self._clip = self._resources.enter_context(importlib.resources.as_file(resource)).resolve()
        return self._clip, FileStamp.of(self._clip.stat())
