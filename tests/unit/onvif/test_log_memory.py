"""The log as clients read it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from manycast.onvif.log_memory import MAX_LINE_CHARS, MAX_LINES, AccessLog, LogMemory


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, LogMemory]]:
    logger, memory = logging.Logger("test"), LogMemory()
    logger.addHandler(memory)
    yield logger, memory
    logger.removeHandler(memory)


def test_lines_from_info_on_are_kept(log: tuple[logging.Logger, LogMemory]) -> None:
    logger, memory = log
    logger.info("started %d", 1)
    logger.debug("in detail")
    assert memory.text().endswith("INFO test: started 1\n")
    assert "in detail" not in memory.text()


def test_the_latest_lines_are_kept_and_no_more_of_each(log: tuple[logging.Logger, LogMemory]) -> None:
    logger, memory = log
    for number in range(MAX_LINES + 5):
        logger.warning("line %d %s", number, "x" * 1000)
    lines = memory.text().splitlines()
    assert len(lines) == MAX_LINES
    assert "line 5 " in lines[0]
    assert all(len(line) == MAX_LINE_CHARS for line in lines)


def test_nobody_writes_lines_of_others_into_the_access_log() -> None:
    log = AccessLog()
    log.note("refused: 'x\n2026-11-21 admin SystemReboot\r\x1b[0m'")
    assert log.text() == "refused: 'x 2026-11-21 admin SystemReboot  [0m'\n"


def test_the_access_log_is_bounded_too() -> None:
    log = AccessLog()
    for number in range(MAX_LINES + 1):
        log.note(f"{number} {'x' * 1000}")
    assert len(log.text().splitlines()) == MAX_LINES
    assert len(log.text().splitlines()[0]) == MAX_LINE_CHARS
