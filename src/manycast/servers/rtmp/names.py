"""What `connect`, `publish` and `play` call a stream, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

MAX_NAME_CHARS = 1024
MAX_PARAMETERS = 100

# By the kind of file that a client tells before its name: what librtmp takes off behind it.
_ENDINGS = {"mp4": (".mp4", ".f4v", ".mov", ".m4v"), "mp3": (".mp3",), "flv": (".flv",), "": (".flv",)}


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """A stream's name as the catalogue knows it, and the parameters behind `?`, their names in lower case."""

    name: str
    parameters: dict[str, str]
    endings: tuple[str, ...] = ()  # that a client may have taken off the name

    @property
    def names(self) -> tuple[str, ...]:
        """What may be meant, the likeliest first."""
        return (self.name, *(self.name + ending for ending in self.endings))


def address_of(app: str, stream: str) -> StreamAddress | None:
    """Put together what `rtmp://host/APP/STREAM?query` was taken apart into; None for what no stream can be called.

    Clients split at different places, and put the query behind either part.
    """
    app_path, _, app_query = app.partition("?")
    stream_path, _, stream_query = stream.partition("?")
    kind, told, rest = stream_path.partition(":")  # what kind of file it is, as Flash wanted to be told
    if told and kind in _ENDINGS:
        stream_path = rest
    else:
        kind = ""
    segments = [segment for segment in unquote(f"{app_path}/{stream_path}").split("/") if segment]
    name = "/".join(segments)
    hostile = any(segment in (".", "..") for segment in name.replace("\\", "/").split("/"))
    if not name or hostile or len(name) > MAX_NAME_CHARS or any(ord(character) < 32 for character in name):
        return None
    endings = () if "." in segments[-1] else _ENDINGS[kind]
    return StreamAddress(name, _parameters(f"{app_query}&{stream_query}"), endings)


def _parameters(query: str) -> dict[str, str]:
    """A `+` stays one: ffmpeg puts base64 there as it is."""
    pairs = (part.partition("=") for part in query.split("&")[:MAX_PARAMETERS] if part)
    return {unquote(key).lower(): unquote(value) for key, _, value in pairs}
