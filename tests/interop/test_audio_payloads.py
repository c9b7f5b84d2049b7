"""Payload formats of sound and the rest: published by real programs, heard by real programs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from support.hearing import check_tone
from support.media import AAC, TONE_HZ
from support.programs import (
    ffmpeg,
    frame_digests,
    from_server,
    gst,
    gst_running,
    make,
    mono_samples,
    probe,
    publishing_with_ffmpeg,
)
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

TRANSPORTS = ("tcp", "udp")
LIVE_TONE = f"audiotestsrc is-live=true freq={TONE_HZ} ! audioconvert ! audioresample"


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Longer than anybody listens: at a seam the tone would break off."""
    source = ["-f", "lavfi", "-i", f"sine=frequency={TONE_HZ}:sample_rate=48000:duration=120"]
    return make(tmp_path_factory.mktemp("tone") / "tone.m4a", *source, *AAC)


def wait_for(server: ServerProcess, name: str) -> None:
    with RawRtsp.connect(server.host, server.port) as client:
        wait_until(lambda: client.ask("DESCRIBE", name).status == 200, f"{name} is published")


def check_sound(server: ServerProcess, name: str, codec: str, rate_hz: int, channels: int, transport: str) -> None:
    """What ffmpeg finds: the codec, a tone without a break, and times that fit the samples."""
    url = server.url(name)
    found = probe("-rtsp_transport", transport, "-show_streams", "-show_frames", "-read_intervals", "%+1.2", url)
    (stream,) = found["streams"]
    assert (stream["codec_name"], int(stream["sample_rate"]), stream["channels"]) == (codec, rate_hz, channels)
    frames = found["frames"]
    assert sum(frame["nb_samples"] for frame in frames) > 0.8 * rate_hz
    for before, after in pairwise(frames[3:]):  # ffmpeg guesses the time of the first ones
        step_s = float(after["pts_time"]) - float(before["pts_time"])
        assert step_s == pytest.approx(before["nb_samples"] / rate_hz, abs=0.001)
    samples = mono_samples(*from_server(url, transport), seconds=1)
    check_tone(samples[1000:], TONE_HZ, seconds=0.6)


def check_sound_with_gstreamer(server: ServerProcess, name: str, pipeline: str, folder: Path) -> None:
    path = folder / "heard.raw"
    gst(
        f"rtspsrc location={server.url(name)} protocols=tcp ! {pipeline} ! audioconvert ! audioresample",
        "! audio/x-raw,format=S16LE,rate=8000,channels=1 ! audiobuffersplit output-buffer-duration=1/50",
        f"! identity eos-after=60 ! filesink location={path}",
    )
    samples = list(memoryview(path.read_bytes()).cast("h"))
    assert len(samples) > 4000
    check_tone(samples[1000:], TONE_HZ, seconds=0.6)


G726 = ["-ac", "1", "-ar", "8000", "-c:a", "g726le", "-b:a"]
AAL2_G726 = ["-ac", "1", "-ar", "8000", "-c:a", "g726", "-b:a"]
FROM_FFMPEG = [
    # how it is coded; codec, rate, channels as ffprobe tells them; GStreamer's elements
    (
        ["-c:a", "libmp3lame", "-ar", "44100", "-ac", "2"],
        ("mp3", 44_100, 2),
        "rtpmpadepay ! mpegaudioparse ! avdec_mp3",
    ),
    (
        ["-c:a", "libmp3lame", "-ar", "16000", "-ac", "1"],
        ("mp3", 16_000, 1),
        "rtpmpadepay ! mpegaudioparse ! avdec_mp3",
    ),
    (["-c:a", "mp2", "-ar", "32000", "-b:a", "384k", "-ac", "2"], ("mp2", 32_000, 2), ""),
    (["-c:a", "g722", "-ar", "16000", "-ac", "1"], ("adpcm_g722", 16_000, 1), "rtpg722depay ! avdec_g722"),
    ([*G726, "16k"], ("adpcm_g726le", 8000, 1), ""),
    ([*G726, "24k"], ("adpcm_g726le", 8000, 1), ""),
    ([*G726, "32k"], ("adpcm_g726le", 8000, 1), "rtpg726depay force-aal2=false ! avdec_g726"),
    ([*G726, "40k"], ("adpcm_g726le", 8000, 1), ""),
    ([*AAL2_G726, "24k"], ("adpcm_g726le", 8000, 1), ""),
    ([*AAL2_G726, "32k"], ("adpcm_g726le", 8000, 1), ""),
    (["-c:a", "pcm_s16be", "-ar", "44100", "-ac", "2"], ("pcm_s16be", 44_100, 2), "rtpL16depay"),
    (["-c:a", "pcm_s16be", "-ar", "44100", "-ac", "1"], ("pcm_s16be", 44_100, 1), ""),
    (["-c:a", "pcm_s16be", "-ar", "48000", "-ac", "1"], ("pcm_s16be", 48_000, 1), ""),
]


# Rates of one codec travel alike: those that GStreamer does not hear go over TCP only.
FROM_FFMPEG_OVER = [(*row, transport) for row in FROM_FFMPEG for transport in TRANSPORTS[: 2 if row[2] else 1]]


@pytest.mark.parametrize(("codecs", "found", "elements", "transport"), FROM_FFMPEG_OVER)
def test_sound_that_ffmpeg_publishes(
    media_server: ServerProcess,
    tone: Path,
    tmp_path: Path,
    codecs: list[str],
    found: tuple[str, int, int],
    elements: str,
    transport: str,
) -> None:
    name = f"sound/{'-'.join(codecs).replace(':', '')}-{transport}"
    with publishing_with_ffmpeg(tone, media_server.url(name), transport, *codecs):
        wait_for(media_server, name)
        check_sound(media_server, name, *found, transport)
        if elements:
            check_sound_with_gstreamer(media_server, name, elements, tmp_path)


FROM_GSTREAMER = [
    (
        f"{LIVE_TONE} ! audio/x-raw,rate=48000,channels=2 ! avenc_ac3",
        ("ac3", 48_000, 2),
        "rtpac3depay ! ac3parse ! avdec_ac3",
    ),
    (
        f"{LIVE_TONE} ! audio/x-raw,rate=48000,channels=6 ! avenc_ac3 bitrate=640000",  # in fragments
        ("ac3", 48_000, 6),
        "rtpac3depay ! ac3parse ! avdec_ac3",
    ),
    (f"{LIVE_TONE} ! audio/x-raw,rate=32000,channels=2 ! lamemp3enc ! mpegaudioparse", ("mp3", 32_000, 2), ""),
    (f"{LIVE_TONE} ! audio/x-raw,rate=16000,channels=1 ! avenc_g722", ("adpcm_g722", 16_000, 1), ""),
    (f"{LIVE_TONE} ! audio/x-raw,format=S16BE,rate=22050,channels=2", ("pcm_s16be", 22_050, 2), "rtpL16depay"),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("source", "found", "elements"), FROM_GSTREAMER, ids=[str(row[1]) for row in FROM_GSTREAMER])
def test_sound_that_gstreamer_publishes(
    media_server: ServerProcess,
    tmp_path: Path,
    source: str,
    found: tuple[str, int, int],
    elements: str,
    transport: str,
) -> None:
    name = f"sound-of-gstreamer/{found[0]}-{found[1]}-{found[2]}-{transport}"
    url = media_server.url(name)
    with gst_running(f"{source} ! rtspclientsink location={url} protocols={transport} latency=0"):
        wait_for(media_server, name)
        check_sound(media_server, name, *found, transport)
        if elements:
            check_sound_with_gstreamer(media_server, name, elements, tmp_path)


SPEECH = [
    ("amr", b"#!AMR\n", 8000, 32, "amrnbenc", "amrnbdec"),
    ("amr-wb", b"#!AMR-WB\n", 16_000, 61, "voamrwbenc band-mode=8", "amrwbdec"),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("name", "magic", "rate_hz", "size", "encoder", "decoder"), SPEECH, ids=["amr", "amr-wb"])
def test_speech_comes_as_it_was_coded(
    media_server: ServerProcess,
    tmp_path: Path,
    name: str,
    magic: bytes,
    rate_hz: int,
    size: int,
    encoder: str,
    decoder: str,
    transport: str,
) -> None:
    """Byte by byte: a tone is nothing AMR was made for, and it takes long to find into one."""
    body = tmp_path / "body"
    gst(
        f"audiotestsrc wave=ticks num-buffers=3000 samplesperbuffer={rate_hz // 50} ! audio/x-raw,rate={rate_hz}",
        f"! {encoder} ! filesink location={body}",
    )
    coded = body.read_bytes()
    file = tmp_path / f"speech-{transport}.amr"
    file.write_bytes(magic + coded)
    path = f"speech/{name}-{transport}"
    url = media_server.url(path)
    with publishing_with_ffmpeg(file, url, transport):
        wait_for(media_server, path)
        heard = ffmpeg(*from_server(url, transport), "-map", "0:a", "-frames:a", "75", "-c", "copy", "-f", "data", "-")
        gst(
            f"rtspsrc location={url} protocols={transport} ! rtpamrdepay ! {decoder} ! identity eos-after=30 ! fakesink"
        )
    assert len(heard) >= 60 * size
    assert heard in coded


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_transport_stream_that_gstreamer_publishes(media_server: ServerProcess, transport: str) -> None:
    name = f"transport-stream-{transport}"
    url = media_server.url(name)
    with gst_running(
        "mpegtsmux name=m alignment=7 ! rtspclientsink protocols=tcp latency=0",
        f"location={url}",
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
        "! x264enc tune=zerolatency key-int-max=12 ! h264parse ! m.",
        f"{LIVE_TONE} ! avenc_aac ! aacparse ! m.",
    ):
        wait_for(media_server, name)
        source = ["-loglevel", "fatal", *from_server(url, transport)]  # it complains of pictures before a keyframe
        assert len(frame_digests(*source, "-frames:v", "25")) == 25
        samples = mono_samples(*source, seconds=1)
        check_tone(samples[1000:], TONE_HZ, seconds=0.6)
        gst(f"rtspsrc location={url} protocols={transport} ! rtpmp2tdepay ! tsparse ! identity eos-after=50 ! fakesink")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_sound_of_a_format_that_is_passed_on(
    media_server: ServerProcess, tone: Path, tmp_path: Path, transport: str
) -> None:
    name = f"passed-on/sound-{transport}"
    codecs = ["-c:a", "pcm_s24be", "-ar", "48000", "-ac", "2"]
    with publishing_with_ffmpeg(tone, media_server.url(name), transport, *codecs):
        wait_for(media_server, name)
        check_sound(media_server, name, "pcm_s24be", 48_000, 2, transport)
        check_sound_with_gstreamer(media_server, name, "rtpL24depay", tmp_path)
    assert f"{name}: a medium is passed on as it is: encoding 'L24' is not known" in media_server.log


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_pictures_of_a_format_that_is_passed_on(media_server: ServerProcess, media: Path, transport: str) -> None:
    name = f"passed-on/pictures-{transport}"
    clip = make(media / "h263.mkv", "-i", str(media / "silent.mp4"), "-c:v", "h263p", "-g", "5", "-qscale", "2")
    original = {frame.md5 for frame in frame_digests("-i", str(clip))}
    with publishing_with_ffmpeg(clip, media_server.url(name), transport):
        wait_for(media_server, name)
        # It complains of pictures before a keyframe, which we cannot tell from others.
        frames = frame_digests("-loglevel", "fatal", *from_server(media_server.url(name), transport), "-frames:v", "40")
    assert len(frames) == 40
    assert sum(frame.md5 in original for frame in frames) > 0.8 * len(frames)
