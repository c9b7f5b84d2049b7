"""What stands at an HTTP port in the place of RTSP where that is switched off."""

from __future__ import annotations

from manycast.servers.http.request import HttpRequest
from manycast.servers.rtsp.websocket import SUBPROTOCOL
from manycast.wire.http import HttpError
from manycast.wire.rtsp.tunnel import is_tunnel_request
from manycast.wire.websocket import asks_for_websocket


class SwitchedOffRoute:
    """Tells clients who ask for a tunnel, or a WebSocket with RTSP, that there is none."""

    def take(self, request: HttpRequest) -> bool:
        head = request.head
        websocket = asks_for_websocket(head) and SUBPROTOCOL in head.tokens("Sec-WebSocket-Protocol")
        if websocket or is_tunnel_request(head):
            protocol = "HTTPS" if request.client.secure else "HTTP"
            raise HttpError(404, f"RTSP over {protocol} is switched off (rtsp_over_{protocol.lower()})")
        return False
