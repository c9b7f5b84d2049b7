"""What fills a stream, seen from the hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from manycast.errors import ManycastError
from manycast.media.frame import Frame
from manycast.media.track import Track


class SourceError(ManycastError):
    """A source could not start or go on; the message says why, for the log."""


class SourceEnded(SourceError):
    """What a source was made of has come to its end, as it may at any time; the message says how."""


class SourceMissing(SourceError):
    """There is nothing of that name: no such device or window."""


class SourceDenied(SourceError):
    """A source that is not to be had until something is configured otherwise: no other try will do better."""


class FrameSink(Protocol):
    """Where a source puts its frames. To be called on the event loop's thread only."""

    def push(self, frame: Frame) -> None:
        """Take one frame, in decoding order per track; the sink owns it from now on."""


class Source(Protocol):
    """Something live that runs while it is watched: a test pattern, a camera, a proxy."""

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """Open, call `publish` once with the tracks, then push frames until cancelled.

        Returns when the source has come to its end; raises SourceError when it cannot go on. Releases
        everything (threads, devices, sockets) before it returns, raises, or lets CancelledError through.
        """


@runtime_checkable
class KeyframeMaker(Protocol):
    """What a source is, too, that need not leave viewers waiting for its next regular keyframe."""

    @property
    def makes_keyframes(self) -> bool:
        """Whether it is of any use to ask; this is known by the time it publishes."""

    def request_keyframe(self) -> None:
        """Make the next picture a keyframe, or pass the wish on to who can; where nobody can, do nothing.

        Called on the event loop's thread at any time; never waits.
        """


def keyframe_request_of(source: Source) -> Callable[[], None] | None:
    """How a source that publishes is asked for a keyframe; None where it cannot be."""
    return source.request_keyframe if isinstance(source, KeyframeMaker) and source.makes_keyframes else None
