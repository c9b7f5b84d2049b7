"""Opening a file that was found, and reading no more of it than is good for the server."""

from __future__ import annotations

import io
import os
import stat
import time
from pathlib import Path

from manycast.hub.source import SourceError
from manycast.sources.files.paths import FileStamp

MAX_STEP_S = 10.0  # for what was allowed at once; a crafted file can keep FFmpeg busy without reading anything new

_OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):  # as far as the system knows them
    _OPEN_FLAGS |= getattr(os, _flag, 0)


def open_metered(path: Path, stamp: FileStamp) -> MeteredFile:
    """Open a regular file, never a link, a device or a pipe that has taken its place since it was found.

    Raises SourceError.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise SourceError(f"{path.name}: {error.strerror}") from error
    status = os.fstat(descriptor)
    if not status.st_size:
        os.close(descriptor)
        raise SourceError(f"{path.name}: the file is empty")
    if not stat.S_ISREG(status.st_mode) or not stamp.same_file(FileStamp.of(status)):
        os.close(descriptor)
        raise SourceError(f"{path.name}: the file was replaced")
    return MeteredFile(io.FileIO(descriptor, "r"), path.name)


class MeteredFile(io.RawIOBase):
    """A file of which no more can be read than was allowed."""

    def __init__(self, file: io.FileIO, name: str) -> None:
        super().__init__()
        self.name = name  # FFmpeg guesses by its extension what the content does not tell
        self._file = file
        self.bytes_read = 0
        self._refused = False
        self._left_bytes = 0
        self._deadline_s = 0.0

    def allow(self, size_bytes: int) -> None:
        """Set how much may be read from now on, and start the clock."""
        self._left_bytes = size_bytes
        self._deadline_s = time.monotonic() + MAX_STEP_S

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._refused:  # PyAV prints every error but the first
            return b""
        if self._left_bytes <= 0 or time.monotonic() > self._deadline_s:
            self._refused = True
            raise SourceError(f"{self.name}: too much to read before anything plays; is the index broken?")
        data = self._file.read(size) or b""
        self._left_bytes -= len(data)
        self.bytes_read += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def read_at(self, offset: int, size: int) -> bytes:
        """Read at a place, which moves the file's position."""
        self.seek(offset)
        return self.read(size)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()
