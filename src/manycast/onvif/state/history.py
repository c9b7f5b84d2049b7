"""When what happened last; None: never."""

from __future__ import annotations

from datetime import datetime

from manycast.onvif.state.base import Part


class History(Part):
    """Moments of the device's own clock, in UTC."""

    last_reset: datetime | None = None  # to factory defaults
    last_clock_synchronization: datetime | None = None
    last_backup: datetime | None = None
