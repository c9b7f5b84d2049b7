"""The real server as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from support.ports import free_tcp_port, free_udp_base, free_udp_port
from support.waiting import wait_until

CONFIG = "rtsp:\n  udp_base_port: UDP_BASE\n"
GREETING_END = "Ctrl-C stops the server."
START_S = 60.0
STOP_S = 2.0  # what a stop may take
STOP_SLACK_S = 6.0  # for a machine that is busy with the tests' other programs


class ServerProcess:
    """`manycast serve` on loopback, with its log in a file, stopped by SIGTERM."""

    def __init__(
        self,
        folder: Path,
        *,
        media: Path | None = None,
        config: str | None = None,
        host: str | None = "127.0.0.1",
        http: bool = False,
        https: bool = False,
        rtsps: bool = False,
        rtmp: bool = False,
        port: int | None = None,
        srt: bool = False,
        onvif: bool | None = False,
        arguments: Sequence[str] = (),
        descriptors: int | None = None,
        environment: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
    ) -> None:
        """Without `config` (YAML) there is no configuration file, and so the test pattern.

        Without `host` the configuration says where to listen, 127.0.0.1 among others.

        HTTP, HTTPS, RTSPS, RTMP, SRT and ONVIF are off unless asked for; then they have free ports.
        ONVIF that is None is as the configuration has it.

        `descriptors` is how many files the process may open; `environment` is added to the tests' own; `through` is a
        program that becomes the server.
        """
        self.folder = folder
        self.host = host or "127.0.0.1"
        self.port = port or free_tcp_port(self.host)
        self.http_port = free_tcp_port(self.host) if http else 0
        self.https_port = free_tcp_port(self.host) if https else 0
        self.rtsps_port = free_tcp_port(self.host) if rtsps else 0
        self.rtmp_port = free_tcp_port(self.host) if rtmp else 0
        self.srt_port = free_udp_port(self.host) if srt else 0
        self.onvif_port = free_tcp_port(self.host) if onvif else 0
        self.onvif_https_port = free_tcp_port(self.host) if onvif else 0
        self.udp_base = 22000
        self.media = media or folder
        self.log_path = folder / "manycast.log"
        self.output_path = folder / "manycast.out"
        command = self._command(host, onvif=onvif is not None)
        if config is not None:
            self.udp_base = free_udp_base()
            path = folder / "manycast.yaml"
            path.write_text(config.replace("UDP_BASE", str(self.udp_base)))
            command += ["-c", str(path)]
        command += arguments
        if descriptors is not None:
            command = ["prlimit", f"--nofile={descriptors}:{descriptors}", *command]
        command = [*through, *command]
        with self.log_path.open("wb") as log, self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        try:
            wait_until(self._listens, f"the server listens; its log:\n{self.log}", deadline_s=START_S)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            if error is None:
                self.stop()
            else:
                self.process.kill()
                self.process.wait()

    def _command(self, host: str | None, *, onvif: bool) -> list[str]:
        """With every port; without `onvif` its own are those of the configuration."""
        command = [sys.executable, "-m", "manycast", "serve", "--rtsp-port", str(self.port)]
        command += ["--http-port", str(self.http_port), "--https-port", str(self.https_port)]
        command += ["--rtsps-port", str(self.rtsps_port), "--rtmp-port", str(self.rtmp_port)]
        command += ["--srt-port", str(self.srt_port)]
        if onvif:
            command += ["--onvif-port", str(self.onvif_port), "--onvif-https-port", str(self.onvif_https_port)]
        return [*command, "--media", str(self.media), *(["--host", host] if host else [])]

    @property
    def base(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{host}:{self.port}"

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def output(self) -> str:
        return self.output_path.read_text(errors="replace")

    @property
    def memory_bytes(self) -> int:
        """Resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    @property
    def descriptors(self) -> int:
        """How many files and sockets are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def connect(self, timeout_s: float = 60.0) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=timeout_s)

    def stop(self) -> None:
        """SIGTERM; exit status 0 in time, and nothing in the log that says the server itself failed."""
        asked_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        took_s = time.monotonic() - asked_s
        assert status == 0, f"exit status {status}; log:\n{self.log}"
        assert took_s < STOP_S + STOP_SLACK_S, f"stopping took {took_s:.1f} s"
        self.check_log()

    def check_log(self) -> None:
        assert "Traceback" not in self.log, self.log
        assert "cut off" not in self.log, self.log

    def _listens(self) -> bool:
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log}"
        return GREETING_END in self.output  # all ports are open; RTSP's may be another since, as a client had set it


ServerFactory = Callable[..., ServerProcess]
