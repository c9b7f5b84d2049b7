"""An X server without a screen, and windows that show machine-readable pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from av.video.frame import VideoFrame

WIDTH, HEIGHT = 640, 360
BITS = 16  # of the time that a pattern shows
CELL = 16  # pixels, each way, of one bit

PATTERN = Path(__file__).parent / "pattern_window.py"


class Desktop:
    """Xvfb, for as long as the object is entered. `environment` lets programs show windows on it."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT, *, display: str | None = None) -> None:
        """On a free display, or on one such as `:7`, which has to be free."""
        read, write = os.pipe()
        self._programs: list[subprocess.Popen[str]] = []
        self._server = subprocess.Popen(
            [
                "Xvfb",
                *([display] if display else []),
                "-displayfd",
                str(write),
                "-screen",
                "0",
                f"{width}x{height}x24",
                "-nolisten",
                "tcp",
                "-noreset",
            ],
            pass_fds=[write],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as numbers:
            self.display = f":{numbers.readline().strip()}"
        self.environment = {"DISPLAY": self.display}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for program in self._programs:
            program.kill()
            program.wait()
            for pipe in (program.stdin, program.stdout):
                if pipe is not None:
                    pipe.close()
        self._server.terminate()
        self._server.wait()

    def set_monitors(self, *places: str) -> None:
        """Such as `320x360+0+0`, one for each monitor."""
        for number, place in enumerate(places):
            size, _, offset = place.partition("+")
            width, height = size.split("x")
            geometry = f"{width}/100x{height}/100+{offset}"
            command = ["xrandr", "--setmonitor", f"monitor{number}", geometry, "none" if number else "screen"]
            subprocess.run(command, env={**os.environ, **self.environment}, check=True, stdout=subprocess.DEVNULL)

    def show(self, title: str, *, size: str = "320x200", place: str = "+0+0", colour: str = "") -> PatternWindow:
        """Open a window and wait until it shows the pattern, or a plain colour such as `0000ff`."""
        program = subprocess.Popen(
            [sys.executable, str(PATTERN), title, size, place, colour],
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._programs.append(program)
        window = PatternWindow(program)
        window.wait()
        return window


class PatternWindow:
    """Takes commands: move X Y, resize W H, hide, show, close."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program

    def do(self, command: str) -> None:
        """Returns when it is done."""
        assert self._program.stdin is not None
        self._program.stdin.write(command + "\n")
        self._program.stdin.flush()
        self.wait()

    def wait(self) -> None:
        assert self._program.stdout is not None
        assert self._program.stdout.readline().strip() == "done"


def pattern_time_ms(picture: VideoFrame, x: int = 0, y: int = 0) -> int | None:
    """The time that the pattern at a place shows, in ms modulo 2**BITS; None where there is no whole one.

    The pattern is a row of cells, white for 1; then the same inverted below, to be sure.
    """
    grey = picture.to_ndarray(format="gray")
    if grey.shape[0] < y + 2 * CELL or grey.shape[1] < x + BITS * CELL:
        return None
    rows = [
        np.array(
            [
                grey[y + row * CELL + 4 : y + row * CELL + 12, x + bit * CELL + 4 : x + bit * CELL + 12].mean() > 128
                for bit in range(BITS)
            ]
        )
        for row in (0, 1)
    ]
    if (rows[0] == rows[1]).any():
        return None
    return sum(1 << bit for bit in range(BITS) if rows[0][bit])
