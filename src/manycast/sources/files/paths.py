"""Names that viewers ask for, turned into files below the media folder and nowhere else."""

from __future__ import annotations

import logging
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

log = logging.getLogger(__name__)

MAX_NAME_CHARACTERS = 1024  # far longer than any name a person gives; bounds the work a stranger can cause
_REFUSED_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\\]")
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells one state of a file from another."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def same_file(self, other: FileStamp) -> bool:
        """Whether the other one is a state of the same file, as large or grown."""
        same = (self.device, self.inode) == (other.device, other.inode)
        return same and other.size_bytes >= self.size_bytes


def is_acceptable(name: str) -> bool:
    """Whether a name may be looked for at all: relative, downwards only, nothing hidden."""
    if not name or len(name) > MAX_NAME_CHARACTERS or _REFUSED_CHARACTERS.search(name) or _DRIVE.match(name):
        return False
    # An empty part would be an absolute path or a doubled slash; "." and ".." are among the hidden ones.
    return all(part and not part.startswith(".") for part in name.split("/"))


def find_inside(folder: Path, name: str) -> tuple[Path, FileStamp] | None:
    """The real path and stamp of a regular file below a folder; None for everything else.

    Symbolic links are followed first and judged by where they end.
    """
    if not is_acceptable(name):
        return None
    try:
        root = folder.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root) or not is_acceptable(path.relative_to(root).as_posix()):
            log.info("%s: a link out of the media folder, or to something hidden", name)
            return None
        status = path.stat()
    except (OSError, RuntimeError, ValueError):  # not there, a loop of links, not encodable
        return None
    return (path, FileStamp.of(status)) if stat.S_ISREG(status.st_mode) else None
