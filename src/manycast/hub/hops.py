"""Streams that would come from themselves by way of other servers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from hashlib import blake2b

from manycast.hub.source import SourceError
from manycast.wire.via import MARK_BYTES, MAX_MARKS

REMEMBERED_S = 60.0  # longer than any pause between two tries of a server that waits for us


class LoopFound(SourceError):
    """The stream is asked for by somebody whom it would have to come from."""


class Hops:
    """Who has asked for which path, as far as they are servers that pass it on.

    A mark stands for one path of one running server, and tells nothing of either to anybody else.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)
        self._askers: dict[str, dict[bytes, float]] = {}  # by path: their marks, and when they last came

    def mark(self, path: str) -> bytes:
        """Ours for a path."""
        return blake2b(path.encode(), key=self._secret, digest_size=MARK_BYTES).digest()

    def asked(self, path: str, marks: Iterable[bytes], *, remember: bool = True) -> None:
        """Somebody asks for a path, who passes it on to the servers of these marks. Raises LoopFound.

        `remember` is for paths that are fetched: there are not more of those than are configured.
        """
        marks = tuple(marks)
        if self.mark(path) in marks:
            raise LoopFound(f"a loop: {path} is asked for by a server that gets it from here")
        if marks and remember:
            now_s = time.monotonic()
            askers = self._fresh(path, now_s)
            askers |= dict.fromkeys(marks, now_s)
            self._askers[path] = dict(list(askers.items())[-MAX_MARKS:])

    def marks_for(self, path: str) -> tuple[bytes, ...]:
        """What is to be said when a stream is fetched for a path: our mark first."""
        return (self.mark(path), *self._fresh(path, time.monotonic()))[:MAX_MARKS]

    def _fresh(self, path: str, now_s: float) -> dict[bytes, float]:
        found = self._askers.get(path, {})
        return {mark: heard_s for mark, heard_s in found.items() if now_s - heard_s < REMEMBERED_S}
