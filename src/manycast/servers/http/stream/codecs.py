"""Which codecs go to a client as they are; what else there is, is converted."""

from __future__ import annotations

from collections.abc import Collection

from manycast.media.track import Codec
from manycast.servers.http.stream.address import Form
from manycast.wire.flv.mux import ENHANCED_CODECS, PLAIN_CODECS
from manycast.wire.fmp4.sample_entry import CARRIED
from manycast.wire.http import RequestHead
from manycast.wire.websocket import asks_for_websocket

# H.265 where the machine decodes it. FLV and MP4 could carry more, such as G.711 and AC-3, for other players.
BROWSER_CODECS = frozenset({Codec.H264, Codec.H265, Codec.AV1, Codec.VP9, Codec.AAC, Codec.OPUS, Codec.MP3, Codec.FLAC})

_FORMS = {Form.FLV: PLAIN_CODECS, Form.MP4: CARRIED}


def codecs_for(form: Form, head: RequestHead) -> Collection[Codec]:
    """What a form carries, and whoever asks for it can play. Streams by WebSocket are for browsers; other servers of
    our kind, who fetch a stream, know all of FLV."""
    agent = head.get("User-Agent") or ""
    if asks_for_websocket(head) or agent.startswith("Mozilla/"):
        return _FORMS[form] & BROWSER_CODECS
    return ENHANCED_CODECS if form is Form.FLV and agent.startswith("Manycast/") else _FORMS[form]
