"""Running in the background."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from manycast.errors import ManycastError
from manycast.logs import check_log_file

READY = b"ready"


class DaemonError(ManycastError):
    """The process cannot go to the background."""


class Daemon:
    """A process in the background.

    The command that starts it waits until the server listens, so that a port that is taken is told at the
    terminal, with the exit status of a start in the foreground.
    """

    def __init__(self) -> None:
        self._report: int | None = None

    def detach(self, log_file: Path) -> None:
        """Go on in a child of its own session; the parent ends here, with the child's outcome.

        Raises DaemonError, LogFileError.
        """
        if not hasattr(os, "fork"):
            raise DaemonError("this system has no background processes; use its service manager")
        check_log_file(log_file)
        reader, writer = os.pipe()
        if os.fork():
            os.close(writer)
            self._wait_for_child(reader)
        os.close(reader)
        os.setsid()
        if os.fork():
            os._exit(0)  # no session leader is left, so that no terminal can be gained again
        self._report = writer

    def ready(self) -> None:
        """Let the waiting command end, and let go of its terminal."""
        sys.stdout.flush()
        sys.stderr.flush()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
        self._tell(READY)

    def close(self) -> None:
        """Let the waiting command end with failure, where the server never got ready."""
        self._tell(b"failed")

    def _tell(self, message: bytes) -> None:
        if self._report is not None:
            os.write(self._report, message)
            os.close(self._report)
            self._report = None

    def _wait_for_child(self, reader: int) -> None:
        with os.fdopen(reader, "rb") as pipe:
            message = pipe.read()
        os._exit(0 if message == READY else 1)
