"""The files that the tests of sources play: each made once, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from manycast.media.track import Codec

from .media_making import make_file


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a file is made, and what should be found in it."""

    codecs: tuple[Codec, ...]
    video: str | None = None
    audio: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    exact: bool = True  # whether a group read after a search is the same to the last sample


_TELEPHONE = {"sample_rate": 8000, "layout": "mono"}
_OPUS = {"sample_rate": 48000}

RECIPES = {
    "h264_aac.mp4": Recipe(codecs=(Codec.H264, Codec.AAC), video="libx264", audio="aac"),
    "h264_opus.mp4": Recipe(codecs=(Codec.H264, Codec.OPUS), video="libx264", audio="libopus", more=_OPUS),
    "h264_fragmented.mp4": Recipe(
        codecs=(Codec.H264, Codec.AAC),
        video="libx264",
        audio="aac",
        more={"muxer_options": {"movflags": "frag_keyframe+empty_moov"}},
    ),
    "h265_aac.mov": Recipe(codecs=(Codec.H265, Codec.AAC), video="libx265", audio="aac"),
    "h264_alaw.mov": Recipe(codecs=(Codec.H264, Codec.G711A), video="libx264", audio="pcm_alaw", more=_TELEPHONE),
    "h264_aac.mkv": Recipe(codecs=(Codec.H264, Codec.AAC), video="libx264", audio="aac"),
    "h264_open_groups.mkv": Recipe(
        codecs=(Codec.H264, Codec.AAC),
        video="libx264",
        audio="aac",
        more={"video_options": {"x264-params": "open-gop=1:bframes=3:b-pyramid=normal:b-adapt=0:scenecut=0"}},
    ),
    "h265_opus.mkv": Recipe(codecs=(Codec.H265, Codec.OPUS), video="libx265", audio="libopus", more=_OPUS),
    "opus.webm": Recipe(codecs=(Codec.OPUS,), audio="libopus", more=_OPUS),
    "h264_aac.flv": Recipe(codecs=(Codec.H264, Codec.AAC), video="libx264", audio="aac"),
    "h265_aac.flv": Recipe(codecs=(Codec.H265, Codec.AAC), video="libx265", audio="aac"),
    "h264_alaw.flv": Recipe(
        codecs=(Codec.H264, Codec.G711A), video="libx264", audio="pcm_alaw", more=_TELEPHONE, exact=False
    ),
    "h264_open_groups.avi": Recipe(
        codecs=(Codec.H264,),
        video="libx264",
        more={"video_options": {"x264-params": "open-gop=1:bframes=3:b-pyramid=normal:b-adapt=0:scenecut=0"}},
    ),
    "h265_open_groups.265": Recipe(
        codecs=(Codec.H265,),
        video="libx265",
        more={
            "muxer": "hevc",
            "video_options": {"x265-params": "log-level=error:keyint=25:bframes=4:b-pyramid=1:open-gop=1"},
        },
    ),
    "h264_mulaw.avi": Recipe(codecs=(Codec.H264, Codec.G711U), video="libx264", audio="pcm_mulaw", more=_TELEPHONE),
    "h264_aac.ts": Recipe(codecs=(Codec.H264, Codec.AAC), video="libx264", audio="aac"),
    "h265_aac.ts": Recipe(codecs=(Codec.H265, Codec.AAC), video="libx265", audio="aac"),
    "h264_opus.ts": Recipe(codecs=(Codec.H264, Codec.OPUS), video="libx264", audio="libopus", more=_OPUS),
    "h264_silent.mp4": Recipe(codecs=(Codec.H264,), video="libx264"),
    "h264.264": Recipe(codecs=(Codec.H264,), video="libx264", more={"muxer": "h264"}),
    "h265.265": Recipe(codecs=(Codec.H265,), video="libx265", more={"muxer": "hevc"}),
    "aac.aac": Recipe(codecs=(Codec.AAC,), audio="aac", more={"muxer": "adts"}),
    "aac.m4a": Recipe(codecs=(Codec.AAC,), audio="aac"),
    "opus.ogg": Recipe(codecs=(Codec.OPUS,), audio="libopus", more=_OPUS),
    "alaw.wav": Recipe(codecs=(Codec.G711A,), audio="pcm_alaw", more=_TELEPHONE),
    "mulaw.wav": Recipe(codecs=(Codec.G711U,), audio="pcm_mulaw", more={"sample_rate": 16000, "layout": "stereo"}),
}


@pytest.fixture(scope="session")
def media_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the path of a file named in RECIPES. Nobody changes it."""
    folder = tmp_path_factory.mktemp("media")

    def made(name: str) -> Path:
        path = folder / name
        if not path.exists():
            recipe = RECIPES[name]
            make_file(path, video=recipe.video, audio=recipe.audio, **recipe.more)
        return path

    return made
