"""The operating system that we run on."""

from __future__ import annotations

import sys

from manycast.sources.capture.devices import System


def this_system() -> System:
    match sys.platform:
        case "win32":
            from manycast.sources.capture.windows import WindowsSystem

            return WindowsSystem()
        case "darwin":
            from manycast.sources.capture.macos import MacSystem

            return MacSystem()
        case _:
            from manycast.sources.capture.linux import LinuxSystem

            return LinuxSystem()
