"""What there is in the media folder, to be shown to people."""

from __future__ import annotations

import os
import re
from collections import deque
from pathlib import Path

from manycast.sources.files.paths import find_inside, is_acceptable

MAX_LOOKED_AT = 5000  # entries of folders: a stranger may ask, and the folder may be anything
MAX_DEPTH = 4

# By the extension: what a file really is would cost opening it.
_MEDIA = re.compile(
    r".+\.(?:mp4|mov|m4[va]|3gp|mk[va]|webm|flv|avi|m?ts|m2ts|mpe?g|vob|og[gv]|opus|asf|wm[va]|mxf|dv|wav|w64|aiff|au"
    r"|caf|ape|wv|tta|ivf|h?26[45]|m4e|m[12]v|mjpeg|obu|aac|mp[23]|e?ac3|dts|flac|amr|awb)",
    re.IGNORECASE,
)


def list_files(folder: Path, limit: int) -> list[str]:
    """Names of media files below a folder, as viewers ask for them, at most so many; upper folders come first."""
    names: list[str] = []
    looked_at = 0
    folders = deque([("", 0)])
    while folders and len(names) < limit and looked_at < MAX_LOOKED_AT:
        prefix, depth = folders.popleft()
        try:
            entries = sorted(os.scandir(folder / prefix), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries[: MAX_LOOKED_AT - looked_at]:
            looked_at += 1
            name = prefix + entry.name
            if not is_acceptable(name):
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    folders.append((name + "/", depth + 1))
            elif _MEDIA.fullmatch(entry.name) and find_inside(folder, name) is not None:
                names.append(name)
                if len(names) >= limit:
                    break
    return names
