"""The state while the device runs, and its file."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from tempfile import mkstemp

from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.runtime_file import MAX_FILE_BYTES, RuntimeFileError, parse_with_origin, serialize

log = logging.getLogger(__name__)


class StateStore:
    """Holds the state of one device. Whoever changes it calls `save` afterwards.

    Args:
        default: Makes the state that the configuration describes: what is in force without a file, and what a
            reset brings back.
        path: The file of the running state; None: it is kept in memory only.
        origin: What stands for the configuration as it is now.
        always: Whether the file is written at the end even if nobody changed anything.

    Raises: RuntimeFileError when there is a file that cannot be used.
    """

    def __init__(
        self,
        default: Callable[[], DeviceState],
        path: Path | None = None,
        *,
        origin: str = "",
        always: bool = False,
    ) -> None:
        self.path = path
        self.origin = self._configured = origin  # what stands for the configuration that the state began with
        self.loaded = False  # whether the state came from the file
        self._default = default
        self._always = always
        self._state = self._load()
        self._listeners: list[Callable[[], None]] = []
        self._write = False  # what the file waits for
        self._remove = False
        self._writer: asyncio.Task[None] | None = None
        self._trouble: str | None = None  # what was said last of the file
        self._overrides: dict[str, tuple[object, object]] = {}  # by path: the value in force, and the one that is kept

    @property
    def state(self) -> DeviceState:
        """Ask for it each time: a reset puts another in its place."""
        return self._state

    def override(self, path: str, value: object) -> None:
        """Have a value until the end that is not kept, such as one of the command line.

        `path` names it from the state on: network.protocols.http.port. What clients change it to is kept.
        """
        self._overrides[path] = (value, _get(self._state, path))
        _set(self._state, path, value)

    def kept(self) -> DeviceState:
        """The state as the file has it, without what is overridden: to be read only."""
        if not self._overrides:
            return self._state
        kept = self._state.model_copy(deep=True)
        for path, (_, own) in self._overrides.items():
            if self._holds(path):
                _set(kept, path, own)
        return kept

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
            self._overrides = {path: each for path, each in self._overrides.items() if self._holds(path)}
            network = self.kept().network
            fresh.network = network.model_copy(update={"ip_filter": fresh.network.ip_filter}, deep=True)
        fresh.discovery.metadata_version = self._state.discovery.metadata_version
        self._put(fresh)
        self.origin = self._configured
        self._write, self._remove = not hard, hard
        self._tend_file()
        for callback in self._listeners:
            callback()

    def replace(self, state: DeviceState) -> None:
        """Put another state in its place: that of a backup."""
        state.discovery.metadata_version = self._state.discovery.metadata_version + 1
        self._put(state)
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
            state, self.origin = parse_with_origin(data)
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
                        await asyncio.to_thread(_replace, path, serialize(self.kept(), self.origin))
                except OSError as error:
                    self._complain(f"{path} cannot be written, changes are lost at the end: {error.strerror}")
                except ValueError as error:
                    self._complain(f"{path} cannot hold the state, changes are lost at the end: {error}")
                else:
                    self._trouble = None
        finally:
            self._writer = None

    def _holds(self, path: str) -> bool:
        """Whether an overridden value was not changed since."""
        return _get(self._state, path) == self._overrides[path][0]

    def _put(self, state: DeviceState) -> None:
        self._state = state
        for path, (value, _) in tuple(self._overrides.items()):
            self.override(path, value)

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble


def _get(state: DeviceState, path: str) -> object:
    return reduce(getattr, path.split("."), state)


def _set(state: DeviceState, path: str, value: object) -> None:
    above, _, name = path.rpartition(".")
    setattr(_get(state, above), name, value)


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
