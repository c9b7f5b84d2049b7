"""A viewer by SRT, without libsrt: what is dropped, and when a keyframe is asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from manycast.hub.fanout import BacklogLimit
from manycast.hub.ts_packager import Payloads
from manycast.libsrt.library import ERROR, NO_ROOM, SrtLibrary
from manycast.servers.srt.viewer import FEW_WAITING, SrtViewer

CHUNK = Payloads((b"x" * 188,), 188)


class FakeLibrary:
    """Takes datagrams as long as there is room; nobody confirms any before the test says so."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.waiting = 0
        self.ffi = SimpleNamespace(NULL=None)
        self.lib = SimpleNamespace(srt_sendmsg2=self._send, srt_getlasterror=lambda _: NO_ROOM)

    def unacknowledged(self, sock: int) -> int:
        return self.waiting

    def _send(self, sock: int, data: bytes, size: int, control: Any) -> int:
        if self.waiting >= self.room:
            return ERROR
        self.waiting += 1
        return size


def make_viewer(library: FakeLibrary) -> tuple[SrtViewer, list[str]]:
    limit = BacklogLimit()
    asked: list[str] = []
    limit.keyframes.on_request = lambda: asked.append("keyframe")
    return SrtViewer(cast(SrtLibrary, library), 1, limit, lambda: None), asked


async def test_a_keyframe_is_asked_for_once_it_would_get_through() -> None:
    library = FakeLibrary(room=2 * FEW_WAITING)
    viewer, asked = make_viewer(library)
    while not viewer.counters.dropped_frames:
        viewer.offer(CHUNK, False)
    viewer.offer(CHUNK, False)
    assert viewer.counters.drop_episodes == 1
    assert not asked, "nothing would get through yet"
    library.waiting = FEW_WAITING - 1
    viewer.offer(CHUNK, False)
    assert asked == ["keyframe"]
    viewer.offer(CHUNK, True)
    viewer.offer(CHUNK, False)
    assert library.waiting == FEW_WAITING + 1
    assert asked == ["keyframe"]


async def test_who_joins_without_a_keyframe_asks_for_one() -> None:
    viewer, asked = make_viewer(FakeLibrary(room=10))
    viewer.begin([], wait_for_keyframe=True)
    viewer.offer(CHUNK, False)
    assert asked == ["keyframe"]
    assert viewer.counters.dropped_frames == 1
