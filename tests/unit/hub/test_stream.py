"""Who watches a stream, and what is kept for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from support.clips import make_clip

from manycast.hub.rtp_packager import RtpPackager, UdpLayout
from manycast.hub.stream import Stream
from manycast.hub.ts_packager import TsLayout, TsPackager

CLIP = make_clip()


class Newcomer:
    """A viewer that keeps what it gets first."""

    def __init__(self) -> None:
        self.waits = False

    def begin(self, chunks: Sequence[object], *, wait_for_keyframe: bool) -> None:
        self.waits = wait_for_keyframe

    def offer(self, chunk: object, joinable: bool) -> None: ...

    def control(self, chunk: object) -> None: ...

    def clear(self) -> None: ...


def make_stream(frames: int = 3) -> Stream:
    stream = Stream("cam", [CLIP.track], "a test")
    for number in range(frames):
        stream.push(CLIP.frame(number))
    return stream


def waits_for_keyframe(packager: RtpPackager | TsPackager) -> bool:
    viewer = Newcomer()
    if isinstance(packager, RtpPackager):
        packager.join(viewer, UdpLayout((True,)), unix_s=0.0)
    else:
        packager.join(viewer, TsLayout())
    return viewer.waits


def last_one_leaves(stream: Stream) -> None:
    stream.unwatch("first")
    stream.unwatch("second")


@pytest.mark.parametrize("leave", [last_one_leaves, lambda stream: stream.end("over")], ids=["left", "ended"])
@pytest.mark.parametrize("kind", [RtpPackager, TsPackager])
def test_whoever_refers_to_what_nobody_watches_keeps_no_pictures(
    kind: type[RtpPackager | TsPackager], leave: Callable[[Stream], None]
) -> None:
    stream = make_stream()
    packager = stream.watch("first", kind, lambda reason: None)
    assert stream.watch("second", kind, lambda reason: None) is packager
    assert not waits_for_keyframe(packager)
    leave(stream)
    assert stream.packager(kind) is None
    assert waits_for_keyframe(packager)


def test_while_somebody_watches_newcomers_have_their_picture_at_once() -> None:
    stream = make_stream()
    packager = stream.watch("first", RtpPackager, lambda reason: None)
    stream.watch("second", RtpPackager, lambda reason: None)
    stream.unwatch("first")
    assert not waits_for_keyframe(packager)
    assert stream.watch("third", RtpPackager, lambda reason: None) is packager
