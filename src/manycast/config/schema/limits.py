"""How much is given to whom."""

from __future__ import annotations

from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.rules import between

SessionCount = Annotated[int, between(0, 1_000_000, note="0: no limit")]
BacklogMilliseconds = Annotated[int, between(100, 60_000, unit="ms")]
StallSeconds = Annotated[int, between(1, 3600, unit="s")]


class Limits(Group):
    max_sessions: SessionCount = setting(
        0, "Largest number of sessions, all protocols together; the next one is refused.", ours=True
    )
    backlog: BacklogMilliseconds = setting(
        2000, "How much of a stream waits for a slow viewer before frames are dropped.", ours=True
    )
    stall_timeout: StallSeconds = setting(10, "A viewer that takes nothing for so long is closed.", ours=True)
