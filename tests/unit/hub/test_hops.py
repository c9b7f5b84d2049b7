"""Loops through other servers: what they tell each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.hub.hops import Hops, LoopFound
from manycast.wire.via import MAX_MARKS, parse_via, serialize_via


def test_two_servers_that_fetch_from_each_other() -> None:
    first, second = Hops(), Hops()
    second.asked("b", first.marks_for("a"))
    with pytest.raises(LoopFound, match="a loop: a is asked for"):
        first.asked("a", second.marks_for("b"))
    second.asked("c", first.marks_for("a"))
    first.asked("other", second.marks_for("b"))  # another stream of the first one is no loop


def test_three_servers_that_were_all_asking_at_once() -> None:
    servers = [Hops(), Hops(), Hops()]
    for number, server in enumerate(servers):
        server.asked("x", servers[number - 1].marks_for("x")[:1])
    servers[0].asked("x", servers[2].marks_for("x"))
    with pytest.raises(LoopFound):
        servers[1].asked("x", servers[0].marks_for("x"))


def test_marks_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("manycast.hub.hops.time.monotonic", lambda: now_s)
    hops = Hops()
    hops.asked("x", [bytes(8)])
    assert hops.marks_for("x") == (hops.mark("x"), bytes(8))
    now_s += 61
    assert hops.marks_for("x") == (hops.mark("x"),)


def test_they_do_not_grow_without_bound() -> None:
    hops = Hops()
    hops.asked("other", [bytes(8)], remember=False)
    assert hops.marks_for("other") == (hops.mark("other"),)
    for number in range(1000):
        hops.asked("x", [number.to_bytes(8)])
    assert len(hops.marks_for("x")) == MAX_MARKS


@given(st.lists(st.binary(min_size=8, max_size=8), max_size=MAX_MARKS, unique=True))
def test_there_and_back(marks: list[bytes]) -> None:
    assert parse_via([serialize_via("RTSP/1.0", marks)]) == tuple(marks)
    assert parse_via([f"1.1 squid, {serialize_via('1.1', marks)}", "1.0 manycast-nothing"]) == tuple(marks)


@given(st.lists(st.text()))
def test_hostile_text(values: list[str]) -> None:
    assert len(parse_via(values)) <= MAX_MARKS
