"""Firmware as it is uploaded: checked, kept, and never executed."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from manycast.onvif.transfers import UploadRefused, UploadTooLarge

MAGIC = b"MANYCAST FIRMWARE 1\n"  # then a line with the SHA-256 of the rest, in hexadecimal, then the rest
MAX_BYTES = 256 * 1024 * 1024

_HEAD_BYTES = len(MAGIC) + 65
_DIGEST_LINE = re.compile(rb"([0-9a-f]{64})\n")


async def keep_firmware(chunks: AsyncIterator[bytes], target: Path | None) -> None:
    """Check what comes, and put it in place when it is whole; None: it is only checked.

    Raises UploadRefused for what is no firmware of ours, and UploadTooLarge.
    """
    file = await asyncio.to_thread(_open, target)
    try:
        await _receive(chunks, file)
        await asyncio.to_thread(_finish, file, target)
    except BaseException:
        _discard(file)
        raise


async def _receive(chunks: AsyncIterator[bytes], file: IO[bytes]) -> None:
    head = b""
    hashed = hashlib.sha256()
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_BYTES:
            raise UploadTooLarge(f"firmware has at most {MAX_BYTES} bytes")
        missing = _HEAD_BYTES - len(head)
        head += chunk[:missing]
        if not MAGIC.startswith(head[: len(MAGIC)]):
            raise UploadRefused("this is no firmware of ours")
        hashed.update(chunk[missing:])
        await asyncio.to_thread(file.write, chunk)
    line = _DIGEST_LINE.fullmatch(head[len(MAGIC) :])
    if line is None or line[1].decode() != hashed.hexdigest():
        raise UploadRefused("the firmware is damaged: its SHA-256 is another")


def _open(target: Path | None) -> IO[bytes]:
    folder = None if target is None else target.parent
    return NamedTemporaryFile("wb", prefix=".firmware.", dir=folder, delete=False)


def _finish(file: IO[bytes], target: Path | None) -> None:
    file.close()
    if target is None:
        Path(file.name).unlink()
    else:
        Path(file.name).replace(target)


def _discard(file: IO[bytes]) -> None:
    file.close()
    Path(file.name).unlink(missing_ok=True)
