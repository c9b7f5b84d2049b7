"""Why the machine's network is not changed."""

from __future__ import annotations

from manycast.errors import ManycastError


class CannotApply(ManycastError):
    """Nothing has changed; the text says why, and what to do."""

    def __init__(self, reason: str, subcode: str | None = None) -> None:
        """`subcode`: ONVIF's name for a value that cannot be; None: it is not for the client to mend."""
        super().__init__(reason)
        self.subcode = subcode


class MissingRight(CannotApply):
    """The process may not change the machine's network."""
