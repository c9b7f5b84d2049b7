"""Who is sent which codecs over HTTP."""

from __future__ import annotations

import pytest

from manycast.media.track import Codec
from manycast.servers.http.stream.address import Form
from manycast.servers.http.stream.codecs import codecs_for
from manycast.wire.http import RequestHead

BROWSER = "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
PLAYER = "User-Agent: Lavf/59.27.100"
SERVER = "User-Agent: Manycast/1.0"
WEBSOCKET = f"{PLAYER}\r\nUpgrade: websocket\r\nConnection: Upgrade"


def asked_by(fields: str) -> RequestHead:
    return RequestHead.parse(f"GET /live.flv HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n".encode())


@pytest.mark.parametrize("fields", ["Accept: */*", PLAYER, BROWSER, SERVER, WEBSOCKET])
def test_everybody_has_h264_and_aac_as_they_are(fields: str) -> None:
    for form in Form:
        assert {Codec.H264, Codec.H265, Codec.AAC, Codec.MP3} <= set(codecs_for(form, asked_by(fields)))
        assert not {Codec.MJPEG, Codec.G722, Codec.VP8} & set(codecs_for(form, asked_by(fields)))


@pytest.mark.parametrize(
    ("fields", "codec", "forms"),
    [
        (PLAYER, Codec.G711A, {Form.FLV}),
        (PLAYER, Codec.AC3, {Form.MP4}),
        (PLAYER, Codec.OPUS, {Form.MP4}),
        (BROWSER, Codec.G711A, set()),
        (BROWSER, Codec.AC3, set()),
        (BROWSER, Codec.OPUS, {Form.MP4}),
        (WEBSOCKET, Codec.G711A, set()),
        (WEBSOCKET, Codec.VP9, {Form.MP4}),
        (SERVER, Codec.G711A, {Form.FLV}),
        (SERVER, Codec.OPUS, {Form.FLV, Form.MP4}),
        (PLAYER, Codec.FLAC, {Form.MP4}),
        (BROWSER, Codec.FLAC, {Form.MP4}),
        (SERVER, Codec.FLAC, {Form.FLV, Form.MP4}),
        ("Accept: */*", Codec.G711U, {Form.FLV}),
    ],
)
def test_what_depends_on_who_asks(fields: str, codec: Codec, forms: set[Form]) -> None:
    assert {form for form in Form if codec in codecs_for(form, asked_by(fields))} == forms
