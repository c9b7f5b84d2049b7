"""The ALSA library inside PyAV's wheels."""

from __future__ import annotations

import ctypes
import os
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_MACHINES_OWN = "libasound.so.2"  # the plug-ins are linked with it, and write through it


def find_alsa_files() -> None:
    """Tell the ALSA library where this machine's configuration and plug-ins are.

    The one inside PyAV's wheels looks for them where it was built: without this it would find no device at all. What
    the user has set himself holds.
    """
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    _set_once("ALSA_CONFIG_DIR", ["/usr/share/alsa"])
    _set_once("ALSA_PLUGIN_DIR", [f"/usr/lib/{multiarch}/alsa-lib", "/usr/lib64/alsa-lib", "/usr/lib/alsa-lib"])


def silence_alsa() -> None:
    """Keep the ALSA library, once it is loaded, from writing a page to standard error for every device it misses."""
    path = library_path()
    if path is not None:
        # Any function of C does that ignores what it is given; NULL would bring the printing back.
        nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        for name in (path, _MACHINES_OWN):
            try:
                library = ctypes.CDLL(name)
            except OSError:
                continue
            library.snd_lib_error_set_handler(nothing)


def library_path() -> str | None:
    """Where the library is that has been loaded; None before that."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    return next((line.split(maxsplit=5)[-1] for line in lines if "/libasound" in line), None)


def _set_once(variable: str, folders: Iterable[str]) -> None:
    if variable not in os.environ:
        for folder in folders:
            if Path(folder).is_dir():
                os.environ[variable] = folder
                return
