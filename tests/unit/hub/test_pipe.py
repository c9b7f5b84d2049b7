"""What is said of who hung up."""

from __future__ import annotations

import socket

import pytest

from manycast.hub.pipe import HungUp, SocketPipe, receive, told_to_viewers


async def test_viewers_read_that_the_publisher_hung_up() -> None:
    ours, theirs = socket.socketpair()
    pipe = SocketPipe(ours)
    theirs.close()
    with pytest.raises(HungUp) as end:
        receive(pipe)
    pipe.close()
    assert told_to_viewers(str(end.value)) == "the publisher hung up"
    assert told_to_viewers("TEARDOWN") == "TEARDOWN"
