"""Segments on disk instead of in memory."""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import re
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import quote

from manycast.wire.hls.segmenter import Segment

log = logging.getLogger(__name__)

SUFFIX = ".hls"  # of a stream's folder

_RUN = re.compile(r"[0-9a-f]{24}")
_SEGMENT = re.compile(r"[0-9]+\.(ts|m4s)(\.new)?")


class HlsFolder:
    """Writes segments aside, renames them, and lets the kernel decide which bytes are in memory.

    They are in PATH.hls/RUN/NUMBER.ts. A disk that fails costs memory and nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        # One thread: what is written before it is removed stays in this order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hls-folder")
        self._failed = False

    def clean(self) -> None:
        """Remove what an earlier run of the server has left; nothing else, wherever the folder is."""
        self._thread.submit(self._clean)

    def keep(self, path: str, token: str, segment: Segment) -> None:
        """Write a segment; its bytes are the file's from then on."""
        place = self._place(path, token) / segment.file.name
        future = self._loop.run_in_executor(self._thread, _write, place, bytes(segment.file.data))
        future.add_done_callback(partial(self._take_over, segment))

    def remove(self, path: str, token: str, names: Iterable[str]) -> None:
        for name in names:
            self._thread.submit((self._place(path, token) / name).unlink, missing_ok=True)

    def remove_run(self, path: str, token: str) -> None:
        self._thread.submit(self._remove_run, self._place(path, token))

    def close(self) -> None:
        """Write what is waiting. The files stay."""
        self._thread.shutdown()

    def _place(self, path: str, token: str) -> Path:
        *folders, name = (quote(part, safe=" ") for part in path.split("/"))
        return self._folder.joinpath(*folders, name + SUFFIX, token)

    def _take_over(self, segment: Segment, future: asyncio.Future[mmap.mmap]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            if not self._failed:
                log.warning("HLS segments stay in memory: %s", error)
            self._failed = True
            return
        view, start = memoryview(future.result()), 0
        segment.file.data = view
        for part in segment.parts:
            end = start + len(part.data)
            part.data = view[start:end]
            start = end

    def _remove_run(self, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        self._remove_empty(place.parent)

    def _remove_empty(self, place: Path) -> None:
        """Remove folders up to ours, as long as nothing is in them."""
        while place != self._folder:
            try:
                place.rmdir()
            except OSError:
                return
            place = place.parent

    def _clean(self) -> None:
        for stream in sorted(self._folder.rglob(f"*{SUFFIX}")):
            for run in stream.glob("*"):
                if not _RUN.fullmatch(run.name) or not run.is_dir() or run.is_symlink():
                    continue
                for file in run.iterdir():
                    if _SEGMENT.fullmatch(file.name):
                        file.unlink(missing_ok=True)
                self._remove_empty(run)


def _write(place: Path, data: bytes) -> mmap.mmap:
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(place.name + ".new")
    aside.write_bytes(data)
    os.replace(aside, place)
    with place.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
