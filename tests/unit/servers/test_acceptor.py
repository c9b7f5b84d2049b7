"""What becomes of connections when they are taken."""

from __future__ import annotations

import socket

from manycast.servers.acceptor import prepare_socket


def test_a_lost_peer_is_given_up_though_something_was_sent_to_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sock:
        prepare_socket(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
