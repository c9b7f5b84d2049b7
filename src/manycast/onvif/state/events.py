"""How events are told."""

from __future__ import annotations

from pydantic import Field

from manycast.onvif.state.base import Part


class Events(Part):
    renew_interval_s: int = Field(60, ge=1, le=86_400)  # a subscription that is not renewed within it goes
    simulate: bool = False
    simulate_interval_s: float = Field(10.0, ge=0.1, le=86_400)
    max_pull_points: int = Field(32, ge=1, le=10_000)
