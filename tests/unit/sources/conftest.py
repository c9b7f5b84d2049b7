"""The files that the tests of sources play: each made once, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from manycast.media.track import Codec

from .media_making import make_amr, make_file, make_file_with_program


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a file is made, and what should be found in it."""

    codecs: tuple[Codec, ...]
    video: str | None = None
    audio: str | None = None
    program: tuple[str, ...] | None = None  # ffmpeg's options, for codecs that PyAV does not encode
    more: dict[str, Any] = field(default_factory=dict)
    exact: bool = True  # whether a group read after a search is the same to the last sample


_TELEPHONE = {"sample_rate": 8000, "layout": "mono"}
_OPUS = {"sample_rate": 48000}
_JPEG = {"pixels": "yuvj420p"}
_NO_B_FRAMES = {"b_frames": 0}
_AV1 = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-pix_fmt", "yuv420p")
_LIGHT = {"video_options": {"cpu-used": "8", "deadline": "realtime"}}  # encoders that take their time

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
    "mpeg1.mpg": Recipe(codecs=(Codec.MPEG_VIDEO, Codec.MP3), video="mpeg1video", audio="mp2"),
    "mpeg2.vob": Recipe(
        codecs=(Codec.MPEG_VIDEO, Codec.AC3), video="mpeg2video", audio="ac3", more={**_OPUS, "muxer": "vob"}
    ),
    "mpeg2.ts": Recipe(codecs=(Codec.MPEG_VIDEO, Codec.MP3), video="mpeg2video", audio="mp2"),
    "mpeg2_s16.mov": Recipe(codecs=(Codec.MPEG_VIDEO, Codec.L16), video="mpeg2video", audio="pcm_s16be"),
    "mpeg2_mp3.mkv": Recipe(codecs=(Codec.MPEG_VIDEO, Codec.MP3), video="mpeg2video", audio="libmp3lame"),
    "mpeg4_mp3.avi": Recipe(codecs=(Codec.MPEG4, Codec.MP3), video="mpeg4", audio="libmp3lame"),
    "mpeg4_ac3.mp4": Recipe(codecs=(Codec.MPEG4, Codec.AC3), video="mpeg4", audio="ac3"),
    "mpeg4_vorbis.mkv": Recipe(
        codecs=(Codec.MPEG4, Codec.VORBIS), program=("-c:v", "mpeg4", "-bf", "2", "-c:a", "libvorbis")
    ),
    "mpeg4.m4e": Recipe(codecs=(Codec.MPEG4,), video="mpeg4", more={"muxer": "m4v"}),
    "mpeg1.m1v": Recipe(codecs=(Codec.MPEG_VIDEO,), video="mpeg1video", more={"muxer": "mpeg1video"}),
    "mpeg2.m2v": Recipe(codecs=(Codec.MPEG_VIDEO,), video="mpeg2video", more={"muxer": "mpeg2video"}),
    "mjpeg_s16.avi": Recipe(codecs=(Codec.MJPEG, Codec.L16), video="mjpeg", audio="pcm_s16le", more=_JPEG),
    "mjpeg.mjpeg": Recipe(codecs=(Codec.MJPEG,), video="mjpeg", more=_JPEG | {"muxer": "mjpeg"}),
    "vp8.webm": Recipe(codecs=(Codec.VP8,), video="libvpx", more=_LIGHT),
    "vp9_opus.webm": Recipe(codecs=(Codec.VP9, Codec.OPUS), video="libvpx-vp9", audio="libopus", more=_LIGHT | _OPUS),
    "av1_opus.mp4": Recipe(codecs=(Codec.AV1, Codec.OPUS), program=(*_AV1, "-c:a", "libopus"), more=_OPUS),
    "av1.webm": Recipe(codecs=(Codec.AV1,), program=(*_AV1, "-an")),
    "theora_vorbis.ogv": Recipe(
        codecs=(Codec.THEORA, Codec.VORBIS), program=("-c:v", "libtheora", "-c:a", "libvorbis")
    ),
    "vorbis.ogg": Recipe(codecs=(Codec.VORBIS,), program=("-vn", "-c:a", "libvorbis")),
    "mp3.mp3": Recipe(codecs=(Codec.MP3,), audio="libmp3lame"),
    "mp3_bare.mp3": Recipe(codecs=(Codec.MP3,), audio="libmp3lame", more={"muxer_options": {"write_xing": "0"}}),
    "mp2.mp2": Recipe(codecs=(Codec.MP3,), audio="mp2"),
    "ac3.ac3": Recipe(codecs=(Codec.AC3,), audio="ac3"),
    "flac.flac": Recipe(codecs=(Codec.FLAC,), audio="flac"),
    "flac.oga": Recipe(codecs=(Codec.FLAC,), audio="flac", more={"muxer": "ogg"}),
    "h264_flac.mkv": Recipe(codecs=(Codec.H264, Codec.FLAC), video="libx264", audio="flac"),
    "h264_flac.mp4": Recipe(codecs=(Codec.H264, Codec.FLAC), video="libx264", audio="flac"),
    "h264_flac.flv": Recipe(codecs=(Codec.H264, Codec.FLAC), video="libx264", audio="flac"),
    "s16.wav": Recipe(codecs=(Codec.L16,), audio="pcm_s16le"),
    "s24.wav": Recipe(codecs=(Codec.L16,), audio="pcm_s24le"),
    "g722.wav": Recipe(codecs=(Codec.G722,), audio="g722", more={"sample_rate": 16000, "layout": "mono"}),
    "g726.wav": Recipe(codecs=(Codec.G726,), audio="g726", more=_TELEPHONE),
    "speech.amr": Recipe(codecs=(Codec.AMR,), more={"sample_rate": 8000}),
    "speech.awb": Recipe(codecs=(Codec.AMR_WB,), more={"sample_rate": 16000}),
    "windows.wmv": Recipe(codecs=(Codec.FOREIGN, Codec.FOREIGN), program=("-c:v", "wmv2", "-c:a", "wmav2")),
    "prores_alac.mov": Recipe(
        codecs=(Codec.FOREIGN, Codec.FOREIGN),
        video="prores_ks",
        audio="alac",
        more={"pixels": "yuv422p10le", "video_options": {"bf": "0"}},
    ),
    "msmpeg4_eac3.mkv": Recipe(
        codecs=(Codec.FOREIGN, Codec.FOREIGN), video="msmpeg4", audio="eac3", more=_NO_B_FRAMES | _OPUS
    ),
    "wavpack.wv": Recipe(codecs=(Codec.FOREIGN,), audio="wavpack"),
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
            if recipe.program is not None:
                make_file_with_program(path, *recipe.program)
            elif recipe.codecs[0] in (Codec.AMR, Codec.AMR_WB):
                make_amr(path, wide=recipe.codecs[0] is Codec.AMR_WB)
            else:
                make_file(path, video=recipe.video, audio=recipe.audio, **recipe.more)
        return path

    return made
