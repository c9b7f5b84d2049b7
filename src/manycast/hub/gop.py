"""The group of pictures so far, so that a viewer's picture stands at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

MAX_GOP_FRAMES = 3000  # 25 s of 60 frames/s with as many audio frames again
MAX_GOP_BYTES = 16 * 1024 * 1024  # 6 s of a 20 Mbit/s stream

T = TypeVar("T")


class GopCache(Generic[T]):
    """What came since the latest keyframe, in order; empty when that outgrew its bounds.

    A stream without video keeps nothing: its viewers may join at any frame.
    """

    __slots__ = ("_items", "_max_bytes", "_max_items", "_open", "size_bytes")

    def __init__(self, *, max_items: int = MAX_GOP_FRAMES, max_bytes: int = MAX_GOP_BYTES) -> None:
        self._items: list[T] = []
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._open = False  # a keyframe came, and all since then is kept
        self.size_bytes = 0

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, *, size_bytes: int, keyframe: bool) -> None:
        """`keyframe` is true for a video keyframe only."""
        if keyframe:
            self._items = []
            self.size_bytes = 0
            self._open = True
        elif not self._open:
            return
        self._items.append(item)
        self.size_bytes += size_bytes
        if self.size_bytes > self._max_bytes or len(self._items) > self._max_items:
            self.clear()

    def clear(self) -> None:
        """Forget all, up to the next keyframe."""
        self._items = []
        self.size_bytes = 0
        self._open = False
