"""One stream or file that several sessions play together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from manycast.servers.rtsp.targets import JoinableTarget, Layout, PlayInfo, Viewer
from manycast.wire.rtsp.headers import Range


class SharedTarget:
    """Plays from the first session's PLAY on, and until the last one has paused or gone.

    Who plays alone can seek. Who comes in later gets what the others get.
    """

    target: JoinableTarget

    def __init__(self) -> None:
        """`target` is to be set before anything else is asked for."""
        self._members: list[MemberTarget] = []
        self._players: set[MemberTarget] = set()
        self._preparing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._members)

    def member(self, on_end: Callable[[str], None]) -> MemberTarget:
        """Another session's part in it."""
        member = MemberTarget(self, on_end)
        self._members.append(member)
        return member

    def ended(self, reason: str) -> None:
        """Tell all sessions that it has come to its end."""
        self._players.clear()
        for member in tuple(self._members):
            member.on_end(reason)

    async def prepare(self, member: MemberTarget, viewer: Viewer, layout: Layout, wanted: Range | None) -> PlayInfo:
        async with self._preparing:
            joins = bool(self._players - {member})
            self._players.add(member)
            if joins:
                return self.target.playing()
            try:
                return await self.target.prepare(viewer, layout, wanted)
            except BaseException:
                self._players.discard(member)
                raise

    def begin(self, member: MemberTarget) -> None:
        if member in self._players:
            self.target.begin()

    def pause(self, member: MemberTarget) -> None:
        if member in self._players:
            self._players.discard(member)
            if not self._players:
                self.target.pause()

    def leave(self, member: MemberTarget, *, say_goodbye: bool) -> None:
        if member not in self._members:
            return
        self._members.remove(member)
        if self._members:
            self.pause(member)
        else:
            self._players.clear()
            self.target.close(say_goodbye=say_goodbye)


class MemberTarget:
    """One session's part in a shared target."""

    def __init__(self, shared: SharedTarget, on_end: Callable[[str], None]) -> None:
        self.on_end = on_end
        self.tracks = shared.target.tracks
        self.senders = shared.target.senders
        self.limit = shared.target.limit
        self._shared = shared

    async def prepare(
        self,
        viewer: Viewer,
        layout: Layout,
        wanted: Range | None,
        *,
        scale: float | None = None,
        speed: float | None = None,
    ) -> PlayInfo:
        """What is shared is played as it is: a scale or speed is passed over."""
        return await self._shared.prepare(self, viewer, layout, wanted)

    def begin(self) -> None:
        self._shared.begin(self)

    def pause(self) -> None:
        self._shared.pause(self)

    def pause_at(self, wanted: Range) -> float | None:
        """A time to pause at is passed over: the others play on."""
        return None

    def position_s(self) -> float | None:
        return self._shared.target.position_s()

    def request_keyframe(self) -> None:
        self._shared.target.request_keyframe()

    def close(self, *, say_goodbye: bool) -> None:
        self._shared.leave(self, say_goodbye=say_goodbye)
