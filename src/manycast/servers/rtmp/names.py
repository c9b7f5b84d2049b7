"""What `connect`, `publish` and `play` call a stream, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

MAX_NAME_CHARS = 1024


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """A stream's name as the catalogue knows it, and the parameters behind `?`, their names in lower case."""

    name: str
    parameters: dict[str, str]


def address_of(app: str, stream: str) -> StreamAddress | None:
    """Put together what `rtmp://host/APP/STREAM?query` was taken apart into; None for what no stream can be called.

    Clients split at different places, and put the query behind either part.
    """
    app_path, _, app_query = app.partition("?")
    stream_path, _, stream_query = stream.partition("?")
    for prefix in ("mp4:", "flv:", "mp3:"):  # what kind of file it is, as Flash wanted to be told
        stream_path = stream_path.removeprefix(prefix)
    segments = [segment for segment in unquote(f"{app_path}/{stream_path}").split("/") if segment]
    name = "/".join(segments)
    hostile = any(segment in (".", "..") for segment in name.replace("\\", "/").split("/"))
    if not name or hostile or len(name) > MAX_NAME_CHARS or any(ord(character) < 32 for character in name):
        return None
    parameters = parse_qsl(f"{app_query}&{stream_query}", keep_blank_values=True, max_num_fields=100)
    return StreamAddress(name, {key.lower(): value for key, value in parameters})
