"""Which rule is for which name, and which size comes of what is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.hub.output import ORIGINAL, Output, OutputRules, VideoOutput


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        (None, ["sample.flv", "screenlive1", "window=a", "cam"], []),
        ("*", ["sample.flv", "videodevice"], []),
        ("sample.flv", ["sample.flv", "folder/sample.flv"], ["Sample.flv", "asample.flv", "sample.flv.mp4"]),
        ("folder/a.mp4", ["folder/a.mp4", "other/folder/a.mp4"], ["a.mp4"]),
        ("*.mp4", ["a.mp4", "folder/B.MP4"], ["a.mp4.ts", "mp4", "window=film.mp4", "videodevice=a.mp4"]),
        ("screenlive", ["screenlive", "screenlive0", "screenlive12", "screenlive+audiodevice"], ["window=screenlive"]),
        ("screenlive0", ["screenlive", "screenlive+systemsound"], ["screenlive1", "screenlive01"]),
        ("screenlive1", ["screenlive1", "screenlive1+audiodevice"], ["screenlive", "screenlive10"]),
        ("screenlive+audiodevice", ["screenlive+audiodevice"], ["screenlive", "screenlive+audiodevice1"]),
        ("videodevice", ["videodevice", "videodevice2", "videodevice=Cam"], ["audiodevice"]),
        (
            "videodevice=Cam",
            ["videodevice=Cam", "videodevice=Cam+audiodevice"],
            ["videodevice=cam", "videodevice=Cam 2"],
        ),
        ("audiodevice", ["audiodevice1", "audiodevice=Mic"], ["screenlive+audiodevice"]),
        ("systemsound", ["systemsound"], ["screenlive+systemsound"]),
        ("window", ["window=Notes", "window=notes+audiodevice"], ["screenlive"]),
        ("window=NOTES", ["window=notes", "window=Notes+audiodevice"], ["window=notes 2"]),
    ],
)
def test_a_pattern_is_for_these_names(pattern: str | None, names: list[str], others: list[str]) -> None:
    output = Output(pattern=pattern)
    assert [name for name in names if not output.matches(name)] == []
    assert [name for name in others if output.matches(name)] == []


def test_rules_are_tried_from_top_to_bottom() -> None:
    first, screens, files, rest = (
        Output(pattern="sample.flv"),
        Output(pattern="screenlive"),
        Output(pattern="*.flv"),
        Output(),
    )
    rules = OutputRules({"app": [first, screens, files, rest]})
    assert rules.find("app", "sample.flv") is first
    assert rules.find("app", "other.flv") is files
    assert rules.find("app", "screenlive1") is screens
    assert rules.find("app", "window=a") is rest
    assert rules.find("other", "sample.flv") is ORIGINAL


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_any_pattern_and_name_are_compared(pattern: str, name: str) -> None:
    Output(pattern=pattern).matches(name)
    assert Output(pattern="*").matches(name)


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(0, 0, (1280, 720)), (640, 0, (640, 360)), (0, 360, (640, 360)), (9, 7, (9, 7))]
)
def test_one_side_follows_from_the_other(width: int, height: int, expected: tuple[int, int]) -> None:
    assert VideoOutput(width=width, height=height).size_of(1280, 720) == expected
