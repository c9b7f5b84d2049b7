"""What is logged, and where."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from manycast.logs import set_up_logging

NAMES = (None, "manycast", "manycast.onvif")


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """The log as it was, afterwards."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], [logging.getLogger(name).level for name in NAMES]
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    for name, level in zip(NAMES, levels, strict=True):
        logging.getLogger(name).setLevel(level)


def logged(file: Path) -> set[str]:
    """What comes into the file of four messages."""
    for name in ("servers", "onvif"):
        for level in (logging.DEBUG, logging.ERROR):
            logging.getLogger(f"manycast.{name}").log(level, "%s_%s", name, logging.getLevelName(level).lower())
    return {line.split()[-1] for line in file.read_text().splitlines()}


@pytest.mark.parametrize(
    ("general", "onvif", "expected"),
    [
        (1, 1, {"servers_debug", "servers_error", "onvif_debug", "onvif_error"}),
        (4, 1, {"servers_error", "onvif_debug", "onvif_error"}),
        (1, 4, {"servers_debug", "servers_error", "onvif_error"}),
        (None, 1, {"onvif_debug", "onvif_error"}),
        (1, None, {"servers_debug", "servers_error"}),
    ],
)
def test_the_onvif_part_has_a_level_of_its_own(
    tmp_path: Path, general: int | None, onvif: int | None, expected: set[str]
) -> None:
    file = tmp_path / "log"
    set_up_logging(general, file, onvif=onvif)
    assert logged(file) == expected


def test_with_neither_there_is_no_log(tmp_path: Path) -> None:
    file = tmp_path / "log"
    set_up_logging(None, file, onvif=None)
    assert not file.exists()
