"""What is not built yet is said only to who asks for it."""

from pathlib import Path

import pytest

from manycast.config import load
from manycast.config.availability import MISSING

from .documents import EXAMPLES, load_text

# One line inside <config> of the media dialect, and the sentences it calls for.
ASKED = [
    (
        "<application><proxy><url>srt://h:9000</url></proxy></application>",
        ["proxies of SRT sources (proxy with an srt url) are not available yet"],
    ),
]

NOT_ASKED = [
    "",
    "<application><proxy><output><audio><codec>AAC</codec></audio></output></proxy></application>",
    "<http><enable>0</enable></http><rtmp><enable>0</enable><serverport>1</serverport></rtmp>",
    "<rtsp><enable>1</enable><serverport>554</serverport><multicast>0</multicast><metadata>0</metadata></rtsp>",
    "<application><proxy><url>rtsp://h/x</url></proxy></application>",
    "<application><proxy><url>rtsp://h/x</url><output><audio><codec>AAC</codec></audio></output></proxy></application>",
    "<application><pusher><output><video><codec>H264</codec></video></output></pusher></application>",
    "<application><output><audio><codec>AAC</codec></audio></output></application>",
    "<application><output><url>screenlive</url></output></application>",
    "<rtsps><enable>0</enable></rtsps>",
    "<application><output><video><codec/><width>0</width></video></output><proxy><url/></proxy><pusher/></application>",
    "<rtsp><rtsp_over_http>1</rtsp_over_http></rtsp><http><enable>0</enable></http>",
]


@pytest.mark.parametrize(("line", "sentences"), ASKED)
def test_what_a_file_switches_on_in_vain(tmp_path: Path, line: str, sentences: list[str]) -> None:
    assert list(load_text(tmp_path, f"<config>{line}</config>").unavailable) == sentences


@pytest.mark.parametrize("lines", NOT_ASKED)
def test_defaults_and_what_is_off_are_not_mentioned(tmp_path: Path, lines: str) -> None:
    assert load_text(tmp_path, f"<config>{lines}</config>").unavailable == ()


def test_every_row_is_called_for_by_some_line() -> None:
    assert {row.sentence for row in MISSING} == {sentence for _, sentences in ASKED for sentence in sentences}


def test_the_rtsp_dialect_has_no_other_servers() -> None:
    said = " ".join(load([EXAMPLES / "rtsp.cfg"]).unavailable)
    assert not any(name in said for name in ("rtmp", "srt", "hls", "flv", "pusher"))
