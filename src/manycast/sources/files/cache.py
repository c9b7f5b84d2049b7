"""The groups that were read, kept for the next viewer."""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakValueDictionary

from manycast.sources.files.groups import FileGroup

DEFAULT_CACHE_BYTES = 64 << 20
KEPT_ROUNDS = 12  # of tidying: about a minute, long enough for the next viewer of a popular file

GroupKey = tuple[int, int]  # a number for the opened file, and the group's position_us


class GroupCache:
    """The groups used last, of all files together, up to a number of bytes. Used by the event loop only.

    A group that has been pushed out is still found while somebody plays it: the memory is spent anyway.
    """

    def __init__(self, limit_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self._kept: OrderedDict[GroupKey, FileGroup] = OrderedDict()
        self._alive: WeakValueDictionary[GroupKey, FileGroup] = WeakValueDictionary()
        self._round = 0
        self._used: dict[GroupKey, int] = {}  # in which round

    def get(self, key: GroupKey) -> FileGroup | None:
        """Look a group up, which makes it the one used last."""
        group = self._alive.get(key)
        if group is not None and key in self._kept:
            self._kept.move_to_end(key)
            self._used[key] = self._round
        return group

    def put(self, key: GroupKey, group: FileGroup) -> FileGroup:
        """Keep a group, and return it, or the one that is in use already under its key."""
        known = self.get(key)
        if known is not None:
            return known
        self._alive[key] = group
        self._kept[key] = group
        self._used[key] = self._round
        self.size_bytes += group.size_bytes
        while self.size_bytes > self.limit_bytes:
            self._drop(next(iter(self._kept)))
        return group

    def tidy(self) -> None:
        """Drop what nobody has asked for in the last rounds; to be called every few seconds."""
        self._round += 1
        while self._kept and self._used[oldest := next(iter(self._kept))] < self._round - KEPT_ROUNDS:
            self._drop(oldest)

    def forget_file(self, file_number: int) -> None:
        """Drop the groups of a file that is closed or has changed."""
        for key in [key for key in self._kept if key[0] == file_number]:
            self._drop(key)

    def _drop(self, key: GroupKey) -> None:
        self.size_bytes -= self._kept.pop(key).size_bytes
        del self._used[key]
