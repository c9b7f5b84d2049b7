"""The file that holds the server's process id while it runs."""

from __future__ import annotations

import os
from pathlib import Path

from manycast.errors import ManycastError

try:
    import fcntl
except ImportError:  # Windows: no locks, and no daemons that need them
    fcntl = None  # type: ignore[assignment]


class PidFileError(ManycastError):
    """Another server holds the file, or it cannot be written."""


class PidFile:
    """Locked while the server runs, so that one left behind by a crash is no obstacle, whoever has its number now."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._descriptor: int | None = None

    def check(self) -> None:
        """Raises PidFileError when another server holds the file."""
        if self._path.exists():
            self._open_and_lock(os.O_RDWR)
            self._let_go()

    def write(self) -> None:
        """Take the file for this process. Raises PidFileError."""
        self._descriptor = self._open_and_lock(os.O_RDWR | os.O_CREAT)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def remove(self) -> None:
        """Remove the file, where this process has taken it."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            self._let_go()

    def _open_and_lock(self, flags: int) -> int:
        try:
            self._descriptor = os.open(self._path, flags | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            raise PidFileError(f"the pid file {self._path}: {error.strerror}") from error
        if fcntl is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                running = os.read(self._descriptor, 20).decode(errors="replace").strip()
                self._let_go()
                raise PidFileError(f"it runs already, as process {running} ({self._path})") from None
        return self._descriptor

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
