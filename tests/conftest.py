"""Fixtures for all tests. The server under test is the real one, as a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.media import make_media
from support.publishing import Publisher, publishing
from support.rtsp import RawRtsp
from support.server import CONFIG, ServerFactory, ServerProcess
from support.sockets import closing
from support.waiting import wait_until

# No test is of how long an example takes: the machine may be busy.
settings.register_profile("unhurried", settings(), deadline=None)
settings.register_profile("long", settings(), deadline=None, max_examples=20_000)  # for fuzzing by hand
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def sockets() -> Iterator[None]:
    with closing():
        yield


@pytest.fixture(autouse=True)
def fairness() -> Iterator[None]:
    """A library that makes the process a real-time one would have it, and all servers it starts, starve the others."""
    yield
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that leave it as they found it. It has no test pattern and an empty media folder."""
    with ServerProcess(tmp_path_factory.mktemp("server"), config=CONFIG) as server:
        yield server


@pytest.fixture
def server(session_server: ServerProcess) -> Iterator[ServerProcess]:
    """The shared server; each test also checks that the server itself did not fail."""
    assert session_server.process.poll() is None, session_server.log
    yield session_server
    assert session_server.process.poll() is None, session_server.log
    session_server.check_log()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[RawRtsp]:
    """A connection to the shared server."""
    with RawRtsp.connect(server.host, server.port) as client:
        yield client


@pytest.fixture
def live(server: ServerProcess) -> Iterator[Publisher]:
    """A test pattern published at the path `live`, which is free again behind the test."""
    with publishing(server) as publisher:
        yield publisher
    with RawRtsp.connect(server.host, server.port) as client:
        wait_until(lambda: client.ask("DESCRIBE", "live").status == 404, "the publisher is gone")


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[ServerFactory]:
    """Starts servers of a test's own, each in a folder of its own; they are stopped behind the test."""
    with ExitStack() as stack:
        count = 0

        def start(**options: Any) -> ServerProcess:
            nonlocal count
            count += 1
            folder = tmp_path / f"server{count}"
            folder.mkdir()
            return stack.enter_context(ServerProcess(folder, **options))

        yield start


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A media folder with short clips, made once by ffmpeg."""
    return make_media(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="session")
def media_server(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServerProcess]:
    """One server for all tests with real clients: the clips in its folder, and the test pattern."""
    with ServerProcess(tmp_path_factory.mktemp("media-server"), media=media) as server:
        yield server
