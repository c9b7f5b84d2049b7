"""The examples of raw RTP in the documentation, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.ports import free_tcp_port, free_udp_base
from support.programs import find, make, probe
from support.server import ServerProcess
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "publish.md"


@dataclass
class Examples:
    config: str
    commands: dict[str, list[str]]  # by the comment above them


def examples() -> Examples:
    section = PAGE.read_text().split("\n## Raw RTP\n")[1].split("\n## ")[0]
    yaml, shell, *_others = re.findall(r"```(?:yaml|sh)\n(.*?)```", section, re.DOTALL)
    commands: dict[str, list[str]] = {}
    for block in shell.strip().split("\n\n"):
        comment, _, lines = block.partition("\n")
        joined = lines.replace("\\\n", " ").splitlines()
        commands[comment.removeprefix("# ")] = [line for line in joined if line]
    return Examples(yaml, commands)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000"]
    coding = ["-t", "60", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    return make(path, *source, *coding)


@contextmanager
def typed(command: str, folder: Path) -> Iterator[None]:
    """A command as somebody types it in a folder."""
    words = shlex.split(command)
    words[0] = sys.executable if words[0] == "python3" else find(words[0])
    process = subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("which", examples().commands)
def test_an_example(which: str, tmp_path: Path, film: Path) -> None:
    base = free_udp_base()
    ports = {"50001": base, "50002": base + 2, "40000": base + 4}

    def with_ports(text: str) -> str:
        return re.sub("|".join(ports), lambda match: str(ports[match[0]]), text)

    config = with_ports(examples().config)
    over_tcp = "python3" in "".join(examples().commands[which])
    if over_tcp:
        config = config.replace("mode: UDP", "mode: TCP")
    os.symlink(film, tmp_path / "film.mp4")
    os.symlink(ROOT / "examples", tmp_path / "examples")
    with ServerProcess(tmp_path, config=config) as server, ExitStack() as stack:
        for command in examples().commands[which]:
            stack.enter_context(typed(with_ports(command), tmp_path))
            if command.startswith("python3"):
                wait_until(lambda: "is connected" in server.log, "the script is connected")
        wait_until(lambda: "stream raw" in server.log, "the stream is there")
        found = probe("-rtsp_transport", "tcp", "-show_streams", "-i", server.url("raw"))["streams"]
        expected = ["h264"] if over_tcp else ["h264", "opus"]
        assert sorted(stream["codec_name"] for stream in found) == expected


def test_the_script_says_in_one_line_why_it_cannot_push() -> None:
    script, listen, closed = ROOT / "examples" / "push_rtp_over_tcp.py", str(free_udp_base()), free_tcp_port()
    command = [sys.executable, str(script), "--listen", listen, "--to", f"127.0.0.1:{closed}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "cannot push: Connection refused\n"
