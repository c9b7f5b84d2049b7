"""What the address of a request says."""

from __future__ import annotations

from manycast.wire.rtsp.url import RtspUrl, split_parameters


def name_in(uri: str) -> str:
    """The name of a stream or file: without control suffix, query, appended parameters."""
    url, _track_index = RtspUrl.parse(uri).split_control()
    return split_parameters(url.path)[0]


def base_url(uri: str) -> str:
    """What controls are joined to: the address as the client wrote it, without a trailing slash."""
    return uri.rstrip("/")
