"""What an address of HLS asks for.

APP/STREAM.m3u8 is the multivariant playlist. The rest is below APP/STREAM.hls/RUN/, where RUN is another one whenever
what is there does not go on: index.m3u8, and segments, parts and init segments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from manycast.hub.hls_folder import SUFFIX
from manycast.servers.http.stream.address import parse_address
from manycast.wire.http import HttpError

PLAYLIST_SUFFIX = ".m3u8"
MEDIA_PLAYLIST = "index.m3u8"

_IN_RUN = re.compile(rf"(.+){re.escape(SUFFIX)}/([0-9a-f]{{24}})/([^/]+)")
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class HlsAddress:
    name: str  # of the stream
    token: str | None  # of the run; None: the multivariant playlist is asked for
    file: str
    parameters: dict[str, str]

    @property
    def is_media_playlist(self) -> bool:
        return self.file == MEDIA_PLAYLIST

    @property
    def skip(self) -> bool:
        return self.parameters.get("_hls_skip", "").upper() in ("YES", "V2")

    def number(self, name: str) -> int | None:
        """A delivery directive (section 6.2.5); None where there is none. Raises HttpError for what is no number."""
        value = self.parameters.get(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise HttpError(400, f"{name}={value[:20]!r} is no number")
        return int(value)


def is_hls(path: str) -> bool:
    """Whether the path of a request is for us; quick, for it is asked for every request of an HTTP port."""
    return path.endswith(PLAYLIST_SUFFIX) or f"{SUFFIX}/" in path


@lru_cache(maxsize=4096)  # many players ask for the same
def parse_hls_address(target: str) -> HlsAddress:
    """Read the target of a request. Raises HttpError."""
    address = parse_address(target)
    found = _IN_RUN.fullmatch(address.name)
    if found is not None:
        return HlsAddress(found[1], found[2], found[3], address.parameters)
    name = address.name.removesuffix(PLAYLIST_SUFFIX)
    if not name or name == address.name:
        raise HttpError(404, "there is no such run of HLS: begin with the address that ends in .m3u8")
    return HlsAddress(name, None, "", address.parameters)


def media_playlist_uri(name: str, token: str) -> str:
    """Where a run's playlist is, relative to the multivariant one."""
    return f"{quote(name.rpartition('/')[2])}{SUFFIX}/{token}/{MEDIA_PLAYLIST}"
