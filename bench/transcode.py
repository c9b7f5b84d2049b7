"""What transcoding costs beside the ffmpeg program with the same settings, and what further viewers of it cost."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from figures import NO_TIME, CpuTime, row, verdict
from load import viewing
from server import Server, add_server_option

from manycast.hub.output import AudioOutput, Output, VideoOutput
from manycast.hub.stored import FrameGroup
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track

SECONDS = 20
SOUND_SECONDS = 200  # which takes about as long to transcode
TARGET = 1.1
PATH = "bench"
VIEWERS = {"one viewer": {"http-flv": 1}, "ten viewers": {"http-flv": 5, "rtmp": 5}}
VIEWERS_TARGET = 1.05
SETTLE_S = 3.0  # from the last viewer's start to the window
_START = "import asyncio, manycast.sources.transcoding.transcoder, manycast.sources.files.reading"
_SLICES = ("-threads", "1")
_SMALL = ("-vf", "scale=640:360")
CASES = {
    "H.264 640x360": (
        Output(video=VideoOutput(codec=Codec.H264, width=640, height=360, bit_rate_bps=800_000)),
        ("-an", *_SMALL, "-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-b:v", "800k",
         "-maxrate", "800k", "-bufsize", "800k", "-g", "60", *_SLICES),
    ),
    "H.265 640x360": (
        Output(video=VideoOutput(codec=Codec.H265, width=640, height=360, bit_rate_bps=600_000)),
        ("-an", *_SMALL, "-c:v", "libx265", "-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "600k",
         "-maxrate", "600k", "-bufsize", "600k", "-x265-params",
         "log-level=error:bframes=0:frame-threads=1:pools=2:keyint=60", *_SLICES),
    ),
    "JPEG 640x360": (
        Output(video=VideoOutput(codec=Codec.MJPEG, width=640, height=360)),
        ("-an", "-vf", "scale=640:360:out_range=full,format=yuvj420p", "-c:v", "mjpeg", "-huffman", "default",
         "-q:v", "5", *_SLICES),
    ),
    "AAC to Opus": (
        Output(audio=AudioOutput(codec=Codec.OPUS, bit_rate_bps=96_000)),
        ("-vn", "-c:a", "libopus", "-b:a", "96k", "-application", "lowdelay"),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help="run one case in this process, for the parent")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--only", choices=["ffmpeg", "viewers"], help="one of the two parts")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each window, of viewers")
    parser.add_argument("--rounds", type=int, default=3, help="how often both sides are measured in turn")
    add_server_option(parser)
    options = parser.parse_args()
    if options.case is not None:
        _transcode(options.file, CASES[options.case][0])
        return
    if options.only != "viewers":
        _beside_ffmpeg(options.rounds)
    if options.only != "ffmpeg":
        _with_viewers(options.server, options.seconds, options.rounds)


def _beside_ffmpeg(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        film, sound = _film(Path(folder) / "film.mp4"), _sound(Path(folder) / "sound.mp4")
        print(f"{SECONDS} s of 1280x720 at 30 pictures/s, {SOUND_SECONDS} s of sound; processor seconds")
        for name, (output, arguments) in CASES.items():
            file = film if output.audio.codec is None else sound
            command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-threads", "2", "-thread_type", "slice"]
            command += ["-i", str(file), *arguments, "-f", "null", "-"]
            own = [sys.executable, __file__, "--case", name, "--file", str(file)]
            # In turns, and the best of each: whatever else the machine does only adds.
            costs = [(_cost(own), _cost(command), _cost([sys.executable, "-c", _START])) for _ in range(rounds)]
            ours, theirs, start = map(min, zip(*costs, strict=True))
            ours -= start
            verdict = "ok" if ours <= TARGET * theirs else "over"
            said = f"{ours / theirs:5.2f} times, at most {TARGET}: {verdict}"
            print(f"{name:16} ours {ours:6.2f}  ffmpeg {theirs:6.2f}  {said}")


def _film(path: Path) -> Path:
    pictures = ("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=30:duration={SECONDS}")
    coded = ("-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-pix_fmt", "yuv420p")
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", *pictures, *coded, str(path)], check=True)
    return path


def _sound(path: Path) -> Path:
    tone = ("-f", "lavfi", "-i", f"sine=440:r=48000:d={SOUND_SECONDS}")
    subprocess.run(
        ["ffmpeg", "-nostdin", "-loglevel", "error", *tone, "-c:a", "aac", "-ac", "2", str(path)], check=True
    )
    return path


def _cost(command: list[str]) -> float:
    """Processor time of a program, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _transcode(file: Path, output: Output) -> None:
    """All of a file, as fast as it goes, in the form that the hub has it."""
    from manycast.sources.transcoding.plan import needed
    from manycast.sources.transcoding.transcoder import Transcoder

    track, frames = _frames(file)
    transcoder = Transcoder([track], needed([track], output), "bench")
    made = sum(len(transcoder.push(frame)) for frame in frames) + len(transcoder.finish())
    assert made >= SECONDS * 29, f"only {made} frames"


def _frames(file: Path) -> tuple[Track, list[Frame]]:
    import asyncio

    from manycast.sources.files.library import FileLibrary

    async def read() -> tuple[Track, list[Frame]]:
        library = FileLibrary(file.parent)
        media = await library.find([file.name])
        assert media is not None
        group: FrameGroup | None = await media.group_at(0)
        found: list[Frame] = []
        while group is not None:
            found += group.frames
            group = await media.group_after(group)
        (track,) = media.tracks
        await library.close()
        return track, found

    return asyncio.run(read())


def _with_viewers(command: str, window_s: float, rounds: int) -> None:
    """Of a published stream that is converted for two protocols: MPEG-4 of 1280x720 at 30 pictures/s to H.264."""
    print("one stream converted to H.264, its viewers by HTTP-FLV and RTMP")
    spent, elapsed_s = dict.fromkeys(VIEWERS, NO_TIME), dict.fromkeys(VIEWERS, 0.0)
    with Server(command) as server, _publishing(server.address(PATH)):
        for _ in range(rounds):
            for name, viewers in VIEWERS.items():
                cpu, took_s = _window(server, viewers, window_s)
                spent[name] += cpu
                elapsed_s[name] += took_s
    for name, cpu in spent.items():
        row(name, cpu.of_core(elapsed_s[name]))
    one, ten = (cpu.total_s / elapsed_s[name] for name, cpu in spent.items())
    verdict("ten viewers beside one", ten / one, VIEWERS_TARGET)


@contextmanager
def _publishing(address: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mkv"
        pictures = ("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=30:duration={SECONDS}")
        coded = ("-c:v", "mpeg4", "-q:v", "5", "-g", "60")
        quiet = ("ffmpeg", "-nostdin", "-loglevel", "error")
        subprocess.run([*quiet, *pictures, *coded, str(file)], check=True)
        sent = ("-re", "-stream_loop", "-1", "-i", str(file), "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp")
        program = subprocess.Popen([*quiet, *sent, address])
        try:
            time.sleep(SETTLE_S)
            yield
        finally:
            program.terminate()
            program.wait()


def _window(server: Server, viewers: dict[str, int], window_s: float) -> tuple[CpuTime, float]:
    """CPU time of the server's process while viewers watch, and for how long that was."""
    with ExitStack() as watching:
        loads = [
            watching.enter_context(viewing(count, transport, server.address(PATH, transport)))
            for transport, count in viewers.items()
        ]
        for load in loads:
            load.wait_ready()
        time.sleep(SETTLE_S)
        started_s, before = time.monotonic(), server.cpu()
        time.sleep(window_s)
        cpu, took_s = server.cpu() - before, time.monotonic() - started_s
        for figures in (figures for load in loads for figures in load.figures()):
            if figures.fault:
                raise SystemExit(f"a viewer has failed: {figures.fault}")
    return cpu, took_s


if __name__ == "__main__":
    main()
