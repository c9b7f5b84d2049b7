"""The server under test: a process of its own on a free port of the loopback interface."""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from figures import CpuTime, cpu_time, resident_bytes

HOST = "127.0.0.1"
STREAMS = {"http-flv": "http", "ws-fmp4": "http", "rtmp": "rtmp"}  # what is no RTSP, and the protocol of its port
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


def add_server_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server",
        metavar="COMMAND",
        default=f"{shlex.quote(sys.executable)} -m manycast",
        help="what is run with the arguments of `manycast serve`; default: the package installed here",
    )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


@cache
def _bytecode_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="manycast-bench-bytecode-")


def _environment() -> dict[str, str]:
    """With compiled modules, as an installed server has them; else each start compiles everything."""
    environment = dict(os.environ)
    if environment.pop("PYTHONDONTWRITEBYTECODE", None):
        environment["PYTHONPYCACHEPREFIX"] = _bytecode_folder().name
    return environment


class Server:
    def __init__(self, command: str, *, config: str | None = None, onvif: bool = False) -> None:
        """`config` is a configuration file's text, in YAML; `onvif`: ONVIF has a free port, else that of the file."""
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="manycast-bench-")
        self._log = Path(self._folder.name, "log")
        self.media = Path(self._folder.name, "media")
        self.media.mkdir()
        self.ports = {name: free_port() for name in ("http", "https", "rtsps", "rtmp", "srt")}
        arguments = ["serve", "--host", HOST, "--rtsp-port", str(self.port), "--media", str(self.media)]
        if onvif:
            self.ports["onvif"] = free_port()
        for protocol, port in self.ports.items():
            arguments += [f"--{protocol}-port", str(port)]
        if config is not None:
            path = Path(self._folder.name, "manycast.yaml")
            path.write_text(config)
            arguments += ["-c", str(path)]
        with self._log.open("wb") as log:
            self.started_s = time.monotonic()
            self._process = subprocess.Popen(
                [*shlex.split(command), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder.name,  # a certificate is made there
                env=_environment(),
            )
        self.ready_s = self._wait_until_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def address(self, path: str, transport: str = "tcp") -> str:
        if transport in STREAMS:
            protocol = STREAMS[transport]
            return f"{protocol}://{HOST}:{self.ports[protocol]}/{path}"
        port = self.ports.get("http" if transport == "websocket" else transport, self.port)
        return f"rtsp://{HOST}:{port}/{path}"

    @property
    def certificate(self) -> tuple[Path, Path]:
        """Certificate and key, as the server made them at its start."""
        folder = Path(self._folder.name)
        return folder / "ssl.ca", folder / "ssl.key"

    def cpu(self) -> CpuTime:
        return cpu_time(self.pid)

    def resident_bytes(self) -> int:
        return resident_bytes(self.pid)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _wait_until_ready(self) -> float:
        """How long it took from the start of the process until the port took a connection."""
        while time.monotonic() < self.started_s + START_TIMEOUT_S and self._process.poll() is None:
            try:
                with socket.create_connection((HOST, self.port), timeout=1.0):
                    return time.monotonic() - self.started_s
            except OSError:
                time.sleep(0.005)
        log = self._log.read_text(errors="replace")
        self.stop()
        raise SystemExit(f"the server did not start:\n{log}")
