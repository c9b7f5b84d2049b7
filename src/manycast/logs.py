"""Where the log goes."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from manycast.errors import ManycastError

TRACE = 5  # below DEBUG
LEVELS = (TRACE, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_OFF = logging.CRITICAL + 1
MAX_FILE_BYTES = 10 * 1024 * 1024
KEPT_FILES = 5


class LogFileError(ManycastError):
    """The log file cannot be written."""


def check_log_file(file: Path) -> None:
    """Raises LogFileError when the file cannot be written."""
    try:
        with file.open("ab"):
            pass
    except OSError as error:
        raise LogFileError(f"the log file {file}: {error.strerror}; name another with --log-file") from error


def set_up_logging(level: int | None, file: Path | None, *, onvif: int | None) -> None:
    """Log messages of a level (0 TRACE to 5 FATAL) and above, to standard error or a file; None: none at all.

    `onvif` is the level of the ONVIF part. Raises LogFileError.
    """
    logging.addLevelName(TRACE, "TRACE")
    logging.addLevelName(logging.WARNING, "WARN")
    logging.addLevelName(logging.CRITICAL, "FATAL")
    root = logging.getLogger()
    for old in tuple(root.handlers):
        root.removeHandler(old)
    if level is None and onvif is None:
        root.addHandler(logging.NullHandler())
        return
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        check_log_file(file)
        handler = RotatingFileHandler(file, maxBytes=MAX_FILE_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-5s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO if level is not None else _OFF)
    for name, of in (("manycast", level), ("manycast.onvif", onvif)):
        logging.getLogger(name).setLevel(LEVELS[of] if of is not None else _OFF)
