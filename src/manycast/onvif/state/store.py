"""The state while the device runs, and its file."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import mkstemp

from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.runtime_file import MAX_FILE_BYTES, RuntimeFileError, parse, serialize

log = logging.getLogger(__name__)


class StateStore:
    """Holds the state of one device. Whoever changes it calls `save` afterwards.

    Args:
        default: Makes the state that the configuration describes: what is in force without a file, and what a
            reset brings back.
        path: The file of the running state; None: it is kept in memory only.
        always: Whether the file is written at the end even if nobody changed anything.

    Raises: RuntimeFileError when there is a file that cannot be used.
    """

    def __init__(self, default: Callable[[], DeviceState], path: Path | None = None, *, always: bool = False) -> None:
        self.path = path
        self.loaded = False  # whether the state came from the file
        self._default = default
        self._always = always
        self._state = self._load()
        self._listeners: list[Callable[[], None]] = []
        self._write = False  # what the file waits for
        self._remove = False
        self._writer: asyncio.Task[None] | None = None
        self._trouble: str | None = None  # what was said last of the file

    @property
    def state(self) -> DeviceState:
        """Ask for it each time: a reset puts another in its place."""
        return self._state

    def listen(self, callback: Callable[[], None]) -> None:
        """Be called after every change."""
        self._listeners.append(callback)

    def save(self) -> None:
        """Tell the listeners, and write the file soon; changes that come together are written together."""
        self._write = True
        self._tend_file()
        for callback in self._listeners:
            callback()

    def reset(self, *, hard: bool) -> None:
        """Back to what the configuration describes, without the file; a soft reset keeps the network's settings.

        Core asks that the device can still be reached at the same address after a soft reset.
        """
        fresh = self._default()
        if not hard:
            fresh.network = self._state.network.model_copy(update={"ip_filter": fresh.network.ip_filter}, deep=True)
        fresh.discovery.metadata_version = self._state.discovery.metadata_version
        self._state = fresh
        self._write, self._remove = not hard, hard
        self._tend_file()
        for callback in self._listeners:
            callback()

    def replace(self, state: DeviceState) -> None:
        """Put another state in its place: that of a backup."""
        state.discovery.metadata_version = self._state.discovery.metadata_version + 1
        self._state = state
        self.save()

    async def close(self) -> None:
        """Write what is not written yet."""
        self._write = self._write or self._always
        self._tend_file()
        if self._writer is not None:
            await self._writer

    def _load(self) -> DeviceState:
        if self.path is None:
            return self._default()
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return self._default()
        except OSError as error:
            raise RuntimeFileError(f"{self.path} cannot be read: {error.strerror}") from None
        if len(data) > MAX_FILE_BYTES:
            raise RuntimeFileError(f"{self.path} is larger than {MAX_FILE_BYTES} bytes")
        try:
            state = parse(data)
        except RuntimeFileError as error:
            raise RuntimeFileError(f"{self.path} cannot be used: {error}") from None
        self.loaded = True
        return state

    def _tend_file(self) -> None:
        if self.path is not None and self._writer is None and (self._write or self._remove):
            self._writer = asyncio.get_running_loop().create_task(self._follow(self.path), name="state file")

    async def _follow(self, path: Path) -> None:
        """Bring the file up to date, until nothing has changed meanwhile."""
        try:
            while self._write or self._remove:
                remove, write = self._remove, self._write
                self._write = self._remove = False
                try:
                    if remove:
                        await asyncio.to_thread(path.unlink, missing_ok=True)
                    if write:
                        await asyncio.to_thread(_replace, path, serialize(self._state))
                except OSError as error:
                    self._complain(f"{path} cannot be written, changes are lost at the end: {error.strerror}")
                except ValueError as error:
                    self._complain(f"{path} cannot hold the state, changes are lost at the end: {error}")
                else:
                    self._trouble = None
        finally:
            self._writer = None

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble


def _replace(path: Path, data: bytes) -> None:
    """Write aside and rename: there is always a whole file. It holds passwords, so nobody else may read it."""
    descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    aside = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
