"""What is sent and taken by plain HTTP beside SOAP: logs, backups, firmware."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from manycast.errors import ManycastError
from manycast.onvif.security.access import Access

UPLOAD_LIFETIME_S = 300.0  # from its announcement to its beginning
MAX_UPLOADS = 16  # announced at a time


class UploadRefused(ManycastError):
    """What was sent is not what is wanted: HTTP's 415."""


class UploadTooLarge(ManycastError):
    """More than can be taken: HTTP's 413."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file made when it is asked for."""

    access: Access
    content_type: str
    file_name: str
    produce: Callable[[], Awaitable[bytes]]


Receive = Callable[[AsyncIterator[bytes]], Awaitable[None]]


class Transfers:
    """The addresses of files."""

    def __init__(self) -> None:
        self.downloads: dict[str, Download] = {}  # by path
        self._uploads: dict[str, tuple[float, Receive]] = {}  # by path: until when, and who takes it

    def offer(self, path: str, download: Download) -> None:
        self.downloads[path] = download

    def expect(self, folder: str, receive: Receive) -> str:
        """A path, which cannot be guessed, for one upload; whoever was told it needs no other login.

        `receive` gets the chunks, and raises UploadRefused or UploadTooLarge.
        """
        now_s = time.monotonic()
        self._uploads = {path: each for path, each in self._uploads.items() if each[0] > now_s}
        while len(self._uploads) >= MAX_UPLOADS:
            del self._uploads[next(iter(self._uploads))]
        path = f"{folder}/{secrets.token_urlsafe(16)}"
        self._uploads[path] = (now_s + UPLOAD_LIFETIME_S, receive)
        return path

    def take(self, path: str) -> Receive | None:
        """Who receives what is sent to this path: once."""
        until_s, receive = self._uploads.pop(path, (0.0, None))
        return receive if until_s > time.monotonic() else None
