"""Runs of HLS segments: when they begin, go on and end."""

from __future__ import annotations

import asyncio
import mmap
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path

import pytest
from support.clips import make_clip
from support.waiting import until

from manycast.hub.hls_packager import TOLD_AT_ONCE, HlsOptions, HlsRun
from manycast.hub.hls_runs import KEPT_S, Form, HlsRuns
from manycast.hub.hub import Hub
from manycast.hub.source import SourceError
from manycast.hub.stream import Stream, StreamEnded
from manycast.media.track import AudioParameters, Codec, H265Parameters, PlainParameters, Track
from manycast.wire.hls.segmenter import SegmenterOptions

CLIP = make_clip(gop=25)
OPTIONS = HlsOptions(segments=SegmenterOptions(fragment_s=1, playlist=3, part_s=0.2))
METADATA = Track(codec=Codec.METADATA, clock_rate_hz=90_000, parameters=PlainParameters())
OPUS = Track(codec=Codec.OPUS, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=2))


def published(hub: Hub, seconds: int = 0, *tracks: Track) -> Stream:
    stream = hub.publish("live", [CLIP.track, *tracks], "a test")
    push(stream, 0, seconds)
    return stream


def push(stream: Stream, start_s: int, end_s: int) -> None:
    for number in range(start_s * 25, end_s * 25):
        stream.push(CLIP.frame(number))


class Running:
    """A stream that is published, and its run."""

    def __init__(self, options: HlsOptions = OPTIONS, form: Form | None = None, *, seconds: int = 0) -> None:
        """`seconds` of the stream are there before the run begins."""
        self.hub = Hub()
        self.stream = published(self.hub, seconds)
        self.runs = HlsRuns(self.hub, options, form)
        self.run = self.runs.start(self.stream)

    def push(self, start_s: int, end_s: int) -> None:
        push(self.stream, start_s, end_s)

    def unpublish(self) -> None:
        self.hub.unpublish(self.stream, "the test ends it")


async def test_it_begins_with_the_group_of_pictures_so_far() -> None:
    hls = Running(seconds=3)
    assert not hls.run.segmenter.ready
    hls.push(3, 4)
    assert hls.run.segmenter.ready
    assert b"#EXTINF:1.00000" in hls.run.playlist(skip=False)
    assert hls.stream.watchers == 1


async def test_there_is_one_run_for_a_path_and_its_names_are_its_own() -> None:
    hls = Running()
    assert hls.runs.start(hls.stream) is hls.run
    assert hls.runs.named(hls.run.token) is hls.run
    assert hls.runs.at("live") is hls.run
    assert HlsRun("live", OPTIONS).token != hls.run.token


async def test_a_list_that_has_not_changed_is_the_same_bytes() -> None:
    hls = Running()
    hls.push(0, 3)
    assert hls.run.playlist(skip=False) is hls.run.playlist(skip=False)
    before = hls.run.playlist(skip=False)
    hls.push(3, 4)
    assert hls.run.playlist(skip=False) is not before


async def test_nobody_asking_ends_it_but_not_while_somebody_waits() -> None:
    hls = Running()
    now_s = time.monotonic()
    hls.runs.handle_timer(now_s + OPTIONS.idle_s - 1)
    assert len(hls.runs) == 1
    hls.run.waiting["somebody"] = lambda: None
    hls.runs.handle_timer(now_s + OPTIONS.idle_s + 1)
    assert len(hls.runs) == 1
    hls.run.waiting.clear()
    hls.runs.handle_timer(now_s + OPTIONS.idle_s + 1)
    assert len(hls.runs) == 0
    assert hls.runs.at("live") is None
    assert hls.stream.watchers == 0


async def test_a_publisher_who_does_not_come_back_ends_it_and_it_is_kept_for_a_while() -> None:
    hls = Running()
    hls.push(0, 5)
    told: list[bool] = []
    hls.run.waiting["somebody"] = lambda: told.append(hls.run.over)
    hls.unpublish()
    now_s = time.monotonic()
    hls.runs.handle_timer(now_s + OPTIONS.return_s - 1)
    assert not hls.run.over
    hls.runs.handle_timer(now_s + OPTIONS.return_s + 1)
    assert hls.run.over
    await asyncio.sleep(0)
    assert told == [True]
    hls.run.waiting.clear()
    assert hls.run.playlist(skip=False).endswith(b"#EXT-X-ENDLIST\n")
    assert hls.runs.at("live") is None
    assert hls.runs.named(hls.run.token) is hls.run
    hls.runs.handle_timer(time.monotonic() + KEPT_S + 1)
    assert hls.runs.named(hls.run.token) is None


async def test_a_publisher_who_comes_back_goes_on_even_with_other_tracks() -> None:
    hls = Running()
    hls.push(0, 3)
    hls.unpublish()
    again = published(hls.hub, 2, METADATA)
    hls.runs.handle_timer(time.monotonic())
    await until(lambda: hls.run.away_s is None, "it goes on")
    push(again, 2, 5)
    assert hls.runs.at("live") is hls.run
    assert b"#EXT-X-DISCONTINUITY\n" in hls.run.playlist(skip=False)


async def test_a_publisher_who_comes_back_in_other_packaging_ends_it() -> None:
    hls = Running()
    hls.push(0, 3)
    hls.unpublish()
    published(hls.hub, 0, OPUS)
    hls.runs.handle_timer(time.monotonic())
    await until(lambda: hls.run.over, "it ends")


async def test_a_publisher_whose_parameters_are_not_known_is_waited_for() -> None:
    hls = Running()
    hls.push(0, 3)
    hls.unpublish()
    hls.hub.publish("live", [Track(codec=Codec.H265, clock_rate_hz=90_000, parameters=H265Parameters())], "a test")
    hls.runs.handle_timer(time.monotonic() + OPTIONS.return_s + 1)
    await asyncio.sleep(0)
    assert not hls.run.over


class Forms:
    """Gives streams in another form: here in H.264, when it is let."""

    def __init__(self, error: SourceError | None = None) -> None:
        self.asked: list[Stream] = []
        self.let = asyncio.Event()
        self.made = Stream("live", [CLIP.track], "a test's form")
        self._error = error

    async def __call__(self, stream: Stream, carried: Collection[Codec]) -> Stream:
        assert Codec.H264 in carried
        assert Codec.OPUS not in carried
        self.asked.append(stream)
        await self.let.wait()
        if self._error is not None:
            raise self._error
        return self.made


async def test_a_publisher_who_comes_back_is_taken_in_the_form_that_hls_can_carry() -> None:
    forms = Forms()
    hls = Running(form=forms)
    hls.push(0, 3)
    hls.unpublish()
    again = hls.hub.publish("live", [OPUS], "a test")
    for _ in range(3):  # it takes a while: nobody asks twice
        hls.runs.handle_timer(time.monotonic() + OPTIONS.return_s + 1)
        await asyncio.sleep(0)
    assert forms.asked == [again]
    assert not hls.run.over
    forms.let.set()
    await until(lambda: forms.made.watchers, "it goes on")
    push(forms.made, 3, 5)
    assert b"#EXT-X-DISCONTINUITY\n" in hls.run.playlist(skip=False)
    hls.runs.close()


async def test_what_cannot_be_brought_into_that_form_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    forms = Forms(SourceError("no encoder"))
    forms.let.set()
    hls = Running(form=forms)
    hls.unpublish()
    hls.hub.publish("live", [OPUS], "a test")
    hls.runs.handle_timer(time.monotonic())
    await until(lambda: hls.run.over, "it ends")
    assert "no encoder" in caplog.text


async def test_segments_of_every_stream_are_made_of_the_form_that_hls_can_carry() -> None:
    hub, forms = Hub(), Forms()
    forms.let.set()
    hub.publish("live", [OPUS], "a test")
    runs = HlsRuns(hub, HlsOptions(segments=OPTIONS.segments, always=True), forms)
    runs.handle_timer(time.monotonic())
    await until(lambda: runs.at("live"), "it begins")
    assert forms.made.watchers == 1
    runs.close()


async def test_of_what_hls_cannot_carry_at_all_nothing_is_asked_again() -> None:
    hub, forms = Hub(), Forms()
    forms.let.set()
    forms.made = Stream("live", [METADATA], "a test's form")
    hub.publish("live", [METADATA], "a test")
    runs = HlsRuns(hub, HlsOptions(segments=OPTIONS.segments, always=True), forms)
    for _ in range(5):
        runs.handle_timer(time.monotonic())
        await asyncio.sleep(0.01)
    assert len(forms.asked) == 1
    assert len(runs) == 0


async def test_all_who_wait_are_told_of_the_newest_a_few_at_a_time() -> None:
    hls = Running()
    told: list[int] = []

    def tell(number: int) -> None:
        told.append(number)
        del hls.run.waiting[number]

    for number in range(3 * TOLD_AT_ONCE):
        hls.run.waiting[number] = partial(tell, number)
    hls.push(0, 2)
    assert not told
    await asyncio.sleep(0)
    assert len(told) == TOLD_AT_ONCE
    hls.push(2, 3)  # meanwhile there is more
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(told) == list(range(3 * TOLD_AT_ONCE))
    assert not hls.run.waiting


async def test_a_stream_that_has_ended_cannot_begin() -> None:
    hub = Hub()
    stream = published(hub)
    hub.unpublish(stream, "the test ends it")
    runs = HlsRuns(hub, OPTIONS)
    with pytest.raises(StreamEnded):
        runs.start(stream)
    assert len(runs) == 0


async def test_segments_on_disk_are_no_longer_in_memory(tmp_path: Path) -> None:
    hls = Running(HlsOptions(segments=OPTIONS.segments, folder=tmp_path))
    hls.push(0, 4)
    place = tmp_path / "live.hls" / hls.run.token
    file = hls.run.files["0.ts"]
    await until(lambda: isinstance(file.data, memoryview), "the file's bytes")
    assert isinstance(file.data, memoryview)
    assert isinstance(file.data.obj, mmap.mmap)
    assert (place / "0.ts").read_bytes() == file.data
    part = hls.run.files["0.0.ts"].data
    assert isinstance(part, memoryview)
    assert part.obj is file.data.obj
    hls.runs.close()
    assert (place / "0.ts").exists()  # the next start cleans up, if it is to


async def test_a_disk_that_fails_costs_memory_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    hls = Running(HlsOptions(segments=OPTIONS.segments, folder=blocked))
    hls.push(0, 10)
    await until(lambda: any("stay in memory" in record.message for record in caplog.records), "it is said")
    await asyncio.sleep(0)
    assert sum("stay in memory" in record.message for record in caplog.records) == 1
    assert isinstance(next(iter(hls.run.files.values())).data, bytes | memoryview)
    assert b"#EXTINF" in hls.run.playlist(skip=False)
    hls.runs.close()
