"""The media folder: files by the names viewers ask for."""

from __future__ import annotations

import asyncio
import importlib.resources
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeVar

from manycast.sources.files.cache import DEFAULT_CACHE_BYTES, GroupCache
from manycast.sources.files.listing import list_files
from manycast.sources.files.media_file import MediaFile, open_media_file
from manycast.sources.files.memory import give_back
from manycast.sources.files.paths import FileStamp, find_inside

READING_THREADS = 4  # they wait for disks most of the time; FFmpeg and the disk do the work
MAX_OPEN_FILES = 256  # remembered as opened; what is left of one without viewers is small
CLIP_NAME = "test.mp4"  # there is always one of this name
LIST_LIFETIME_S = 5.0  # however often somebody asks, the disk is looked at no more often
WHOLE_SUFFIX = ".mp2t"  # behind a file's name: the transport stream as one track

T = TypeVar("T")


class _Wanted(NamedTuple):
    path: Path
    whole: bool


class FileLibrary:
    """The files below one folder. Nothing outside of it can be reached, whatever the name.

    Belongs to the event loop it was made in; reading has threads of its own.
    """

    def __init__(self, media_folder: Path, *, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self.media_folder = media_folder
        self.cache = GroupCache(cache_bytes)
        self._executor = ThreadPoolExecutor(READING_THREADS, thread_name_prefix="media-file")
        self._files: OrderedDict[_Wanted, MediaFile] = OrderedDict()  # the one used last at the end
        self._replaced: list[MediaFile] = []  # may still have viewers, and demuxers that have to be closed
        self._opening: dict[tuple[_Wanted, FileStamp], asyncio.Task[MediaFile]] = {}
        self._resources = ExitStack()
        self._clip: Path | None = None
        self._names: tuple[int, float, list[str]] | None = None  # as last listed: the limit, and when

    async def names(self, limit: int) -> list[str]:
        """What files there are, at most so many; the clip that is always there first."""
        now_s = asyncio.get_running_loop().time()
        if self._names is None or self._names[0] != limit or now_s - self._names[1] > LIST_LIFETIME_S:
            names = await self._run(list_files, self.media_folder, limit)
            others = [name for name in names if name != CLIP_NAME]
            self._names = limit, now_s, [CLIP_NAME, *others][:limit]
        return self._names[2]

    async def find(self, names: Sequence[str]) -> MediaFile | None:
        """The file of the first name that there is; None when there is none.

        Names are relative to the media folder, with "/" between folders. Behind the name of a transport stream,
        WHOLE_SUFFIX asks for all of it as one track. Raises SourceError when the file cannot be played; the message
        is for the log.
        """
        for name in names:
            for whole in (False, True) if name.endswith(WHOLE_SUFFIX) else (False,):
                stored = name.removesuffix(WHOLE_SUFFIX) if whole else name
                found = await self._run(find_inside, self.media_folder, stored)
                if found is not None:
                    path, stamp = found
                    return await self._opened(name, _Wanted(path, whole), stamp)
            self._forget(name)
        if CLIP_NAME in names:
            path, stamp = self._find_clip()
            return await self._opened(CLIP_NAME, _Wanted(path, whole=False), stamp)
        return None

    def holds(self, names: Sequence[str]) -> bool:
        """Whether there is a file of one of these names. Looks at the folder at once, in any thread."""
        stored = {name.removesuffix(WHOLE_SUFFIX) for name in names} | set(names)
        return CLIP_NAME in names or any(find_inside(self.media_folder, name) is not None for name in stored)

    def tidy(self, now_s: float) -> None:
        """Close what has been idle for a while; to be called every few seconds with the event loop's `time()`."""
        for file in (*self._files.values(), *self._replaced):
            file.tidy(now_s)
        held_bytes = self.cache.size_bytes
        self.cache.tidy()
        if held_bytes and not self.cache.size_bytes:
            self._executor.submit(give_back)
        self._replaced = [file for file in self._replaced if file.demuxers]

    async def close(self) -> None:
        """Close all files and stop the threads."""
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await asyncio.gather(*(file.close() for file in (*self._files.values(), *self._replaced)))
        self._files.clear()
        await asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)
        self._resources.close()

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def _opened(self, name: str, wanted: _Wanted, stamp: FileStamp) -> MediaFile:
        """The open file at a path, opened anew if it is not the one that was opened before."""
        known = self._files.get(wanted)
        if known is not None and known.stamp == stamp:
            self._files.move_to_end(wanted)
            return known
        key = (wanted, stamp)
        task = self._opening.get(key)
        if task is None:
            task = self._opening[key] = asyncio.create_task(self._open(name, wanted, stamp))
            task.add_done_callback(lambda task: self._opening_done(key, task))
        await asyncio.wait([task])  # which, unlike awaiting the task, does not cancel it with its viewer
        return task.result()

    async def _open(self, name: str, wanted: _Wanted, stamp: FileStamp) -> MediaFile:
        file = await open_media_file(name, wanted.path, stamp, self.cache, self._executor, whole=wanted.whole)
        self._retire(wanted)
        self._files[wanted] = file
        if len(self._files) > MAX_OPEN_FILES:
            self._retire(next(iter(self._files)))
        return file

    def _opening_done(self, key: tuple[_Wanted, FileStamp], task: asyncio.Task[MediaFile]) -> None:
        del self._opening[key]
        if not task.cancelled():
            task.exception()  # seen, even if nobody waits for it any more

    def _forget(self, name: str) -> None:
        """There is no file of this name any more."""
        for wanted, file in list(self._files.items()):
            if file.name == name and wanted.path != self._clip:
                self._retire(wanted)

    def _retire(self, wanted: _Wanted) -> None:
        """Give a file to no new viewers; those it has go on."""
        file = self._files.pop(wanted, None)
        if file is not None:
            self._replaced.append(file)

    def _find_clip(self) -> tuple[Path, FileStamp]:
        """The clip that is installed with the package."""
        if self._clip is None:
            resource = importlib.resources.files("manycast.sources") / "clips" / CLIP_NAME
            self._clip = self._resources.enter_context(importlib.resources.as_file(resource)).resolve()
        return self._clip, FileStamp.of(self._clip.stat())
