"""How counters read in the log."""

from __future__ import annotations

from manycast.hub.counters import StreamCounters, ViewerCounters


def test_one_and_many() -> None:
    one = ViewerCounters(sent_frames=1, dropped_frames=1, drop_episodes=1)
    assert str(one) == "1 frame, 0.0 MB, 1 frame dropped in 1 episode"
    many = ViewerCounters(sent_frames=0, dropped_frames=12, drop_episodes=2)
    assert str(many) == "0 frames, 0.0 MB, 12 frames dropped in 2 episodes"
    assert str(StreamCounters(received_frames=1, keyframes=1)) == "1 frame (1 key), 0.0 MB"
