"""HLS pulled from a web server that has what ffmpeg has cut, and answers as a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path

import pytest
from support.programs import make
from support.taking import Taken
from support.waiting import until
from support.web_server import http_source, web_server

from manycast.errors import ManycastError
from manycast.hub.source import SourceDenied, SourceError
from manycast.media.track import Codec
from manycast.sources.http.hls import decrypted
from manycast.sources.http.source import HttpSource
from manycast.wire.digest_guard import DigestGuard, Verdict

SEGMENTS = 3
RATE = 25

Files = Callable[[str, str], bytes | int]  # path and head of a request: a body, or a status


def web(answer: Files, *, challenge: str = "") -> AbstractAsyncContextManager[int]:
    async def handle(head: str, writer: asyncio.StreamWriter) -> None:
        body = answer(head.split()[1], head)
        status, data = (body, b"") if isinstance(body, int) else (200, body)
        fields = f"Content-Length: {len(data)}\r\n"
        if status == 401:
            fields += f"WWW-Authenticate: {challenge}\r\n"
        if status == 302:
            fields += "Location: http://127.0.0.1:9/x.m3u8\r\n"
        writer.write(f"HTTP/1.1 {status} X\r\n{fields}\r\n".encode() + data)

    return web_server(handle)


def source(port: int, path: str = "/x.m3u8", login: str = "") -> HttpSource:
    return http_source(port, path, login)


async def taken_from(answer: Files, frames: int, path: str = "/x.m3u8") -> Taken:
    """What has come by the time there are so many frames."""
    async with web(answer) as port:
        taken = Taken()
        task = asyncio.create_task(source(port, path).run(taken.publish))
        try:
            await until(lambda: len(taken.frames) >= frames or task.done(), "frames come")
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return taken


async def failure(answer: Files, path: str = "/x.m3u8", login: str = "") -> str:
    async with web(answer) as port:
        with pytest.raises(ManycastError) as caught:
            await asyncio.wait_for(source(port, path, login).run(Taken().publish), 20)
        return str(caught.value)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders of segments of a second, each made once: H.264 with B-frames, and AAC."""
    made: dict[tuple[str, ...], Path] = {}
    pictures = [
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size=160x120:rate={RATE}",
        "-f",
        "lavfi",
        "-i",
        "sine=sample_rate=48000",
    ]
    coding = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "2",
        "-g",
        str(RATE),
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ]

    def cut_up(*options: str) -> Path:
        if options not in made:
            folder = made[options] = tmp_path_factory.mktemp("hls")
            hls = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "0", *options]
            make(
                folder / "x.m3u8",
                *pictures,
                "-t",
                str(SEGMENTS),
                *coding,
                *hls,
                "-hls_segment_filename",
                f"{folder}/%d",
            )
        return made[options]

    return cut_up


def files_of(folder: Path) -> Files:
    def answer(path: str, _head: str) -> bytes | int:
        file = folder / path[1:]
        return file.read_bytes() if file.is_file() else 404

    return answer


TS = ("-hls_segment_type", "mpegts")
MP4 = ("-hls_segment_type", "fmp4")


@pytest.mark.parametrize(
    "options", [TS, MP4, (*TS, "-hls_flags", "single_file"), (*MP4, "-hls_flags", "single_file")], ids=" ".join
)
async def test_a_film(cut: Callable[..., Path], options: tuple[str, ...]) -> None:
    taken = await taken_from(files_of(cut(*options)), SEGMENTS * RATE + 100)
    assert [track.codec for track in taken.tracks] == [Codec.H264, Codec.AAC]
    for index in (0, 1):
        times = [frame.dts_ticks for frame in taken.frames if frame.track_index == index]
        assert all(a < b for a, b in pairwise(times))
    pictures = [frame for frame in taken.frames if frame.track_index == 0]
    steps = [b.dts_ticks - a.dts_ticks for a, b in pairwise(pictures)]
    assert {round(step / 90) for step in steps} == {40}
    assert sum(frame.keyframe for frame in pictures) >= SEGMENTS - 1
    assert any(frame.pts_ticks != frame.dts_ticks for frame in pictures)


async def test_a_film_comes_in_its_own_time_and_ends(cut: Callable[..., Path]) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with web(files_of(cut(*TS))) as port:
        taken = Taken()
        await asyncio.wait_for(source(port).run(taken.publish), 30)
    assert loop.time() - began_s > SEGMENTS - 0.5
    assert sum(frame.track_index == 0 for frame in taken.frames) == SEGMENTS * RATE


async def test_encrypted_segments(cut: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(range(16)))
    (tmp_path / "info").write_text(f"key\n{tmp_path}/key\n")
    folder = cut(*TS, "-hls_key_info_file", f"{tmp_path}/info")
    (folder / "key").write_bytes(bytes(range(16)))
    assert len((await taken_from(files_of(folder), 60)).tracks) == 2
    (folder / "key").write_bytes(bytes(16))
    said = await failure(files_of(folder))
    assert "key" in said or "unknown kind" in said


def master(*lines: str) -> bytes:
    return "\n".join(["#EXTM3U", *lines, ""]).encode()


async def test_the_best_variant_that_can_be_carried_with_sound_of_its_own(cut: Callable[..., Path]) -> None:
    ts, mp4 = files_of(cut(*TS)), files_of(cut(*MP4))
    text = master(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="mp4/x.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=9000,CODECS="dvh1.05"',
        "none.m3u8",
        '#EXT-X-STREAM-INF:BANDWIDTH=2000,CODECS="avc1.42c00a,mp4a.40.2",AUDIO="a"',
        "ts/x.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=1000",
        "low.m3u8",
    )
    asked: list[str] = []

    def answer(path: str, head: str) -> bytes | int:
        asked.append(path)
        if path == "/all/x.m3u8":
            return text
        kind, _, name = path.removeprefix("/all/").partition("/")
        return {"ts": ts, "mp4": mp4}[kind](f"/{name}", head)

    taken = await taken_from(answer, 120, "/all/x.m3u8")
    assert [track.codec for track in taken.tracks] == [Codec.H264, Codec.AAC]
    assert {"/all/ts/x.m3u8", "/all/mp4/x.m3u8"} <= set(asked)


class LiveList:
    """A playlist that grows and loses its first segments, made of a film that goes round."""

    def __init__(self, folder: Path, *, begins: int = 40) -> None:
        self.folder = folder
        self.begins = begins
        self.began_s = asyncio.get_running_loop().time()
        self.missing: set[int] = set()
        self.broken: set[int] = set()
        self.asked: list[int] = []

    def __call__(self, path: str, _head: str) -> bytes | int:
        if path.endswith(".m3u8"):
            return self.playlist(3 + int(asyncio.get_running_loop().time() - self.began_s))
        number = int(path.strip("/").partition(".")[0])
        self.asked.append(number)
        if number in self.missing:
            return 404
        if number in self.broken:
            return b"<html>"
        return (self.folder / str(number % SEGMENTS)).read_bytes()

    def playlist(self, count: int) -> bytes:
        first = max(0, count - 5)
        lines = ["#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{self.begins + first}"]
        for number in range(self.begins + first, self.begins + count):
            if number % SEGMENTS == 0:
                lines.append("#EXT-X-DISCONTINUITY")
            lines += ["#EXTINF:1.0,", f"{number}.ts"]
        return master(*lines)


async def test_a_live_playlist_is_followed_across_its_breaks(cut: Callable[..., Path]) -> None:
    live = LiveList(cut(*TS))
    live.missing, live.broken = {44}, {46}
    taken = await taken_from(live, 400)
    assert live.asked[0] == 40
    assert live.asked == sorted(set(live.asked))
    for index in (0, 1):
        times = [frame.dts_ticks for frame in taken.frames if frame.track_index == index]
        assert all(a < b for a, b in pairwise(times))
    seconds = (taken.frames[-1].dts_ticks - taken.frames[0].dts_ticks) / taken.tracks[
        taken.frames[-1].track_index
    ].clock_rate_hz
    assert seconds < 60


async def test_a_live_playlist_that_stands_still(cut: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.http.hls.SILENCE_S", 1.0)
    folder = cut(*TS)
    text = LiveList(folder).playlist(2).replace(b"40.ts", b"0").replace(b"41.ts", b"1")

    def answer(path: str, head: str) -> bytes | int:
        return text if path.endswith(".m3u8") else files_of(folder)(path, head)

    assert "no new segment" in await failure(answer)


async def test_a_login_holds_for_playlists_and_segments(cut: Callable[..., Path]) -> None:
    guard = DigestGuard(realm="r", secret=bytes(16), offer_qop=True)
    (challenge,) = guard.challenges(now_s=1.0)
    files = files_of(cut(*TS))

    def answer(path: str, head: str) -> bytes | int:
        given = next((line[15:] for line in head.split("\r\n") if line.startswith("Authorization: ")), "")
        verdict = guard.check(given, method="GET", uri=path, password_of={"joe": "x"}.get, now_s=1.0)
        return files(path, head) if verdict is Verdict.ACCEPTED else 401

    async with web(answer, challenge=challenge) as port:
        taken = Taken()
        task = asyncio.create_task(source(port, login="joe:x@").run(taken.publish))
        await until(lambda: len(taken.frames) > 60, "frames come")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(SourceDenied, match="refuses user and pass"):
            await source(port, login="joe:wrong@").run(Taken().publish)


LIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n"


@pytest.mark.parametrize(
    ("playlist", "says"),
    [
        (b"<html>", "#EXTM3U"),
        (b"#EXTM3U\n", "target duration"),
        (LIST + b"#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "file"),
        (LIST + b"#EXTINF:1,\nhttp://x y/\n#EXT-X-ENDLIST\n", "address"),
        (LIST + b"#EXTINF:1,\nhtml\n#EXT-X-ENDLIST\n", "unknown kind"),
        (LIST + b'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"\n#EXTINF:1,\nhtml\n#EXT-X-ENDLIST\n', "SAMPLE-AES"),
        (LIST + b"#EXTINF:1,\nbroken.mp4\n#EXT-X-ENDLIST\n", "cannot be read"),
        (LIST + b"#EXTINF:1,\ngone\n" * 3 + b"#EXT-X-ENDLIST\n", "404"),
        (LIST + b"#EXTINF:1,\nempty.ts\n" * 3 + b"#EXT-X-ENDLIST\n", "neither pictures nor sound"),
        (master("#EXT-X-STREAM-INF:BANDWIDTH=1", "x.m3u8"), "a playlist of variants where"),
        (master("#EXT-X-STREAM-INF:BANDWIDTH=1", "gone.m3u8"), "404"),
        (302, "cannot connect"),
        (bytes(5 << 20), "more than"),
    ],
)
async def test_what_cannot_be_played(playlist: bytes | int, says: str) -> None:
    bodies: dict[str, bytes | int] = {
        "/x.m3u8": playlist,
        "/html": b"<html>" * 100,
        "/broken.mp4": b"\0\0\0\x08moof" * 20,
        "/empty.ts": (b"\x47\x1f\xff\x10" + bytes(184)) * 10,
    }
    assert says in await failure(lambda path, _head: bodies.get(path, 404))


def test_what_a_key_does_not_fit() -> None:
    for data, key in ((bytes(16), b"short"), (bytes(15), bytes(16)), (bytes(16), bytes(16))):
        with pytest.raises(SourceError):
            decrypted(data, key, bytes(16))
