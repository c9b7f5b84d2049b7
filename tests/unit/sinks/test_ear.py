"""One talk on its way to an outlet."""

from __future__ import annotations

import threading

import pytest
from support.waiting import wait_until

from manycast.hub.backchannel import audio_track
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.sinks.ear import MAX_AHEAD_S, MAX_WAITING, DecodingEar, EarsAtWork, Outlet, OutletFailed

PCMU = audio_track(Codec.G711U)
PCMA = audio_track(Codec.G711A)
PACKET = bytes(160)  # 20 ms


class Memory:
    """An outlet that keeps what it gets; `gate` holds it up."""

    rate_hz = 8000
    channels = 1

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fault: OutletFailed | None = None

    def write(self, samples: bytes, heard_s: float) -> None:
        self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.written.append(samples)

    def close(self) -> None:
        self.closed += 1


def sound(data: bytes = PACKET) -> Frame:
    return Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[data])


def ear_of(outlet: Outlet | None, opened: list[Track] | None = None) -> DecodingEar:
    def open_outlet(track: Track) -> Outlet | None:
        if opened is not None:
            opened.append(track)
        return outlet

    return DecodingEar(open_outlet, "test")


def finish(ear: DecodingEar) -> None:
    ear.end()
    ear.join()
    assert ear.done


def test_the_outlet_is_open_from_the_first_sound_to_the_end() -> None:
    memory, opened = Memory(), list[Track]()
    ear = ear_of(memory, opened)
    assert not opened
    ear.hear(PCMU, sound())
    ear.hear(PCMA, sound())
    wait_until(lambda: len(memory.written) == 2, "both sounds")
    assert opened == [PCMU]
    assert memory.closed < 1
    finish(ear)
    assert memory.closed == 1
    assert [len(samples) for samples in memory.written] == [320, 320]
    assert memory.written[0] != memory.written[1]  # each by its own decoder


def test_who_says_nothing_opens_nothing() -> None:
    opened = list[Track]()
    ear = ear_of(Memory(), opened)
    finish(ear)
    ear.hear(PCMU, sound())
    assert not opened
    assert ear.done


def test_what_a_slow_outlet_cannot_take_is_dropped_oldest_first() -> None:
    memory = Memory()
    memory.gate.clear()
    ear = ear_of(memory)
    ear.hear(PCMU, sound(bytes([255]) * 8))
    for number in range(MAX_WAITING + 10):
        ear.hear(PCMU, sound(bytes([number]) * 8))
    wait_until(lambda: ear.dropped >= 10, "drops")
    memory.gate.set()
    finish(ear)
    assert len(memory.written) == MAX_WAITING + 1 - (ear.dropped - 10)
    assert ear.dropped in (10, 11)  # the first may have been taken before the others came
    last = ear_of(kept := Memory())
    last.hear(PCMU, sound(bytes([MAX_WAITING + 9]) * 8))
    finish(last)
    assert memory.written[-1] == kept.written[0]


def test_sound_that_comes_faster_than_time_passes_is_dropped() -> None:
    memory = Memory()
    ear = ear_of(memory)
    second = bytes(8000)
    for _ in range(50):
        ear.hear(PCMU, sound(second))
    finish(ear)
    heard_s = sum(map(len, memory.written)) / 16_000
    assert MAX_AHEAD_S <= heard_s <= MAX_AHEAD_S + 2
    assert ear.dropped == 50 - len(memory.written)


def test_without_an_outlet_all_is_dropped() -> None:
    opened = list[Track]()
    ear = ear_of(None, opened)
    ear.hear(PCMU, sound())
    ear.join()
    ear.hear(PCMU, sound())
    finish(ear)
    assert opened == [PCMU]  # and it is not tried again


def test_an_outlet_that_fails_is_closed_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory()
    memory.fault = OutletFailed("unplugged")
    ear = ear_of(memory)
    ear.hear(PCMU, sound())
    ear.join()
    ear.hear(PCMU, sound())
    finish(ear)
    assert memory.closed == 1
    assert [record.getMessage() for record in caplog.records] == ["test: unplugged"]


def test_what_cannot_be_decoded_is_passed_over() -> None:
    memory = Memory()
    ear = ear_of(memory)
    ear.hear(audio_track(Codec.OPUS), sound(b"\xff"))  # code 3 without a frame count
    ear.hear(PCMU, sound())
    finish(ear)
    assert [len(samples) for samples in memory.written] == [320]


async def test_closing_waits_for_all_outlets() -> None:
    ears, memories = EarsAtWork(), [Memory(), Memory()]
    for memory in memories:
        ears.add(ear_of(memory)).hear(PCMU, sound())
    await ears.close()
    assert [memory.closed for memory in memories] == [1, 1]


def test_threads_end_with_their_talks() -> None:
    def ears_in(name: str) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == name]

    ears = [DecodingEar(lambda _track: Memory(), "many ears") for _ in range(5)]
    for ear in ears:
        ear.hear(PCMU, sound())
    for ear in ears:
        finish(ear)
    assert not ears_in("many ears")
