"""Streams whose tracks are known only from their frames."""

from __future__ import annotations

from dataclasses import replace

import pytest

from manycast.hub.gathered_stream import GatheredStream
from manycast.hub.gathering import MAX_HELD_FRAMES, TRACKS_WAIT_S, Gathering, OtherTracks
from manycast.hub.hub import Hub
from manycast.media.aac import parameters_from_config
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, H264Parameters, Track

VIDEO = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters())
AUDIO = Track(codec=Codec.OPUS, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=2))
AAC = Track(codec=Codec.AAC, clock_rate_hz=48_000, parameters=parameters_from_config(b"\x11\x90"))
MONO = Track(codec=Codec.AAC, clock_rate_hz=48_000, parameters=parameters_from_config(b"\x11\x88"))


class Taken:
    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.frames: list[Frame] = []

    def publish(self, tracks: list[Track]) -> Taken:
        assert not self.tracks
        self.tracks = tracks
        return self

    def push(self, frame: Frame) -> None:
        self.frames.append(frame)


def frame(index: int = 0, ticks: int = 0) -> Frame:
    return Frame(track_index=index, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[b"\x65"])


def gathering() -> tuple[Gathering, Taken]:
    taken = Taken()
    return Gathering(taken.publish), taken  # type: ignore[arg-type]


def test_frames_are_held_until_all_tracks_are_known() -> None:
    found, taken = gathering()
    found.push([frame(0, 1)], {0: VIDEO, 1: None}, expected=(0, 1), now_s=0.0)
    assert not found.published
    found.push([frame(1, 2)], {0: VIDEO, 1: AUDIO}, expected=(0, 1), now_s=0.5)
    assert taken.tracks == [VIDEO, AUDIO]
    assert [(held.track_index, held.dts_ticks) for held in taken.frames] == [(0, 1), (1, 2)]


def test_indices_are_those_of_the_stream() -> None:
    found, taken = gathering()
    found.push([frame(1)], {1: AUDIO}, expected=(1,), now_s=0.0)
    assert [passed.track_index for passed in taken.frames] == [0]


def test_a_track_that_does_not_come_is_not_waited_for() -> None:
    found, taken = gathering()
    found.push([frame()], {0: VIDEO, 1: None}, expected=(0, 1), now_s=0.0)
    found.handle_timer(TRACKS_WAIT_S - 0.1)
    assert not found.published
    found.handle_timer(TRACKS_WAIT_S + 0.1)
    assert taken.tracks == [VIDEO]


def test_what_is_held_is_bounded() -> None:
    found, taken = gathering()
    for number in range(MAX_HELD_FRAMES + 1):
        found.push([frame(0, number)], {0: VIDEO, 1: None}, expected=(0, 1), now_s=0.0)
    assert len(taken.frames) == MAX_HELD_FRAMES + 1


def test_without_frames_nothing_begins() -> None:
    found, taken = gathering()
    found.push([], {0: VIDEO}, expected=(0,), now_s=0.0)
    found.push([], {0: VIDEO}, expected=(0,), now_s=100.0)
    found.handle_timer(200.0)
    assert not taken.tracks


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({0: VIDEO}, {0: VIDEO, 1: AUDIO}),
        ({0: VIDEO, 1: AUDIO}, {0: VIDEO}),
        ({0: VIDEO}, {0: replace(VIDEO, codec=Codec.H265)}),
        ({1: AAC}, {1: MONO}),
    ],
)
def test_other_tracks_are_told_before_a_frame_is_taken(before: dict[int, Track], after: dict[int, Track]) -> None:
    found, taken = gathering()
    found.push([frame(index) for index in before], before, expected=before, now_s=0.0)
    count, new = len(taken.frames), [frame(index) for index in after]
    with pytest.raises(OtherTracks):
        found.push(new, after, expected=after, now_s=0.1)
    assert len(taken.frames) == count
    assert [untouched.track_index for untouched in new] == list(after)


def test_new_pictures_and_a_track_still_unknown_change_nothing() -> None:
    found, taken = gathering()
    found.push([frame()], {0: VIDEO, 1: None}, expected=(0,), now_s=0.0)
    found.push([frame()], {0: replace(VIDEO), 1: None}, expected=(0,), now_s=0.1)
    assert len(taken.frames) == 2


def test_a_publisher_goes_on_with_other_tracks() -> None:
    hub = Hub()
    stream = GatheredStream(hub, "live", "a publisher", pytest.fail)
    assert not stream.push([frame()], {0: VIDEO}, expected=(0,), now_s=0.0)
    first = hub.live("live")
    assert stream.push([frame(0), frame(1)], {0: VIDEO, 1: AUDIO}, expected=(0, 1), now_s=0.1)
    second = hub.live("live")
    assert second is not None
    assert second is not first
    assert [track.codec for track in second.tracks] == [Codec.H264, Codec.OPUS]
    stream.close("the test is over")
    assert hub.live("live") is None
    assert not stream.live


def test_a_path_that_is_taken_meanwhile() -> None:
    hub = Hub()
    hub.publish("live", [VIDEO], "another one")
    refusals: list[str] = []
    stream = GatheredStream(hub, "live", "a publisher", refusals.append)
    stream.push([frame()], {0: VIDEO}, expected=(0,), now_s=0.0)
    assert refusals == ["live is already published by another one"]
    assert not stream.live
