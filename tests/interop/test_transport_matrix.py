"""Every transport with every player: all pictures in their order, their times, the sound, and both in step.

A clip with B-frames is watched as a file and, published over and over by ffmpeg, as a live stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from support.lip_sync import FRAMES, SECONDS, Received, make_lip_sync_clip
from support.media import FRAME_RATE
from support.network import SERVER_IPV4, Host, cabled_hosts
from support.players import (
    has_openrtsp,
    has_vlc,
    receive_with_openrtsp,
    watch_with_ffmpeg,
    watch_with_gstreamer,
    watch_with_vlc,
)
from support.programs import ffmpeg, frame_digests, publishing_with_ffmpeg
from support.server import CONFIG, ServerProcess
from support.waiting import wait_until
from support.websocket_relay import websocket_relay

CLIP = "lip-sync.mp4"
LIVE_S = 5.5  # of ffmpeg
GSTREAMER_LIVE_S = 8.0
GSTREAMER_FILE_S = 3.2  # ffmpeg gets the whole file
LAST_MISSING = int((SECONDS - 3) * FRAME_RATE)
SETTLED_S = 2.5  # players guess at times until they have understood a report, the second where they miss the first
SOURCES = (CLIP, "live")


@dataclass(frozen=True, slots=True)
class Site:
    """A server with the file and the live stream, and where its players are."""

    server: ServerProcess
    address: str
    clip: Path
    players: Host | None = None

    def among_players(self) -> AbstractContextManager[None]:
        return nullcontext() if self.players is None else self.players.entered()

    def url(self, scheme: str, source: str) -> str:
        port = {
            "rtsp": self.server.port,
            "rtsps": self.server.rtsps_port,
            "rtsph": self.server.http_port,
            "rtspsh": self.server.https_port,
        }
        return f"{scheme}://{self.address}:{port[scheme]}/{source}"


@dataclass
class Sites:
    """Each is made when the first test asks for it."""

    make_folder: Callable[[str], Path]
    stack: ExitStack
    clip: Path
    original: list[str]
    _made: dict[str, Site] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Site:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Site:
        folder, media = self.make_folder(name), self.clip.parent
        if name == "network":
            hosts = self.stack.enter_context(cabled_hosts())
            config = f"{CONFIG}  multicast: 1\n  serverip: [127.0.0.1, {SERVER_IPV4}]\n"
            with hosts[0].entered():
                server = self.stack.enter_context(ServerProcess(folder, config=config, host=None, media=media))
                self._publish(server)
            return Site(server, SERVER_IPV4, self.clip, hosts[1])
        config = f"{CONFIG}rtsps:\n  srtp: {int(name == 'srtp')}\n"
        server = ServerProcess(folder, config=config, media=media, http=True, https=True, rtsps=True)
        self.stack.enter_context(server)
        self._publish(server)
        return Site(server, server.host, self.clip)

    def _publish(self, server: ServerProcess) -> None:
        self.stack.enter_context(publishing_with_ffmpeg(self.clip, server.url("live"), "tcp"))
        wait_until(lambda: "stream live" in server.log, "the clip is published")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    clip = make_lip_sync_clip(tmp_path_factory.mktemp("lip-sync") / CLIP)
    original = [frame.md5 for frame in frame_digests("-i", str(clip))]
    assert len(set(original)) == len(original) == FRAMES
    with ExitStack() as stack:
        yield Sites(tmp_path_factory.mktemp, stack, clip, original)


def check(received: Received, original: list[str], source: str, *, last_missing: int = 0) -> None:
    if source == CLIP:
        assert received.digests == original[: len(received.digests)]
        assert len(received.digests) >= FRAMES - last_missing
    else:
        check_live(received.digests, original)
        received = received.settled(SETTLED_S)
    received.check_times(live=source != CLIP)
    received.check_tone()
    received.check_lip_sync()


def check_live(digests: list[str], original: list[str]) -> None:
    """Pictures of the clip, one after another."""
    positions = [original.index(digest) for digest in digests]
    assert all((b - a) % FRAMES == 1 for a, b in pairwise(positions)), positions
    assert len(positions) > 50


FFMPEG = [  # a name; the site, the address's scheme, what ffmpeg calls it, and what the server does
    ("UDP", "srtp", "rtsp", "udp", "UDP to"),
    ("TCP", "srtp", "rtsp", "tcp", "TCP"),
    ("multicast", "network", "rtsp", "udp_multicast", "multicast to 232."),
    ("HTTP", "srtp", "rtsph", "http", "HTTP"),
    ("HTTPS", "srtp", "rtspsh", "https", "HTTPS"),
    ("RTSPS", "srtp", "rtsps", "tcp", "TLS"),
]
GSTREAMER = [
    ("UDP", "srtp", "rtsp", "udp", "UDP to"),
    ("TCP", "srtp", "rtsp", "tcp", "TCP"),
    ("multicast", "network", "rtsp", "udp-mcast", "multicast to 232."),
    ("HTTP", "srtp", "rtsph", "tcp", "HTTP"),
    ("HTTPS", "in TLS", "rtspsh", "tcp", "HTTPS"),
    ("RTSPS", "in TLS", "rtsps", "tcp", "TLS"),
    ("SRTP over HTTPS", "srtp", "rtspsh", "tcp", "SRTP, HTTPS"),
    ("SRTP over TCP", "srtp", "rtsps", "tcp", "SRTP, TLS"),
    ("SRTP over UDP", "srtp", "rtsps", "udp", "SRTP, UDP to"),
]


def gstreamer_s(source: str) -> float:
    return GSTREAMER_FILE_S if source == CLIP else GSTREAMER_LIVE_S


def rows(table: list[tuple[str, str, str, str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("site", "scheme", "transport", "said"), [pytest.param(*row[1:], id=row[0]) for row in table]
    )


@pytest.mark.parametrize("source", SOURCES)
@rows(FFMPEG)
def test_ffmpeg(sites: Sites, tmp_path: Path, site: str, scheme: str, transport: str, said: str, source: str) -> None:
    """Without SRTP: ffmpeg knows no MIKEY, and so is given it inside TLS."""
    place = sites[site]
    # With ffmpeg, the way through HTTP is an option and the scheme stays as it is.
    url = place.url(scheme, source).replace("rtsph:", "rtsp:").replace("rtspsh:", "rtsp:")
    with place.among_players():
        received = watch_with_ffmpeg(tmp_path, url, transport, None if source == CLIP else LIVE_S)
    assert f"plays {source} over {said}" in place.server.log
    check(received, sites.original, source)


@pytest.mark.parametrize("source", SOURCES)
@rows(GSTREAMER)
def test_gstreamer(
    sites: Sites, tmp_path: Path, site: str, scheme: str, transport: str, said: str, source: str
) -> None:
    place = sites[site]
    with place.among_players():
        url = place.url(scheme, source)
        received = watch_with_gstreamer(tmp_path, url, transport, gstreamer_s(source))
    assert f"plays {source} over {said}" in place.server.log
    check(received, sites.original, source, last_missing=LAST_MISSING)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("watch", [watch_with_ffmpeg, watch_with_gstreamer])
def test_websocket(sites: Sites, tmp_path: Path, watch: Callable[..., Received], secure: bool, source: str) -> None:
    """Neither knows WebSockets: their dialogue is carried in one by aiohttp's client."""
    server = sites["in TLS"].server
    port = server.https_port if secure else server.http_port
    with websocket_relay(f"http{'s' if secure else ''}://{server.host}:{port}/websocket") as relay:
        url = f"rtsp://{server.host}:{relay}/{source}"
        ffmpeg_s = None if source == CLIP else LIVE_S
        received = watch(tmp_path, url, "tcp", ffmpeg_s if watch is watch_with_ffmpeg else gstreamer_s(source))
    check(received, sites.original, source, last_missing=0 if watch is watch_with_ffmpeg else LAST_MISSING)


VLC = [("UDP", []), ("TCP", ["--rtsp-tcp"]), ("HTTP", ["--rtsp-http", "--rtsp-http-port=HTTP_PORT"])]


@pytest.mark.skipif(not has_vlc(), reason="no VLC with the live555 module (Debian's has none): set MANYCAST_TEST_VLC")
def test_vlc(sites: Sites, tmp_path: Path) -> None:
    """The file, in each way it knows; it drops some of the last pictures when it ends."""
    site = sites["srtp"]
    for name, options in VLC:
        (tmp_path / name).mkdir()
        options = [option.replace("HTTP_PORT", str(site.server.http_port)) for option in options]
        received = watch_with_vlc(tmp_path / name, site.url("rtsp", CLIP), options, SECONDS + 4)
        del received.pictures[FRAMES - 10 :]
        check(received, sites.original, CLIP, last_missing=10)


OPENRTSP = [
    ("UDP", "rtsp", []),
    ("TCP", "rtsp", ["-t"]),
    ("SRTP over UDP", "rtsps", []),
    ("SRTP over TCP", "rtsps", ["-t"]),
]


@pytest.mark.skipif(not has_openrtsp(), reason="no openRTSP of LIVE555: set MANYCAST_TEST_OPENRTSP")
def test_openrtsp(sites: Sites, tmp_path: Path) -> None:
    """It writes what it receives, and no times: every picture, and the very bytes of the sound."""
    sound = aac_of(sites.clip)
    for name, scheme, options in OPENRTSP:
        (tmp_path / name).mkdir()
        pictures, sound_file = receive_with_openrtsp(
            tmp_path / name, sites["srtp"].url(scheme, CLIP), options, SECONDS + 2
        )
        assert [frame.md5 for frame in frame_digests("-f", "h264", "-i", str(pictures))] == sites.original, name
        heard = aac_of(sound_file)
        assert sound.startswith(heard), name
        assert len(heard) > 0.97 * len(sound), name  # it closes the files when the pictures end


def aac_of(path: Path) -> bytes:
    return ffmpeg("-i", str(path), "-map", "0:a", "-c", "copy", "-bsf:a", "aac_adtstoasc", "-f", "data", "-")
