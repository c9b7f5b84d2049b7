"""A program: a window that shows the time in black and white cells, or a plain colour. See `desktop.py`."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import Any

from Xlib import X, display

BITS, CELL = 16, 16
PICTURE_S = 0.005


def main(title: str, size: str, place: str, colour: str) -> None:
    width, height = map(int, size.split("x"))
    x, y = map(int, place.removeprefix("+").split("+"))
    connection = display.Display()
    screen = connection.screen()
    background = int(colour, 16) if colour else 0x404040
    window = screen.root.create_window(
        x, y, width, height, 0, screen.root_depth, X.InputOutput, background_pixel=background, override_redirect=True
    )
    window.set_wm_name(title)
    window.change_property(connection.get_atom("_NET_WM_NAME"), connection.get_atom("UTF8_STRING"), 8, title.encode())
    window.map()
    white, black = (window.create_gc(foreground=pixel) for pixel in (0xFFFFFF, 0))
    connection.sync()
    print("done", flush=True)
    pending = b""
    while True:
        if not colour:
            draw(window, white, black, time.monotonic_ns() // 1_000_000 % (1 << BITS))
        connection.sync()
        if select.select([0], [], [], PICTURE_S)[0]:
            data = os.read(0, 4096)
            if not data:
                return
            pending += data
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            words = line.decode().split()
            obey(window, words)
            connection.sync()
            print("done", flush=True)
            if words == ["close"]:
                return


def draw(window: Any, white: Any, black: Any, number: int) -> None:
    ones = [bit for bit in range(BITS) if number >> bit & 1]
    noughts = [bit for bit in range(BITS) if not number >> bit & 1]
    window.poly_fill_rectangle(white, [cell(bit, 0) for bit in ones] + [cell(bit, 1) for bit in noughts])
    window.poly_fill_rectangle(black, [cell(bit, 0) for bit in noughts] + [cell(bit, 1) for bit in ones])


def cell(bit: int, row: int) -> tuple[int, int, int, int]:
    return bit * CELL, row * CELL, CELL, CELL


def obey(window: Any, words: list[str]) -> None:
    match words:
        case ["move", x, y]:
            window.configure(x=int(x), y=int(y))
        case ["resize", width, height]:
            window.configure(width=int(width), height=int(height))
        case ["hide"]:
            window.unmap()
        case ["show"]:
            window.map()
        case ["close"]:
            window.destroy()
        case _:
            raise ValueError(f"unknown command {words}")


if __name__ == "__main__":
    main(*sys.argv[1:])
